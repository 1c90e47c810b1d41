/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firmware job's machine: every pair of the table, and the wire.
 */
#include <check.h>
#include <string.h>

#include "src/behaviour/firmware/machine.h"

static const JobFacts FACTS = {.boot_id = "boot-1",
                               .boottime_ms = 1000,
                               .now_ms = 5000,
                               .booted_slot = "rootfs.0",
                               .target_slot = "rootfs.1",
                               .primary_slot = "rootfs.0",
                               .firmware_version = "1.0",
                               .retry_boottime_ms = 61000};

static Job *job_in(JobState state, JobWire wire)
{
    Job *job = job_new();

    job->id = 7;
    job->state = state;
    job->wire = wire;
    job->location = g_strdup("http://example/fw.raucb");
    job->boot_id = g_strdup("boot-0");
    return job;
}

START_TEST(every_pair_is_defined_once)
{
    for (int state = 0; state < JOB_N_STATES; state++)
        for (int event = 0; event < JOB_N_EVENTS; event++)
            ck_assert_msg(job_pair_defined(state, event), "%s %s", job_state_name(state),
                          job_event_name(event));
}
END_TEST

START_TEST(ends_stay_ends)
{
    for (int state = JOB_INSTALLED; state < JOB_N_STATES; state++)
        for (int event = 0; event < JOB_N_EVENTS; event++) {
            const JobRow *row = job_row(state, event);

            ck_assert(!row || row->same || event == JOB_EVENT_NEXT);
            ck_assert(!row || (row->note == JOB_NOTE_NONE && row->effects[0] == JOB_EFFECT_NONE));
        }
}
END_TEST

START_TEST(ignored_changes_nothing)
{
    g_autoptr(Job) job = job_in(JOB_SCHEDULED, JOB_WIRE_NOTHING);
    JobStep step;

    job_step(job, JOB_EVENT_ACTIVATED, &FACTS, &step);
    ck_assert(step.ignored);
    ck_assert_int_eq(step.job->state, JOB_SCHEDULED);
    ck_assert_uint_eq(step.n_statuses, 0);
    ck_assert_uint_eq(step.n_effects, 0);
    job_step_clear(&step);
}
END_TEST

/* Walks a path of events and compares all statuses that it queues with `wire`. */
static Job *walk(Job *job, const JobEvent *events, gsize n, const JobFacts *facts, const char *wire)
{
    g_autoptr(GString) seen = g_string_new(NULL);

    for (gsize i = 0; i < n; i++) {
        JobStep step;

        job_step(job, events[i], facts, &step);
        ck_assert_msg(!step.ignored, "%s in %s", job_event_name(events[i]),
                      job_state_name(job->state));
        for (guint k = 0; k < step.n_statuses; k++)
            g_string_append_printf(seen, "%s%s", seen->len ? " " : "", step.statuses[k]);
        job_free(job);
        job = g_steal_pointer(&step.job);
    }
    ck_assert_str_eq(seen->str, wire);
    return job;
}

#define WALK(job, facts, wire, ...)                                                                \
    walk(job, (const JobEvent[]){__VA_ARGS__}, G_N_ELEMENTS(((const JobEvent[]){__VA_ARGS__})),    \
         facts, wire)
#define E(e) JOB_EVENT_##e

START_TEST(happy_path)
{
    g_autoptr(Job) job =
        WALK(job_in(JOB_SCHEDULED, JOB_WIRE_NOTHING), &FACTS,
             "Downloading Downloaded Installing Installed", E(DUE_STREAM), E(PERMIT_STREAM),
             E(WRITING), E(ACTIVATED), E(REBOOT_NOW), E(BOOT_TARGET), E(HEALTHY), E(MARKED));

    ck_assert_int_eq(job->state, JOB_INSTALLED);
    ck_assert_int_eq(job->role, JOB_ENDED);
    ck_assert_int_eq(job->ended_ms, 5000);
    ck_assert_str_eq(job->last_status, "Installed");
    ck_assert_str_eq(job->target_slot, "rootfs.1");
    ck_assert(job->tried && job->snapshot && job->written);
}
END_TEST

START_TEST(own_download_path)
{
    g_autoptr(Job) job =
        WALK(job_in(JOB_SCHEDULED, JOB_WIRE_NOTHING), &FACTS,
             "Downloading Downloaded Installing Installed", E(DUE), E(FETCH_OK), E(PERMIT),
             E(WRITING), E(ACTIVATED), E(REBOOT_NOW), E(BOOT_TARGET), E(HEALTHY), E(MARKED));

    ck_assert_int_eq(job->state, JOB_INSTALLED);
}
END_TEST

