/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firmware behaviour over hours: installs that hang, dates without a clock, a RAUC that is
 * silent.
 */
#include "firmware_stages.h"

/* RAUC is at work at a local file: there is no stream to be ended. */
static World *installing_downloaded(void)
{
    World *world = world_new();

    world->config.transport = FIRMWARE_TRANSPORT_DOWNLOAD;
    world->downloads = TRUE;
    world_start(world);
    world_healthy(world);
    world_request(world, 0, 0);
    did(world, "good:A install");
    return world;
}

/* --- Watchdogs --- */

/* RAUC 1.10 and newer count while they copy; older ones stand still at a step. */
START_TEST(stalled)
{
    static const struct {
        int percent;
        gint64 timeout;
    } ROWS[] = {{85, 10 * MINUTE}, {20, HOUR}, {90, HOUR}};
    g_autoptr(World) world = installing_downloaded();

    if (ROWS[_i].percent == 85)
        firmware_rauc_progress(world->firmware, 84, "on the way");
    firmware_rauc_progress(world->firmware, ROWS[_i].percent, "on the way");
    world_pass(world, ROWS[_i].timeout - SECOND);
    did(world, "");
    firmware_rauc_progress(world->firmware, ROWS[_i].percent, "a little further");
    world_pass(world, ROWS[_i].timeout - SECOND);
    did(world, "");
    world_pass(world, SECOND);
    did(world, "restart-rauc");
    world_pass(world, MINUTE - SECOND);
    did(world, "");
    world->no_commands = TRUE;
    world_pass(world, SECOND);
    did(world, "restart-rauc"); /* in vain, and again */
    logged(world, "critical: cannot restart RAUC");
    world_pass(world, MINUTE);
    did(world, "restart-rauc");
    in_state(world, JOB_INSTALLING);

    world_presence(world, RAUC_ABSENT);
    in_state(world, JOB_INSTALLING); /* not judged before RAUC is back */
    world_presence(world, RAUC_IDLE);
    ck_assert(job_state_is_end(world_job(world)->state));
    ck_assert_ptr_nonnull(strstr(world_job(world)->reason, "stalled"));
    did(world, "");
}
END_TEST

START_TEST(stalled_attempt_has_activated)
{
    g_autoptr(World) world = installing_downloaded();

    world_pass(world, HOUR);
    did(world, "restart-rauc");
    world->rauc.primary = TARGET;
    world->rauc.target = RECORD_NEW;
    world_presence(world, RAUC_ABSENT);
    world_presence(world, RAUC_IDLE);
    did(world, "reboot");
}
END_TEST

START_TEST(attempts_and_intervals)
{
    g_autoptr(World) world = installing(2);

    for (int i = 0; i < 2; i++) {
        world_completed(world, RAUC_ERROR_RETRIEVAL);
        in_state(world, JOB_RETRY_WAIT);
        world_pass(world, MINUTE - SECOND);
        did(world, "");
        world_pass(world, SECOND);
        did(world, "install");
    }
    world_completed(world, RAUC_ERROR_RETRIEVAL);
    in_state(world, JOB_DOWNLOAD_FAILED);
    ck_assert_str_eq(world_wire(world), "Downloading DownloadFailed");
}
END_TEST

START_TEST(waits_for_an_install_of_others)
{
    g_autoptr(World) world = started();

    world_healthy(world);
    world->rauc.busy_for_others = TRUE;
    world_request(world, 0, 0);
    did(world, "good:A");
    world_pass(world, 24 * HOUR); /* as long as it takes, and it is not ours to restart */
    did(world, "");
    in_state(world, JOB_INSTALLING);
    world->rauc.busy_for_others = FALSE;
    world_presence(world, RAUC_IDLE);
    did(world, "install");
    ck_assert_uint_eq(world_job(world)->attempts, 0);
}
END_TEST

