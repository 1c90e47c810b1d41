/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Somebody else's install in place of the job's own, which has failed or was cut off: what boots
 * then is not the job's.
 */
#include "firmware_stages.h"

/* The job's own install failed, and RAUC did not tell its slots: what somebody else installs then
 * is not the job's. */
START_TEST(outrun)
{
    g_autoptr(World) world = installing(0);

    firmware_rauc_progress(world->firmware, 80, "Updating slots");
    world->rauc.mute = TRUE;
    world_completed(world, RAUC_ERROR_COPY);
    in_state(world, JOB_INSTALLING);
    world_presence(world, RAUC_BUSY);
    in_state(world, JOB_INSTALL_FAILED);
    ck_assert_str_eq(world_wire(world), FAILED);
    world->rauc.mute = FALSE;
    world->rauc.target = RECORD_NEW;
    world_boot(world, TARGET, RAUC_IDLE);
    ck_assert_str_eq(world_wire(world), FAILED);
}
END_TEST

/* A power cut in mid-install, and RAUC does not tell its slots in the boot after. */
static World *cut_off(const char *booted)
{
    World *world = installing(1);

    firmware_rauc_progress(world->firmware, 80, "Updating slots");
    world->rauc.mute = TRUE;
    world_boot(world, booted, RAUC_IDLE);
    in_state(world, JOB_INSTALLING);
    return world;
}

/* All that was cut off is the word that it is whole. */
static void own_is_whole(World *world)
{
    world->rauc.target = RECORD_NEW;
    world->rauc.target.installed_timestamp = (char *)"1970-01-01T00:16:39Z";
    world->rauc.primary = TARGET;
}

static void foreign_is_whole(World *world)
{
    world->rauc.target = RECORD_NEW;
    world->rauc.target.installed_timestamp = (char *)"1970-01-01T00:16:41Z";
    world->rauc.primary = TARGET;
}

/* Whatever boots next. */
static void is_not_ours(World *world)
{
    if (world_job(world)->state == JOB_REBOOTING)
        world_boot(world, TARGET, RAUC_IDLE);
    if (world_job(world)->state == JOB_CONFIRMING)
        world_healthy(world);
    in_state(world, JOB_INSTALL_FAILED);
    ck_assert_str_eq(world_wire(world), FAILED);
}

/* One installation more than in the snapshot, and it is not the job's. */
START_TEST(cut_off_and_overwritten)
{
    g_autoptr(World) world = cut_off(OLD);

    world_presence(world, RAUC_BUSY);
    if (_i == 1)
        world_restart(world);
    world->rauc.mute = FALSE;
    world_completed(world, -1);
    did(world, "good:A");
    is_not_ours(world);
}
END_TEST

/* Nobody's image was written over what the job has left. */
START_TEST(cut_off_and_another_refused)
{
    g_autoptr(World) world = cut_off(OLD);

    world_presence(world, RAUC_BUSY);
    world->rauc.mute = FALSE;
    if (_i == 1)
        own_is_whole(world);
    world_completed(world, RAUC_ERROR_SIGNATURE);
    if (_i == 1) {
        did(world, "good:A reboot");
        in_state(world, JOB_REBOOTING);
    } else {
        did(world, "good:A install");
        in_state(world, JOB_INSTALLING);
    }
}
END_TEST

/* The next attempt writes the slot itself. */
START_TEST(cut_off_and_tried_again)
{
    g_autoptr(World) world = cut_off(OLD);

    world_presence(world, RAUC_BUSY);
    world->rauc.mute = FALSE;
    world_presence(world, RAUC_IDLE);
    did(world, "good:A install");
    world_stop(world); /* and the agent is not there when that ends */
    own_is_whole(world);
    world->rauc.presence = RAUC_IDLE;
    world_restart(world);
    did(world, "reboot");
    in_state(world, JOB_REBOOTING);
}
END_TEST

