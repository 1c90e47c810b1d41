/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of ocpp/registration.h in virtual time.
 */
#include <check.h>

#include "ocpp/registration.h"

#define S     G_GINT64_CONSTANT(1000)
#define START (G_GINT64_CONSTANT(12345) * S) /* a monotonic clock begins anywhere */
#define DAY_S G_GINT64_CONSTANT(86400)

/* Due at `at` and not a millisecond before, and announced so. */
static void assert_boot_at(const OcppRegistration *registration, gint64 at)
{
    ck_assert_int_eq(ocpp_registration_next_ms(registration), at);
    ck_assert(!ocpp_registration_boot_due(registration, at - 1));
    ck_assert(ocpp_registration_boot_due(registration, at));
    ck_assert(!ocpp_registration_heartbeat_due(registration, G_MAXINT64));
}

static void assert_heartbeat_at(const OcppRegistration *registration, gint64 at)
{
    ck_assert_int_eq(ocpp_registration_next_ms(registration), at);
    ck_assert(!ocpp_registration_heartbeat_due(registration, at - 1));
    ck_assert(ocpp_registration_heartbeat_due(registration, at));
    ck_assert(!ocpp_registration_boot_due(registration, G_MAXINT64));
}

static void assert_nothing_due(const OcppRegistration *registration)
{
    ck_assert_int_eq(ocpp_registration_next_ms(registration), -1);
    ck_assert(!ocpp_registration_boot_due(registration, G_MAXINT64));
    ck_assert(!ocpp_registration_heartbeat_due(registration, G_MAXINT64));
}

static void assert_may(const OcppRegistration *registration, OcppRegistrationStatus status,
                       gboolean call, gboolean answer)
{
    ck_assert_int_eq(ocpp_registration_status(registration), status);
    ck_assert_int_eq(ocpp_registration_may_call(registration), call);
    ck_assert_int_eq(ocpp_registration_may_answer(registration), answer);
}

/* Connected at START, and the first BootNotification answered at once. */
static OcppRegistration *answered(gboolean boot_on_reconnect, const char *status, gint64 interval_s)
{
    OcppRegistration *registration = ocpp_registration_new(boot_on_reconnect);

    ocpp_registration_connected(registration, START);
    ocpp_registration_boot_sent(registration);
    ocpp_registration_sent(registration, START);
    ocpp_registration_boot_answered(registration, status, interval_s, START);
    return registration;
}

START_TEST(start)
{
    g_autoptr(OcppRegistration) registration = ocpp_registration_new(FALSE);

    assert_nothing_due(registration);
    assert_may(registration, OCPP_REGISTRATION_NONE, FALSE, FALSE);
    ck_assert_int_eq(ocpp_registration_heartbeat_interval(registration), OCPP_DEFAULT_HEARTBEAT_S);

    ocpp_registration_connected(registration, START);
    assert_boot_at(registration, START);
    assert_may(registration, OCPP_REGISTRATION_NONE, FALSE, TRUE);

    ocpp_registration_boot_sent(registration);
    assert_nothing_due(registration);
    assert_may(registration, OCPP_REGISTRATION_NONE, FALSE, TRUE);

    ocpp_registration_boot_answered(registration, "Accepted", 60, START + 5);
    assert_may(registration, OCPP_REGISTRATION_ACCEPTED, TRUE, TRUE);
    assert_heartbeat_at(registration, START + 5 + 60 * S);
    ocpp_registration_free(NULL);
}
END_TEST

static const struct {
    gint64 interval_s; /* as on the wire */
    gint64 taken_s;
} intervals[] = {
    {1, 1},
    {300, 300},
    {DAY_S, DAY_S},
    {DAY_S + 1, DAY_S},
    {G_MAXINT32, DAY_S},
    {G_MAXINT64, DAY_S},
    {0, OCPP_DEFAULT_HEARTBEAT_S},
    {-1, OCPP_DEFAULT_HEARTBEAT_S},
    {G_MININT64, OCPP_DEFAULT_HEARTBEAT_S},
};

