/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firmware behaviour over boots: what it marks and when, what it does when RAUC refuses, and a
 * reboot that does not come.
 */
#include "firmware_stages.h"

/* --- The usual way --- */

START_TEST(installs)
{
    g_autoptr(World) world = confirming();

    ck_assert_str_eq(world_wire(world), WRITTEN);
    ck_assert_uint_eq(world->reboots_near, 1);
    world_healthy(world);
    did(world, "good:B");
    in_state(world, JOB_INSTALLED);
    ck_assert_str_eq(world_wire(world), INSTALLED);
    world_pass(world, 24 * HOUR);
    did(world, "");
    ck_assert_str_eq(world->log->str, "");
}
END_TEST

START_TEST(falls_back)
{
    g_autoptr(World) world = rebooting();

    world->rauc.target_bad = TRUE;
    world->rauc.primary = OLD;
    world_boot(world, OLD, RAUC_IDLE);
    did(world, "good:A active:A bad:B");
    in_state(world, JOB_ROLLED_BACK);
    ck_assert_str_eq(world_wire(world), FAILED);
    world_pass(world, 24 * HOUR);
    did(world, "");
}
END_TEST

START_TEST(boot_without_a_job_that_is_not_healthy)
{
    g_autoptr(World) world = started();

    ck_assert(world->wants_health);
    world_pass(world, 24 * HOUR);
    did(world, ""); /* neither marked nor rebooted */
    ck_assert(world->wants_health);
    world_healthy(world);
    did(world, "good:A");
    world_restart(world);
    did(world, "");
}
END_TEST

/* --- A reboot that does not come --- */

START_TEST(reboot_again)
{
    g_autoptr(World) world = rebooting();
    static const gint64 WAITS[] = {5 * MINUTE, 15 * MINUTE, HOUR, HOUR, HOUR};

    for (gsize i = 0; i < G_N_ELEMENTS(WAITS); i++) {
        world_pass(world, WAITS[i] - SECOND);
        did(world, "");
        world_pass(world, SECOND);
        did(world, "reboot");
    }
    in_state(world, JOB_REBOOTING);
    ck_assert_str_eq(world_wire(world), WRITTEN);
    ck_assert_str_eq(world->rauc.primary, TARGET);
}
END_TEST

START_TEST(reboot_command_fails)
{
    g_autoptr(World) world = activated();

    did(world, "reboot");
    world->no_commands = TRUE;
    world_pass(world, 5 * MINUTE);
    did(world, "reboot");
    logged(world, "critical: cannot ask for a reboot: no such command");
    world->no_commands = FALSE;
    world_pass(world, 15 * MINUTE);
    did(world, "reboot");
}
END_TEST

START_TEST(reboot_again_after_a_restart)
{
    g_autoptr(World) world = rebooting();

    world_restart(world);
    did(world, "reboot");
    world_pass(world, 5 * MINUTE);
    did(world, "reboot");
    in_state(world, JOB_REBOOTING);
}
END_TEST

START_TEST(reboot_of_a_slot_given_up_again)
{
    g_autoptr(World) world = confirming();

    world_pass(world, HOUR);
    in_state(world, JOB_ROLLING_BACK);
    did(world, "active:A bad:B reboot");
    world_pass(world, 5 * MINUTE);
    did(world, "bad:B reboot");
    world_pass(world, 15 * MINUTE);
    did(world, "bad:B reboot");
    ck_assert_str_eq(world_wire(world), WRITTEN);
}
END_TEST

/* --- Marks that RAUC refuses --- */

START_TEST(mark_good_refused_for_a_while)
{
    g_autoptr(World) world = confirming();

    world->rauc.refuse = "good";
    world_healthy(world);
    did(world, "!good:B");
    world_pass(world, 10 * SECOND);
    did(world, "!good:B");
    in_state(world, JOB_CONFIRMING);
    ck_assert_str_eq(world_wire(world), WRITTEN);
    world->rauc.refuse = NULL;
    world_pass(world, 10 * SECOND);
    did(world, "good:B");
    in_state(world, JOB_INSTALLED);
}
END_TEST

START_TEST(mark_good_refused_until_the_deadline)
{
    g_autoptr(World) world = confirming();

    world->rauc.refuse = "good";
    world_healthy(world);
    world_pass(world, HOUR);
    in_state(world, JOB_ROLLING_BACK);
    ck_assert(g_str_has_suffix(world->deeds->str, "active:A bad:B reboot "));
}
END_TEST