/* The cancel came before RAUC had answered InstallBundle: aborted as soon as it has. */
START_TEST(cancelled_while_called)
{
    g_autoptr(World) world = started();
    GError *error = NULL;

    world_healthy(world);
    world->rauc.late = TRUE;
    world_request(world, 0, 0);
    ck_assert_uint_eq(g_queue_get_length(&world->rauc.calls), 1);
    while (((FakeCall *)g_queue_peek_head(&world->rauc.calls))->kind == CALL_QUERY) {
        FakeCall *call = g_queue_pop_head(&world->rauc.calls);

        answer(world, call);
        fake_call_free(call);
    }
    in_state(world, JOB_INSTALLING);
    ok(firmware_cancel(world->firmware, "changed my mind", &error));
    world->rauc.late = FALSE;
    world_run(world);
    did(world, "good:A install restart-rauc");
    world_pass(world, MINUTE);
    did(world, "restart-rauc");
    world_presence(world, RAUC_ABSENT);
    world_presence(world, RAUC_IDLE);
    did(world, "active:A");
    in_state(world, JOB_CANCELLED);
}
END_TEST

/* Cancelled, and the agent died before RAUC was restarted: a RAUC that hangs does not hold the end
 * up for ever. */
START_TEST(hangs_while_undoing)
{
    g_autoptr(World) world = installing_downloaded();
    GError *error = NULL;

    ok(firmware_cancel(world->firmware, "changed my mind", &error));
    did(world, "restart-rauc");
    world_restart(world);
    world_pass(world, HOUR - SECOND);
    did(world, "");
    world_pass(world, SECOND);
    did(world, "restart-rauc");
    world_pass(world, MINUTE);
    did(world, "restart-rauc");
    world_presence(world, RAUC_ABSENT);
    world_presence(world, RAUC_IDLE);
    did(world, "active:A");
    in_state(world, JOB_CANCELLED);
    ck_assert_str_eq(world_wire(world), "Downloading Downloaded Installing InstallationFailed");
    ck_assert_uint_eq(world->reboots_near, 0);
}
END_TEST

/* --- Dates --- */

START_TEST(no_time_no_date)
{
    g_autoptr(World) world = started();

    world_healthy(world);
    did(world, "good:A");
    world->config.last_csms_ms = 0;
    world_request(world, WALL_2030 + HOUR, 0);
    clock_virtual_set_wall(world->clock, WALL_2030 + 2 * HOUR, FALSE); /* not to be believed */
    world_pass(world, 3 * HOUR);
    did(world, "");
    in_state(world, JOB_SCHEDULED);
    clock_virtual_set_wall(world->clock, WALL_2030, TRUE);
    world_pass(world, HOUR - SECOND);
    did(world, "");
    for (int i = 0; i < 60 && world->deeds->len == 0; i++)
        world_pass(world, MINUTE); /* the clock is looked at once an hour */
    did(world, "install");
}
END_TEST

START_TEST(system_clock_behind_the_csms)
{
    g_autoptr(World) world = world_new();

    world->config.last_csms_ms = WALL_2030 + 24 * HOUR;
    world_start(world);
    world_healthy(world);
    did(world, "good:A");
    clock_virtual_set_wall(world->clock, WALL_2030 + HOUR, TRUE); /* before the last CSMS time */
    world_request(world, WALL_2030, 0);
    world_pass(world, 3 * HOUR);
    did(world, "");
    in_state(world, JOB_SCHEDULED);
    clock_virtual_set_wall(world->clock, WALL_2030 + 25 * HOUR, TRUE);
    world_pass(world, HOUR);
    did(world, "install");
}
END_TEST

START_TEST(csms_time_decides)
{
    g_autoptr(World) world = started();

    world_healthy(world);
    did(world, "good:A");
    clock_virtual_set_wall(world->clock, WALL_2030 + HOUR, TRUE); /* says that it is due */
    clock_set_csms_time(world->clock, WALL_2030 - 2 * MINUTE);
    world_request(world, WALL_2030, 0);
    world_pass(world, 2 * MINUTE - SECOND);
    did(world, "");
    ck_assert_str_eq(world_wire(world), "");
    world_pass(world, SECOND);
    did(world, "install");
    ck_assert_str_eq(world_wire(world), "Downloading");
}
END_TEST

START_TEST(csms_time_jumps)
{
    g_autoptr(World) world = started();

    world_healthy(world);
    did(world, "good:A");
    world_request(world, WALL_2030, 0);
    clock_set_csms_time(world->clock, WALL_2030 - 48 * HOUR);
    firmware_time_changed(world->firmware);
    world_pass(world, MINUTE);
    did(world, "");
    clock_set_csms_time(world->clock, WALL_2030 + SECOND);
    firmware_time_changed(world->firmware);
    world_run(world);
    did(world, "install");
}
END_TEST

