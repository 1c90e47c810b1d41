/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firmware behaviour over hours and boots: what it does again and when, what it does without, and that a store which
 * says no loses nothing.
 */
#include "firmware_world.h"

#define WRITTEN   "Downloading Downloaded Installing"
#define FAILED    WRITTEN " InstallationFailed"
#define INSTALLED WRITTEN " Installed"

static World *started(void)
{
    World *world = world_new();

    world_start(world);
    return world;
}

/* Slot A is healthy, and RAUC installs. */
static World *installing(gint64 retries)
{
    World *world = started();

    world_healthy(world);
    world_request(world, 0, retries);
    did(world, "good:A install");
    in_state(world, JOB_INSTALLING);
    return world;
}

static World *activated(void)
{
    World *world = installing(0);

    firmware_rauc_progress(world->firmware, 80, "Updating slots");
    world_completed(world, -1);
    return world;
}

static World *rebooting(void)
{
    World *world = activated();

    in_state(world, JOB_REBOOTING);
    did(world, "reboot");
    return world;
}

static World *confirming(void)
{
    World *world = rebooting();

    world_boot(world, TARGET, RAUC_IDLE);
    in_state(world, JOB_CONFIRMING);
    did(world, "");
    return world;
}

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

/* --- The usual way --- */

START_TEST(installs)
{
    g_autoptr(World) world = confirming();

    ck_assert_str_eq(world_wire(world), WRITTEN);
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

/* --- Watchdogs --- */

/* RAUC 1.10 and newer count while they copy; older ones stand still at a step. */
START_TEST(stalled)
{
    static const struct {
        int percent;
        gint64 timeout;
    } ROWS[] = {{85, 10 * MINUTE}, {20, HOUR}, {90, HOUR}};
    g_autoptr(World) world = installing(0);

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
    g_autoptr(World) world = installing(0);

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

/* Cancelled, and the agent died before RAUC was restarted: a RAUC that hangs does not hold the end up for ever. */
START_TEST(hangs_while_undoing)
{
    g_autoptr(World) world = installing(0);
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
    ck_assert_str_eq(world_wire(world), "Downloading DownloadFailed");
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
        ck_assert_uint_lt(++tries, 2 * 60 * 60);
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

/* Mark good is on its way when a person cancels: its answer is not taken for one to the marks that follow. */
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

    world->rauc.lies = TRUE;
    world_boot(world, OLD, RAUC_IDLE);
    did(world, "good:A install");
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

/* --- Confirming --- */

START_TEST(deadline_is_counted_in_a_boot)
{
    g_autoptr(World) world = confirming();

    world_pass(world, HOUR - 2 * SECOND);
    world_restart(world); /* does not begin anew */
    world_pass(world, SECOND);
    in_state(world, JOB_CONFIRMING);
    world_boot(world, TARGET, RAUC_IDLE); /* does */
    world_pass(world, HOUR - SECOND);
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
    did(world, "");
    in_state(world, JOB_INSTALL_FAILED);
    ck_assert_str_eq(world_wire(world), FAILED);
    logged(world, "critical: job=1 the charger stays with its new firmware");
    world_healthy(world); /* at last */
    did(world, "good:B");
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

/* Each step is refused first, with all that follows from it, and taken when the store works again. */
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
    tcase_add_loop_test(tests, stalled, 0, 3);
    tcase_add_test(tests, stalled_attempt_has_activated);
    tcase_add_test(tests, attempts_and_intervals);
    tcase_add_test(tests, waits_for_an_install_of_others);
    tcase_add_test(tests, cancelled_while_called);
    tcase_add_test(tests, hangs_while_undoing);
    tcase_add_test(tests, mark_good_refused_for_a_while);
    tcase_add_test(tests, mark_good_refused_until_the_deadline);
    tcase_add_test(tests, point_other_refused);
    tcase_add_test(tests, mark_bad_refused);
    tcase_add_loop_test(tests, undo_refused, 0, 3);
    tcase_add_test(tests, boot_mark_refused);
    tcase_add_test(tests, cancel_while_marking_good);
    tcase_add_loop_test(tests, grub_falls_back, 0, 2);
    tcase_add_test(tests, grub_interrupted);
    tcase_add_test(tests, grub_new_slot);
    tcase_add_test(tests, no_time_no_date);
    tcase_add_test(tests, system_clock_behind_the_csms);
    tcase_add_test(tests, csms_time_decides);
    tcase_add_test(tests, csms_time_jumps);
    tcase_add_loop_test(tests, silent_since_a_boot, 0, 6);
    tcase_add_test(tests, silent_after_the_verdict);
    tcase_add_test(tests, silent_while_the_reboot_waits);
    tcase_add_test(tests, silent_waits_for_leave);
    tcase_add_test(tests, silent_for_good);
    tcase_add_test(tests, silent_after_interruptions);
    tcase_add_test(tests, interrupted_too_often);
    tcase_add_test(tests, silent_before_the_install);
    tcase_add_test(tests, deadline_is_counted_in_a_boot);
    tcase_add_test(tests, no_fallback);
    tcase_add_loop_test(tests, third_boot, 0, 2);
    tcase_add_loop_test(tests, store_refuses_a_step, 0, 7);
    tcase_add_test(tests, store_refuses_an_end);
    tcase_add_test(tests, store_refuses_a_request);
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