/* Never bad before the other is primary; when that cannot be had the loader's attempts must do. */
START_TEST(point_other_refused)
{
    g_autoptr(World) world = confirming();
    guint tries = 0;

    world->rauc.refuse = "active";
    while (!strstr(world->deeds->str, "reboot")) {
        ck_assert_uint_lt(++tries, 7200);
        world_pass(world, SECOND);
    }
    ck_assert_ptr_null(strstr(world->deeds->str, "bad:"));
    did(world, "!active:A !active:A !active:A !active:A !active:A !active:A !active:A !active:A "
               "!active:A !active:A reboot");
    logged(world, "critical: RAUC refuses point-other");
    world_boot(world, OLD, RAUC_IDLE); /* the third boot was too many for the loader */
    world->rauc.refuse = NULL;
    world_pass(world, MINUTE);
    in_state(world, JOB_ROLLED_BACK);
    ck_assert_str_eq(world_wire(world), FAILED);
}
END_TEST

/* A RAUC that does not tell its slots may still mark them; also when the agent has been away. */
START_TEST(point_other_untold)
{
    g_autoptr(World) world = confirming();

    world->rauc.mute = TRUE;
    world_pass(world, HOUR);
    in_state(world, JOB_ROLLING_BACK);
    if (_i == 1)
        world_restart(world);
    did(world, "");
    world_pass(world, 5 * MINUTE);
    did(world, "active:A bad:B reboot");
}
END_TEST

START_TEST(mark_bad_refused)
{
    g_autoptr(World) world = confirming();

    world->rauc.refuse = "bad";
    world_pass(world, HOUR);
    did(world, "active:A !bad:B");
    world_pass(world, 30 * SECOND);
    did(world, "!bad:B !bad:B reboot");
    logged(world, "critical: RAUC refuses mark-bad");
}
END_TEST

START_TEST(undo_refused)
{
    static const struct {
        const char *refuse;
        guint active, bad;
    } ROWS[] = {{"active", 10, 1}, {"bad", 1, 10}, {"active bad", 10, 10}};
    g_autoptr(World) world = rebooting();
    guint active = 0, bad = 0;

    world->rauc.refuse = ROWS[_i].refuse;
    world_boot(world, OLD, RAUC_IDLE);
    ck_assert_str_eq(world_wire(world), WRITTEN);
    world_pass(world, 2 * HOUR);
    for (const char *deed = world->deeds->str; *deed; deed++) {
        active += g_str_has_prefix(deed, "active:A ");
        bad += g_str_has_prefix(deed, "bad:B ");
    }
    ck_assert_uint_eq(active, ROWS[_i].active);
    ck_assert_uint_eq(bad, ROWS[_i].bad);
    logged(world, "critical: RAUC refuses");
    in_state(world, JOB_ROLLED_BACK);
    ck_assert_str_eq(world_wire(world), FAILED);
}
END_TEST

START_TEST(boot_mark_refused)
{
    g_autoptr(World) world = rebooting();

    world->rauc.refuse = "good";
    world->rauc.primary = OLD;
    world->rauc.target_bad = TRUE;
    world_boot(world, OLD, RAUC_IDLE);
    in_state(world, JOB_REBOOTING); /* no verdict before the mark */
    world_pass(world, 29 * SECOND);
    did(world, "!good:A !good:A");
    in_state(world, JOB_REBOOTING);
    world_pass(world, SECOND); /* but not for ever */
    did(world, "!good:A active:A bad:B");
    in_state(world, JOB_ROLLED_BACK);
}
END_TEST

/* Mark good is on its way when a person cancels: its answer is not taken for one to the marks that
 * follow. */
START_TEST(cancel_while_marking_good)
{
    g_autoptr(World) world = confirming();
    GError *error = NULL;

    world->rauc.late = TRUE;
    world_healthy(world);
    ok(firmware_cancel(world->firmware, "changed my mind", &error));
    in_state(world, JOB_ROLLING_BACK);
    world->rauc.late = FALSE;
    world_run(world);
    did(world, "good:B active:A bad:B reboot");
    ck_assert_str_eq(world_wire(world), WRITTEN);
    world_boot(world, OLD, RAUC_IDLE);
    in_state(world, JOB_CANCELLED);
}
END_TEST

/* --- GRUB: GetPrimary tells the truth only once the booted slot is marked good --- */

