/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of ocpp/datetime.h: what is read and what is refused, year bounds, leap days, offsets,
 * fractions, round trips.
 */
#include <check.h>
#include <string.h>

#include "ocpp/datetime.h"

#define LAST_MS G_GINT64_CONSTANT(253402300799999)
#define DAY_MS  G_GINT64_CONSTANT(86400000)

static const struct {
    const char *text;
    gint64 ms;
} good[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01T00:00:00.001Z", 1},
    {"2000-01-01T00:00:00Z", G_GINT64_CONSTANT(946684800000)},
    {"2026-11-22T08:00:00Z", G_GINT64_CONSTANT(1795334400000)},
    {"2026-11-22T08:00:00.000Z", G_GINT64_CONSTANT(1795334400000)},
    {"2026-11-22t08:00:00z", G_GINT64_CONSTANT(1795334400000)},
    {"2026-11-22 08:00:00Z", G_GINT64_CONSTANT(1795334400000)},
    {"2038-01-19T03:14:08Z", G_GINT64_CONSTANT(2147483648000)},
    {"9999-12-31T23:59:59.999Z", LAST_MS},

    /* no zone: UTC */
    {"2026-11-22T08:00:00", G_GINT64_CONSTANT(1795334400000)},
    {"2026-11-22 08:00:00.5", G_GINT64_CONSTANT(1795334400500)},

    /* offsets */
    {"2026-11-22T09:00:00+01:00", G_GINT64_CONSTANT(1795334400000)},
    {"2026-11-22T09:00:00+0100", G_GINT64_CONSTANT(1795334400000)},
    {"2026-11-22T09:00:00+01", G_GINT64_CONSTANT(1795334400000)},
    {"2026-11-22T02:30:00-05:30", G_GINT64_CONSTANT(1795334400000)},
    {"2026-11-22T02:30:00-0530", G_GINT64_CONSTANT(1795334400000)},
    {"2026-11-22T13:45:00.250+05:45", G_GINT64_CONSTANT(1795334400250)},
    {"2026-11-22T08:00:00+00:00", G_GINT64_CONSTANT(1795334400000)},
    {"2026-11-22T08:00:00-00:00", G_GINT64_CONSTANT(1795334400000)},
    {"2026-11-23T07:59:00+23:59", G_GINT64_CONSTANT(1795334400000)},
    {"2026-11-21T08:01:00-23:59", G_GINT64_CONSTANT(1795334400000)},

    /* fractions of any length, cut off below a millisecond */
    {"2026-11-22T08:00:00.1Z", G_GINT64_CONSTANT(1795334400100)},
    {"2026-11-22T08:00:00.12Z", G_GINT64_CONSTANT(1795334400120)},
    {"2026-11-22T08:00:00.123Z", G_GINT64_CONSTANT(1795334400123)},
    {"2026-11-22T08:00:00.1239Z", G_GINT64_CONSTANT(1795334400123)},
    {"2026-11-22T08:00:00.9999999Z", G_GINT64_CONSTANT(1795334400999)},
    {"2026-11-22T08:00:00.000000000000000000000000000000000000000001Z",
     G_GINT64_CONSTANT(1795334400000)},

    /* leap days and a leap second */
    {"2000-02-29T00:00:00Z", G_GINT64_CONSTANT(951782400000)},
    {"2028-02-29T12:00:00Z", G_GINT64_CONSTANT(1835438400000)},
    {"2400-02-29T00:00:00Z", G_GINT64_CONSTANT(13574563200000)},
    {"2016-12-31T23:59:60Z", G_GINT64_CONSTANT(1483228800000)},
    {"2016-12-31T23:59:60.500Z", G_GINT64_CONSTANT(1483228800500)},

    /* the point in time counts, not the year that is written */
    {"1969-12-31T23:00:00-01:00", 0},
    {"1970-01-01T01:00:00+01:00", 0},
    {"9999-12-31T23:59:59.999+00:01", LAST_MS - 60000},
};

START_TEST(good_date)
{
    gint64 ms = -1;

    ck_assert_msg(ocpp_datetime_parse(good[_i].text, &ms), "%s", good[_i].text);
    ck_assert_msg(ms == good[_i].ms, "%s: %" G_GINT64_FORMAT, good[_i].text, ms);
}
END_TEST