START_TEST(before_reboot_reports_at_activation_and_nothing_after)
{
    JobFacts facts = FACTS;
    g_autoptr(Job) job = NULL;

    facts.report_before_reboot = TRUE;
    job = WALK(job_in(JOB_SCHEDULED, JOB_WIRE_NOTHING), &facts,
               "Downloading Downloaded Installing Installed", E(DUE_STREAM), E(PERMIT_STREAM),
               E(ACTIVATED), E(REBOOT_NOW), E(BOOT_OLD), E(IDLE), E(UNDONE));
    ck_assert_int_eq(job->state, JOB_ROLLED_BACK);
}
END_TEST

START_TEST(retries_then_download_failed)
{
    g_autoptr(Job) job = WALK(job_in(JOB_SCHEDULED, JOB_WIRE_NOTHING), &FACTS,
                              "Downloading DownloadFailed", E(DUE_STREAM), E(PERMIT_STREAM),
                              E(FAIL), E(DUE_STREAM), E(PERMIT_STREAM), E(FAIL_LAST));

    ck_assert_int_eq(job->state, JOB_DOWNLOAD_FAILED);
    ck_assert_uint_eq(job->attempts, 2);
}
END_TEST

/* Nothing was said of it, and there was no download that could have failed. */
START_TEST(a_local_file_that_rauc_never_had)
{
    g_autoptr(Job) failed =
        WALK(job_in(JOB_SCHEDULED, JOB_WIRE_DOWNLOADED), &FACTS, "", E(DUE_STREAM), E(FAIL_LAST));
    g_autoptr(Job) cancelled =
        WALK(job_in(JOB_SCHEDULED, JOB_WIRE_DOWNLOADED), &FACTS, "", E(DUE_STREAM), E(CANCEL));
    g_autoptr(Job) refused =
        WALK(job_in(JOB_SCHEDULED, JOB_WIRE_DOWNLOADED), &FACTS, "Installing InstallationFailed",
             E(DUE_STREAM), E(PERMIT), E(REFUSED));

    ck_assert_int_eq(failed->state, JOB_INSTALL_FAILED);
    ck_assert_int_eq(cancelled->state, JOB_CANCELLED);
    ck_assert_int_eq(refused->state, JOB_INSTALL_FAILED);
}
END_TEST

START_TEST(after_installing_only_installation_failed)
{
    g_autoptr(Job) job =
        WALK(job_in(JOB_SCHEDULED, JOB_WIRE_NOTHING), &FACTS,
             "Downloading Downloaded Installing InstallationFailed", E(DUE_STREAM),
             E(PERMIT_STREAM), E(WRITING), E(FAIL), E(DUE_STREAM), E(PERMIT_STREAM), E(FAIL_LAST));

    ck_assert_int_eq(job->state, JOB_INSTALL_FAILED);
}
END_TEST

START_TEST(refused_fills_the_wire)
{
    g_autoptr(Job) job = WALK(job_in(JOB_SCHEDULED, JOB_WIRE_NOTHING), &FACTS,
                              "Downloading Downloaded Installing InstallationFailed", E(DUE_STREAM),
                              E(PERMIT_STREAM), E(REFUSED));

    ck_assert_int_eq(job->state, JOB_INSTALL_FAILED);
}
END_TEST

START_TEST(invalid_signature_never_after_installing)
{
    g_autoptr(Job) before =
        WALK(job_in(JOB_SCHEDULED, JOB_WIRE_NOTHING), &FACTS,
             "Downloading Downloaded InvalidSignature", E(DUE), E(FETCH_OK_SIGNED), E(SIG_BAD));
    g_autoptr(Job) after =
        WALK(job_in(JOB_VERIFYING, JOB_WIRE_INSTALLING), &FACTS, "InstallationFailed", E(SIG_BAD));

    ck_assert_int_eq(before->state, JOB_SIGNATURE_INVALID);
    ck_assert_int_eq(after->state, JOB_SIGNATURE_INVALID);
}
END_TEST

START_TEST(cancel_keeps_its_end_through_undoing)
{
    g_autoptr(Job) job =
        WALK(job_in(JOB_SCHEDULED, JOB_WIRE_NOTHING), &FACTS, "Downloading DownloadFailed",
             E(DUE_STREAM), E(PERMIT_STREAM), E(CANCEL), E(IDLE), E(UNDONE));

    ck_assert_int_eq(job->state, JOB_CANCELLED);
}
END_TEST

START_TEST(cancel_in_confirming_stays_cancelled_when_the_old_slot_boots)
{
    g_autoptr(Job) job =
        WALK(job_in(JOB_REBOOTING, JOB_WIRE_INSTALLING), &FACTS, "InstallationFailed",
             E(BOOT_TARGET), E(CANCEL), E(BOOT_OLD), E(IDLE), E(UNDONE));

    ck_assert_int_eq(job->state, JOB_CANCELLED);
}
END_TEST

