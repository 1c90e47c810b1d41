/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The session with the CSMS in virtual time: what goes out when, and what happens to it when nobody
 * answers.
 */
#include <jansson.h>

#include "behaviour/session.h"
#include "tests/unit/store_fixture.h"

#define WALL_MS      G_GINT64_CONSTANT(1800000000000)
#define CALL_TIMEOUT 30000
#define STATUS       "{\"status\":\"Downloading\"}"
#define MAX_SENT     200

static Clock *virtual_clock;
static Store *store;
static Session *session;
static GPtrArray *sent; /* texts */
static gint64 told_csms_ms;
static guint told_outbox, told_ping, updates, resets;
static SessionGetDiagnostics asked;
static gboolean accepts_reset;

static gboolean on_send(const char *text, G_GNUC_UNUSED gpointer user_data)
{
    ck_assert_uint_lt(sent->len, MAX_SENT);
    g_ptr_array_add(sent, g_strdup(text));
    return TRUE;
}

static void on_registration(G_GNUC_UNUSED OcppRegistrationStatus status,
                            G_GNUC_UNUSED gpointer user_data)
{
}

static void on_csms_time(gint64 csms_ms, G_GNUC_UNUSED gpointer user_data)
{
    told_csms_ms = csms_ms;
    clock_set_csms_time(virtual_clock, csms_ms);
}

static gboolean on_update(const SessionUpdateFirmware *request, G_GNUC_UNUSED gpointer user_data,
                          GError **error)
{
    updates++;
    if (strcmp(request->location, "http://full/") != 0)
        return TRUE;
    g_set_error_literal(error, STORE_ERROR, STORE_ERROR_WRITE, "disk full");
    return FALSE;
}

static const char *on_firmware_status(G_GNUC_UNUSED gpointer user_data)
{
    return "Installing";
}

static gboolean on_reset(G_GNUC_UNUSED gboolean hard, G_GNUC_UNUSED gpointer user_data)
{
    resets++;
    return accepts_reset;
}

static void on_outbox(guint rows, G_GNUC_UNUSED gpointer user_data)
{
    told_outbox = rows;
}

static void on_ping(guint seconds, G_GNUC_UNUSED gpointer user_data)
{
    told_ping = seconds;
}

static gboolean on_get_diagnostics(const SessionGetDiagnostics *request, char **ret_file_name,
                                   G_GNUC_UNUSED gpointer user_data, GError **error)
{
    asked = *request;
    *ret_file_name = strcmp(request->location, "nothing") == 0 ? NULL : g_strdup("x.tar.gz");
    if (strcmp(request->location, "full") != 0)
        return TRUE;
    g_set_error_literal(error, STORE_ERROR, STORE_ERROR_WRITE, "no room");
    g_clear_pointer(ret_file_name, g_free);
    return FALSE;
}

static const char *on_diagnostics_status(G_GNUC_UNUSED gpointer user_data)
{
    return "Idle";
}

static void make_session(void)
{
    static const SessionEvents EVENTS = {.send = on_send,
                                         .registration = on_registration,
                                         .csms_time = on_csms_time,
                                         .update_firmware = on_update,
                                         .get_diagnostics = on_get_diagnostics,
                                         .firmware_status = on_firmware_status,
                                         .diagnostics_status = on_diagnostics_status,
                                         .reset = on_reset,
                                         .outbox = on_outbox,
                                         .ping_interval = on_ping};
    SessionConfig config = {.vendor = "Demo",
                            .model = "Charger",
                            .firmware_version = "1.0.0",
                            .connectors = 1,
                            .call_timeout_ms = CALL_TIMEOUT,
                            .ping_interval_s = 60};

    session = session_new(&config, store, virtual_clock, &EVENTS, NULL);
}

static void begin(void)
{
    setup();
    virtual_clock = clock_new_virtual(WALL_MS);
    store = open_store(STORE_CREATED);
    sent = g_ptr_array_new_with_free_func(g_free);
    told_csms_ms = 0;
    told_outbox = told_ping = updates = resets = 0;
    accepts_reset = TRUE;
    make_session();
}