/* --- RAUC is silent --- */

static World *silent_in(JobState state)
{
    World *world;

    if (state == JOB_INSTALLING) {
        world = installing(0);
    } else if (state == JOB_REBOOT_WAIT) {
        world = installing(0);
        world->holds_reboot = TRUE;
        world_completed(world, -1);
    } else if (state == JOB_REBOOTING) {
        world = rebooting();
    } else {
        world = confirming();
        if (state == JOB_ROLLING_BACK || state == JOB_UNDOING)
            world_pass(world, HOUR);
        if (state == JOB_UNDOING) {
            world->rauc.refuse = "active";
            world_boot(world, OLD, RAUC_IDLE);
        }
    }
    in_state(world, state);
    g_string_truncate(world->deeds, 0);
    world->rauc.refuse = NULL;
    return world;
}

START_TEST(silent_since_a_boot)
{
    static const JobState STATES[] = {JOB_INSTALLING, JOB_REBOOT_WAIT,  JOB_REBOOTING,
                                      JOB_CONFIRMING, JOB_ROLLING_BACK, JOB_UNDOING};
    g_autoptr(World) world = silent_in(STATES[_i]);
    g_autofree char *wire = g_strdup(world_wire(world));

    world->holds_reboot = FALSE;
    world_boot(world, TARGET, RAUC_ABSENT);
    world_pass(world, HOUR - SECOND);
    did(world, "");
    world_pass(world, SECOND);
    did(world, "reboot");
    world_pass(world, HOUR);
    did(world, "reboot");
    in_state(world, STATES[_i]); /* no verdict without RAUC */
    ck_assert_str_eq(world_wire(world), wire);

    world->rauc.primary = OLD;
    world_boot(world, OLD, RAUC_ABSENT);
    ck_assert_str_eq(world_wire(world), wire);
    world->rauc.target = RECORD_NEW;
    world_presence(world, RAUC_IDLE);
    did(world, "good:A active:A bad:B");
    ck_assert_str_eq(world_wire(world), FAILED);
}
END_TEST

START_TEST(silent_after_the_verdict)
{
    g_autoptr(World) world = confirming();

    world_pass(world, MINUTE);
    world_presence(world, RAUC_ABSENT);
    world_healthy(world); /* cannot be marked */
    world_pass(world, HOUR);
    did(world, "reboot");
    in_state(world, JOB_CONFIRMING);
    ck_assert_str_eq(world_wire(world), WRITTEN);
}
END_TEST

/* The slot is activated: leave to reboot needs no RAUC, and is not taken without asking. */
START_TEST(silent_while_the_reboot_waits)
{
    g_autoptr(World) world = installing(0);

    world->holds_reboot = TRUE;
    world_completed(world, -1);
    world_presence(world, RAUC_ABSENT);
    world_pass(world, 24 * HOUR);
    did(world, "");
    in_state(world, JOB_REBOOT_WAIT);
    world->holds_reboot = FALSE;
    world_run(world);
    did(world, "reboot");
}
END_TEST

/* A reboot that waits for leave is not asked for anew, and is one. */
START_TEST(silent_waits_for_leave)
{
    g_autoptr(World) world = rebooting();

    world->holds_reboot = TRUE;
    world_boot(world, TARGET, RAUC_ABSENT);
    world_pass(world, 24 * HOUR);
    did(world, "");
    ck_assert_uint_eq(world_job(world)->interruptions, 1);
    world->holds_reboot = FALSE;
    world_run(world);
    did(world, "reboot");
}
END_TEST

/* A RAUC that dies when it is asked, and is started again each time: it does not call the reboot
 * off either, which is one of the five. */
START_TEST(silent_by_dying)
{
    g_autoptr(World) world = rebooting();

    world->rauc.mute = TRUE;
    world->holds_reboot = TRUE;
    world_boot(world, TARGET, RAUC_ABSENT);
    for (int i = 0; i < 120; i++) {
        world_presence(world, RAUC_IDLE);
        ck_assert_int_eq(world->wants_reboot, i >= 60);
        world_presence(world, RAUC_ABSENT);
        world_pass(world, MINUTE);
    }
    ck_assert_uint_eq(world_job(world)->interruptions, 1);
    world->holds_reboot = FALSE;
    world_run(world);
    did(world, "reboot");
}
END_TEST

