/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verdict table: what the agent concludes from what RAUC shows, from the boot id and from the
 * job's row.
 *
 * The job of all cases wrote rootfs.1 from rootfs.0; a row of a table names only what it is about.
 */
#include <check.h>
#include <string.h>

#include "slots_fixture.h"
#include "src/behaviour/firmware/verdict.h"

/* What RAUC shows of the target, at the snapshot, at the activation, and now. */
static const JobSlotRecord NOTHING = {0};
static const JobSlotRecord BEFORE = {1, (char *)"10:00", (char *)"10:01", (char *)"0.9",
                                     (char *)"aa"};
static const JobSlotRecord OURS = {2, (char *)"11:00", (char *)"11:01", (char *)"2.0",
                                   (char *)"bb"};
static const JobSlotRecord HAND = {3, (char *)"12:00", (char *)"12:01", (char *)"3.0",
                                   (char *)"cc"};
static const JobSlotRecord SAME_HASH_LATER = {3, (char *)"12:00", (char *)"12:01", (char *)"2.0",
                                              (char *)"bb"};
static const JobSlotRecord OTHER_HASH = {2, (char *)"11:00", (char *)"11:01", (char *)"2.0",
                                         (char *)"dd"};
static const JobSlotRecord NO_HASH = {2, (char *)"11:00", (char *)"11:01", (char *)"2.0", NULL};
/* 1.8 keeps the old ones of a failed install, newer ones show those of the bundle that failed. */
static const JobSlotRecord FAILED = {1, (char *)"10:00", (char *)"10:01", (char *)"2.0",
                                     (char *)"bb"};
/* The loader is switched before the status file says so. */
static const JobSlotRecord WRITTEN = {2, (char *)"11:00", (char *)"10:01", (char *)"2.0",
                                      (char *)"bb"};
static const JobSlotRecord AT_11 = {2, (char *)"2026-01-01T11:29:59Z", NULL, NULL, NULL};
static const JobSlotRecord AT_12 = {2, (char *)"2026-01-01T11:30:00Z", NULL, NULL, NULL};
#define AT_11_30 1767267000
static const JobSlotRecord REACTIVATED = {1, (char *)"10:00", (char *)"11:01", (char *)"0.9",
                                          (char *)"aa"};

static void record_set(JobSlotRecord *record, const JobSlotRecord *from)
{
    *record = *from;
    record->installed_timestamp = g_strdup(from->installed_timestamp);
    record->activated_timestamp = g_strdup(from->activated_timestamp);
    record->version = g_strdup(from->version);
    record->hash = g_strdup(from->hash);
}

static Job *job_new_in(JobState state)
{
    Job *job = job_new();

    job->state = state;
    job->snapshot = TRUE;
    job->boot_id = g_strdup("boot-1");
    job->booted_slot = g_strdup(OLD);
    job->target_slot = g_strdup(TARGET);
    job->primary_slot = g_strdup(OLD);
    job->firmware_version = g_strdup("1.0");
    return job;
}

/* --- The first look after a start --- */

typedef struct {
    const char *what;
    JobState state;
    const char *booted;
    JobEvent expected;
    const char *reason;                        /* a part of it; NULL: there is none */
    const char *primary;                       /* NULL: the booted one; "-": RAUC cannot tell */
    const JobSlotRecord *before, *after, *now; /* NULL: BEFORE, OURS, and `after` */
    const char *boot_status, *status;          /* of the target; NULL: good, ok */
    const char *old_boot_status;               /* of the old slot; NULL: good */
    const char *primary_before;                /* NULL: the old slot */
    const char *version;                       /* that the charger reports; NULL: 2.0 */
    guint interruptions, confirm_boots;
    gboolean same_boot;
    const char *foreign; /* the boot in which somebody else's install began, at 11:30 */
} Start;

#define E(e) JOB_EVENT_##e

