/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which lines of a log are in the window: what is a stamp, and both edges across files and a clock
 * that jumps. */
#include "loop_fixture.h"

#include "src/adapter/collector/stamp.h"
#include "src/adapter/collector/window.h"

/* Sunday 2026-11-22 */
#define T(hour, minute, second)                                                                    \
    (G_GINT64_CONSTANT(1000) * (1795305600 + (hour)*3600 + (minute)*60 + (second)))
#define DAY  (G_GINT64_CONSTANT(86400) * 1000)
#define BOOT T(9, 0, 0)
#define NONE G_MININT64

static void setup(void)
{
    fixture_log_start();
    /* without a zone: one hour ahead of UTC, in summer two */
    g_setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", TRUE);
    tzset();
}

static void teardown(void)
{
}

static gint64 stamp(const char *line, gint64 written_ms, gint64 boot_ms)
{
    StampContext context = {.written_ms = written_ms, .boot_ms = boot_ms};
    gint64 ms = NONE;

    if (!stamp_parse(&context, line, strlen(line), &ms))
        ck_assert_int_eq(ms, NONE);
    return ms;
}

START_TEST(stamps)
{
    static const struct {
        const char *line;
        gint64 ms;
    } rows[] = {
        {"2026-11-22T10:20:30Z x", T(10, 20, 30)},
        {"2026-11-22t10:20:30z", T(10, 20, 30)},
        {"2026-11-22 10:20:30 x", T(9, 20, 30)},
        {"2026-11-22T10:20:30 x", T(9, 20, 30)},
        {"2026-07-22 10:20:30 x", T(8, 20, 30) - 123 * DAY},
        {"2026-11-22T10:20:30.123456+01:00 x", T(9, 20, 30) + 123},
        {"2026-11-22T10:20:30.9+0100 x", T(9, 20, 30) + 900},
        {"2026-11-22 10:20:30,5 x", T(9, 20, 30) + 500},
        {"2026-11-22 10:20:30 -05:30 x", T(15, 50, 30)},
        {"2026-11-22 10:20:30 -0530", T(15, 50, 30)},
        {"2026-11-22 10:20:30+02", T(8, 20, 30)},
        {"2026-11-22 10:20:30 UTC x", T(10, 20, 30)},
        {"2026-11-22 10:20:30. x", T(9, 20, 30)},
        {"2026-11-22T23:30:00-01:00", T(24, 30, 0)},
        {"2026/11/22 10:20:30 [error] x", T(9, 20, 30)},
        {"[2026-11-22 10:20:30.001] x", T(9, 20, 30) + 1},
        {"<14>2026-11-22T10:20:30Z x", T(10, 20, 30)},
        {"<165>1 2026-11-22T10:20:30.003Z host", T(10, 20, 30) + 3},
        {"\xef\xbb\xbf"
         "2026-11-22T10:20:30Z",
         T(10, 20, 30)},
        {"2026-11-22T10:20:30.99999999999999999999999999999999999999999999999999999Z",
         T(9, 20, 30) + 999},
        {"Nov 22 10:20:30 host x", T(9, 20, 30)},
        {"<14>Nov 22 10:20:30 host x", T(9, 20, 30)},
        {"Nov  2 10:20:30.250 host x", T(9, 20, 30) - 20 * DAY + 250},
        {"Nov 02 10:20:30 host x", T(9, 20, 30) - 20 * DAY},
        {"Nov 23 10:20:30 x", T(9, 20, 30) + DAY},
        {"Nov 24 10:20:30 x", T(9, 20, 30) + (2 - 365) * DAY},
        {"Dec 31 23:59:59 x", T(22, 59, 59) + (39 - 365) * DAY},
        {"Feb 29 10:20:30 x", T(9, 20, 30) - (297 + 2 * 365 - 30) * DAY},
        {"[   12.345678] usb", NONE},
        {"", NONE},
        {"[", NONE},
        {"<", NONE},
        {"<14", NONE},
        {"<14>", NONE},
        {"Nov", NONE},
        {"Nov 22", NONE},
        {"Nov 31 10:20:30 x", NONE},
        {"nov 22 10:20:30 x", NONE},
        {"Nov 22 10:20 x", NONE},
        {"2026-11-22", NONE},
        {"2026-11-22 10:20", NONE},
        {"2026-11-22x10:20:30", NONE},
        {"2026-02-29 10:20:30", NONE},
        {"2026-13-01 10:20:30", NONE},
        {"2026-00-01 10:20:30", NONE},
        {"2026-11-22 24:20:30", NONE},
        {"2026-11-22 10:60:30", NONE},
        {"2026-11-22 10:20:61", NONE},
        {"20261122 10:20:30", NONE},
        {"-026-11-22 10:20:30", NONE},
        {"    at 2026-11-22 10:20:30", NONE},
        {"error 2026-11-22 10:20:30", NONE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        gint64 ms = stamp(rows[i].line, T(12, 0, 0), G_MININT64);

        ck_assert_msg(ms == rows[i].ms, "%s: %" G_GINT64_FORMAT " instead of %" G_GINT64_FORMAT,
                      rows[i].line, ms, rows[i].ms);
    }
}
END_TEST

START_TEST(stamps_of_the_kernel)
{
    ck_assert_int_eq(stamp("[   12.345678] usb", T(12, 0, 0), BOOT), BOOT + 12345);
    ck_assert_int_eq(stamp("[12345.678901] usb", T(12, 0, 0), BOOT), BOOT + 12345678);
    ck_assert_int_eq(stamp("[    0.000000]", T(12, 0, 0), BOOT), BOOT);
    ck_assert_int_eq(stamp("[   12] usb", T(12, 0, 0), BOOT), NONE);
    ck_assert_int_eq(stamp("[99999999999999999999.1]", T(12, 0, 0), BOOT), NONE);
    ck_assert_int_eq(stamp("[", T(12, 0, 0), BOOT), NONE);
}
END_TEST

/* The year of a stamp without one, when the log was last written just after New Year. */
START_TEST(over_new_year)
{
    const gint64 new_year = T(23, 0, 0) + 39 * DAY; /* 2027-01-01 00:00 there */

    ck_assert_int_eq(stamp("Dec 31 23:59:59 x", new_year + 60000, NONE), new_year - 1000);
    ck_assert_int_eq(stamp("Jan  1 00:00:00 x", new_year + 60000, NONE), new_year);
    /* written by a clock that was a little ahead */
    ck_assert_int_eq(stamp("Jan  1 00:00:00 x", new_year - 60000, NONE), new_year);
}
END_TEST

/* --- The window --- */

#define MAX_FILES 4

typedef struct {
    const char *files[MAX_FILES]; /* oldest first */
    const char *wanted;           /* NULL: nothing is in the window */
} Case;

/* As the logs are read, but in pieces of `step` bytes. */
static void feed(SinkTake take, gpointer to, const char *text, gsize step)
{
    gsize length = strlen(text);

    for (gsize at = 0; at < length; at += step) {
        if (!take(to, text + at, MIN(step, length - at)))
            return;
    }
}

static gboolean append(gpointer to, const char *data, gsize length)
{
    g_string_append_len(to, data, (gssize)length);
    return TRUE;
}

static WindowScan scan_files(const char *const *files, gint64 from_ms, gint64 to_ms, gsize step)
{
    WindowScan scan;

    window_scan_begin(&scan, from_ms, to_ms);
    for (int i = 0; i < MAX_FILES && files[i]; i++) {
        window_scan_file(&scan, T(12, 0, 0), G_MININT64);
        feed(window_scan_take, &scan, files[i], step);
    }
    window_scan_file(&scan, T(12, 0, 0), G_MININT64);
    return scan;
}

static char *copy_files(const char *const *files, const WindowScan *scan, gint64 share, gsize step)
{
    GString *text = g_string_new(NULL);
    WindowCopy copy = {.sink = {append, text},
                       .skip = MAX(scan->last.counted - scan->first.counted - share, 0)};

    for (guint i = scan->first.file; scan->found && i <= scan->last.file; i++) {
        window_copy_file(&copy, i == scan->first.file ? scan->first.offset : 0,
                         i == scan->last.file ? scan->last.offset : G_MAXINT64);
        feed(window_copy_take, &copy, files[i], step);
        ck_assert(window_copy_end(&copy));
    }
    return g_string_free(text, FALSE);
}

#define BEFORE "2026-11-22T09:59:59.999Z before\n"
#define FIRST  "2026-11-22T10:00:00.000Z first\n"
#define MIDDLE "2026-11-22T10:30:00Z middle\n"
#define LAST   "2026-11-22T11:00:00.000Z last\n"
#define AFTER  "2026-11-22T11:00:00.001Z after\n"
#define MORE   "  more of it\n"

START_TEST(windows)
{
    static const Case cases[] = {
        {{BEFORE FIRST LAST AFTER}, FIRST LAST},
        {{BEFORE MORE FIRST MORE LAST MORE AFTER MORE}, FIRST MORE LAST MORE},
        {{MORE BEFORE MORE FIRST}, FIRST},
        {{MORE FIRST}, FIRST},
        {{BEFORE MORE, MORE FIRST, MORE LAST, MORE AFTER}, FIRST MORE LAST MORE},
        {{BEFORE, FIRST, LAST, AFTER}, FIRST LAST},
        {{BEFORE, AFTER, BEFORE}, NULL},
        {{BEFORE FIRST, MORE, MORE, AFTER}, FIRST MORE MORE},
        /* the clock jumped back, and forth */
        {{FIRST BEFORE MORE LAST AFTER}, FIRST BEFORE MORE LAST},
        {{BEFORE FIRST AFTER MORE, MIDDLE AFTER}, FIRST AFTER MORE MIDDLE},
        {{AFTER BEFORE MIDDLE BEFORE, AFTER}, MIDDLE},
        {{"2026-11-22T10:30:00Z no end", "2026-11-22T10:31:00Z no end either"},
         "2026-11-22T10:30:00Z no end\n2026-11-22T10:31:00Z no end either\n"},
        {{"\n\n" FIRST "\n" AFTER}, FIRST "\n"},
        {{"", FIRST, "", AFTER}, FIRST},
        {{MORE MORE}, NULL},
        {{""}, NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (gsize step = 1; step < 100; step++) {
            WindowScan scan = scan_files(cases[i].files, T(10, 0, 0), T(11, 0, 0), step);
            g_autofree char *text = copy_files(cases[i].files, &scan, G_MAXINT32, step);

            ck_assert_int_eq(scan.found, cases[i].wanted != NULL);
            ck_assert_str_eq(text, cases[i].wanted ? cases[i].wanted : "");
            if (scan.found)
                ck_assert_uint_eq(strlen(text), scan.last.counted - scan.first.counted);
        }
    }
}
END_TEST

START_TEST(without_stamps)
{
    static const char *const files[MAX_FILES] = {MORE, MORE "no end"};
    WindowScan scan = scan_files(files, T(10, 0, 0), T(11, 0, 0), 7);

    ck_assert(!scan.found && !scan.stamped);
    ck_assert_int_eq(scan.line.counted, 2 * strlen(MORE) + strlen("no end\n"));
}
END_TEST

/* Of what is too much, the newest whole lines. */
START_TEST(cut_at_the_front)
{
    static const char *const files[MAX_FILES] = {BEFORE FIRST MORE, MIDDLE LAST AFTER};
    static const char *const wanted[] = {FIRST MORE MIDDLE LAST, MORE MIDDLE LAST, MIDDLE LAST,
                                         LAST, ""};
    WindowScan scan = scan_files(files, T(10, 0, 0), T(11, 0, 0), 16);

    for (gsize share = 0; share <= strlen(wanted[0]); share++) {
        gsize best = 0;
        g_autofree char *text = copy_files(files, &scan, (gint64)share, 16);

        while (strlen(wanted[best]) > share)
            best++;
        ck_assert_str_eq(text, wanted[best]);
    }
}
END_TEST

/* Zeros are what a power cut leaves of a line. */
START_TEST(zeros)
{
    static const char text[] = BEFORE "\0\0\0\0\0\0\0\0\0\0\0\0\0" FIRST AFTER;
    WindowScan scan;

    window_scan_begin(&scan, T(10, 0, 0), T(11, 0, 0));
    window_scan_file(&scan, T(12, 0, 0), G_MININT64);
    for (gsize i = 0; i < sizeof(text) - 1; i++)
        window_scan_take(&scan, text + i, 1);
    ck_assert(scan.found);
    ck_assert_int_eq(scan.first.offset, strlen(BEFORE));
    ck_assert_int_eq(scan.last.offset, strlen(BEFORE) + 13 + strlen(FIRST));
}
END_TEST

START_TEST(long_lines)
{
    for (gsize length = WINDOW_LINE_MAX - 3; length <= WINDOW_LINE_MAX + 20; length++) {
        g_autoptr(GString) line = g_string_new(NULL), cut = g_string_new(NULL);
        const char *files[MAX_FILES] = {NULL};
        LineCutter cutter = {.sink = {append, cut}};
        WindowScan scan;

        while (line->len < length - 1)
            g_string_append_c(line, 'x');
        memcpy(line->str, FIRST, strlen(FIRST) - 1);
        g_string_append_c(line, '\n');
        files[0] = line->str;
        scan = scan_files(files, T(10, 0, 0), T(11, 0, 0), 4096);
        feed(line_cutter_take, &cutter, line->str, 1000);
        feed(line_cutter_take, &cutter, "short\n", 1000);
        ck_assert_int_eq(scan.last.counted, cut->len - strlen("short\n"));
        ck_assert_uint_eq(cutter.cut, length > WINDOW_LINE_MAX);
        ck_assert(g_str_has_suffix(cut->str, length > WINDOW_LINE_MAX ? WINDOW_LINE_CUT "\nshort\n"
                                                                      : "x\nshort\n"));
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        stamps,         stamps_of_the_kernel, over_new_year, windows,
        without_stamps, cut_at_the_front,     zeros,         long_lines,
    };

    return run_suite("collector_window", setup, teardown, tests, G_N_ELEMENTS(tests));
}
