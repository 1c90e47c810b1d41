/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of ocpp/calls.h: one open CALL, order, forced CALLs, answers, timeouts, a lost connection,
 * the full queue.
 */
#include <check.h>
#include <string.h>

#include "ocpp/calls.h"

#define TIMEOUT_MS 30000

/* What was sent, taken apart again: its id is what an answer needs. */
static OcppFrame *sent(char *text)
{
    g_autofree char *owned = text;
    OcppFrame *frame;

    ck_assert_ptr_nonnull(owned);
    frame = ocpp_frame_parse(owned, strlen(owned), NULL, NULL);
    ck_assert_ptr_nonnull(frame);
    ck_assert_int_eq(frame->type, OCPP_CALL);
    return frame;
}

static OcppFrame *result_to(const OcppFrame *call)
{
    g_autofree char *text = ocpp_frame_result(call->id, NULL);

    return ocpp_frame_parse(text, strlen(text), NULL, NULL);
}

static OcppFrame *error_to(const OcppFrame *call)
{
    g_autofree char *text = ocpp_frame_error(call->id, OCPP_NOT_IMPLEMENTED, "");

    return ocpp_frame_parse(text, strlen(text), NULL, NULL);
}

static void assert_info(OcppCallInfo *info, const char *action, gint64 tag, gboolean forced)
{
    ck_assert_str_eq(info->action, action);
    ck_assert_int_eq(info->tag, tag);
    ck_assert_int_eq(info->forced, forced);
    ocpp_call_info_clear(info);
    ck_assert_ptr_null(info->action);
}

START_TEST(empty)
{
    g_autoptr(OcppCalls) calls = ocpp_calls_new(TIMEOUT_MS);
    OcppCallInfo info = {NULL, 42, FALSE};

    ck_assert(ocpp_calls_idle(calls));
    ck_assert(!ocpp_calls_has(calls, "Heartbeat"));
    ck_assert_int_eq(ocpp_calls_deadline(calls), -1);
    ck_assert_ptr_null(ocpp_calls_open_next(calls, FALSE, 0));
    ck_assert(!ocpp_calls_expire(calls, G_MAXINT64, &info));
    ck_assert(!ocpp_calls_abandon(calls, &info));
    ck_assert_int_eq(info.tag, 42);
    ocpp_calls_clear_queue(calls);
    ocpp_calls_free(NULL);
}
END_TEST

START_TEST(opened_and_answered)
{
    g_autoptr(OcppCalls) calls = ocpp_calls_new(TIMEOUT_MS);
    json_t *payload = json_pack("{s:s}", "status", "Idle");
    g_autoptr(OcppFrame) call =
        sent(ocpp_calls_open(calls, "FirmwareStatusNotification", payload, 7, 1000));
    g_autoptr(OcppFrame) answer = _i == 0 ? result_to(call) : error_to(call);
    OcppCallInfo info;

    ck_assert_str_eq(call->action, "FirmwareStatusNotification");
    ck_assert_str_eq(json_string_value(json_object_get(call->payload, "status")), "Idle");
    ck_assert_uint_eq(strlen(call->id_text), 36);
    ck_assert(!ocpp_calls_idle(calls));
    ck_assert(ocpp_calls_has(calls, "FirmwareStatusNotification"));
    ck_assert_int_eq(ocpp_calls_deadline(calls), 1000 + TIMEOUT_MS);

    ck_assert(ocpp_calls_answered(calls, answer, &info));
    assert_info(&info, "FirmwareStatusNotification", 7, FALSE);
    ck_assert(ocpp_calls_idle(calls));
    ck_assert(!ocpp_calls_has(calls, "FirmwareStatusNotification"));
    ck_assert_int_eq(ocpp_calls_deadline(calls), -1);

    /* The same answer once more is an answer to nothing. */
    ck_assert(!ocpp_calls_answered(calls, answer, &info));
}
END_TEST

