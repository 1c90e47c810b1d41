/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate before a reboot: what it waits for, for how long, and how often logind is asked.
 *
 * FAKED AT LINK TIME: src/adapter/systemd.c's question to logind, whose answers the tests give
 * themselves, at the moment that they want; it has a test of its own (test_systemd.c).
 */
#include "loop_fixture.h"

#include "adapter/clock.h"
#include "adapter/systemd.h"
#include "behaviour/reboot.h"

#define WAIT_LIMIT_MS  G_GINT64_CONSTANT(60000)
#define REPORT_WAIT_MS G_GINT64_CONSTANT(5000)

static Clock *test_clock;
static Reboot *gate;
static guint allowed, queries;
static GCancellable *query; /* the one that waits for an answer; NULL: none */
static void (*query_done)(const char *who, gpointer user_data);
static gpointer query_data;

void systemd_query_shutdown_inhibitors(GCancellable *cancellable,
                                       void (*done)(const char *who, gpointer user_data),
                                       gpointer user_data)
{
    ck_assert_ptr_null(query);
    query = g_object_ref(cancellable);
    query_done = done;
    query_data = user_data;
    queries++;
}

static void logind_answers(const char *who)
{
    g_autoptr(GCancellable) asked = g_steal_pointer(&query);

    ck_assert_ptr_nonnull(asked);
    if (!g_cancellable_is_cancelled(asked))
        query_done(who, query_data);
}

static void on_allowed(gpointer user_data)
{
    ck_assert_ptr_eq(user_data, &allowed);
    allowed++;
}

static void start(gboolean permission_required)
{
    const RebootConfig config = {permission_required, WAIT_LIMIT_MS, REPORT_WAIT_MS};

    g_clear_pointer(&gate, reboot_free);
    gate = reboot_new(&config, test_clock, on_allowed, &allowed);
}

static void setup(void)
{
    if (fixture_log == NULL)
        fixture_log_start();
    g_string_truncate(fixture_log, 0);
    test_clock = clock_new_virtual(1700000000000);
    allowed = queries = 0;
    start(FALSE);
}

static void teardown(void)
{
    g_clear_pointer(&gate, reboot_free);
    g_clear_object(&query);
    clock_free(test_clock);
}

static void pass(gint64 ms)
{
    clock_virtual_advance(test_clock, ms);
    run_ready();
}

static void ask(void)
{
    reboot_ask(gate, FALSE);
    pass(0);
}

START_TEST(nobody_holds_it_back)
{
    ask();
    ck_assert_uint_eq(allowed, 0);
    logind_answers(NULL);
    ck_assert_uint_eq(allowed, 1);
    ck_assert(!reboot_is_asked(gate));
    pass(10 * WAIT_LIMIT_MS);
    ck_assert_uint_eq(allowed, 1);
}
END_TEST

START_TEST(logind_holds_it_back)
{
    ask();
    logind_answers("somebody");
    g_autofree char *why = reboot_waits_for(gate);
    ck_assert_str_eq(why, "inhibitors of systemd: somebody");
    pass(REBOOT_INHIBITOR_POLL_MS - 1);
    ck_assert_uint_eq(queries, 1);
    pass(1);
    ck_assert_uint_eq(queries, 2);
    logind_answers(NULL);
    ck_assert_uint_eq(allowed, 1);
}
END_TEST

START_TEST(logind_does_not_hold_it_back_for_ever)
{
    ask();
    for (gint64 waited = 0; allowed == 0; waited += REBOOT_INHIBITOR_POLL_MS) {
        ck_assert_int_le(waited, WAIT_LIMIT_MS);
        if (query)
            logind_answers("somebody");
        pass(REBOOT_INHIBITOR_POLL_MS);
    }
    ck_assert_uint_eq(queries, 1 + WAIT_LIMIT_MS / REBOOT_INHIBITOR_POLL_MS);
}
END_TEST

START_TEST(asked_ahead)
{
    reboot_ask_ahead(gate);
    logind_answers(NULL);
    ck_assert_uint_eq(allowed, 0);
    ask();
    ck_assert_uint_eq(allowed, 1);
    ck_assert_uint_eq(queries, 1);
}
END_TEST

START_TEST(asked_ahead_and_still_waiting)
{
    reboot_ask_ahead(gate);
    reboot_ask_ahead(gate);
    ask();
    ck_assert_uint_eq(queries, 1);
    logind_answers(NULL);
    ck_assert_uint_eq(allowed, 1);
}
END_TEST

START_TEST(asked_ahead_for_too_long)
{
    reboot_ask_ahead(gate);
    logind_answers(NULL);
    pass(REBOOT_FRESH_MS);
    ask();
    ck_assert_uint_eq(allowed, 0);
    logind_answers("somebody");
    ck_assert_uint_eq(allowed, 0);
    ck_assert_uint_eq(queries, 2);
}
END_TEST

