/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firmware behaviour on a store that says no: nothing is lost, and nothing is done that was not
 * kept.
 */
#include "firmware_stages.h"

/* Makes every write of a kind fail until mend(). */
static void break_store(const char *table)
{
    g_autofree char *sql = g_strdup_printf("CREATE TRIGGER broken BEFORE INSERT ON %s BEGIN "
                                           "SELECT RAISE(ABORT, 'no space'); END",
                                           table);

    raw("", sql);
}

static void mend_store(void)
{
    raw("", "DROP TRIGGER broken");
}

/* --- A store that says no --- */

static void step_healthy(World *world)
{
    world_healthy(world);
}

static void step_completed(World *world)
{
    world_completed(world, -1);
}

static void step_retry(World *world)
{
    world_completed(world, RAUC_ERROR_RETRIEVAL);
}

static void step_deadline(World *world)
{
    world_pass(world, HOUR);
}

static void step_boot_old(World *world)
{
    world->rauc.primary = OLD;
    world_boot(world, OLD, RAUC_IDLE);
}

static void step_boot_new(World *world)
{
    world_boot(world, TARGET, RAUC_IDLE);
}

static World *installing_once(void)
{
    return installing(0);
}

static World *installing_twice(void)
{
    return installing(1);
}

/* Each step is refused first, with all that follows from it, and taken when the store works
 * again. */
START_TEST(store_refuses_a_step)
{
    static const struct {
        World *(*before)(void);
        void (*step)(World *world);
        JobState state;
        const char *meanwhile; /* done before the step is kept: nothing that it stands for */
        JobState then;
        const char *later;
    } ROWS[] = {
        {installing_once, step_completed, JOB_INSTALLING, "", JOB_REBOOTING, "reboot"},
        {installing_once, step_retry, JOB_INSTALLING, "", JOB_DOWNLOAD_FAILED, ""},
        {installing_twice, step_retry, JOB_INSTALLING, "", JOB_RETRY_WAIT, ""},
        {rebooting, step_boot_new, JOB_REBOOTING, "", JOB_CONFIRMING, ""},
        {rebooting, step_boot_old, JOB_REBOOTING, "good:A", JOB_ROLLED_BACK, "active:A bad:B"},
        {confirming, step_deadline, JOB_CONFIRMING, "", JOB_ROLLING_BACK, "active:A bad:B reboot"},
        {confirming, step_healthy, JOB_CONFIRMING, "", JOB_INSTALLED, "good:B"},
    };
    g_autoptr(World) world = ROWS[_i].before();
    g_autofree char *wire = g_strdup(world_wire(world));

    break_store("history");
    ROWS[_i].step(world);
    world_pass(world, MINUTE);
    in_state(world, ROWS[_i].state);
    did(world, ROWS[_i].meanwhile);
    ck_assert_str_eq(world_wire(world), wire);
    logged(world, "critical: the store does not take the job's step");
    mend_store();
    world_pass(world, 5 * SECOND);
    in_state(world, ROWS[_i].then);
    did(world, ROWS[_i].later);
}
END_TEST

/* The end of a step whose effect is done already: it is not done again, and the end is told. */
START_TEST(store_refuses_an_end)
{
    g_autoptr(World) world = confirming();

    break_store("outbox");
    world_healthy(world);
    did(world, "good:B");
    world_pass(world, MINUTE);
    in_state(world, JOB_CONFIRMING);
    did(world, "");
    mend_store();
    world_pass(world, 5 * SECOND);
    in_state(world, JOB_INSTALLED);
    ck_assert_str_eq(world_wire(world), INSTALLED);
    did(world, "");
}
END_TEST

START_TEST(store_refuses_a_request)
{
    g_autoptr(World) world = started();
    FirmwareRequest request = {
        .location = "http://bundles.example.com/2.0.raucb", .retries = -1, .retry_interval_s = -1};
    GError *error = NULL;

    world_healthy(world);
    did(world, "good:A");
    break_store("jobs");
    ck_assert(!firmware_request(world->firmware, &request, &error));
    ck_assert(error != NULL);
    g_clear_error(&error);
    ck_assert_ptr_null(firmware_job(world->firmware));
    world_pass(world, MINUTE);
    did(world, "");
    mend_store();
    ok(firmware_request(world->firmware, &request, &error));
    world_run(world);
    did(world, "install");
}
END_TEST

