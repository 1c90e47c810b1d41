/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Somebody else's install beside a job: into the slot that it may have to go back to, so that the
 * new one, which it may have marked bad, is all that boots.
 */
#include "firmware_stages.h"

/* Given up, and the reboot is held: the mark that would leave no slot good beside somebody's
 * install is held with it. */
static World *rolling_back(void)
{
    World *world = confirming();

    world->holds_reboot = TRUE;
    world_pass(world, HOUR);
    in_state(world, JOB_ROLLING_BACK);
    did(world, "active:A");
    ck_assert(world->wants_reboot);
    return world;
}

/* What RAUC shows of a slot that it could not write; 1.8 knows no more of it than the loader
 * does. */
static const char *const SPOILT[] = {"failed", "pending", "ok"};

static void spoil_old(World *world, const char *status)
{
    world->rauc.old_status = status;
    world->rauc.old_boot_status = "bad";
    world->rauc.primary = NULL;
}

/* With the new firmware, all that boots, and the CSMS is told. */
static void stays(World *world, const char *deeds)
{
    in_state(world, JOB_INSTALL_FAILED);
    ck_assert_str_eq(world_wire(world), FAILED);
    ck_assert(!world->wants_reboot);
    world->holds_reboot = FALSE;
    world_pass(world, 24 * HOUR);
    did(world, deeds);
}

START_TEST(spoilt)
{
    g_autoptr(World) world = rolling_back();

    world_presence(world, RAUC_BUSY);
    ck_assert(!world->wants_reboot);
    spoil_old(world, SPOILT[_i]);
    world_presence(world, RAUC_IDLE);
    logged(world, "critical: job=1 the charger stays with its new firmware");
    stays(world, "active:B good:B");
}
END_TEST

/* Both marks are made, and the reboot that was asked for does not come. */
START_TEST(spoilt_after_the_marks)
{
    g_autoptr(World) world = confirming();

    world_pass(world, HOUR);
    did(world, "active:A bad:B reboot");
    world_presence(world, RAUC_BUSY);
    spoil_old(world, SPOILT[_i]);
    world_presence(world, RAUC_IDLE);
    stays(world, "active:B good:B");
}
END_TEST

/* The mark that goes with the reboot needs RAUC: leave to reboot is not asked for before. */
START_TEST(leave_waits_for_rauc)
{
    g_autoptr(World) world = rolling_back();

    world_presence(world, RAUC_ABSENT);
    ck_assert(!world->wants_reboot);
    world->holds_reboot = FALSE;
    world->rauc.refuse = "bad";
    world_presence(world, RAUC_IDLE);
    did(world, "!bad:B");
    ck_assert(!world->wants_reboot);
    world->holds_reboot = TRUE;
    world->rauc.refuse = NULL;
    world_pass(world, MINUTE);
    did(world, ""); /* the leave was for the try that failed */
    ck_assert(world->wants_reboot);
    world->holds_reboot = FALSE;
    world_run(world);
    did(world, "bad:B reboot");
}
END_TEST

/* Whether the other install has left a slot to go back to takes RAUC long to tell, after leave was
 * given: it is asked for again. */
START_TEST(leave_is_for_now)
{
    g_autoptr(World) world = rolling_back();

    world_presence(world, RAUC_BUSY);
    world_presence(world, RAUC_IDLE);
    world->rauc.mute = TRUE;
    firmware_reboot_allowed(world->firmware);
    world_run(world);
    did(world, "bad:B");
    if (_i == 1)
        world_presence(world, RAUC_ABSENT);
    world_pass(world, MINUTE);
    ck_assert(!world->wants_reboot);
    world->rauc.mute = FALSE;
    if (_i == 1)
        world_presence(world, RAUC_IDLE);
    world_pass(world, 2 * MINUTE);
    did(world, "");
    ck_assert(world->wants_reboot);
}
END_TEST

/* RAUC goes for good before the mark, and the job has had its reboots for want of RAUC: the loader
 * is pointed back. */