START_TEST(asked_ahead_and_held_back)
{
    reboot_ask_ahead(gate);
    logind_answers("somebody");
    ask();
    ck_assert_uint_eq(allowed, 0);
    pass(REBOOT_INHIBITOR_POLL_MS);
    logind_answers(NULL);
    ck_assert_uint_eq(allowed, 1);
    ck_assert_uint_eq(queries, 2);
}
END_TEST

START_TEST(what_comes_while_logind_is_asked)
{
    ask();
    reboot_set_inhibitors(gate, "a transaction");
    logind_answers(NULL);
    ck_assert_uint_eq(allowed, 0);
    reboot_set_inhibitors(gate, NULL);
    pass(0);
    if (query)
        logind_answers(NULL);
    ck_assert_uint_eq(allowed, 1);
}
END_TEST

/* Held without a gap: by one of ours, then by one of logind's that was taken before ours was given
 * back. */
START_TEST(asked_ahead_of_another_holder)
{
    reboot_set_inhibitors(gate, "a transaction");
    reboot_ask_ahead(gate);
    logind_answers(NULL);
    ask();
    reboot_set_inhibitors(gate, NULL);
    pass(0);
    ck_assert_uint_eq(allowed, 0);
    logind_answers("the same one");
    ck_assert_uint_eq(allowed, 0);
}
END_TEST

/* Nobody waits for logind's holder of long ago. */
START_TEST(holder_of_before)
{
    reboot_ask_ahead(gate);
    logind_answers("somebody");
    ck_assert_str_eq(fixture_log->str, "");
    pass(REBOOT_FRESH_MS);
    ask();
    g_autofree char *why = reboot_waits_for(gate);
    ck_assert_ptr_null(why);
    logind_answers(NULL);
    ck_assert_uint_eq(allowed, 1);
}
END_TEST

START_TEST(our_inhibitors_hold_it_back_up_to_the_limit)
{
    reboot_set_inhibitors(gate, "a transaction");
    ask();
    pass(WAIT_LIMIT_MS - 1);
    ck_assert_uint_eq(queries, 0);
    pass(1);
    logind_answers(NULL);
    ck_assert_uint_eq(allowed, 1);
}
END_TEST

START_TEST(reports_hold_it_back_for_a_while)
{
    reboot_set_outbox(gate, 2);
    ask();
    g_autofree char *why = reboot_waits_for(gate);
    ck_assert_str_eq(why, "2 reports to the CSMS");
    pass(REPORT_WAIT_MS - 1);
    ck_assert_uint_eq(queries, 0);
    pass(1);
    logind_answers(NULL);
    ck_assert_uint_eq(allowed, 1);
}
END_TEST

START_TEST(permission)
{
    start(TRUE);
    ask();
    pass(10 * WAIT_LIMIT_MS);
    ck_assert_uint_eq(queries, 0);
    reboot_permit(gate);
    pass(0);
    logind_answers(NULL);
    ck_assert_uint_eq(allowed, 1);
    /* counts for one reboot */
    ask();
    pass(10 * WAIT_LIMIT_MS);
    ck_assert_uint_eq(allowed, 1);
    reboot_ask(gate, TRUE);
    pass(0);
    reboot_permit(gate);
    pass(0);
    logind_answers(NULL);
    ck_assert_uint_eq(allowed, 2);
}
END_TEST

START_TEST(holders_may_come_back)
{
    reboot_await_holders(gate);
    ask();
    pass(REBOOT_RETAKE_MS - 1);
    ck_assert_uint_eq(queries, 0);
    pass(1);
    logind_answers(NULL);
    ck_assert_uint_eq(allowed, 1);
}
END_TEST

START_TEST(withdrawn)
{
    ask();
    reboot_withdraw(gate);
    logind_answers(NULL);
    pass(10 * WAIT_LIMIT_MS);
    ck_assert_uint_eq(allowed, 0);
    ck_assert_ptr_null(reboot_waits_for(gate));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        nobody_holds_it_back,
        logind_holds_it_back,
        logind_does_not_hold_it_back_for_ever,
        asked_ahead,
        asked_ahead_and_still_waiting,
        asked_ahead_for_too_long,
        asked_ahead_and_held_back,
        what_comes_while_logind_is_asked,
        asked_ahead_of_another_holder,
        holder_of_before,
        our_inhibitors_hold_it_back_up_to_the_limit,
        reports_hold_it_back_for_a_while,
        permission,
        holders_may_come_back,
        withdrawn,
    };

    return run_suite("reboot", setup, teardown, tests, G_N_ELEMENTS(tests));
}