START_TEST(interval_of_accepted)
{
    g_autoptr(OcppRegistration) registration =
        answered(FALSE, "Accepted", intervals[_i].interval_s);

    ck_assert_int_eq(ocpp_registration_heartbeat_interval(registration), intervals[_i].taken_s);
    assert_heartbeat_at(registration, START + intervals[_i].taken_s * S);
}
END_TEST

START_TEST(interval_of_pending_and_rejected)
{
    static const char *const statuses[] = {"Pending", "Rejected"};

    for (gsize i = 0; i < G_N_ELEMENTS(statuses); i++) {
        g_autoptr(OcppRegistration) registration =
            answered(FALSE, statuses[i], intervals[_i].interval_s);

        assert_boot_at(registration, START + intervals[_i].taken_s * S);
        /* It is the wait, not the interval of heartbeats. */
        ck_assert_int_eq(ocpp_registration_heartbeat_interval(registration),
                         OCPP_DEFAULT_HEARTBEAT_S);
    }
}
END_TEST

START_TEST(interval_set)
{
    g_autoptr(OcppRegistration) registration = answered(FALSE, "Accepted", 600);

    ocpp_registration_set_heartbeat_interval(registration, intervals[_i].interval_s);
    ck_assert_int_eq(ocpp_registration_heartbeat_interval(registration), intervals[_i].taken_s);
    assert_heartbeat_at(registration, START + intervals[_i].taken_s * S);
}
END_TEST

START_TEST(pending_until_accepted)
{
    g_autoptr(OcppRegistration) registration = answered(FALSE, "Pending", 90);

    assert_may(registration, OCPP_REGISTRATION_PENDING, FALSE, TRUE);
    assert_boot_at(registration, START + 90 * S);

    /* What goes out because it was triggered does not put the BootNotification off. */
    ocpp_registration_sent(registration, START + 80 * S);
    assert_boot_at(registration, START + 90 * S);

    ocpp_registration_boot_sent(registration);
    assert_nothing_due(registration);
    ocpp_registration_boot_answered(registration, "Accepted", 60, START + 91 * S);
    assert_may(registration, OCPP_REGISTRATION_ACCEPTED, TRUE, TRUE);
}
END_TEST

START_TEST(rejected_until_answered)
{
    g_autoptr(OcppRegistration) registration = answered(FALSE, "Rejected", 90);

    assert_may(registration, OCPP_REGISTRATION_REJECTED, FALSE, FALSE);
    assert_boot_at(registration, START + 90 * S);
    ocpp_registration_boot_sent(registration);
    ocpp_registration_boot_answered(registration, "Pending", 30, START + 91 * S);
    assert_may(registration, OCPP_REGISTRATION_PENDING, FALSE, TRUE);
    assert_boot_at(registration, START + 121 * S);
    ocpp_registration_boot_sent(registration);
    ocpp_registration_boot_answered(registration, "Rejected", 30, START + 121 * S);
    assert_may(registration, OCPP_REGISTRATION_REJECTED, FALSE, FALSE);
}
END_TEST

/* The CSMS's interval is no less binding on a new connection. */
START_TEST(reconnect_within_the_interval)
{
    static const char *const statuses[] = {"Pending", "Rejected"};
    g_autoptr(OcppRegistration) registration = answered(_i >= 2, statuses[_i % 2], 90);

    ocpp_registration_disconnected(registration);
    assert_nothing_due(registration);
    ocpp_registration_connected(registration, START + 10 * S);
    assert_boot_at(registration, START + 90 * S);
    ocpp_registration_disconnected(registration);
    ocpp_registration_connected(registration, START + 200 * S);
    assert_boot_at(registration, START + 200 * S);
}
END_TEST