START_TEST(no_mark_without_rauc)
{
    g_autoptr(World) world = rebooting();

    for (guint i = 0; i < 5; i++) {
        world_boot(world, TARGET, RAUC_ABSENT);
        world_pass(world, HOUR + MINUTE);
        did(world, "reboot");
    }
    world_boot(world, TARGET, RAUC_IDLE);
    world->holds_reboot = TRUE;
    world_pass(world, HOUR);
    in_state(world, JOB_ROLLING_BACK);
    did(world, "active:A");
    world_presence(world, RAUC_ABSENT);
    world->holds_reboot = FALSE;
    world_pass(world, HOUR + MINUTE);
    did(world, "reboot");
}
END_TEST

START_TEST(spoilt_before_the_marks)
{
    g_autoptr(World) world = confirming();

    world->rauc.refuse = "active";
    world_pass(world, HOUR);
    in_state(world, JOB_ROLLING_BACK);
    world_presence(world, RAUC_BUSY);
    world->rauc.refuse = NULL;
    spoil_old(world, SPOILT[_i]);
    world_presence(world, RAUC_IDLE);
    world_pass(world, MINUTE);
    stays(world, "!active:A active:B good:B");
}
END_TEST

/* While the agent was away; or it dies after the mark and before the end of the job is kept. */
START_TEST(spoilt_and_a_restart)
{
    g_autoptr(World) world = rolling_back();

    spoil_old(world, "failed");
    if (_i == 1)
        world->rauc.primary = TARGET;
    world_restart(world);
    stays(world, "active:B good:B");
}
END_TEST

/* It dies after it has seen the other install begin, which 1.8 tells nothing of afterwards. */
START_TEST(spoilt_and_kept)
{
    g_autoptr(World) world = rolling_back();

    world_presence(world, RAUC_BUSY);
    spoil_old(world, "ok");
    world->rauc.presence = RAUC_IDLE;
    if (_i == 1)
        world_boot(world, TARGET, RAUC_IDLE);
    else
        world_restart(world);
    stays(world, "active:B good:B");
}
END_TEST

/* Before the slot is given up: then it never is. */
START_TEST(spoilt_while_confirming)
{
    g_autoptr(World) world = confirming();
    GError *error = NULL;

    world_presence(world, RAUC_BUSY);
    logged(world, "RAUC is at work for somebody else");
    spoil_old(world, SPOILT[_i]);
    world_presence(world, RAUC_IDLE);
    ck_assert(!firmware_cancel(world->firmware, "by a person", &error));
    ck_assert_str_eq(error->message, "there is no other slot to go back to");
    g_clear_error(&error);
    world_pass(world, HOUR);
    stays(world, "good:B");
}
END_TEST

/* RAUC was busy before the verdict on this boot; then the slot is not healthy. */
START_TEST(spoilt_before_the_verdict)
{
    g_autoptr(World) world = rebooting();

    world_boot(world, TARGET, RAUC_BUSY);
    spoil_old(world, "ok");
    world_presence(world, RAUC_IDLE);
    in_state(world, JOB_CONFIRMING);
    world_pass(world, HOUR);
    stays(world, "good:B");
}
END_TEST

/* RAUC refuses a mark since it is about to be busy; what is left of the marks waits for its
 * word. */
START_TEST(spoilt_between_the_marks)
{
    g_autoptr(World) world = confirming();

    world->rauc.refuse = "bad";
    world_pass(world, HOUR);
    did(world, "active:A !bad:B");
    world_presence(world, RAUC_BUSY);
    world->rauc.refuse = NULL;
    world_pass(world, MINUTE);
    spoil_old(world, "failed");
    world_presence(world, RAUC_IDLE);
    stays(world, "active:B good:B");
}
END_TEST

/* Without RAUC's word there is no verdict whether this boot is the old slot's. */
START_TEST(gone_back_and_not_told)
{
    g_autoptr(World) world = rolling_back();

    world_boot(world, OLD, RAUC_BUSY);
    world_presence(world, RAUC_ABSENT);
    world_pass(world, 2 * HOUR);
    in_state(world, JOB_ROLLING_BACK);
    did(world, "");
    world_presence(world, RAUC_IDLE);
    did(world, "good:A active:A bad:B");
    in_state(world, JOB_ROLLED_BACK);
}
END_TEST

/* The loader has taken the new slot again, since the other one does not boot any more. */
START_TEST(spoilt_and_a_power_cut)
{
    g_autoptr(World) world = rolling_back();

    spoil_old(world, "pending");
    world_boot(world, TARGET, RAUC_IDLE);
    stays(world, "active:B good:B");
}
END_TEST

