/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that end well, badly or never. */
#include "loop_fixture.h"

#include "adapter/command.h"

static char *folder, *file;
static gboolean ended, succeeded;
static char *words;

static void setup(void)
{
    fixture_log_start();
    folder = g_dir_make_tmp("rauc-ocpp-agent-command-XXXXXX", NULL);
    ck_assert_ptr_nonnull(folder);
    file = g_build_filename(folder, "pid", NULL);
}

static void teardown(void)
{
    run_ready();
    g_unlink(file);
    g_rmdir(folder);
    g_free(file);
    g_free(folder);
    g_free(words);
}

static void on_ended(gboolean ok, const char *how, gpointer unused)
{
    (void)unused;
    ck_assert(!ended);
    ended = TRUE;
    succeeded = ok;
    g_free(words);
    words = g_strdup(how);
}

static Command *start(const char *line, guint timeout_s)
{
    g_autoptr(GError) error = NULL;
    Command *command = command_start_line(line, timeout_s, on_ended, NULL, &error);

    ck_assert_msg(command != NULL, "%s", error ? error->message : "");
    return command;
}

static void expect(const char *line, gboolean ok, const char *how)
{
    ended = FALSE;
    start(line, 60);
    ck_assert(!ended);
    run_until(ended);
    ck_assert_int_eq(succeeded, ok);
    ck_assert_str_eq(words, how);
}

START_TEST(split_without_a_shell)
{
    expect("printf '%s|' 'a b' \"c\\\"d\" e\\ f '$HOME' ';' '>x'", TRUE,
           "exited with 0: a b|c\"d|e f|$HOME|;|>x|");
}
END_TEST

START_TEST(outputs_and_ends)
{
    expect("sh -c 'echo out; echo err >&2; echo; printf last; exit 3'", FALSE,
           "exited with 3: out\nerr\n\nlast");
    expect("sh -c 'kill -9 $$'", FALSE, "killed by signal 9");
    /* no input to wait for */
    expect("cat", TRUE, "exited with 0");
    expect("printf 'a\\377b'", TRUE, "exited with 0: a\357\277\275b");
}
END_TEST

/* The last words count: they say why. */
START_TEST(output_is_bounded)
{
    start("sh -c 'yes abcdefg | head -c 1000000; echo; echo the end'", 60);
    run_until(ended);
    ck_assert(succeeded);
    ck_assert_uint_lt(strlen(words), COMMAND_MAX_OUTPUT + 100);
    ck_assert(g_str_has_suffix(words, "\nthe end"));
}
END_TEST

START_TEST(the_last_output_is_never_lost)
{
    for (int i = 0; i < 200; i++)
        expect("sh -c 'echo why; exit 1'", FALSE, "exited with 1: why");
}
END_TEST

static gboolean gone(void)
{
    g_autofree char *text = NULL;

    ck_assert(g_file_get_contents(file, &text, NULL, NULL));
    return kill((pid_t)atoi(text), 0) < 0;
}

static void start_with_child(const char *then)
{
    g_autofree char *line =
        g_strdup_printf("sh -c 'sleep 1000 & echo $! > \"%s\"; echo begun; %s'", file, then);

    start(line, 2);
}

START_TEST(killed_with_its_children)
{
    start_with_child("wait");
    run_until(ended);
    ck_assert(!succeeded);
    ck_assert(g_str_has_prefix(words, "killed after 2 s"));
    if (g_file_test(file, G_FILE_TEST_EXISTS)) /* on a very slow machine it had not come so far */
        run_until(gone());
}
END_TEST

/* `(sleep 5; reboot) &`: what it left behind holds the pipe open, and lives on. */
START_TEST(a_child_left_behind)
{
    g_autofree char *text = NULL;

    start_with_child("true");
    run_until(ended);
    ck_assert_str_eq(words, "exited with 0: begun");
    ck_assert(!gone());
    ck_assert(g_file_get_contents(file, &text, NULL, NULL));
    kill((pid_t)atoi(text), SIGKILL);
}
END_TEST

START_TEST(cancelled)
{
    g_autofree char *line = g_strdup_printf(
        "sh -c 'echo $$ > \"%s.new\"; mv \"%s.new\" \"%s\"; sleep 1000'", file, file, file);
    Command *command = start(line, 60);

    run_until(g_file_test(file, G_FILE_TEST_EXISTS));
    command_cancel(command);
    run_until(gone());
    run_ready();
    ck_assert(!ended);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        split_without_a_shell,
        outputs_and_ends,
        output_is_bounded,
        the_last_output_is_never_lost,
        killed_with_its_children,
        a_child_left_behind,
        cancelled,
    };

    return run_suite("command", setup, teardown, tests, G_N_ELEMENTS(tests));
}
