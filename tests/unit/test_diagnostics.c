/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The diagnostics behaviour in virtual time, on a store that may say no.  Collecting child and
 * upload are fakes, put in at link time: neither can be made to end at a moment of the test's
 * choice.  The real ones: tests/component/test_diagnostics.py.
 */
#include "store_fixture.h"

#include "adapter/command.h"
#include "behaviour/diagnostics.h"

#define WALL_MS G_GINT64_CONSTANT(1800000000000)
#define SECOND  G_GINT64_CONSTANT(1000)
#define HOUR    (3600 * SECOND)

static struct _Upload {
    UploadDone done; /* NULL: none runs */
    gpointer user_data;
    gboolean resume;
    guint begun;
} sending;

static struct _Command {
    CommandDone done; /* NULL: none runs */
    gpointer user_data;
    guint begun;
} child;

static Clock *virtual_clock;
static Store *store;
static Diagnostics *diagnostics;
static char *archive; /* that the child has to make */
static gint64 asked_from_ms, asked_to_ms;

/* --- The fakes --- */

Upload *upload_begin(G_GNUC_UNUSED Transfers *transfers, const UploadRequest *request,
                     UploadDone done, gpointer user_data)
{
    ck_assert_ptr_null(sending.done);
    sending = (struct _Upload){done, user_data, request->resume, sending.begun + 1};
    return &sending;
}

void upload_cancel(Upload *upload)
{
    upload->done = NULL;
}

gint64 upload_sent(G_GNUC_UNUSED const Upload *upload)
{
    return 0;
}

Command *command_start(G_GNUC_UNUSED const char *const *argv, G_GNUC_UNUSED guint timeout_s,
                       CommandDone done, gpointer user_data, G_GNUC_UNUSED GError **error)
{
    ck_assert_ptr_null(child.done);
    child = (struct _Command){done, user_data, child.begun + 1};
    return &child;
}

void command_cancel(Command *command)
{
    command->done = NULL;
}

static void collected(gboolean ok)
{
    CommandDone done = g_steal_pointer(&child.done);

    ck_assert_ptr_nonnull(done);
    if (ok)
        write_file(archive, "x", 1);
    done(ok, "exited with 1", child.user_data);
}

static void uploaded(TransferError code, gint64 sent)
{
    UploadDone done = g_steal_pointer(&sending.done);
    g_autoptr(GError) error = g_error_new_literal(TRANSFER_ERROR, (int)code, "cut");

    ck_assert_ptr_nonnull(done);
    done(sent < 0 ? NULL : error, 0, sent, sending.user_data);
}

#define upload_ends_well()  uploaded(TRANSFER_ERROR_NETWORK, -1)
#define upload_breaks(sent) uploaded(TRANSFER_ERROR_NETWORK, sent)

/* --- The world --- */

static void ignore(G_GNUC_UNUSED gpointer user_data)
{
}

static char **on_collect(const char *name, gint64 from_ms, gint64 to_ms,
                         G_GNUC_UNUSED gpointer user_data, G_GNUC_UNUSED GError **error)
{
    const char *const argv[] = {"collect", NULL};

    g_free(archive);
    archive = g_strdup(name);
    asked_from_ms = from_ms;
    asked_to_ms = to_ms;
    return g_strdupv((char **)argv);
}

static void start(const char *boot_id)
{
    static const DiagnosticsEvents EVENTS = {ignore, ignore, on_collect};
    g_autofree char *spool = g_build_filename(folder, "spool", NULL);
    DiagnosticsConfig config = {.identity = "CP", .boot_id = boot_id, .spool_directory = spool};

    diagnostics = diagnostics_new(&config, store, NULL, virtual_clock, &EVENTS, NULL);
    diagnostics_start(diagnostics);
}

static void restart(const char *boot_id)
{
    g_clear_pointer(&diagnostics, diagnostics_free);
    start(boot_id);
}

static void begin(void)
{
    setup();
    virtual_clock = clock_new_virtual(WALL_MS);
    clock_set_csms_time(virtual_clock, WALL_MS);
    store = open_store(STORE_CREATED);
    start("boot");
}

static void finish(void)
{
    diagnostics_free(diagnostics);
    store_close(store);
    clock_free(virtual_clock);
    g_free(archive);
    teardown();
}