/* clang-format off */
#define ROW(words, in, slot, event, ...)                                                           \
    {.what = words, .state = JOB_##in, .booted = slot, .expected = JOB_EVENT_##event, __VA_ARGS__}

static const Start STARTS[] = {
    /* same boot: nothing happened but the agent's end */
    ROW("waits on",        REBOOT_WAIT,  OLD,    RESUME, .same_boot = TRUE, .primary = TARGET),
    ROW("asks again",      REBOOTING,    OLD,    RESUME, .same_boot = TRUE, .primary = TARGET),
    ROW("confirms on",     CONFIRMING,   TARGET, RESUME, .same_boot = TRUE, .confirm_boots = 9),
    ROW("gives up on",     ROLLING_BACK, TARGET, RESUME, .same_boot = TRUE),
    ROW("undoes on",       UNDOING,      OLD,    RESUME, .same_boot = TRUE),
    ROW("rescue, same boot", REBOOTING,  "rescue.0", RESUME, .same_boot = TRUE),
    ROW("activated, Completed missed", INSTALLING, OLD, ACTIVATED, .same_boot = TRUE, .primary = TARGET, .after = &NOTHING, .now = &OURS),
    ROW("activated, no status file",   INSTALLING, OLD, ACTIVATED, .same_boot = TRUE, .primary = TARGET, .before = &NOTHING, .after = &NOTHING),
    ROW("written, not activated",      INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .same_boot = TRUE, .after = &NOTHING, .now = &WRITTEN),
    ROW("nothing done",                INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .same_boot = TRUE, .after = &NOTHING, .now = &BEFORE),
    ROW("nothing done, no primary",    INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .same_boot = TRUE, .primary = "-", .after = &NOTHING, .now = &BEFORE),
    ROW("the fifth time",              INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .same_boot = TRUE, .interruptions = 4, .after = &NOTHING, .now = &BEFORE),
    ROW("the sixth time",              INSTALLING, OLD, INTERRUPTED_LAST, .reason = "interrupted 6 times", .same_boot = TRUE, .interruptions = 5, .after = &NOTHING, .now = &BEFORE),
    ROW("primary by another's hand before, and still", INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .same_boot = TRUE, .primary = TARGET, .primary_before = TARGET, .after = &NOTHING, .now = &BEFORE),
    ROW("primary before, installed since",             INSTALLING, OLD, ACTIVATED, .same_boot = TRUE, .primary = TARGET, .primary_before = TARGET, .after = &NOTHING, .now = &OURS),
    ROW("primary before, activated since",             INSTALLING, OLD, ACTIVATED, .same_boot = TRUE, .primary = TARGET, .primary_before = TARGET, .after = &NOTHING, .now = &REACTIVATED),
    ROW("by hand after ours",          INSTALLING, OLD, BOOT_TARGET_OTHER, .reason = "another installation", .same_boot = TRUE, .primary = TARGET, .after = &NOTHING, .now = &HAND),
    ROW("by hand, no primary",         INSTALLING, OLD, BOOT_TARGET_OTHER, .reason = "another installation", .same_boot = TRUE, .primary = "-", .after = &NOTHING, .now = &HAND),

    /* the target is booted, and all matches */
    ROW("new firmware",             REBOOTING,    TARGET, BOOT_TARGET),
    ROW("by a power cut",           REBOOT_WAIT,  TARGET, BOOT_TARGET),
    ROW("before Completed",         INSTALLING,   TARGET, BOOT_TARGET, .after = &NOTHING, .now = &WRITTEN),
    ROW("the old one is by hand",   INSTALLING,   TARGET, BOOT_TARGET, .after = &NOTHING, .now = &WRITTEN, .foreign = "boot-2"),
    ROW("by hand in a boot before", INSTALLING,   TARGET, BOOT_TARGET_OTHER, .reason = "another installation", .after = &NOTHING, .now = &AT_12, .foreign = "boot-x"),
    ROW("the one by hand was refused", INSTALLING, TARGET, BOOT_TARGET, .after = &NOTHING, .now = &AT_11, .foreign = "boot-x"),
    ROW("second boot",              CONFIRMING,   TARGET, BOOT_TARGET, .confirm_boots = 1),
    ROW("given up already",         ROLLING_BACK, TARGET, BOOT_TARGET, .confirm_boots = 9),
    ROW("undone, the loader disagrees", UNDOING,  TARGET, BOOT_TARGET),
    ROW("GRUB: primary is a lie",   REBOOTING,    TARGET, BOOT_TARGET, .primary = OLD, .boot_status = "bad"),
    ROW("RAUC cannot tell primary", REBOOTING,    TARGET, BOOT_TARGET, .primary = "-"),
    ROW("no hash shown now",        REBOOTING,    TARGET, BOOT_TARGET, .now = &NO_HASH),
    ROW("no hash shown then",       REBOOTING,    TARGET, BOOT_TARGET, .after = &NO_HASH, .now = &OURS),
    ROW("nothing recorded then",    REBOOTING,    TARGET, BOOT_TARGET, .after = &NOTHING, .now = &OURS),
    ROW("no activation time then",  REBOOTING,    TARGET, BOOT_TARGET, .after = &WRITTEN, .now = &OURS),
    ROW("same version number as before the update", REBOOTING, TARGET, BOOT_TARGET, .version = "1.0"),

    /* no status file: the firmware version decides */
    ROW("version changed",          REBOOTING,   TARGET, BOOT_TARGET, .now = &NOTHING),
    ROW("version is the old one",   REBOOTING,   TARGET, BOOT_TARGET_OTHER, .reason = "still 1.0", .now = &NOTHING, .version = "1.0"),
    ROW("no version reported",      REBOOTING,   TARGET, BOOT_TARGET, .now = &NOTHING, .version = "-"),
    ROW("installing, loader switched", INSTALLING, TARGET, BOOT_TARGET, .before = &NOTHING, .after = &NOTHING, .primary = TARGET),
    ROW("installing, loader not switched", INSTALLING, TARGET, BOOT_TARGET_BAD, .reason = "had finished writing", .before = &NOTHING, .after = &NOTHING, .primary = OLD),

    /* the target holds something else */
    ROW("other version and hash",   REBOOTING,    TARGET, BOOT_TARGET_OTHER, .reason = "holds 3.0", .now = &HAND),
    ROW("other hash",               REBOOTING,    TARGET, BOOT_TARGET_OTHER, .reason = "did not install", .now = &OTHER_HASH),
    ROW("same image, installed again", REBOOT_WAIT, TARGET, BOOT_TARGET_OTHER, .reason = "holds 2.0", .now = &SAME_HASH_LATER),
    ROW("by hand after ours, then cut", INSTALLING, TARGET, BOOT_TARGET_OTHER, .reason = "holds 3.0", .after = &NOTHING, .now = &HAND),
    ROW("by hand, ours not recorded", REBOOTING, TARGET, BOOT_TARGET_OTHER, .reason = "holds 3.0", .after = &NOTHING, .now = &HAND),
    ROW("by hand in confirming, ours not recorded", CONFIRMING, TARGET, BOOT_TARGET_OTHER, .reason = "holds 3.0", .after = &NOTHING, .now = &HAND),
    ROW("same image by hand after ours", INSTALLING, TARGET, BOOT_TARGET_OTHER, .reason = "holds 2.0", .after = &NOTHING, .now = &SAME_HASH_LATER),
    ROW("by hand while confirming", CONFIRMING,   TARGET, BOOT_TARGET_OTHER, .reason = "holds 3.0", .now = &HAND),
    ROW("other image on its third boot", CONFIRMING, TARGET, BOOT_TARGET_OTHER, .reason = "holds 3.0", .now = &HAND, .confirm_boots = 2),
    ROW("by hand while rolling back", ROLLING_BACK, TARGET, BOOT_TARGET_OTHER, .reason = "holds 3.0", .now = &HAND),

    /* the target is booted and not whole */
    ROW("failed",                   REBOOTING,    TARGET, BOOT_TARGET_BAD, .reason = "status as failed", .status = "failed"),
    ROW("pending",                  CONFIRMING,   TARGET, BOOT_TARGET_BAD, .reason = "status as pending", .status = "pending"),
    ROW("unfinished",               INSTALLING,   TARGET, BOOT_TARGET_BAD, .reason = "had finished writing", .after = &NOTHING, .now = &BEFORE),
    ROW("unfinished, new version shown", INSTALLING, TARGET, BOOT_TARGET_BAD, .reason = "had finished writing", .after = &NOTHING, .now = &FAILED),

    /* the third boot */
    ROW("third boot",               CONFIRMING,   TARGET, BOOT_TARGET_THIRD, .reason = "three times", .confirm_boots = 2),
    ROW("fourth boot",              CONFIRMING,   TARGET, BOOT_TARGET_THIRD, .reason = "three times", .confirm_boots = 3),

    /* the old slot is booted: interrupted */
    ROW("nothing written",          INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .after = &NOTHING, .now = &BEFORE, .boot_status = "bad"),
    ROW("half written",             INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .after = &NOTHING, .now = &FAILED, .status = "failed", .boot_status = "bad"),
    ROW("first install ever",       INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .before = &NOTHING, .after = &NOTHING, .boot_status = "bad"),
    ROW("fifth interruption",       INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .after = &NOTHING, .now = &BEFORE, .interruptions = 4),
    ROW("sixth interruption",       INSTALLING, OLD, INTERRUPTED_LAST, .reason = "interrupted 6 times", .after = &NOTHING, .now = &BEFORE, .interruptions = 5),
    ROW("primary by another's hand before", INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .after = &NOTHING, .now = &BEFORE, .primary = TARGET, .primary_before = TARGET),
    ROW("primary for want of attempts", INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .after = &NOTHING, .now = &BEFORE, .primary = TARGET, .old_boot_status = "bad"),
    ROW("the same, no status file", INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .before = &NOTHING, .after = &NOTHING, .primary = TARGET, .old_boot_status = "bad"),
    ROW("the same, same boot",      INSTALLING, OLD, INTERRUPTED, .reason = "tried again", .same_boot = TRUE, .before = &NOTHING, .after = &NOTHING, .primary = TARGET, .old_boot_status = "bad"),

    /* the old slot is booted although the loader points to the target */
    ROW("activated in mid-install", INSTALLING,  OLD, BOOT_OLD_PRIMARY_TARGET, .reason = "points to rootfs.1", .primary = TARGET, .after = &NOTHING, .now = &WRITTEN),
    ROW("not rebooted yet",         REBOOT_WAIT, OLD, BOOT_OLD_PRIMARY_TARGET, .reason = "points to rootfs.1", .primary = TARGET),
    ROW("rebooted",                 REBOOTING,   OLD, BOOT_OLD_PRIMARY_TARGET, .reason = "points to rootfs.1", .primary = TARGET),
    ROW("by hand after ours",       INSTALLING,  OLD, BOOT_TARGET_OTHER, .reason = "another installation", .primary = TARGET, .after = &NOTHING, .now = &HAND),
    ROW("by hand in place of ours", INSTALLING,  OLD, BOOT_TARGET_OTHER, .reason = "another installation", .primary = TARGET, .after = &NOTHING, .now = &OURS, .foreign = "boot-2"),
    ROW("by hand, no status file",  INSTALLING,  OLD, BOOT_TARGET_OTHER, .reason = "another installation", .primary = TARGET, .before = &NOTHING, .after = &NOTHING, .foreign = "boot-2"),
    ROW("by hand, not whole",       INSTALLING,  OLD, INTERRUPTED, .reason = "tried again", .after = &NOTHING, .now = &FAILED, .boot_status = "bad", .foreign = "boot-2"),
    ROW("by hand, by the time",     INSTALLING,  OLD, BOOT_TARGET_OTHER, .reason = "another installation", .primary = TARGET, .after = &NOTHING, .now = &AT_12, .foreign = "boot-2"),
    ROW("by hand, in a boot before", INSTALLING, OLD, BOOT_TARGET_OTHER, .reason = "another installation", .primary = TARGET, .after = &NOTHING, .now = &AT_12, .foreign = "boot-x"),
    ROW("by hand, and refused",     INSTALLING,  OLD, BOOT_OLD_PRIMARY_TARGET, .reason = "points to rootfs.1", .primary = TARGET, .after = &NOTHING, .now = &AT_11, .foreign = "boot-2"),
    ROW("by hand, rebooted",        REBOOTING,   OLD, BOOT_TARGET_OTHER, .reason = "another installation", .primary = TARGET, .now = &HAND),
    ROW("primary, but bad",         REBOOT_WAIT, OLD, BOOT_OLD, .reason = "did not boot", .primary = TARGET, .boot_status = "bad"),
    ROW("primary, boot status unknown", REBOOT_WAIT, OLD, BOOT_OLD_PRIMARY_TARGET, .reason = "points to rootfs.1", .primary = TARGET, .boot_status = "-"),

    /* the old slot is booted: the loader has fallen back */
    ROW("fell back",                REBOOTING,   OLD, BOOT_OLD, .reason = "did not boot", .boot_status = "bad"),
    ROW("fell back while waiting",  REBOOT_WAIT, OLD, BOOT_OLD, .reason = "did not boot", .boot_status = "bad"),
    ROW("fell back in confirming",  CONFIRMING,  OLD, BOOT_OLD, .reason = "went back to rootfs.0", .confirm_boots = 2),
    ROW("given up, and it worked",  ROLLING_BACK, OLD, BOOT_OLD, .reason = "went back to rootfs.0", .boot_status = "bad"),
    ROW("undoing once more",        UNDOING,     OLD, BOOT_OLD, .reason = "went back to rootfs.0"),
    ROW("written, then cut",        INSTALLING,  OLD, BOOT_OLD, .reason = "cannot be told", .after = &NOTHING, .now = &WRITTEN),
    ROW("written, count alone",     INSTALLING,  OLD, BOOT_OLD, .reason = "went back to rootfs.0", .before = &NOTHING, .after = &NOTHING, .now = &OURS),
    ROW("RAUC cannot tell primary", REBOOTING,   OLD, BOOT_OLD, .reason = "went back to rootfs.0", .primary = "-"),
    ROW("installed by hand, old booted", REBOOTING, OLD, BOOT_OLD, .reason = "went back to rootfs.0", .now = &HAND),

    /* neither */
    ROW("rescue system",            REBOOTING,   "rescue.0", NONE),
    ROW("rescue in installing",     INSTALLING,  "rescue.0", NONE, .after = &NOTHING, .now = &BEFORE),
    ROW("rescue in confirming",     CONFIRMING,  "rescue.0", NONE, .confirm_boots = 2),
    ROW("nothing is booted",        REBOOTING,   NULL,       NONE, .primary = TARGET),
};
/* clang-format on */

static void set_job(Job *job, const Start *row)
{
    slots_set(&job->primary_slot, row->primary_before ? row->primary_before : OLD);
    record_set(&job->before, row->before ? row->before : &BEFORE);
    record_set(&job->after, row->after ? row->after : &OURS);
    job->interruptions = row->interruptions;
    job->confirm_boots = row->confirm_boots;
    job->written = TRUE; /* seen writing: no proof of anything */
}

static const char *text_or(const char *text, const char *usual)
{
    if (!text)
        return usual;
    return strcmp(text, "-") == 0 ? NULL : text;
}

START_TEST(on_start)
{
    const Start *row = &STARTS[_i];
    g_autoptr(Job) job = job_new_in(row->state);
    g_autofree char *reason = NULL;
    const JobSlotRecord *after = row->after ? row->after : &OURS;
    g_autoptr(RaucStatus) status =
        slots_status(row->booted, text_or(row->primary, row->booted), row->now ? row->now : after);
    ForeignInstall foreign = {row->foreign != NULL, (char *)row->foreign, AT_11_30};
    Observation seen = {status, row->same_boot ? "boot-1" : "boot-2", text_or(row->version, "2.0"),
                        &foreign};
    JobEvent event;

    set_job(job, row);
    slots_set(&slots_get(status, TARGET)->boot_status, text_or(row->boot_status, "good"));
    slots_set(&slots_get(status, TARGET)->status, row->status);
    slots_set(&slots_get(status, OLD)->boot_status, text_or(row->old_boot_status, "good"));
    event = verdict_on_start(job, &seen, &reason);
    ck_assert_msg(event == row->expected, "%s: %s, not %s", row->what, job_event_name(event),
                  job_event_name(row->expected));
    ck_assert_msg(row->reason ? reason && strstr(reason, row->reason) : !reason, "%s: reason %s",
                  row->what, reason);
}
END_TEST

/* --- The end of an attempt --- */

typedef struct {
    const char *what;
    int failure; /* RaucError; -1: Completed(0) */
    gboolean primary_is_target;
    gboolean last, other_way;
    JobEvent expected;
} Attempt;

/* clang-format off */
static const Attempt ATTEMPTS[] = {
    {"success",                     -1,                    TRUE,  TRUE,  FALSE, E(ACTIVATED)},
    {"success, not activated",      -1,                    FALSE, FALSE, FALSE, E(REFUSED)},
    {"post-install handler failed", RAUC_ERROR_OTHER,      TRUE,  FALSE, FALSE, E(FAIL_ACTIVATED)},
    {"I/O error after activation",  RAUC_ERROR_COPY,       TRUE,  TRUE,  FALSE, E(FAIL_ACTIVATED)},
    {"name lost after activation",  RAUC_ERROR_GONE,       TRUE,  TRUE,  FALSE, E(ACTIVATED)},

    {"transfer",                    RAUC_ERROR_RETRIEVAL,  FALSE, FALSE, FALSE, E(FAIL)},
    {"transfer, last",              RAUC_ERROR_RETRIEVAL,  FALSE, TRUE,  FALSE, E(FAIL_LAST)},
    {"copying",                     RAUC_ERROR_COPY,       FALSE, FALSE, FALSE, E(FAIL)},
    {"copying, last",               RAUC_ERROR_COPY,       FALSE, TRUE,  FALSE, E(FAIL_LAST)},
    {"RAUC gone",                   RAUC_ERROR_GONE,       FALSE, FALSE, FALSE, E(FAIL)},
    {"RAUC gone, last",             RAUC_ERROR_GONE,       FALSE, TRUE,  FALSE, E(FAIL_LAST)},
    {"RAUC busy",                   RAUC_ERROR_BUSY,       FALSE, FALSE, FALSE, E(INTERRUPTED)},
    {"RAUC busy, last",             RAUC_ERROR_BUSY,       FALSE, TRUE,  FALSE, E(INTERRUPTED)},
    {"something else",              RAUC_ERROR_OTHER,      FALSE, FALSE, FALSE, E(FAIL)},
    {"something else, last",        RAUC_ERROR_OTHER,      FALSE, TRUE,  FALSE, E(REFUSED)},

    {"signature",                   RAUC_ERROR_SIGNATURE,  FALSE, FALSE, FALSE, E(REFUSED)},
    {"compatible",                  RAUC_ERROR_COMPATIBLE, FALSE, FALSE, FALSE, E(REFUSED)},
    {"format",                      RAUC_ERROR_FORMAT,     FALSE, FALSE, FALSE, E(REFUSED)},
    {"size",                        RAUC_ERROR_SIZE,       FALSE, FALSE, FALSE, E(REFUSED)},
    {"signature, last",             RAUC_ERROR_SIGNATURE,  FALSE, TRUE,  FALSE, E(REFUSED)},

    {"not to be streamed",          RAUC_ERROR_STREAM,     FALSE, FALSE, TRUE,  E(NEXT_TRANSPORT)},
    {"the same at the last attempt", RAUC_ERROR_STREAM,    FALSE, TRUE,  TRUE,  E(NEXT_TRANSPORT)},
    {"the same, and not otherwise", RAUC_ERROR_STREAM,     FALSE, FALSE, FALSE, E(REFUSED)},
    {"casync store, other way",     RAUC_ERROR_STORE,      FALSE, TRUE,  TRUE,  E(NEXT_TRANSPORT)},
    {"casync store",                RAUC_ERROR_STORE,      FALSE, FALSE, FALSE, E(FAIL)},
    {"casync store, last",          RAUC_ERROR_STORE,      FALSE, TRUE,  FALSE, E(FAIL_LAST)},
};
/* clang-format on */

START_TEST(on_attempt)
{
    const Attempt *row = &ATTEMPTS[_i];
    g_autoptr(Job) job = job_new_in(JOB_INSTALLING);
    g_autoptr(GError) failure = NULL;
    g_autofree char *reason = NULL;
    g_autoptr(RaucStatus) status = slots_status(OLD, row->primary_is_target ? TARGET : OLD, &OURS);
    Observation seen = {status, "boot-1", "1.0", NULL};
    JobEvent event;

    record_set(&job->before, &BEFORE);
    if (row->failure >= 0)
        failure = g_error_new_literal(RAUC_ERROR, row->failure, "RAUC's own words");
    event =
        verdict_on_attempt(job, &seen, &(AttemptEnd){failure, row->last, row->other_way}, &reason);
    ck_assert_msg(event == row->expected, "%s: %s, not %s", row->what, job_event_name(event),
                  job_event_name(row->expected));
    if (failure)
        ck_assert_str_eq(reason, "RAUC's own words");
    else if (event == JOB_EVENT_ACTIVATED)
        ck_assert_ptr_null(reason);
    else
        ck_assert_ptr_nonnull(strstr(reason, "did not activate slot rootfs.1"));
}
END_TEST

/* The loader pointed to the target before: only what was done since counts. */
START_TEST(on_attempt_with_the_target_primary_before)
{
    static const struct {
        const JobSlotRecord *now;
        JobEvent success, failure;
    } ROWS[] = {
        {&BEFORE, JOB_EVENT_REFUSED, JOB_EVENT_FAIL},
        {&WRITTEN, JOB_EVENT_ACTIVATED, JOB_EVENT_FAIL_ACTIVATED},
        {&REACTIVATED, JOB_EVENT_ACTIVATED, JOB_EVENT_FAIL_ACTIVATED},
        {&HAND, JOB_EVENT_BOOT_TARGET_OTHER, JOB_EVENT_BOOT_TARGET_OTHER},
    };
    g_autoptr(GError) error = g_error_new_literal(RAUC_ERROR, RAUC_ERROR_COPY, "I/O");

    for (gsize i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autoptr(Job) job = job_new_in(JOB_INSTALLING);
        g_autofree char *first = NULL;
        g_autofree char *second = NULL;
        g_autoptr(RaucStatus) status = slots_status(OLD, TARGET, ROWS[i].now);
        Observation seen = {status, "boot-1", "1.0", NULL};

        record_set(&job->before, &BEFORE);
        slots_set(&job->primary_slot, TARGET);
        ck_assert_int_eq(verdict_on_attempt(job, &seen, &(AttemptEnd){NULL, FALSE, FALSE}, &first),
                         ROWS[i].success);
        ck_assert_int_eq(
            verdict_on_attempt(job, &seen, &(AttemptEnd){error, FALSE, FALSE}, &second),
            ROWS[i].failure);
    }
}
END_TEST

/* RAUC cannot tell where the loader points to: once the slot was written that is taken back. */
START_TEST(on_attempt_without_a_primary)
{
    g_autoptr(Job) job = job_new_in(JOB_INSTALLING);
    g_autoptr(GError) error = g_error_new_literal(RAUC_ERROR, RAUC_ERROR_COPY, "I/O");
    g_autofree char *reason = NULL;
    g_autofree char *again = NULL;
    g_autoptr(RaucStatus) written = slots_status(OLD, NULL, &OURS);
    g_autoptr(RaucStatus) untouched = slots_status(OLD, NULL, &BEFORE);
    Observation seen = {written, "boot-1", "1.0", NULL};

    record_set(&job->before, &BEFORE);
    ck_assert_int_eq(verdict_on_attempt(job, &seen, &(AttemptEnd){error, FALSE, FALSE}, &reason),
                     JOB_EVENT_FAIL_ACTIVATED);
    seen.status = untouched;
    ck_assert_int_eq(verdict_on_attempt(job, &seen, &(AttemptEnd){error, FALSE, FALSE}, &again),
                     JOB_EVENT_FAIL);
}
END_TEST

/* --- Smaller questions --- */

START_TEST(other_slot)
{
    g_autoptr(Job) job = job_new_in(JOB_CONFIRMING);
    g_autoptr(RaucStatus) status = slots_status(TARGET, TARGET, &OURS);

    ck_assert(verdict_other_slot_boots(job, status, TARGET));
    /* its attempts used up: pointing to it refills them */
    slots_set(&slots_get(status, OLD)->boot_status, "bad");
    ck_assert(verdict_other_slot_boots(job, status, TARGET));
    slots_set(&slots_get(status, OLD)->bootname, NULL);
    ck_assert(!verdict_other_slot_boots(job, status, TARGET));
    slots_set(&slots_get(status, OLD)->bootname, "A");
    slots_set(&slots_get(status, OLD)->name, "rootfs.9");
    ck_assert(!verdict_other_slot_boots(job, status, TARGET));
}
END_TEST

START_TEST(other_slot_of_the_old_one)
{
    static const struct {
        const char *boot_status, *status;
        gboolean boots;
    } ROWS[] = {{"good", "ok", TRUE}, {"good", NULL, TRUE},      {"bad", "ok", FALSE},
                {NULL, "ok", FALSE},  {"good", "failed", FALSE}, {"good", "pending", FALSE}};
    g_autoptr(Job) job = job_new_in(JOB_UNDOING);

    for (gsize i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autoptr(RaucStatus) status = slots_status(OLD, OLD, &OURS);

        slots_set(&slots_get(status, TARGET)->boot_status, ROWS[i].boot_status);
        slots_set(&slots_get(status, TARGET)->status, ROWS[i].status);
        ck_assert_int_eq(verdict_other_slot_boots(job, status, OLD), ROWS[i].boots);
    }
}
END_TEST

START_TEST(target_changed)
{
    static const struct {
        const JobSlotRecord *after, *now;
        gboolean changed;
    } ROWS[] = {
        {&OURS, &OURS, FALSE},      {&OURS, &HAND, TRUE},    {&OURS, &SAME_HASH_LATER, TRUE},
        {&OURS, &OTHER_HASH, TRUE}, {&OURS, &NOTHING, TRUE}, {&NOTHING, &NOTHING, FALSE},
        {&NOTHING, &OURS, FALSE},   {&NOTHING, &HAND, TRUE}, {&WRITTEN, &OURS, FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autoptr(Job) job = job_new_in(JOB_REBOOT_WAIT);
        g_autoptr(RaucStatus) status = slots_status(OLD, TARGET, ROWS[i].now);

        record_set(&job->before, &BEFORE);
        record_set(&job->after, ROWS[i].after);
        ck_assert_msg(verdict_target_changed(job, status) == ROWS[i].changed, "row %zu", i);
    }
}
END_TEST

/* Without RAUC's own count what the agent saw must do. */
START_TEST(target_written)
{
    static const struct {
        const JobSlotRecord *before, *now;
        gboolean seen_writing, written;
    } ROWS[] = {
        {&BEFORE, &WRITTEN, FALSE, TRUE}, {&BEFORE, &BEFORE, TRUE, FALSE},
        {&BEFORE, &FAILED, TRUE, FALSE},  {&NOTHING, &OURS, FALSE, TRUE},
        {&NOTHING, &NOTHING, TRUE, TRUE}, {&NOTHING, &NOTHING, FALSE, FALSE},
        {&BEFORE, &NOTHING, FALSE, TRUE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autoptr(Job) job = job_new_in(JOB_UNDOING);
        g_autoptr(RaucStatus) status = slots_status(OLD, OLD, ROWS[i].now);

        record_set(&job->before, ROWS[i].before);
        job->written = ROWS[i].seen_writing;
        ck_assert_msg(verdict_target_written(job, status) == ROWS[i].written, "row %zu", i);
    }
}
END_TEST

START_TEST(record_of_a_slot)
{
    g_autoptr(RaucStatus) status = slots_status(OLD, OLD, &OURS);
    JobSlotRecord nothing = verdict_record(NULL);
    JobSlotRecord record = verdict_record(slots_get(status, TARGET));

    ck_assert(nothing.installed_count == 0 && !nothing.version && !nothing.hash &&
              !nothing.installed_timestamp && !nothing.activated_timestamp);
    ck_assert_int_eq(record.installed_count, 2);
    ck_assert_str_eq(record.installed_timestamp, "11:00");
    ck_assert_str_eq(record.activated_timestamp, "11:01");
    ck_assert_str_eq(record.version, "2.0");
    ck_assert_str_eq(record.hash, "bb");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verdict");
    TCase *tests = tcase_create("verdict");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tests, on_start, 0, G_N_ELEMENTS(STARTS));
    tcase_add_loop_test(tests, on_attempt, 0, G_N_ELEMENTS(ATTEMPTS));
    tcase_add_test(tests, on_attempt_with_the_target_primary_before);
    tcase_add_test(tests, on_attempt_without_a_primary);
    tcase_add_test(tests, other_slot);
    tcase_add_test(tests, other_slot_of_the_old_one);
    tcase_add_test(tests, target_changed);
    tcase_add_test(tests, target_written);
    tcase_add_test(tests, record_of_a_slot);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