static void finish(void)
{
    session_free(session);
    g_ptr_array_unref(sent);
    store_close(store);
    clock_free(virtual_clock);
    teardown();
}

/* Takes the oldest sent frame; NULL when there is none. */
static json_t *take(void)
{
    json_t *frame;

    if (sent->len == 0)
        return NULL;
    frame = json_loads(sent->pdata[0], 0, NULL);
    g_ptr_array_remove_index(sent, 0);
    return frame;
}

static void receive(const char *text)
{
    session_message(session, text, strlen(text));
}

/* Expects a CALL of that action; returns its id, to be freed with g_free(). */
static char *expect_call(const char *action, const char *payload)
{
    json_t *frame = take();
    char *id;

    ck_assert_msg(frame != NULL, "%s was not sent", action);
    ck_assert_int_eq(json_integer_value(json_array_get(frame, 0)), 2);
    ck_assert_str_eq(json_string_value(json_array_get(frame, 2)), action);
    if (payload) {
        char *text = json_dumps(json_array_get(frame, 3), JSON_COMPACT);

        ck_assert_str_eq(text, payload);
        free(text);
    }
    id = g_strdup(json_string_value(json_array_get(frame, 1)));
    json_decref(frame);
    return id;
}

static void answer(const char *id, const char *payload)
{
    g_autofree char *text = g_strdup_printf("[3,\"%s\",%s]", id, payload);

    receive(text);
}

static void expect_and_answer(const char *action, const char *payload, const char *conf)
{
    g_autofree char *id = expect_call(action, payload);

    answer(id, conf);
}

static void expect_silence(void)
{
    ck_assert_msg(sent->len == 0, "%s", sent->len ? (char *)sent->pdata[0] : "");
}

static void boot(const char *status, int interval)
{
    g_autofree char *conf = g_strdup_printf(
        "{\"status\":\"%s\",\"currentTime\":\"2026-11-22T08:00:00Z\",\"interval\":%d}", status,
        interval);

    session_connected(session);
    expect_and_answer("BootNotification",
                      "{\"chargePointVendor\":\"Demo\",\"chargePointModel\":\"Charger\","
                      "\"firmwareVersion\":\"1.0.0\"}",
                      conf);
}

static void accept(void)
{
    boot("Accepted", 300);
}

static void statuses(void)
{
    expect_and_answer("StatusNotification", NULL, "{}");
    expect_and_answer("StatusNotification", NULL, "{}");
    expect_silence();
}

static void push(const char *payload)
{
    GError *error = NULL;

    ok(outbox_push(store, 7, "FirmwareStatusNotification", payload, &error));
    session_outbox_changed(session);
}

static guint rows(void)
{
    GError *error = NULL;
    guint count = 0;

    ok(outbox_count(store, &count, &error));
    return count;
}

START_TEST(boot_then_statuses_then_heartbeats)
{
    accept();
    ck_assert_int_eq(told_csms_ms, G_GINT64_CONSTANT(1795334400000));
    expect_and_answer("StatusNotification",
                      "{\"connectorId\":0,\"errorCode\":\"NoError\",\"status\":\"Available\","
                      "\"timestamp\":\"2026-11-22T08:00:00.000Z\"}",
                      "{}");
    expect_and_answer("StatusNotification", NULL, "{}");
    clock_virtual_advance(virtual_clock, 299000);
    expect_silence();
    clock_virtual_advance(virtual_clock, 1000);
    expect_and_answer("Heartbeat", "{}", "{\"currentTime\":\"2027-01-01T00:00:00Z\"}");
    ck_assert_int_eq(told_csms_ms, G_GINT64_CONSTANT(1798761600000));
}
END_TEST

START_TEST(reconnect_needs_no_boot_notification)
{
    accept();
    statuses();
    session_disconnected(session);
    session_connected(session);
    expect_silence();
}
END_TEST

