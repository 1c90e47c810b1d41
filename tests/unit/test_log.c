/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log: what stands on stderr, seen through a pipe or socket of a child process. */
#include "agent/log.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/text.h"

typedef enum { NO_JOURNAL, JOURNAL, JOURNAL_OF_ANOTHER } Stream;

static void set_stream(Stream stream, int fd)
{
    struct stat st;
    char value[64];
    g_unsetenv("JOURNAL_STREAM");
    if (stream == NO_JOURNAL)
        return;
    ck_assert_int_eq(fstat(fd, &st), 0);
    g_snprintf(value, sizeof value, "%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT,
               (guint64)st.st_dev + (stream == JOURNAL_OF_ANOTHER), (guint64)st.st_ino);
    g_setenv("JOURNAL_STREAM", value, TRUE);
}

static char *read_all(int fd)
{
    GString *text = g_string_new(NULL);
    char buffer[4096];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        g_string_append_len(text, buffer, n);
    return g_string_free(text, FALSE);
}

/* Runs `work` in a child with the log installed; its stderr. */
static char *capture(void (*work)(void), gboolean verbose, Stream stream)
{
    int fds[2], status;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        signal(SIGPIPE, SIG_IGN); /* as commands_main() does */
        set_stream(stream, STDERR_FILENO);
        log_init(verbose);
        work();
        _exit(0);
    }
    close(fds[1]);
    char *text = read_all(fds[0]);
    close(fds[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return text;
}

static void say_all_levels(void)
{
    g_critical("one");
    g_warning("two");
    g_message("three");
    g_info("four");
    g_debug("five");
}

START_TEST(test_levels_for_people)
{
    g_autofree char *text = capture(say_all_levels, FALSE, NO_JOURNAL);
    ck_assert_str_eq(text, "critical: one\nwarning: two\nnotice: three\ninfo: four\n");
    g_autofree char *verbose = capture(say_all_levels, TRUE, NO_JOURNAL);
    ck_assert_str_eq(verbose,
                     "critical: one\nwarning: two\nnotice: three\ninfo: four\ndebug: five\n");
}
END_TEST

START_TEST(test_levels_for_the_journal)
{
    g_autofree char *text = capture(say_all_levels, TRUE, JOURNAL);
    ck_assert_str_eq(text, "<2>one\n<4>two\n<5>three\n<6>four\n<7>five\n");
    /* JOURNAL_STREAM was inherited, but this stderr is not the journal's. */
    g_autofree char *other = capture(say_all_levels, FALSE, JOURNAL_OF_ANOTHER);
    ck_assert_str_eq(other, "critical: one\nwarning: two\nnotice: three\ninfo: four\n");
}
END_TEST

static void say_hostile(void)
{
    g_message("a\nb\r\t\x1b[31m\x7f \xc3\xa4 \xff\xc3");
    g_message("<2>forged\ncritical: forged");
    g_message("C1 \xc2\x9b, line \xe2\x80\xa8, turned \xe2\x80\xae.");
    g_message("%s", "");
}

START_TEST(test_hostile_text)
{
    g_autofree char *text = capture(say_hostile, FALSE, NO_JOURNAL);
    ck_assert_str_eq(text, "notice: a\\x0ab\\x0d\\x09\\x1b[31m\\x7f \xc3\xa4 \\xff\\xc3\n"
                           "notice: <2>forged\\x0acritical: forged\n"
                           "notice: C1 \\xc2\\x9b, line \\xe2\\x80\\xa8, turned \\xe2\\x80\\xae.\n"
                           "notice: \n");
}
END_TEST

static void say_long(void)
{
    g_autofree char *fits = g_strnfill(LOG_MAX_LINE - strlen("notice: ") - 1, 'x');
    g_autofree char *umlauts = g_malloc(20001);
    for (int i = 0; i < 10000; i++)
        memcpy(umlauts + (gsize)2 * (gsize)i, "\xc3\xa4", 2);
    umlauts[20000] = '\0';
    g_autofree char *escapes = g_strnfill(10 << 20, '\x01');
    g_message("%s", fits);
    g_message("%sy", fits);
    g_message("%s", umlauts);
    g_message("%s", escapes);
}

START_TEST(test_long_lines)
{
    g_autofree char *text = capture(say_long, FALSE, NO_JOURNAL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    ck_assert_uint_eq(g_strv_length(lines), 5);
    ck_assert_uint_eq(strlen(lines[0]) + 1, LOG_MAX_LINE);
    ck_assert(g_str_has_suffix(lines[0], "xxx"));
    ck_assert_uint_eq(strlen(lines[1]) + 1, LOG_MAX_LINE);
    ck_assert(g_str_has_suffix(lines[1], "x..."));
    for (int i = 2; i < 4; i++) {
        ck_assert_uint_le(strlen(lines[i]) + 1, LOG_MAX_LINE);
        ck_assert_uint_ge(strlen(lines[i]) + 1, LOG_MAX_LINE - 8);
        ck_assert(g_utf8_validate(lines[i], -1, NULL));
        ck_assert(g_str_has_suffix(lines[i], i == 2 ? "\xc3\xa4..." : "\\x01..."));
    }
}
END_TEST

static void say_for_a_library(void)
{
    g_log("GLib-GIO", G_LOG_LEVEL_WARNING, "trouble");
    g_log("GLib-GIO", G_LOG_LEVEL_INFO, "chatter");
    g_log("GLib-GIO", G_LOG_LEVEL_DEBUG, "chatter");
    g_log_structured("Lib", G_LOG_LEVEL_WARNING, "CODE_LINE", "1", "MESSAGE", "told %d", 7);
}

START_TEST(test_libraries)
{
    g_autofree char *text = capture(say_for_a_library, TRUE, NO_JOURNAL);
    ck_assert_str_eq(text, "warning: GLib-GIO: trouble\nwarning: Lib: told 7\n");
}
END_TEST

/* The reader is gone, then there is no stderr at all: the process lives on. */
static void say_to_nobody(void)
{
    int fds[2];
    if (pipe(fds) != 0)
        _exit(1);
    dup2(fds[1], STDERR_FILENO);
    close(fds[0]);
    close(fds[1]);
    for (int i = 0; i < 100; i++)
        g_warning("nobody reads this");
    close(STDERR_FILENO);
    g_warning("nor this");
}

START_TEST(test_nobody_reads)
{
    g_autofree char *text = capture(say_to_nobody, FALSE, NO_JOURNAL);
    ck_assert_str_eq(text, "");
}
END_TEST

/* Every size of the buffer: the text is cut between characters, and never beyond the size. */
START_TEST(test_cut_at_every_size)
{
    static const char text[] = "a\xc3\xa4\n\xe2\x82\xac\xff z\xf0\x9f\x94\x8c";
    static const char whole[] = "a\xc3\xa4\\x0a\xe2\x82\xac\\xff z\xf0\x9f\x94\x8c";
    for (gsize size = 4; size < 40; size++) {
        g_autofree char *buffer = g_malloc(size);
        gsize n = text_make_visible(buffer, size, text, sizeof text - 1);
        ck_assert_uint_lt(n, size);
        ck_assert_uint_eq(strlen(buffer), n);
        ck_assert(g_utf8_validate(buffer, -1, NULL));
        if (size >= sizeof whole)
            ck_assert_str_eq(buffer, whole);
        else
            ck_assert(g_str_has_suffix(buffer, "...") && strncmp(buffer, whole, n - 3) == 0);
    }
    char small[16];
    ck_assert_uint_eq(text_make_visible(small, sizeof small, "a\0b", 3), 6);
    ck_assert_str_eq(small, "a\\x00b");
    ck_assert_uint_eq(text_make_visible(small, sizeof small, "", 0), 0);
    ck_assert_str_eq(small, "");
}
END_TEST

START_TEST(test_plain)
{
    ck_assert(text_is_plain(""));
    ck_assert(text_is_plain("a \xc3\xa4\xe2\x80\xae"));
    ck_assert(!text_is_plain("a\tb"));
    ck_assert(!text_is_plain("\xc2\x9b"));
    ck_assert(!text_is_plain("\xff"));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = tcase_create("log");
    tcase_add_test(tcase, test_levels_for_people);
    tcase_add_test(tcase, test_levels_for_the_journal);
    tcase_add_test(tcase, test_hostile_text);
    tcase_add_test(tcase, test_long_lines);
    tcase_add_test(tcase, test_libraries);
    tcase_add_test(tcase, test_nobody_reads);
    tcase_add_test(tcase, test_cut_at_every_size);
    tcase_add_test(tcase, test_plain);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(make_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