START_TEST(one_open_call)
{
    g_autoptr(OcppCalls) calls = ocpp_calls_new(TIMEOUT_MS);
    g_autoptr(OcppFrame) call = sent(ocpp_calls_open(calls, "BootNotification", NULL, 0, 0));

    ck_assert_str_eq(call->action, "BootNotification");
    ck_assert(ocpp_calls_enqueue(calls, "Heartbeat", NULL, 0, TRUE));
    ck_assert_ptr_null(ocpp_calls_open(calls, "Heartbeat", json_object(), 0, 1));
    ck_assert_ptr_null(ocpp_calls_open_next(calls, FALSE, 1));
    ck_assert_ptr_null(ocpp_calls_open_next(calls, TRUE, 1));
    ck_assert(ocpp_calls_has(calls, "BootNotification"));
    ck_assert(ocpp_calls_has(calls, "Heartbeat"));
}
END_TEST

START_TEST(answers_to_nothing)
{
    static const char *const strangers[] = {
        "[3,\"x\",{}]",
        "[3,1,{}]",
        "[4,\"x\",\"GenericError\",\"\",{}]",
    };
    g_autoptr(OcppCalls) calls = ocpp_calls_new(TIMEOUT_MS);
    g_autoptr(OcppFrame) call = sent(ocpp_calls_open(calls, "Heartbeat", NULL, 5, 0));
    OcppCallInfo info = {NULL, 42, FALSE};

    for (gsize i = 0; i < G_N_ELEMENTS(strangers); i++) {
        g_autoptr(OcppFrame) stranger =
            ocpp_frame_parse(strangers[i], strlen(strangers[i]), NULL, NULL);

        ck_assert(!ocpp_calls_answered(calls, stranger, &info));
    }
    /* The CSMS's own CALL with our id is no answer: the ids of the two directions are apart. */
    ck_assert(!ocpp_calls_answered(calls, call, &info));
    ck_assert_int_eq(info.tag, 42);
    ck_assert(!ocpp_calls_idle(calls));
}
END_TEST

START_TEST(order)
{
    g_autoptr(OcppCalls) calls = ocpp_calls_new(TIMEOUT_MS);

    for (int i = 1; i <= 3; i++)
        ck_assert(ocpp_calls_enqueue(calls, "StatusNotification",
                                     json_pack("{s:i}", "connectorId", i), i, FALSE));
    for (int i = 1; i <= 3; i++) {
        g_autoptr(OcppFrame) call = sent(ocpp_calls_open_next(calls, FALSE, i));
        g_autoptr(OcppFrame) answer = result_to(call);
        OcppCallInfo info;

        ck_assert_int_eq(json_integer_value(json_object_get(call->payload, "connectorId")), i);
        ck_assert(ocpp_calls_answered(calls, answer, &info));
        assert_info(&info, "StatusNotification", i, FALSE);
    }
    ck_assert_ptr_null(ocpp_calls_open_next(calls, FALSE, 4));
}
END_TEST

/* While registration is Pending only what was triggered may go; the rest keeps its order. */
START_TEST(forced_first)
{
    static const char *const all[] = {"A", "B", "C", "D"};
    static const char *const expected[] = {"B", "D", "A", "C"};
    g_autoptr(OcppCalls) calls = ocpp_calls_new(TIMEOUT_MS);

    for (int i = 0; i < 4; i++)
        ck_assert(ocpp_calls_enqueue(calls, all[i], NULL, i, i % 2 == 1));
    for (int i = 0; i < 4; i++) {
        g_autofree char *text = ocpp_calls_open_next(calls, i < 2, 0);
        OcppCallInfo info;

        ck_assert_ptr_nonnull(text);
        ck_assert(ocpp_calls_abandon(calls, &info));
        assert_info(&info, expected[i], expected[i][0] - 'A', i < 2);
        if (i == 1)
            ck_assert_ptr_null(ocpp_calls_open_next(calls, TRUE, 0));
    }
}
END_TEST

START_TEST(timeout)
{
    g_autoptr(OcppCalls) calls = ocpp_calls_new(TIMEOUT_MS);
    g_autoptr(OcppFrame) call = sent(ocpp_calls_open(calls, "Heartbeat", NULL, 9, 5000));
    g_autoptr(OcppFrame) late = result_to(call);
    g_autoptr(OcppFrame) again = NULL;
    OcppCallInfo info;

    ck_assert(!ocpp_calls_expire(calls, 5000, &info));
    ck_assert(!ocpp_calls_expire(calls, 5000 + TIMEOUT_MS - 1, &info));
    ck_assert(ocpp_calls_expire(calls, 5000 + TIMEOUT_MS, &info));
    assert_info(&info, "Heartbeat", 9, FALSE);
    ck_assert(!ocpp_calls_expire(calls, G_MAXINT64, &info));

    /* The late answer does not close the next CALL, which has an id of its own. */
    again = sent(ocpp_calls_open(calls, "Heartbeat", NULL, 10, 40000));
    ck_assert_str_ne(again->id_text, call->id_text);
    ck_assert(!ocpp_calls_answered(calls, late, &info));
    ck_assert_int_eq(ocpp_calls_deadline(calls), 40000 + TIMEOUT_MS);
}
END_TEST