START_TEST(pending_holds_the_outbox_and_answers)
{
    push(STATUS);
    boot("Pending", 60);
    expect_silence();
    receive("[2,\"1\",\"GetConfiguration\",{\"key\":[\"NumberOfConnectors\"]}]");
    json_decref(take());
    receive("[2,\"2\",\"TriggerMessage\",{\"requestedMessage\":\"Heartbeat\"}]");
    json_decref(take());
    expect_and_answer("Heartbeat", "{}", "{\"currentTime\":\"2026-11-22T08:00:00Z\"}");
    receive("[2,\"3\",\"TriggerMessage\",{\"requestedMessage\":\"FirmwareStatusNotification\"}]");
    json_decref(take());
    expect_silence(); /* behind the outbox, and that one is held */
    clock_virtual_advance(virtual_clock, 60000);
    expect_and_answer(
        "BootNotification", NULL,
        "{\"status\":\"Accepted\",\"currentTime\":\"2026-11-22T08:01:00Z\",\"interval\":300}");
    expect_and_answer("StatusNotification", NULL, "{}");
    expect_and_answer("StatusNotification", NULL, "{}");
    expect_and_answer("FirmwareStatusNotification", STATUS, "{}");
    expect_and_answer("FirmwareStatusNotification", "{\"status\":\"Installing\"}", "{}");
    expect_silence();
    ck_assert_uint_eq(rows(), 0);
}
END_TEST

START_TEST(rejected_is_mute_until_the_interval_ends)
{
    push(STATUS);
    boot("Rejected", 60);
    receive("[2,\"1\",\"GetConfiguration\",{}]");
    receive("[2,\"2\",\"NoSuchAction\",{}]");
    receive("[2,\"3\"]");
    clock_virtual_advance(virtual_clock, 59000);
    expect_silence();
    clock_virtual_advance(virtual_clock, 1000);
    g_free(expect_call("BootNotification", NULL));
}
END_TEST

START_TEST(unanswered_boot_notification_is_repeated)
{
    session_connected(session);
    g_free(expect_call("BootNotification", NULL));
    clock_virtual_advance(virtual_clock, CALL_TIMEOUT);
    expect_silence();
    clock_virtual_advance(virtual_clock, OCPP_BOOT_RETRY_FIRST_MS);
    g_free(expect_call("BootNotification", NULL));
}
END_TEST

START_TEST(unanswered_status_is_sent_again_with_a_new_id_in_order)
{
    g_autofree char *first = NULL, *second = NULL;

    accept();
    statuses();
    push(STATUS);
    push("{\"status\":\"Downloaded\"}");
    first = expect_call("FirmwareStatusNotification", STATUS);
    clock_virtual_advance(virtual_clock, CALL_TIMEOUT);
    expect_silence();
    clock_virtual_advance(virtual_clock, SESSION_OUTBOX_RETRY_FIRST_MS);
    second = expect_call("FirmwareStatusNotification", STATUS);
    ck_assert_str_ne(first, second);
    answer(first, "{}"); /* too late: nobody's */
    ck_assert_uint_eq(rows(), 2);
    answer(second, "{}");
    ck_assert_uint_eq(rows(), 1);
    ck_assert_uint_eq(told_outbox, 1);
    expect_and_answer("FirmwareStatusNotification", "{\"status\":\"Downloaded\"}", "{}");
    ck_assert_uint_eq(told_outbox, 0);
}
END_TEST

START_TEST(back_off_of_the_outbox_is_bounded)
{
    gint64 waited = SESSION_OUTBOX_RETRY_FIRST_MS;

    boot("Accepted", 86400);
    statuses();
    push(STATUS);
    for (int i = 0; i < 20; i++) {
        g_free(expect_call("FirmwareStatusNotification", STATUS));
        clock_virtual_advance(virtual_clock, CALL_TIMEOUT + waited - 1);
        expect_silence();
        clock_virtual_advance(virtual_clock, 1);
        waited = MIN(waited * 2, SESSION_OUTBOX_RETRY_MAX_MS);
    }
}
END_TEST

START_TEST(call_error_counts_as_delivered)
{
    g_autofree char *id = NULL, *text = NULL;

    accept();
    statuses();
    push(STATUS);
    id = expect_call("FirmwareStatusNotification", STATUS);
    text = g_strdup_printf("[4,\"%s\",\"NotImplemented\",\"\",{}]", id);
    receive(text);
    ck_assert_uint_eq(rows(), 0);
    expect_silence();
}
END_TEST