START_TEST(mark_refused)
{
    g_autoptr(World) world = rolling_back();

    world_presence(world, RAUC_BUSY);
    spoil_old(world, "failed");
    world->rauc.refuse = "active";
    world_presence(world, RAUC_IDLE);
    in_state(world, JOB_ROLLING_BACK);
    did(world, "!active:B");
    world_pass(world, HOUR);
    g_string_truncate(world->deeds, 0);
    logged(world, "critical: RAUC refuses undo for good");
    stays(world, "");
}
END_TEST

START_TEST(whole_after_all)
{
    g_autoptr(World) world = rolling_back();

    world_presence(world, RAUC_BUSY);
    ck_assert(!world->wants_reboot);
    world->rauc.late = TRUE;
    world_presence(world, RAUC_IDLE);
    ck_assert(!world->wants_reboot); /* not before RAUC has told */
    world->rauc.late = FALSE;
    world_run(world);
    ck_assert(world->wants_reboot);
    world->holds_reboot = FALSE;
    world_run(world);
    did(world, "bad:B reboot");
    in_state(world, JOB_ROLLING_BACK);
}
END_TEST

/* RAUC is there and does not tell its slots: the slot that runs is the one that is known to
 * boot. */
START_TEST(not_told)
{
    g_autoptr(World) world = rolling_back();

    world_presence(world, RAUC_BUSY);
    world->holds_reboot = FALSE;
    world->rauc.mute = TRUE;
    spoil_old(world, "failed");
    world_presence(world, RAUC_IDLE);
    did(world, "");
    world_pass(world, 5 * MINUTE);
    stays(world, "active:B");
}
END_TEST

/* It dies at that work: no reboot before it is back. */
START_TEST(gone)
{
    g_autoptr(World) world = rolling_back();

    world_presence(world, RAUC_BUSY);
    world->holds_reboot = FALSE;
    spoil_old(world, "failed");
    world_presence(world, RAUC_ABSENT);
    world_pass(world, 5 * HOUR);
    in_state(world, JOB_ROLLING_BACK);
    did(world, "");
    world_presence(world, RAUC_IDLE);
    stays(world, "active:B good:B");
}
END_TEST

/* The job's own was whole and is booted: what somebody else writes is the slot to go back to. */
START_TEST(spoilt_after_a_power_cut)
{
    g_autoptr(World) world = installing(0);

    firmware_rauc_progress(world->firmware, 80, "Updating slots");
    world->rauc.target = RECORD_NEW;
    world_boot(world, TARGET, RAUC_BUSY);
    spoil_old(world, "ok");
    world->rauc.primary = TARGET;
    world_presence(world, RAUC_IDLE);
    in_state(world, JOB_CONFIRMING);
    world_pass(world, HOUR);
    stays(world, "good:B");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("firmware_fallback");
    TCase *tests = tcase_create("firmware_fallback");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, spoilt, 0, G_N_ELEMENTS(SPOILT));
    tcase_add_loop_test(tests, spoilt_after_the_marks, 0, G_N_ELEMENTS(SPOILT));
    tcase_add_test(tests, leave_waits_for_rauc);
    tcase_add_loop_test(tests, leave_is_for_now, 0, 2);
    tcase_add_test(tests, no_mark_without_rauc);
    tcase_add_loop_test(tests, spoilt_before_the_marks, 0, G_N_ELEMENTS(SPOILT));
    tcase_add_loop_test(tests, spoilt_and_a_restart, 0, 2);
    tcase_add_loop_test(tests, spoilt_and_kept, 0, 2);
    tcase_add_loop_test(tests, spoilt_while_confirming, 0, G_N_ELEMENTS(SPOILT));
    tcase_add_test(tests, spoilt_before_the_verdict);
    tcase_add_test(tests, spoilt_between_the_marks);
    tcase_add_test(tests, spoilt_and_a_power_cut);
    tcase_add_test(tests, gone_back_and_not_told);
    tcase_add_test(tests, mark_refused);
    tcase_add_test(tests, whole_after_all);
    tcase_add_test(tests, not_told);
    tcase_add_test(tests, gone);
    tcase_add_test(tests, spoilt_after_a_power_cut);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
