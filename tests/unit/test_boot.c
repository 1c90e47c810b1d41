/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The boot id's file in all its forms, and commands that end well, badly or never. */
#include "loop_fixture.h"

#include "src/adapter/boot_internal.h"

static char *folder;
static char *file;

static void setup(void)
{
    fixture_log_start();
    folder = g_dir_make_tmp("rauc-ocpp-agent-boot-XXXXXX", NULL);
    ck_assert_ptr_nonnull(folder);
    file = g_build_filename(folder, "boot id", NULL);
}

static void teardown(void)
{
    g_unlink(file);
    g_rmdir(folder);
    g_free(file);
    g_free(folder);
}

/* --- Boot id --- */

static void expect_id(const char *content, gssize length, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = NULL;

    ck_assert(g_file_set_contents(file, content, length, NULL));
    id = boot_id_read(file, &error);
    ck_assert_pstr_eq(id, expected);
    ck_assert((id == NULL) == (error != NULL));
    if (error)
        ck_assert_msg(strstr(error->message, file) != NULL, "%s", error->message);
}

START_TEST(boot_id_of_the_kernel)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = boot_id_read(BOOT_ID_FILE, &error);
    g_autofree char *again = boot_id_read(BOOT_ID_FILE, NULL);

    ck_assert_ptr_nonnull(id);
    ck_assert_uint_eq(strlen(id), 36);
    ck_assert_str_eq(id, again);
}
END_TEST

START_TEST(boot_id_files)
{
    g_autofree char *longest = g_strnfill(BOOT_MAX_ID_BYTES, 'x');
    g_autofree char *too_long = g_strnfill(BOOT_MAX_ID_BYTES + 1, 'x');

    expect_id("b2f0-1", -1, "b2f0-1");
    expect_id(" \tb2f0-1 \n\n", -1, "b2f0-1");
    expect_id(longest, -1, longest);
    expect_id(too_long, -1, NULL);
    expect_id("", -1, NULL);
    expect_id(" \n\t\n", -1, NULL);
    expect_id("two words", -1, NULL);
    expect_id("two\nlines", -1, NULL);
    expect_id("a\0b", 3, NULL);
    expect_id("a\0", 2, NULL);
    expect_id("\303\244", -1, NULL);
    expect_id("a\033[1m", -1, NULL);
}
END_TEST

START_TEST(boot_id_that_cannot_be_read)
{
    const char *names[] = {"/nonexistent/boot_id", "/dev/zero", "/"};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(boot_id_read(names[i], &error));
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error->message, names[i]) != NULL, "%s", error->message);
    }
}
END_TEST

/* --- Commands --- */

static void run(const char *command_line, guint timeout_ms)
{
    g_autoptr(GError) error = NULL;

    ck_assert_msg(command_run_within(command_line, timeout_ms, &error), "%s",
                  error ? error->message : "");
}

#define logged(text) (strstr(fixture_log->str, (text)) != NULL)

START_TEST(commands_are_split_without_a_shell)
{
    run("printf '%s|' 'a b' \"c\\\"d\" e\\ f '$HOME' ';' '>x'", 60000);
    run_until(logged("printf: done"));
    ck_assert_msg(logged("printf: a b|c\"d|e f|$HOME|;|>x|\n"), "%s", fixture_log->str);
}
END_TEST

START_TEST(both_outputs_and_the_end_are_logged)
{
    run("sh -c 'echo out; echo err >&2; echo; printf last; exit 3'", 60000);
    run_until(logged("exit status"));
    ck_assert_str_eq(fixture_log->str,
                     "sh: out\nsh: err\nsh: last\nWARNING sh: ended with exit status 3\n");
    g_string_truncate(fixture_log, 0);
    run("sh -c 'kill -9 $$'", 60000);
    run_until(logged("signal"));
    ck_assert_str_eq(fixture_log->str, "WARNING sh: ended by signal 9\n");
    g_string_truncate(fixture_log, 0);
    /* no input to wait for */
    run("cat", 60000);
    run_until(logged("cat: done"));
    ck_assert_str_eq(fixture_log->str, "cat: done\n");
}
END_TEST

START_TEST(output_is_bounded)
{
    run("sh -c 'yes abcdefg | head -c 1000000; printf \"\\nend\"'", 60000);
    run_until(logged("sh: done"));
    ck_assert_uint_lt(fixture_log->len, (gsize)4 * BOOT_MAX_OUTPUT_BYTES);
    ck_assert(!logged("sh: end"));
    g_string_truncate(fixture_log, 0);
    /* not UTF-8 */
    run("printf 'a\\377b\\n'", 60000);
    run_until(logged("printf: done"));
    ck_assert(g_utf8_validate(fixture_log->str, -1, NULL));
    ck_assert(logged("printf: a"));
}
END_TEST

START_TEST(a_command_that_cannot_be_started)
{
    const char *lines[] = {"", "   ", "'unbalanced", "/nonexistent/reboot now", "# comment"};

    for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GError) error = NULL;

        ck_assert(!command_run(lines[i], &error));
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error->message, lines[i]) != NULL, "%s", error->message);
    }
    run_ready();
    ck_assert_str_eq(fixture_log->str, "");
}
END_TEST

static gboolean gone(const char *pid_file)
{
    g_autofree char *text = NULL;

    ck_assert(g_file_get_contents(pid_file, &text, NULL, NULL));
    return kill((pid_t)atoi(text), 0) < 0;
}

START_TEST(a_command_that_hangs_is_killed_with_its_children)
{
    g_autofree char *line =
        g_strdup_printf("sh -c 'echo begun; sleep 1000 & echo $! > \"%s\"; wait'", file);

    run(line, 500);
    run_until(logged("killed"));
    ck_assert_msg(logged("sh: begun\n"), "%s", fixture_log->str);
    ck_assert(logged("WARNING sh: still running after 0 s, killed\n"));
    if (g_file_test(file, G_FILE_TEST_EXISTS)) /* on a very slow machine it had not come so far */
        run_until(gone(file));
}
END_TEST

/* `(sleep 5; reboot) &`: what it left behind holds the pipe open, and lives on. */
START_TEST(a_command_that_leaves_a_child)
{
    g_autofree char *line =
        g_strdup_printf("sh -c 'sleep 1000 & echo $! > \"%s\"; echo scheduled'", file);
    g_autofree char *text = NULL;

    run(line, 60000);
    run_until(logged("sh: done"));
    ck_assert(logged("sh: scheduled\n"));
    ck_assert(!gone(file));
    ck_assert(g_file_get_contents(file, &text, NULL, NULL));
    kill((pid_t)atoi(text), SIGKILL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        boot_id_of_the_kernel,
        boot_id_files,
        boot_id_that_cannot_be_read,
        commands_are_split_without_a_shell,
        both_outputs_and_the_end_are_logged,
        output_is_bounded,
        a_command_that_cannot_be_started,
        a_command_that_hangs_is_killed_with_its_children,
        a_command_that_leaves_a_child,
    };

    return run_suite("boot", setup, teardown, tests, G_N_ELEMENTS(tests));
}