/* RAUC is back before leave to reboot is given: there is a verdict after all. */
START_TEST(silent_and_back_before_the_reboot)
{
    g_autoptr(World) world = rebooting();

    world->holds_reboot = TRUE;
    world_boot(world, TARGET, RAUC_ABSENT);
    world_pass(world, 2 * HOUR);
    ck_assert(world->wants_reboot);
    world_presence(world, RAUC_IDLE);
    ck_assert(!world->wants_reboot);
    world_healthy(world);
    did(world, "good:B");
    in_state(world, JOB_INSTALLED);
}
END_TEST

/* The same with the slot given up already: it is marked before the reboot. */
START_TEST(silent_and_back_before_the_rollback)
{
    g_autoptr(World) world = confirming();

    world->holds_reboot = TRUE;
    world->rauc.refuse = "active";
    world_pass(world, HOUR);
    in_state(world, JOB_ROLLING_BACK);
    did(world, "!active:A");
    world_presence(world, RAUC_ABSENT);
    if (_i > 0)
        world_restart(world);
    world_pass(world, 2 * HOUR);
    ck_assert(world->wants_reboot);
    did(world, "");
    world->rauc.refuse = NULL;
    world_presence(world, RAUC_IDLE);
    did(world, "active:A");
    world->holds_reboot = FALSE;
    world_run(world);
    did(world, "bad:B reboot");
}
END_TEST

/* Five such reboots are enough: with RAUC gone for good in both slots they would never end. */
START_TEST(silent_for_good)
{
    g_autoptr(World) world = rebooting();

    for (int boot = 0; boot < 5; boot++) {
        world_boot(world, boot < 3 ? TARGET : OLD, RAUC_ABSENT);
        world_pass(world, HOUR);
        did(world, "reboot");
    }
    world_boot(world, OLD, RAUC_ABSENT);
    world_pass(world, 24 * HOUR);
    did(world, "");
    in_state(world, JOB_REBOOTING);
    world->rauc.primary = OLD;
    world_presence(world, RAUC_IDLE); /* a person has mended it */
    in_state(world, JOB_ROLLED_BACK);
    ck_assert_str_eq(world_wire(world), FAILED);
}
END_TEST

/* What the installation has been through does not keep the charger in a slot without RAUC. */
START_TEST(silent_after_interruptions)
{
    g_autoptr(World) world = installing(0);

    for (int i = 0; i < 5; i++) {
        world_boot(world, OLD, RAUC_IDLE);
        did(world, "good:A install");
    }
    world_completed(world, -1);
    did(world, "reboot");
    world_boot(world, TARGET, RAUC_ABSENT);
    world_pass(world, HOUR);
    did(world, "reboot");
}
END_TEST

/* The power went when RAUC had activated the slot and before it said so: it is `installing` that is
 * silent then. */
START_TEST(silent_with_no_interruption_left)
{
    g_autoptr(World) world = installing(0);

    for (int i = 0; i < 5; i++) {
        world_boot(world, OLD, RAUC_IDLE);
        did(world, "good:A install");
    }
    world_boot(world, TARGET, RAUC_ABSENT);
    world_pass(world, HOUR);
    did(world, "reboot");
}
END_TEST

/* Asking in vain is none of the five reboots, however often and over how many restarts. */
START_TEST(silent_and_no_reboot_comes)
{
    g_autoptr(World) world = rebooting();

    world->no_commands = TRUE;
    world_boot(world, TARGET, RAUC_ABSENT);
    for (int i = 0; i < 3; i++) {
        world_pass(world, 3 * HOUR);
        did(world, "reboot reboot reboot");
        world_restart(world);
    }
    ck_assert_uint_eq(world_job(world)->interruptions, 1);
    world->no_commands = FALSE;
    world_pass(world, HOUR);
    did(world, "reboot");
}
END_TEST

START_TEST(interrupted_too_often)
{
    g_autoptr(World) world = installing(9);

    for (int i = 0; i < 5; i++) {
        world_boot(world, OLD, RAUC_IDLE);
        did(world, "good:A install");
    }
    world_boot(world, OLD, RAUC_IDLE);
    did(world, "good:A");
    in_state(world, JOB_DOWNLOAD_FAILED);
    ck_assert_uint_eq(world_job(world)->attempts, 0);
}
END_TEST