START_TEST(rollback_ends)
{
    g_autoptr(Job) loader = WALK(job_in(JOB_REBOOTING, JOB_WIRE_INSTALLING), &FACTS,
                                 "InstallationFailed", E(BOOT_OLD), E(IDLE), E(UNDONE));
    g_autoptr(Job) never_ran =
        WALK(job_in(JOB_INSTALLING, JOB_WIRE_DOWNLOADING), &FACTS,
             "Downloaded Installing InstallationFailed", E(BOOT_OLD), E(IDLE), E(UNDONE));
    g_autoptr(Job) unhealthy =
        WALK(job_in(JOB_CONFIRMING, JOB_WIRE_INSTALLING), &FACTS, "InstallationFailed", E(DEADLINE),
             E(BOOT_OLD), E(IDLE), E(UNDONE));

    ck_assert_int_eq(loader->state, JOB_ROLLED_BACK);
    ck_assert_int_eq(never_ran->state, JOB_INSTALL_FAILED);
    ck_assert_int_eq(unhealthy->state, JOB_ROLLED_BACK);
}
END_TEST

START_TEST(only_a_verdict_moves_the_job_into_a_boot)
{
    static const JobEvent QUIET[] = {E(SILENT), E(RESUME), E(ACTIVATED), E(WRITING)};

    for (guint i = 0; i < G_N_ELEMENTS(QUIET); i++) {
        g_autoptr(Job) job = job_in(JOB_INSTALLING, JOB_WIRE_DOWNLOADING);
        JobStep step;

        job_step(job, QUIET[i], &FACTS, &step);
        ck_assert_str_eq(step.job->boot_id, "boot-0");
        job_step_clear(&step);
        job_step(job, E(BOOT_TARGET), &FACTS, &step);
        ck_assert_str_eq(step.job->boot_id, "boot-1");
        job_step_clear(&step);
    }
}
END_TEST

START_TEST(confirming_counts_boots)
{
    g_autoptr(Job) job = WALK(job_in(JOB_REBOOTING, JOB_WIRE_INSTALLING), &FACTS, "",
                              E(BOOT_TARGET), E(BOOT_TARGET));

    ck_assert_uint_eq(job->confirm_boots, 2);
    ck_assert_int_eq(job->confirm_boottime_ms, 1000);
}
END_TEST

START_TEST(second_try_reboots_once_more_only)
{
    g_autoptr(Job) job =
        WALK(job_in(JOB_REBOOT_WAIT, JOB_WIRE_INSTALLING), &FACTS, "", E(BOOT_OLD_PRIMARY_TARGET),
             E(REBOOT_NOW), E(BOOT_OLD_PRIMARY_TARGET));

    ck_assert_int_eq(job->state, JOB_UNDOING);
    ck_assert_int_eq(job->failure, JOB_ROLLED_BACK);
}
END_TEST

START_TEST(first_reason_is_kept_while_taken_back)
{
    g_autoptr(Job) job = job_in(JOB_CONFIRMING, JOB_WIRE_INSTALLING);
    JobFacts deadline = FACTS, boot = FACTS;
    JobStep step, next;

    deadline.reason = "not healthy";
    boot.reason = "the old slot booted";
    job_step(job, E(DEADLINE), &deadline, &step);
    job_step(step.job, E(BOOT_OLD), &boot, &next);
    ck_assert_str_eq(next.job->reason, "not healthy");
    job_step_clear(&step);
    job_step_clear(&next);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("machine");
    TCase *tests = tcase_create("machine");
    SRunner *runner;
    int failed;

    tcase_add_test(tests, every_pair_is_defined_once);
    tcase_add_test(tests, ends_stay_ends);
    tcase_add_test(tests, ignored_changes_nothing);
    tcase_add_test(tests, happy_path);
    tcase_add_test(tests, own_download_path);
    tcase_add_test(tests, before_reboot_reports_at_activation_and_nothing_after);
    tcase_add_test(tests, retries_then_download_failed);
    tcase_add_test(tests, a_local_file_that_rauc_never_had);
    tcase_add_test(tests, after_installing_only_installation_failed);
    tcase_add_test(tests, refused_fills_the_wire);
    tcase_add_test(tests, invalid_signature_never_after_installing);
    tcase_add_test(tests, cancel_keeps_its_end_through_undoing);
    tcase_add_test(tests, cancel_in_confirming_stays_cancelled_when_the_old_slot_boots);
    tcase_add_test(tests, rollback_ends);
    tcase_add_test(tests, only_a_verdict_moves_the_job_into_a_boot);
    tcase_add_test(tests, confirming_counts_boots);
    tcase_add_test(tests, second_try_reboots_once_more_only);
    tcase_add_test(tests, first_reason_is_kept_while_taken_back);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