static gboolean request(const char *location, gint64 retries, gint64 interval_s)
{
    DiagnosticsRequest it = {location, G_MININT64, G_MAXINT64, retries, interval_s};
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    return diagnostics_request(diagnostics, &it, &name, &error);
}

static void pass(gint64 ms)
{
    clock_virtual_advance(virtual_clock, ms);
}

static void in_state(ReportState state)
{
    const Report *report = diagnostics_report(diagnostics);

    ck_assert_ptr_nonnull(report);
    ck_assert_str_eq(report_state_name(report->state), report_state_name(state));
}

/* The statuses in the outbox, all that were ever put into it. */
static void wire_is(const char *expected)
{
    GError *error = NULL;
    g_autoptr(GPtrArray) rows = outbox_list(store, &error);
    g_autoptr(GString) text = g_string_new(NULL);

    ok(rows != NULL);
    for (guint i = 0; i < rows->len; i++) {
        const OutboxRow *row = rows->pdata[i];
        g_auto(GStrv) words = g_strsplit(row->payload, "\"", -1);

        ck_assert_str_eq(row->action, "DiagnosticsStatusNotification");
        g_string_append_printf(text, "%s%s", i > 0 ? " " : "", words[3]);
    }
    ck_assert_str_eq(text->str, expected);
}

static void break_store(const char *when)
{
    g_autofree char *sql = g_strdup_printf(
        "CREATE TRIGGER broken BEFORE %s BEGIN SELECT RAISE(ABORT, 'no space'); END", when);

    raw("", sql);
}

static void mend_store(void)
{
    raw("", "DROP TRIGGER broken");
}

#define EVERY_UPDATE "UPDATE ON reports"

/* --- A store that says no: what was done is not done twice, and nothing is told twice --- */

START_TEST(store_refuses_the_end)
{
    ck_assert(request("ftp://h/", 0, 0));
    collected(TRUE);
    break_store(EVERY_UPDATE);
    upload_ends_well();
    pass(60 * SECOND);
    in_state(REPORT_UPLOADING);
    ck_assert_uint_eq(sending.begun, 1);
    wire_is("Uploading");
    mend_store();
    pass(5 * SECOND);
    in_state(REPORT_UPLOADED);
    ck_assert_uint_eq(sending.begun, 1);
    wire_is("Uploading Uploaded");
}
END_TEST

START_TEST(store_refuses_what_was_collected)
{
    static const char *const FAULTS[] = {"INSERT ON outbox", EVERY_UPDATE};

    for (guint i = 0; i < G_N_ELEMENTS(FAULTS); i++) {
        ck_assert(request(i == 0 ? "ftp://a/" : "ftp://b/", 0, 0));
        break_store(FAULTS[i]);
        collected(TRUE);
        pass(60 * SECOND);
        in_state(REPORT_COLLECTING);
        ck_assert_uint_eq(child.begun, i + 1);
        ck_assert_uint_eq(sending.begun, i);
        mend_store();
        pass(5 * SECOND);
        ck_assert_uint_eq(sending.begun, i + 1);
        upload_ends_well();
    }
    wire_is("Uploading Uploaded Uploading Uploaded");
}
END_TEST

START_TEST(store_refuses_a_failure)
{
    ck_assert(request("ftp://h/", 2, 3600));
    collected(TRUE);
    break_store(EVERY_UPDATE);
    upload_breaks(0);
    pass(60 * SECOND);
    ck_assert_uint_eq(sending.begun, 1);
    mend_store();
    pass(5 * SECOND);
    in_state(REPORT_RETRY_WAIT);
    ck_assert_uint_eq(diagnostics_report(diagnostics)->attempts, 1);
    ck_assert_uint_eq(sending.begun, 1);
}
END_TEST

/* The one that waits cannot begin, and is superseded then: it does not come back. */
START_TEST(superseded_stays_so)
{
    ck_assert(request("ftp://h/1/", 0, 0));
    collected(TRUE);
    ck_assert(request("ftp://h/2/", 0, 0));
    break_store(EVERY_UPDATE " WHEN OLD.role = 'waits' AND NEW.role = 'active'");
    upload_ends_well();
    ck_assert(request("ftp://h/3/", 0, 0));
    mend_store();
    pass(5 * SECOND);
    collected(TRUE);
    upload_ends_well();
    pass(HOUR);
    ck_assert_str_eq(diagnostics_report(diagnostics)->location, "ftp://h/3/");
    in_state(REPORT_UPLOADED);
    ck_assert_uint_eq(child.begun, 2);
    wire_is("Uploading Uploaded Uploading Uploaded");
}
END_TEST

