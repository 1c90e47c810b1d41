/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The boot id's file in all its forms, and the log of a reboot command. */
#include "loop_fixture.h"

#include "adapter/boot.h"

#define MAX_ID_BYTES 128

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
    g_autofree char *longest = g_strnfill(MAX_ID_BYTES, 'x');
    g_autofree char *too_long = g_strnfill(MAX_ID_BYTES + 1, 'x');

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

/* --- The reboot command --- */

#define logged(text) (strstr(fixture_log->str, (text)) != NULL)

START_TEST(the_end_of_a_command_is_logged)
{
    g_autoptr(GError) error = NULL;

    ck_assert(command_run("sh -c 'echo off we go'", &error));
    run_until(fixture_log->len > 0);
    ck_assert_str_eq(fixture_log->str, "`sh -c 'echo off we go'` exited with 0: off we go\n");
    g_string_truncate(fixture_log, 0);
    ck_assert(command_run("sh -c 'echo Access denied >&2; exit 3'", &error));
    run_until(fixture_log->len > 0);
    ck_assert(g_str_has_prefix(fixture_log->str, "WARNING "));
    ck_assert(logged("` exited with 3: Access denied\n"));
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

int main(void)
{
    const TTest *const tests[] = {
        boot_id_of_the_kernel,
        boot_id_files,
        boot_id_that_cannot_be_read,
        the_end_of_a_command_is_logged,
        a_command_that_cannot_be_started,
    };

    return run_suite("boot", setup, teardown, tests, G_N_ELEMENTS(tests));
}