START_TEST(lost_in_flight_is_repeated_after_the_reconnect)
{
    accept();
    statuses();
    push(STATUS);
    g_free(expect_call("FirmwareStatusNotification", STATUS));
    session_disconnected(session);
    clock_virtual_advance(virtual_clock, 600000);
    expect_silence();
    session_connected(session);
    if (sent->len > 0 && strstr(sent->pdata[0], "Heartbeat"))
        expect_and_answer("Heartbeat", "{}", "{\"currentTime\":\"2026-11-22T09:00:00Z\"}");
    expect_and_answer("FirmwareStatusNotification", STATUS, "{}");
    ck_assert_uint_eq(rows(), 0);
}
END_TEST

START_TEST(diagnostics_request)
{
    static const struct {
        const char *payload, *answer;
        gint64 start_ms, stop_ms;
    } REQUESTS[] = {
        {"{\"location\":\"ftp://h/\"}", "[3,\"1\",{\"fileName\":\"x.tar.gz\"}]", G_MININT64,
         G_MAXINT64},
        {"{\"location\":\"ftp://h/\",\"startTime\":\"1970-01-01T00:00:01Z\","
         "\"stopTime\":\"1970-01-01T00:00:02Z\"}",
         "[3,\"1\",{\"fileName\":\"x.tar.gz\"}]", 1000, 2000},
        {"{\"location\":\"nothing\"}", "[3,\"1\",{}]", G_MININT64, G_MAXINT64},
        {"{\"location\":\"full\"}", "[4,\"1\",\"InternalError\",\"no room\",{}]", G_MININT64,
         G_MAXINT64},
    };

    accept();
    statuses();
    for (guint i = 0; i < G_N_ELEMENTS(REQUESTS); i++) {
        g_autofree char *call =
            g_strdup_printf("[2,\"1\",\"GetDiagnostics\",%s]", REQUESTS[i].payload);

        receive(call);
        ck_assert_uint_eq(sent->len, 1);
        ck_assert_str_eq(sent->pdata[0], REQUESTS[i].answer);
        g_ptr_array_set_size(sent, 0);
        ck_assert_int_eq(asked.start_ms, REQUESTS[i].start_ms);
        ck_assert_int_eq(asked.stop_ms, REQUESTS[i].stop_ms);
    }
    receive(
        "[2,\"1\",\"TriggerMessage\",{\"requestedMessage\":\"DiagnosticsStatusNotification\"}]");
    json_decref(take());
    expect_and_answer("DiagnosticsStatusNotification", "{\"status\":\"Idle\"}", "{}");
    expect_silence();
}
END_TEST

START_TEST(triggered_status_comes_after_conf_and_outbox)
{
    json_t *conf;

    accept();
    statuses();
    push(STATUS);
    push("{\"status\":\"Downloaded\"}");
    receive("[2,\"1\",\"TriggerMessage\",{\"requestedMessage\":\"FirmwareStatusNotification\"}]");
    g_free(expect_call("FirmwareStatusNotification", STATUS)); /* was open when the trigger came */
    conf = take();
    ck_assert_int_eq(json_integer_value(json_array_get(conf, 0)), 3);
    json_decref(conf);
    expect_silence();
    session_disconnected(session);
    session_connected(session);
    expect_and_answer("FirmwareStatusNotification", STATUS, "{}");
    expect_and_answer("FirmwareStatusNotification", "{\"status\":\"Downloaded\"}", "{}");
    expect_and_answer("FirmwareStatusNotification", "{\"status\":\"Installing\"}", "{}");
    expect_silence();
}
END_TEST

/* Sends a CALL with the id 1 and compares the whole answer. */
static void ask(const char *action, const char *payload, const char *expected)
{
    g_autofree char *text = g_strdup_printf("[2,\"1\",\"%s\",%s]", action, payload);

    receive(text);
    ck_assert_uint_ge(sent->len, 1);
    ck_assert_str_eq(sent->pdata[0], expected);
    g_ptr_array_remove_index(sent, 0);
}