/* By the time that its second install is refused, the slot holds its first. */
START_TEST(overwritten_and_another_refused)
{
    g_autoptr(World) world = cut_off(OLD);

    world_presence(world, RAUC_BUSY);
    world_completed(world, -1);
    foreign_is_whole(world);
    if (_i == 1)
        world_restart(world);
    world_presence(world, RAUC_BUSY);
    world->rauc.mute = FALSE;
    world_completed(world, RAUC_ERROR_SIGNATURE);
    is_not_ours(world);
}
END_TEST

/* Its handler fails, and RAUC calls the whole of it failed. */
START_TEST(overwritten_and_called_failed)
{
    g_autoptr(World) world = cut_off(OLD);

    world_presence(world, RAUC_BUSY);
    world->rauc.mute = FALSE;
    foreign_is_whole(world);
    world_completed(world, RAUC_ERROR_OTHER);
    is_not_ours(world);
}
END_TEST

/* Before the agent knows what it has brought. */
START_TEST(overwritten_and_rebooted_at_once)
{
    g_autoptr(World) world = cut_off(OLD);

    world_presence(world, RAUC_BUSY);
    world->rauc.mute = FALSE;
    foreign_is_whole(world);
    world_boot(world, TARGET, RAUC_IDLE);
    is_not_ours(world);
}
END_TEST

/* Found at work while the store cannot be read. */
START_TEST(overwritten_while_the_store_is_away)
{
    g_autoptr(World) world = cut_off(OLD);

    world_stop(world);
    world->rauc.presence = RAUC_BUSY;
    raw("", "ALTER TABLE jobs RENAME TO jobs_away");
    world_start(world);
    raw("", "ALTER TABLE jobs_away RENAME TO jobs");
    world_pass(world, MINUTE);
    in_state(world, JOB_INSTALLING);
    world->rauc.mute = FALSE;
    world_completed(world, -1);
    is_not_ours(world);
}
END_TEST

/* Its first was cut off as well, and its second is whole at an earlier time: the clock begins anew
 * at each boot. */
START_TEST(overwritten_in_the_past)
{
    g_autoptr(World) world = cut_off(OLD);

    world_pass(world, 30 * MINUTE);
    world_presence(world, RAUC_BUSY);
    world_boot(world, OLD, RAUC_BUSY);
    world->rauc.mute = FALSE;
    foreign_is_whole(world);
    world_presence(world, RAUC_IDLE);
    is_not_ours(world);
}
END_TEST

/* The job's own is whole; what somebody else tried is refused, and no process is there that has
 * heard both. */
START_TEST(refused_and_forgotten)
{
    g_autoptr(World) world = cut_off(_i == 1 ? RESCUE : OLD);

    own_is_whole(world);
    world_presence(world, RAUC_BUSY);
    world_completed(world, RAUC_ERROR_SIGNATURE);
    own_is_whole(world);
    world->rauc.mute = FALSE;
    if (_i == 1)
        world_boot(world, OLD, RAUC_IDLE);
    else
        world_restart(world);
    did(world, "good:A reboot");
    in_state(world, JOB_REBOOTING);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("firmware_foreign");
    TCase *tests = tcase_create("firmware_foreign");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, outrun);
    tcase_add_loop_test(tests, cut_off_and_overwritten, 0, 2);
    tcase_add_loop_test(tests, cut_off_and_another_refused, 0, 2);
    tcase_add_test(tests, cut_off_and_tried_again);
    tcase_add_loop_test(tests, overwritten_and_another_refused, 0, 2);
    tcase_add_test(tests, overwritten_and_called_failed);
    tcase_add_test(tests, overwritten_and_rebooted_at_once);
    tcase_add_test(tests, overwritten_while_the_store_is_away);
    tcase_add_test(tests, overwritten_in_the_past);
    tcase_add_loop_test(tests, refused_and_forgotten, 0, 2);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