START_TEST(connection_lost)
{
    g_autoptr(OcppCalls) calls = ocpp_calls_new(TIMEOUT_MS);
    g_autoptr(OcppFrame) call = NULL;
    g_autoptr(OcppFrame) late = NULL;
    OcppCallInfo info;

    ck_assert(ocpp_calls_enqueue(calls, "Heartbeat", NULL, 1, TRUE));
    ck_assert(ocpp_calls_enqueue(calls, "StatusNotification", NULL, 2, FALSE));
    call = sent(ocpp_calls_open_next(calls, FALSE, 0));
    late = result_to(call);
    ck_assert(ocpp_calls_abandon(calls, &info));
    assert_info(&info, "Heartbeat", 1, TRUE);
    ck_assert(!ocpp_calls_abandon(calls, &info));
    ck_assert(!ocpp_calls_answered(calls, late, &info));
    ck_assert(ocpp_calls_has(calls, "StatusNotification"));
}
END_TEST

START_TEST(info_may_be_null)
{
    g_autoptr(OcppCalls) calls = ocpp_calls_new(TIMEOUT_MS);
    g_autoptr(OcppFrame) call = sent(ocpp_calls_open(calls, "Heartbeat", NULL, 1, 0));
    g_autoptr(OcppFrame) answer = result_to(call);

    ck_assert(ocpp_calls_answered(calls, answer, NULL));
    g_free(ocpp_calls_open(calls, "Heartbeat", NULL, 1, 0));
    ck_assert(ocpp_calls_expire(calls, TIMEOUT_MS, NULL));
    g_free(ocpp_calls_open(calls, "Heartbeat", NULL, 1, 0));
    ck_assert(ocpp_calls_abandon(calls, NULL));
}
END_TEST

START_TEST(queue_is_bounded)
{
    g_autoptr(OcppCalls) calls = ocpp_calls_new(TIMEOUT_MS);
    json_auto_t *refused = json_object();

    for (int i = 0; i < OCPP_CALLS_MAX_QUEUED; i++)
        ck_assert(ocpp_calls_enqueue(calls, "Heartbeat", json_object(), i, FALSE));
    ck_assert(!ocpp_calls_enqueue(calls, "Reset", json_incref(refused), 0, TRUE));
    ck_assert_uint_eq(refused->refcount, 1); /* stolen all the same */
    ck_assert(!ocpp_calls_enqueue(calls, "Reset", NULL, 0, TRUE));
    ck_assert(!ocpp_calls_has(calls, "Reset"));

    /* The open one does not count, and clearing the queue leaves it alone. */
    g_free(ocpp_calls_open_next(calls, FALSE, 0));
    ck_assert(ocpp_calls_enqueue(calls, "Reset", NULL, 0, FALSE));
    ocpp_calls_clear_queue(calls);
    ck_assert(!ocpp_calls_has(calls, "Reset"));
    ck_assert(ocpp_calls_has(calls, "Heartbeat"));
    ck_assert(!ocpp_calls_idle(calls));
}
END_TEST

static Suite *calls_suite(void)
{
    Suite *suite = suite_create("calls");
    TCase *all = tcase_create("calls");

    tcase_add_test(all, empty);
    tcase_add_loop_test(all, opened_and_answered, 0, 2);
    tcase_add_test(all, one_open_call);
    tcase_add_test(all, answers_to_nothing);
    tcase_add_test(all, order);
    tcase_add_test(all, forced_first);
    tcase_add_test(all, timeout);
    tcase_add_test(all, connection_lost);
    tcase_add_test(all, info_may_be_null);
    tcase_add_test(all, queue_is_bounded);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(calls_suite());
    int n_failed;

    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed;
}