START_TEST(grub_falls_back)
{
    static const JobState STATES[] = {JOB_REBOOTING, JOB_REBOOT_WAIT};
    g_autoptr(World) world = installing(0);

    world->holds_reboot = STATES[_i] == JOB_REBOOT_WAIT;
    world_completed(world, -1);
    in_state(world, STATES[_i]);
    g_string_truncate(world->deeds, 0);
    world->rauc.primary = OLD;
    world->rauc.lies = TRUE;
    world_boot(world, OLD, RAUC_IDLE);
    did(world, "good:A active:A bad:B"); /* and not one more reboot */
    in_state(world, JOB_ROLLED_BACK);
}
END_TEST

START_TEST(grub_interrupted)
{
    g_autoptr(World) world = installing(0);

    world->rauc.lies = _i == 0;
    world->rauc.hides = _i == 1;
    world_boot(world, OLD, RAUC_IDLE);
    did(world, "good:A install"); /* at once: each boot without a mark is an attempt less */
    ck_assert_uint_eq(world_job(world)->interruptions, 1);
}
END_TEST

START_TEST(grub_new_slot)
{
    g_autoptr(World) world = rebooting();

    world->rauc.lies = TRUE;
    world_boot(world, TARGET, RAUC_IDLE);
    in_state(world, JOB_CONFIRMING);
    did(world, "");
    world_healthy(world);
    did(world, "good:B");
    in_state(world, JOB_INSTALLED);
}
END_TEST

/* --- Confirming --- */

START_TEST(deadline_is_counted_in_a_boot)
{
    g_autoptr(World) world = confirming();

    world_pass(world, HOUR - 2 * SECOND);
    if (_i == 0)
        world_restart(world); /* does not begin anew */
    else
        world_boot(world, TARGET, RAUC_IDLE); /* does */
    world_pass(world, _i == 0 ? SECOND : HOUR - SECOND);
    in_state(world, JOB_CONFIRMING);
    did(world, "");
    world_pass(world, SECOND);
    did(world, "active:A bad:B reboot");
    in_state(world, JOB_ROLLING_BACK);
}
END_TEST

START_TEST(no_fallback)
{
    g_autoptr(World) world = confirming();

    world->rauc.alone = TRUE;
    world_restart(world);
    world_pass(world, 24 * HOUR);
    did(world, "good:B");
    in_state(world, JOB_INSTALL_FAILED);
    logged(world, "critical: job=1 the charger stays with its new firmware");
    ck_assert_str_eq(world_wire(world), FAILED);
}
END_TEST

START_TEST(third_boot)
{
    g_autoptr(World) world = confirming();

    world->rauc.alone = _i == 1;
    world_boot(world, TARGET, RAUC_IDLE);
    in_state(world, JOB_CONFIRMING);
    world_restart(world); /* is no boot */
    world_restart(world);
    in_state(world, JOB_CONFIRMING);
    world_boot(world, TARGET, RAUC_IDLE);
    in_state(world, _i == 1 ? JOB_INSTALL_FAILED : JOB_ROLLING_BACK);
    did(world, _i == 1 ? "" : "active:A bad:B reboot");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("firmware");
    TCase *tests = tcase_create("firmware");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, installs);
    tcase_add_test(tests, falls_back);
    tcase_add_test(tests, boot_without_a_job_that_is_not_healthy);
    tcase_add_test(tests, reboot_again);
    tcase_add_test(tests, reboot_command_fails);
    tcase_add_test(tests, reboot_again_after_a_restart);
    tcase_add_test(tests, reboot_of_a_slot_given_up_again);
    tcase_add_test(tests, mark_good_refused_for_a_while);
    tcase_add_test(tests, mark_good_refused_until_the_deadline);
    tcase_add_test(tests, point_other_refused);
    tcase_add_loop_test(tests, point_other_untold, 0, 2);
    tcase_add_test(tests, mark_bad_refused);
    tcase_add_loop_test(tests, undo_refused, 0, 3);
    tcase_add_test(tests, boot_mark_refused);
    tcase_add_test(tests, cancel_while_marking_good);
    tcase_add_loop_test(tests, grub_falls_back, 0, 2);
    tcase_add_loop_test(tests, grub_interrupted, 0, 2);
    tcase_add_test(tests, grub_new_slot);
    tcase_add_loop_test(tests, deadline_is_counted_in_a_boot, 0, 2);
    tcase_add_test(tests, no_fallback);
    tcase_add_loop_test(tests, third_boot, 0, 2);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