START_TEST(back_off)
{
    static const int delays_s[] = {10, 20, 40, 80, 160, 300, 300, 300};
    g_autoptr(OcppRegistration) registration = ocpp_registration_new(FALSE);
    gint64 now = START;

    ocpp_registration_connected(registration, now);
    for (gsize i = 0; i < G_N_ELEMENTS(delays_s); i++) {
        ocpp_registration_boot_sent(registration);
        now += 30 * S;
        ocpp_registration_boot_failed(registration, now);
        assert_may(registration, OCPP_REGISTRATION_NONE, FALSE, TRUE);
        now += delays_s[i] * S;
        assert_boot_at(registration, now);
    }

    /* An answer, whatever it says, ends the back-off. */
    ocpp_registration_boot_sent(registration);
    ocpp_registration_boot_answered(registration, "Pending", 60, now);
    ocpp_registration_boot_sent(registration);
    ocpp_registration_boot_failed(registration, now);
    assert_may(registration, OCPP_REGISTRATION_PENDING, FALSE, TRUE);
    assert_boot_at(registration, now + OCPP_BOOT_RETRY_FIRST_MS);
}
END_TEST

START_TEST(answer_of_an_unknown_status)
{
    static const char *const statuses[] = {"accepted", "None", "", NULL};
    g_autoptr(OcppRegistration) registration = answered(FALSE, statuses[_i], 90);

    assert_may(registration, OCPP_REGISTRATION_NONE, FALSE, TRUE);
    assert_boot_at(registration, START + OCPP_BOOT_RETRY_FIRST_MS);
}
END_TEST

/* The connection goes while the BootNotification is on its way: again at once on the next one,
 * back-off or not. */
START_TEST(connection_lost_while_booting)
{
    g_autoptr(OcppRegistration) registration = ocpp_registration_new(FALSE);

    ocpp_registration_connected(registration, START);
    ocpp_registration_boot_sent(registration);
    ocpp_registration_disconnected(registration);
    assert_nothing_due(registration);
    ocpp_registration_connected(registration, START + 7 * S);
    assert_boot_at(registration, START + 7 * S);

    ocpp_registration_boot_sent(registration);
    ocpp_registration_boot_failed(registration, START + 8 * S);
    ocpp_registration_disconnected(registration);
    ocpp_registration_connected(registration, START + 9 * S);
    assert_boot_at(registration, START + 9 * S);
    ocpp_registration_boot_sent(registration);
    ocpp_registration_boot_failed(registration, START + 10 * S);
    assert_boot_at(registration, START + 10 * S + 20 * S);
}
END_TEST

START_TEST(reconnect_after_accepted)
{
    g_autoptr(OcppRegistration) registration = answered(FALSE, "Accepted", 300);

    ocpp_registration_disconnected(registration);
    assert_nothing_due(registration);
    assert_may(registration, OCPP_REGISTRATION_ACCEPTED, FALSE, FALSE);

    ocpp_registration_connected(registration, START + 100 * S);
    assert_may(registration, OCPP_REGISTRATION_ACCEPTED, TRUE, TRUE);
    assert_heartbeat_at(registration, START + 300 * S);

    /* After a long outage the CSMS hears of us at once. */
    ocpp_registration_disconnected(registration);
    ocpp_registration_connected(registration, START + 1000 * S);
    ck_assert(ocpp_registration_heartbeat_due(registration, START + 1000 * S));
}
END_TEST

START_TEST(boot_on_reconnect)
{
    g_autoptr(OcppRegistration) registration = answered(TRUE, "Accepted", 300);

    assert_may(registration, OCPP_REGISTRATION_ACCEPTED, TRUE, TRUE);
    ocpp_registration_disconnected(registration);
    ocpp_registration_connected(registration, START + 100 * S);
    assert_may(registration, OCPP_REGISTRATION_NONE, FALSE, TRUE);
    assert_boot_at(registration, START + 100 * S);
    ocpp_registration_boot_sent(registration);
    ocpp_registration_boot_answered(registration, "Accepted", 30, START + 101 * S);
    assert_may(registration, OCPP_REGISTRATION_ACCEPTED, TRUE, TRUE);
    assert_heartbeat_at(registration, START + 131 * S);
}
END_TEST