START_TEST(store_cannot_be_read_at_first)
{
    ck_assert(request("ftp://h/1/", 0, 0));
    g_clear_pointer(&diagnostics, diagnostics_free);
    raw("", "ALTER TABLE reports RENAME TO away");
    start("boot");
    ck_assert(!request("ftp://h/2/", 0, 0));
    raw("", "ALTER TABLE away RENAME TO reports");
    pass(5 * SECOND);
    collected(TRUE);
    upload_ends_well();
    ck_assert_str_eq(diagnostics_report(diagnostics)->location, "ftp://h/1/");
    wire_is("Uploading Uploaded");
}
END_TEST

/* --- Attempts --- */

/* Only behind what this very archive has left at the server. */
START_TEST(resume_only_what_was_begun)
{
    ck_assert(request("ftp://h/", 9, 1));
    collected(TRUE);
    ck_assert(!sending.resume);
    upload_breaks(0); /* no byte of it went out */
    pass(1 * SECOND);
    ck_assert(!sending.resume);
    upload_breaks(5);
    pass(1 * SECOND);
    ck_assert(sending.resume);
    restart("boot"); /* it is kept */
    ck_assert(sending.resume);
    ck_assert_int_eq(g_unlink(archive), 0);
    restart("boot"); /* another archive */
    collected(TRUE);
    ck_assert(!sending.resume);
}
END_TEST

START_TEST(restarts_are_charged_after_a_while)
{
    ck_assert(request("ftp://h/", 0, 0));
    collected(TRUE);
    for (guint i = 0; i < DIAGNOSTICS_MAX_INTERRUPTIONS; i++)
        restart("boot");
    in_state(REPORT_UPLOADING);
    restart("boot");
    in_state(REPORT_UPLOAD_FAILED);
    wire_is("Uploading UploadFailed");
}
END_TEST

/* The interval begins anew in another boot, but not with each process in it. */
START_TEST(interval_over_boots)
{
    ck_assert(request("ftp://h/", 1, 3600));
    collected(FALSE);
    pass(HOUR - SECOND);
    restart("next boot");
    pass(HOUR - SECOND);
    ck_assert_uint_eq(child.begun, 1);
    restart("next boot");
    pass(2 * SECOND);
    ck_assert_uint_eq(child.begun, 2);
}
END_TEST

START_TEST(newer_request_ends_a_wait)
{
    ck_assert(request("ftp://wrong/", 9, 3600));
    collected(FALSE);
    in_state(REPORT_RETRY_WAIT);
    ck_assert(request("ftp://right/", 0, 0));
    collected(TRUE);
    upload_ends_well();
    wire_is("Uploading UploadFailed Uploading Uploaded");
    ck_assert_str_eq(diagnostics_report(diagnostics)->location, "ftp://right/");
}
END_TEST

/* --- The window --- */

/* Logs are stamped by the system clock, also by one that is wrong, and also when the CSMS is not
 * there any more. */
START_TEST(window_by_the_system_clock)
{
    DiagnosticsRequest it = {"ftp://h/", WALL_MS - HOUR, WALL_MS, 1, 1};
    g_autofree char *name = NULL;
    GError *error = NULL;

    clock_virtual_set_wall(virtual_clock, 5 * HOUR, FALSE);
    ok(diagnostics_request(diagnostics, &it, &name, &error));
    ck_assert_int_eq(asked_from_ms, 4 * HOUR);
    ck_assert_int_eq(asked_to_ms, 5 * HOUR);
    asked_from_ms = 0;
    diagnostics_free(diagnostics);
    clock_free(virtual_clock);
    child.done = NULL;
    virtual_clock = clock_new_virtual(6 * HOUR);
    start("next boot");
    ck_assert_int_eq(asked_from_ms, 4 * HOUR);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        store_refuses_the_end,
        store_refuses_what_was_collected,
        store_refuses_a_failure,
        superseded_stays_so,
        store_cannot_be_read_at_first,
        resume_only_what_was_begun,
        restarts_are_charged_after_a_while,
        interval_over_boots,
        newer_request_ends_a_wait,
        window_by_the_system_clock,
    };
    TCase *tcase = tcase_create("diagnostics");
    Suite *suite = suite_create("diagnostics");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, begin, finish);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