START_TEST(silent_before_the_install)
{
    g_autoptr(World) world = started();

    world_healthy(world);
    world_presence(world, RAUC_ABSENT);
    world_request(world, 0, 5);
    world_pass(world, HOUR);
    did(world, "good:A");
    in_state(world, JOB_DOWNLOAD_FAILED);
    ck_assert_str_eq(world_job(world)->reason, "RAUC does not answer");
}
END_TEST

/* The slot that runs is all that boots while the other one is written, healthy or not: its attempts
 * are filled up first. */
START_TEST(never_healthy)
{
    g_autoptr(World) world = started();

    world->rauc.refuse = _i == 1 ? "good" : NULL;
    world_request(world, 0, 0);
    world_pass(world, HOUR - SECOND);
    in_state(world, JOB_INSTALL_WAIT);
    did(world, "");
    world_pass(world, MINUTE);
    did(world, _i == 1 ? "!good:A !good:A !good:A install" : "good:A install");
}
END_TEST

/* Leave was given, and by the end of its commit it is over. */
START_TEST(store_is_slower_than_the_leave)
{
    g_autoptr(World) world = installing(0);

    firmware_rauc_progress(world->firmware, 80, "Updating slots");
    world->slow_at = "event=reboot-now";
    world_completed(world, -1);
    ck_assert(!world->slow_at);
    in_state(world, JOB_REBOOTING);
    did(world, "reboot");
}
END_TEST

/* Without a job: what is not marked can fall back, unless there is nothing to fall back to. */
START_TEST(never_healthy_and_all_that_boots)
{
    static const struct {
        FirmwareMarkGood mark_good;
        gboolean alone;
        const char *other, *deeds;
    } ROWS[] = {
        {FIRMWARE_MARK_ALWAYS, FALSE, "good", ""},
        {FIRMWARE_MARK_ALWAYS, TRUE, "good", "good:B"},
        {FIRMWARE_MARK_ALWAYS, FALSE, "bad", "good:B"},
        {FIRMWARE_MARK_ALWAYS, FALSE, "unknown", ""},
        {FIRMWARE_MARK_JOBS, FALSE, "bad", ""},
        {FIRMWARE_MARK_NEVER, FALSE, "bad", ""},
    };
    g_autoptr(World) world = world_new();

    world->config.mark_good = ROWS[_i].mark_good;
    world->rauc.booted = world->rauc.primary = TARGET;
    world->rauc.alone = ROWS[_i].alone;
    world->rauc.old_boot_status = ROWS[_i].other;
    world_start(world);
    world_pass(world, HOUR - SECOND);
    did(world, "");
    world_pass(world, MINUTE);
    did(world, ROWS[_i].deeds);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("firmware_waits");
    TCase *tests = tcase_create("firmware_waits");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, stalled, 0, 3);
    tcase_add_test(tests, stalled_attempt_has_activated);
    tcase_add_test(tests, attempts_and_intervals);
    tcase_add_test(tests, waits_for_an_install_of_others);
    tcase_add_test(tests, cancelled_while_called);
    tcase_add_test(tests, hangs_while_undoing);
    tcase_add_test(tests, no_time_no_date);
    tcase_add_test(tests, system_clock_behind_the_csms);
    tcase_add_test(tests, csms_time_decides);
    tcase_add_test(tests, csms_time_jumps);
    tcase_add_loop_test(tests, silent_since_a_boot, 0, 6);
    tcase_add_test(tests, silent_after_the_verdict);
    tcase_add_test(tests, silent_while_the_reboot_waits);
    tcase_add_test(tests, silent_waits_for_leave);
    tcase_add_test(tests, silent_by_dying);
    tcase_add_test(tests, silent_and_back_before_the_reboot);
    tcase_add_loop_test(tests, silent_and_back_before_the_rollback, 0, 2);
    tcase_add_test(tests, silent_for_good);
    tcase_add_test(tests, silent_after_interruptions);
    tcase_add_test(tests, silent_with_no_interruption_left);
    tcase_add_test(tests, silent_and_no_reboot_comes);
    tcase_add_test(tests, interrupted_too_often);
    tcase_add_test(tests, silent_before_the_install);
    tcase_add_loop_test(tests, never_healthy, 0, 2);
    tcase_add_test(tests, store_is_slower_than_the_leave);
    tcase_add_loop_test(tests, never_healthy_and_all_that_boots, 0, 6);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