START_TEST(triggered)
{
    g_autoptr(OcppRegistration) pending = answered(FALSE, "Pending", 3600);
    g_autoptr(OcppRegistration) accepted = answered(FALSE, "Accepted", 300);

    ck_assert(!ocpp_registration_boot_triggered(accepted, START + S));
    assert_heartbeat_at(accepted, START + 300 * S);

    ck_assert(ocpp_registration_boot_triggered(pending, START + S));
    assert_boot_at(pending, START + S);
    ocpp_registration_boot_sent(pending);
    /* One that is on its way already is the one asked for. */
    ck_assert(ocpp_registration_boot_triggered(pending, START + 2 * S));
    assert_nothing_due(pending);
    ocpp_registration_boot_answered(pending, "Pending", 60, START + 3 * S);
    assert_boot_at(pending, START + 63 * S);
}
END_TEST

START_TEST(heartbeat)
{
    g_autoptr(OcppRegistration) registration = answered(FALSE, "Accepted", 60);

    ocpp_registration_sent(registration, START + 50 * S);
    assert_heartbeat_at(registration, START + 110 * S);
    ocpp_registration_sent(registration, START + 110 * S);
    assert_heartbeat_at(registration, START + 170 * S);
    ocpp_registration_set_heartbeat_interval(registration, 5);
    assert_heartbeat_at(registration, START + 115 * S);
}
END_TEST

/* J 5.3: with other messages going out all the time the clock still is set once a day. */
START_TEST(heartbeat_once_a_day)
{
    g_autoptr(OcppRegistration) registration = answered(FALSE, "Accepted", 60);
    int n_due = 0;

    for (gint64 t = 50; t <= 3 * DAY_S; t += 50) {
        n_due += ocpp_registration_heartbeat_due(registration, START + t * S) ? 1 : 0;
        ocpp_registration_sent(registration, START + t * S);
    }
    ck_assert_int_eq(n_due, 3);
    assert_heartbeat_at(registration, START + 3 * DAY_S * S + 60 * S);
}
END_TEST

START_TEST(names)
{
    ck_assert_str_eq(ocpp_registration_status_name(OCPP_REGISTRATION_NONE), "None");
    ck_assert_str_eq(ocpp_registration_status_name(OCPP_REGISTRATION_PENDING), "Pending");
    ck_assert_str_eq(ocpp_registration_status_name(OCPP_REGISTRATION_REJECTED), "Rejected");
    ck_assert_str_eq(ocpp_registration_status_name(OCPP_REGISTRATION_ACCEPTED), "Accepted");
}
END_TEST

static Suite *registration_suite(void)
{
    Suite *suite = suite_create("registration");
    TCase *boot = tcase_create("boot");
    TCase *beat = tcase_create("heartbeat");

    tcase_add_test(boot, start);
    tcase_add_loop_test(boot, interval_of_accepted, 0, G_N_ELEMENTS(intervals));
    tcase_add_loop_test(boot, interval_of_pending_and_rejected, 0, G_N_ELEMENTS(intervals));
    tcase_add_test(boot, pending_until_accepted);
    tcase_add_test(boot, rejected_until_answered);
    tcase_add_loop_test(boot, reconnect_within_the_interval, 0, 4);
    tcase_add_test(boot, back_off);
    tcase_add_loop_test(boot, answer_of_an_unknown_status, 0, 4);
    tcase_add_test(boot, connection_lost_while_booting);
    tcase_add_test(boot, reconnect_after_accepted);
    tcase_add_test(boot, boot_on_reconnect);
    tcase_add_test(boot, triggered);
    tcase_add_test(boot, names);
    suite_add_tcase(suite, boot);

    tcase_add_test(beat, heartbeat);
    tcase_add_test(beat, heartbeat_once_a_day);
    tcase_add_loop_test(beat, interval_set, 0, G_N_ELEMENTS(intervals));
    suite_add_tcase(suite, beat);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(registration_suite());
    int n_failed;

    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed;
}