/* RAUC tells of its slots while the disk syncs: it is asked before the step is kept, and even when
 * it is not. */
START_TEST(rauc_is_asked_before_a_step_is_kept)
{
    g_autoptr(World) world = started();

    world_healthy(world);
    clock_virtual_set_wall(world->clock, WALL_2030, TRUE);
    world_request(world, WALL_2030 + HOUR, 0);
    in_state(world, JOB_SCHEDULED);
    world->rauc.late = TRUE;
    break_store("history");
    world_pass(world, HOUR);
    in_state(world, JOB_SCHEDULED);
    ck_assert_uint_eq(g_queue_get_length(&world->rauc.calls), 1);
    ck_assert_int_eq(((FakeCall *)g_queue_peek_head(&world->rauc.calls))->kind, CALL_QUERY);
    mend_store();
}
END_TEST

START_TEST(rauc_is_asked_before_a_request_for_a_file_is_kept)
{
    static const struct {
        const char *location;
        guint asked;
    } ROWS[] = {{"/media/stick/2.0.raucb", 1}, {"http://bundles.example.com/2.0.raucb", 0}};
    g_autoptr(World) world = started();
    FirmwareRequest request = {
        .location = ROWS[_i].location, .retries = -1, .retry_interval_s = -1, .by_hand = TRUE};
    GError *error = NULL;

    world_healthy(world);
    world->rauc.late = TRUE;
    break_store("jobs");
    ck_assert(!firmware_request(world->firmware, &request, &error));
    g_clear_error(&error);
    ck_assert_uint_eq(g_queue_get_length(&world->rauc.calls), ROWS[_i].asked);
    mend_store();
}
END_TEST

START_TEST(store_refuses_a_cancel)
{
    g_autoptr(World) world = rebooting();
    GError *error = NULL;

    break_store("history");
    ck_assert(!firmware_cancel(world->firmware, "no", &error));
    g_clear_error(&error);
    in_state(world, JOB_REBOOTING);
    mend_store();
    ok(firmware_cancel(world->firmware, "no", &error));
    world_run(world);
    did(world, "active:A bad:B");
    in_state(world, JOB_CANCELLED);
}
END_TEST

/* That the boot is marked cannot be kept: marked again after a restart, and nothing else. */
START_TEST(store_refuses_the_note_of_a_mark)
{
    g_autoptr(World) world = started();

    break_store("agent");
    world_healthy(world);
    did(world, "good:A");
    logged(world, "warning: cannot keep that this boot is marked good");
    world_restart(world);
    world_healthy(world);
    did(world, "good:A");
    mend_store();
}
END_TEST

/* Another program holds the lock: the same. */
START_TEST(store_is_locked)
{
    g_autoptr(World) world = installing(0);
    sqlite3 *other = NULL;

    ck_assert_int_eq(sqlite3_open(path, &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    world_completed(world, -1);
    in_state(world, JOB_INSTALLING);
    did(world, "");
    ck_assert_int_eq(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    world_pass(world, 5 * SECOND);
    in_state(world, JOB_REBOOTING);
    did(world, "reboot");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("firmware_store");
    TCase *tests = tcase_create("firmware_store");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, store_refuses_a_step, 0, 7);
    tcase_add_test(tests, store_refuses_an_end);
    tcase_add_test(tests, store_refuses_a_request);
    tcase_add_test(tests, rauc_is_asked_before_a_step_is_kept);
    tcase_add_loop_test(tests, rauc_is_asked_before_a_request_for_a_file_is_kept, 0, 2);
    tcase_add_test(tests, store_refuses_a_cancel);
    tcase_add_test(tests, store_refuses_the_note_of_a_mark);
    tcase_add_test(tests, store_is_locked);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
