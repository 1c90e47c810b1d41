/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports in the store: every field comes back, one has each role, old ones go. */
#include "store_fixture.h"

#include "db/reports.h"

static Report *make(JobRole role, ReportState state)
{
    Report *report = report_new();

    report->role = role;
    report->state = state;
    report->location = g_strdup("ftp://h/d/");
    report->file_name = g_strdup("x.tar.gz");
    return report;
}

static void expect_same(const Report *one, const Report *other)
{
    ck_assert_int_eq(one->id, other->id);
    ck_assert_int_eq(one->role, other->role);
    ck_assert_int_eq(one->state, other->state);
    ck_assert_str_eq(one->location, other->location);
    ck_assert_int_eq(one->start_ms, other->start_ms);
    ck_assert_int_eq(one->stop_ms, other->stop_ms);
    ck_assert_int_eq(one->clock_ahead_ms, other->clock_ahead_ms);
    ck_assert_uint_eq(one->retries, other->retries);
    ck_assert_uint_eq(one->retry_interval_s, other->retry_interval_s);
    ck_assert_str_eq(one->file_name, other->file_name);
    ck_assert_int_eq(one->told, other->told);
    ck_assert_uint_eq(one->attempts, other->attempts);
    ck_assert_uint_eq(one->interruptions, other->interruptions);
    ck_assert_int_eq(one->begun, other->begun);
    ck_assert_pstr_eq(one->reason, other->reason);
    ck_assert_pstr_eq(one->retry_boot_id, other->retry_boot_id);
    ck_assert_int_eq(one->retry_boottime_ms, other->retry_boottime_ms);
    ck_assert_int_eq(one->created_ms, other->created_ms);
    ck_assert_int_eq(one->ended_ms, other->ended_ms);
}

START_TEST(fields_come_back)
{
    GError *error = NULL;
    Store *store = open_store(STORE_CREATED);
    g_autoptr(Report) report = make(JOB_ACTIVE, REPORT_RETRY_WAIT);
    g_autoptr(Report) loaded = NULL;
    g_autoptr(Report) again = NULL;

    ok(reports_insert(store, report, &error));
    ok(reports_load(store, JOB_ACTIVE, &loaded, &error));
    expect_same(loaded, report);
    report->start_ms = -1;
    report->stop_ms = 5;
    report->clock_ahead_ms = -7;
    report->retries = G_MAXUINT;
    report->retry_interval_s = 7;
    report->told = report->begun = TRUE;
    report->attempts = 2;
    report->interruptions = 3;
    report->reason = g_strdup("why");
    report->retry_boot_id = g_strdup("boot");
    report->retry_boottime_ms = 9;
    report->created_ms = 10;
    report->ended_ms = 11;
    ok(reports_update(store, report, &error));
    store_close(store);
    store = open_store(STORE_OPENED);
    ok(reports_load(store, JOB_ACTIVE, &again, &error));
    expect_same(again, report);
    store_close(store);
}
END_TEST

START_TEST(rules_are_kept)
{
    GError *error = NULL;
    Store *store = open_store(STORE_CREATED);
    g_autoptr(Report) one = make(JOB_ACTIVE, REPORT_REQUESTED);
    g_autoptr(Report) two = make(JOB_ACTIVE, REPORT_REQUESTED);
    g_autoptr(Report) none = NULL;

    ok(reports_insert(store, one, &error));
    refused(reports_insert(store, two, &error), STORE_ERROR_CONFLICT);
    two->role = JOB_ENDED; /* in a state that is no end */
    refused(reports_insert(store, two, &error), STORE_ERROR_CONFLICT);
    two->id = 77;
    refused(reports_update(store, two, &error), STORE_ERROR_CONFLICT);
    ok(reports_load(store, JOB_WAITS, &none, &error));
    ck_assert_ptr_null(none);
    store_close(store);
}
END_TEST

START_TEST(old_ones_go)
{
    GError *error = NULL;
    Store *store = open_store(STORE_CREATED);
    g_autoptr(Report) newest = NULL;
    g_autofree char *count = NULL;

    for (guint i = 0; i < REPORTS_KEPT + 5; i++) {
        g_autoptr(Report) report = make(JOB_ACTIVE, REPORT_REQUESTED);

        ok(reports_insert(store, report, &error));
        report->role = JOB_ENDED;
        report->state = REPORT_UPLOADED;
        ok(reports_update(store, report, &error));
    }
    ok(reports_load(store, JOB_ENDED, &newest, &error));
    ck_assert_int_eq(newest->id, REPORTS_KEPT + 5);
    store_close(store);
    count = raw_value("", "SELECT count(*) FROM reports");
    ck_assert_int_eq(g_ascii_strtoll(count, NULL, 10), REPORTS_KEPT);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {fields_come_back, rules_are_kept, old_ones_go};

    return run_tests("reports", tests, G_N_ELEMENTS(tests));
}