static const char *const bad[] = {
    NULL,
    "",
    " ",
    "now",
    "1795334400",
    "2026",
    "2026-11",
    "2026-11-22",
    "2026-11-22T",
    "2026-11-22T08",
    "2026-11-22T08:00",
    "2026-11-22T08:00Z",
    "2026-11-22T08:00:0",
    "2026-11-22T08:00:00.",
    "2026-11-22T08:00:00.Z",
    "2026-11-22T08:00:00,5Z",
    "2026-11-22T08:00:00Z ",
    " 2026-11-22T08:00:00Z",
    "2026-11-22T08:00:00 Z",
    "2026-11-22T08:00:00ZZ",
    "2026-11-22T08:00:00UTC",
    "2026-11-22  08:00:00Z",
    "2026-11-22_08:00:00Z",
    "2026-11-2208:00:00Z",
    "20261122T080000Z",
    "2026-W47-7T08:00:00Z",
    "2026-326T08:00:00Z",
    "22.11.2026 08:00:00",
    "11/22/2026 08:00:00",
    "Sun, 22 Nov 2026 08:00:00 GMT",
    "26-11-22T08:00:00Z",
    "2026-1-22T08:00:00Z",
    "2026-11-2T08:00:00Z",
    "2026-11-22T8:00:00Z",
    "+2026-11-22T08:00:00Z",
    "-2026-11-22T08:00:00Z",
    "20261-11-22T08:00:00Z",
    "2026-00-22T08:00:00Z",
    "2026-13-22T08:00:00Z",
    "2026-11-00T08:00:00Z",
    "2026-11-31T08:00:00Z",
    "2026-11-32T08:00:00Z",
    "2026-02-29T08:00:00Z",
    "2100-02-29T08:00:00Z",
    "2024-02-30T08:00:00Z",
    "2026-11-22T24:00:00Z",
    "2026-11-22T08:60:00Z",
    "2026-11-22T08:00:61Z",
    "2026-11-22T-8:00:00Z",
    "2026-11-22T08:00:00+",
    "2026-11-22T08:00:00+1",
    "2026-11-22T08:00:00+1:00",
    "2026-11-22T08:00:00+01:",
    "2026-11-22T08:00:00+01:0",
    "2026-11-22T08:00:00+010",
    "2026-11-22T08:00:00+01:000",
    "2026-11-22T08:00:00+24:00",
    "2026-11-22T08:00:00+01:60",
    "2026-11-22T08:00:00\342\210\22201:00",
    "2026-11-22T08:00:00Z+01:00",
    /* out of the years */
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999Z",
    "1970-01-01T00:59:59+01:00",
    "9999-12-31T23:59:60Z",
    "9999-12-31T23:59:59-00:01",
    "10000-01-01T00:00:00Z",
    "99999999999999999999-01-01T00:00:00Z",
    /* not ASCII digits */
    "\xD9\xA2\xD9\xA0\xD9\xA2\xD9\xA6-11-22T08:00:00Z",
};

START_TEST(bad_date)
{
    gint64 ms = 42;

    ck_assert_msg(!ocpp_datetime_parse(bad[_i], &ms), "%s is taken for a date", bad[_i]);
    ck_assert_int_eq(ms, 42);
}
END_TEST

/* Every prefix and every single wrong byte of a good date: no reading beyond the end, no false
 * date. */
START_TEST(any_byte)
{
    static const char whole[] = "2026-11-22T08:00:00.5+01:00";

    for (gsize i = 0; i < strlen(whole); i++) {
        g_autofree char *prefix = g_strndup(whole, i);
        g_autofree char *changed = g_strdup(whole);
        gint64 ms;

        (void)ocpp_datetime_parse(prefix, &ms);
        for (int byte = 1; byte < 256; byte++) {
            changed[i] = (char)byte;
            if (ocpp_datetime_parse(changed, &ms))
                ck_assert(ms >= 0 && ms <= LAST_MS);
        }
    }
}
END_TEST

static const struct {
    gint64 ms;
    const char *text;
} formats[] = {
    {0, "1970-01-01T00:00:00.000Z"},
    {999, "1970-01-01T00:00:00.999Z"},
    {G_GINT64_CONSTANT(1795334400000), "2026-11-22T08:00:00.000Z"},
    {G_GINT64_CONSTANT(1835438400007), "2028-02-29T12:00:00.007Z"},
    {LAST_MS, "9999-12-31T23:59:59.999Z"},
    {-1, "1970-01-01T00:00:00.000Z"},
    {G_MININT64, "1970-01-01T00:00:00.000Z"},
    {LAST_MS + 1, "9999-12-31T23:59:59.999Z"},
    {G_MAXINT64, "9999-12-31T23:59:59.999Z"},
};

START_TEST(format)
{
    g_autofree char *text = ocpp_datetime_format(formats[_i].ms);

    ck_assert_str_eq(text, formats[_i].text);
}
END_TEST

/* Every day of the first 160 years, at another time of day each. */
START_TEST(round_trip)
{
    for (gint64 day = 0; day < G_GINT64_CONSTANT(160) * 366; day++) {
        gint64 ms = day * DAY_MS + (day * 7919003) % DAY_MS;
        g_autofree char *text = ocpp_datetime_format(ms);
        gint64 again = -1;

        ck_assert(ocpp_datetime_parse(text, &again));
        ck_assert_msg(again == ms, "%s", text);
    }
}
END_TEST

static Suite *datetime_suite(void)
{
    Suite *suite = suite_create("datetime");
    TCase *parse = tcase_create("parse");
    TCase *write = tcase_create("write");

    tcase_add_loop_test(parse, good_date, 0, G_N_ELEMENTS(good));
    tcase_add_loop_test(parse, bad_date, 0, G_N_ELEMENTS(bad));
    tcase_add_test(parse, any_byte);
    suite_add_tcase(suite, parse);

    tcase_set_timeout(write, 60);
    tcase_add_loop_test(write, format, 0, G_N_ELEMENTS(formats));
    tcase_add_test(write, round_trip);
    suite_add_tcase(suite, write);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(datetime_suite());
    int n_failed;

    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed;
}