START_TEST(keys_and_availability_outlive_a_restart)
{
    accept();
    statuses();
    ask("ChangeConfiguration", "{\"key\":\"WebSocketPingInterval\",\"value\":\"7\"}",
        "[3,\"1\",{\"status\":\"Accepted\"}]");
    ck_assert_uint_eq(told_ping, 7);
    ask("ChangeConfiguration", "{\"key\":\"WebSocketPingInterval\",\"value\":\"-1\"}",
        "[3,\"1\",{\"status\":\"Rejected\"}]");
    ask("ChangeConfiguration", "{\"key\":\"NoSuchKey\",\"value\":\"1\"}",
        "[3,\"1\",{\"status\":\"NotSupported\"}]");
    ask("ChangeAvailability", "{\"connectorId\":1,\"type\":\"Inoperative\"}",
        "[3,\"1\",{\"status\":\"Accepted\"}]");
    expect_and_answer("StatusNotification", NULL, "{}");
    ask("ChangeAvailability", "{\"connectorId\":2,\"type\":\"Inoperative\"}",
        "[3,\"1\",{\"status\":\"Rejected\"}]");

    session_free(session);
    make_session();
    ck_assert_uint_eq(session_ping_interval(session), 7);
    accept();
    expect_and_answer("StatusNotification", NULL, "{}");
    expect_and_answer("StatusNotification",
                      "{\"connectorId\":1,\"errorCode\":\"NoError\",\"status\":\"Unavailable\","
                      "\"timestamp\":\"2026-11-22T08:00:00.000Z\"}",
                      "{}");
}
END_TEST

START_TEST(update_that_cannot_be_kept_is_an_internal_error)
{
    accept();
    statuses();
    ask("UpdateFirmware", "{\"location\":\"http://x/\",\"retrieveDate\":\"2026-11-22T08:00:00Z\"}",
        "[3,\"1\",{}]");
    ask("UpdateFirmware",
        "{\"location\":\"http://full/\",\"retrieveDate\":\"2026-11-22T08:00:00Z\"}",
        "[4,\"1\",\"InternalError\",\"disk full\",{}]");
    ck_assert_uint_eq(updates, 2);
}
END_TEST

START_TEST(reset_is_the_others_decision)
{
    accept();
    statuses();
    ask("Reset", "{\"type\":\"Soft\"}", "[3,\"1\",{\"status\":\"Accepted\"}]");
    accepts_reset = FALSE;
    ask("Reset", "{\"type\":\"Hard\"}", "[3,\"1\",{\"status\":\"Rejected\"}]");
    ck_assert_uint_eq(resets, 2);
}
END_TEST

START_TEST(garbage_is_counted_and_survived)
{
    static const char *const GARBAGE[] = {
        "", "x", "{}", "[]", "[9,\"1\"]", "[2]", "[3,\"none\",{}]", "[4,\"none\",\"X\",\"\",{}]"};

    accept();
    statuses();
    for (guint i = 0; i < G_N_ELEMENTS(GARBAGE); i++)
        receive(GARBAGE[i]);
    expect_silence();
    ck_assert_uint_eq(session_bad_frames(session), 6);
    ask("DataTransfer", "{\"vendorId\":\"x\"}", "[3,\"1\",{\"status\":\"UnknownVendorId\"}]");
}
END_TEST

int main(void)
{
    const TTest *const TESTS[] = {
        boot_then_statuses_then_heartbeats,
        reconnect_needs_no_boot_notification,
        pending_holds_the_outbox_and_answers,
        rejected_is_mute_until_the_interval_ends,
        unanswered_boot_notification_is_repeated,
        unanswered_status_is_sent_again_with_a_new_id_in_order,
        back_off_of_the_outbox_is_bounded,
        call_error_counts_as_delivered,
        lost_in_flight_is_repeated_after_the_reconnect,
        diagnostics_request,
        triggered_status_comes_after_conf_and_outbox,
        keys_and_availability_outlive_a_restart,
        update_that_cannot_be_kept_is_an_internal_error,
        reset_is_the_others_decision,
        garbage_is_counted_and_survived,
    };
    TCase *tests = tcase_create("session");
    Suite *suite = suite_create("session");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, begin, finish);
    for (gsize i = 0; i < G_N_ELEMENTS(TESTS); i++)
        tcase_add_test(tests, TESTS[i]);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
