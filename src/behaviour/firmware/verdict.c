/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verdict table of the design, row by row.
 */
#include "src/behaviour/firmware/verdict.h"

#include <string.h>

JobSlotRecord verdict_record(const RaucSlot *slot)
{
    if (!slot)
        return (JobSlotRecord){0};
    return (JobSlotRecord){.installed_count = slot->installed_count,
                           .installed_timestamp = slot->installed_timestamp,
                           .activated_timestamp = slot->activated_timestamp,
                           .version = slot->version,
                           .hash = slot->hash};
}

/* Without a status file outside the slots these fields do not exist at all. */
static gboolean record_known(const JobSlotRecord *record)
{
    return record->installed_count > 0 || record->installed_timestamp || record->version ||
           record->hash;
}

static gboolean differs(const char *a, const char *b)
{
    return a && b && strcmp(a, b) != 0;
}

static gboolean record_changed(const JobSlotRecord *a, const JobSlotRecord *b)
{
    return a->installed_count != b->installed_count ||
           g_strcmp0(a->installed_timestamp, b->installed_timestamp) != 0 ||
           g_strcmp0(a->version, b->version) != 0 || g_strcmp0(a->hash, b->hash) != 0;
}

/* Before this job knows what its own attempt has written, RAUC's count tells: it is one more, not
 * two. */
gboolean verdict_target_changed(const Job *job, const RaucStatus *status)
{
    JobSlotRecord now = verdict_record(rauc_status_slot(status, job->target_slot));

    if (!record_known(&job->after))
        return now.installed_count > job->before.installed_count + 1;
    return record_changed(&job->after, &now);
}

static JobEvent written_by_another(const Job *job, char **ret_reason)
{
    *ret_reason = g_strdup_printf("slot %s was written by another installation", job->target_slot);
    return JOB_EVENT_BOOT_TARGET_OTHER;
}

/* Only the count and the time of installation say that an image was written whole: status, version
 * and hash are also set for an install that failed. */
static gboolean installed_since(const JobSlotRecord *before, const JobSlotRecord *now)
{
    return before->installed_count != now->installed_count ||
           g_strcmp0(before->installed_timestamp, now->installed_timestamp) != 0;
}

gboolean verdict_target_written(const Job *job, const RaucStatus *status)
{
    JobSlotRecord now = verdict_record(rauc_status_slot(status, job->target_slot));

    if (record_known(&now) || record_known(&job->before))
        return installed_since(&job->before, &now);
    return job->written;
}

/* Where RAUC keeps no status file the loader tells what was activated.  With a booted slot that it
 * would not take again, for want of attempts or of a mark, it shows the other one, whoever
 * activated which. */
static gboolean loader_tells_target(const Job *job, const RaucStatus *status)
{
    const RaucSlot *booted = rauc_status_booted(status);

    if (g_strcmp0(status->primary, job->target_slot) != 0)
        return FALSE;
    return !booted || g_strcmp0(booted->name, job->target_slot) == 0 ||
           g_strcmp0(booted->boot_status, "bad") != 0;
}

/* For a job found in `installing` after a boot.  A slot that RAUC knows nothing of, before and
 * after, was not written whole where RAUC keeps a status file. */
static gboolean written_whole(const Job *job, const RaucStatus *status)
{
    JobSlotRecord now = verdict_record(rauc_status_slot(status, job->target_slot));

    if (record_known(&now) || record_known(&job->before))
        return installed_since(&job->before, &now);
    return loader_tells_target(job, status);
}

/* For a job found in `installing` after a boot: the whole image was not there yet when somebody
 * else's install began.  What has no time of installation cannot be told to be the job's. */
static gboolean written_after_foreign(const Job *job, const Observation *seen)
{
    const RaucSlot *target = rauc_status_slot(seen->status, job->target_slot);
    g_autoptr(GDateTime) installed = NULL;

    if (!seen->foreign->begun || !written_whole(job, seen->status))
        return FALSE;
    if (target && target->installed_timestamp)
        installed = g_date_time_new_from_iso8601(target->installed_timestamp, NULL);
    return !installed || g_date_time_to_unix(installed) >= seen->foreign->begun_s;
}

/* The loader points to the target, and it is this job's doing: an operator may have pointed it
 * there before, and attempts that are used up point it there as well. */
static gboolean activated_by_job(const Job *job, const RaucStatus *status)
{
    JobSlotRecord now = verdict_record(rauc_status_slot(status, job->target_slot));

    if (g_strcmp0(status->primary, job->target_slot) != 0)
        return FALSE;
    if (record_known(&now) || record_known(&job->before))
        return installed_since(&job->before, &now) ||
               g_strcmp0(job->before.activated_timestamp, now.activated_timestamp) != 0;
    return g_strcmp0(job->primary_slot, job->target_slot) != 0 && loader_tells_target(job, status);
}

gboolean verdict_slot_failed(const RaucSlot *slot)
{
    return slot->status && strcmp(slot->status, "ok") != 0;
}

/* The booted target against what was recorded when it was activated. */
static gboolean target_is_ours(const Job *job, const Observation *seen, char **ret_reason)
{
    const RaucSlot *slot = rauc_status_slot(seen->status, job->target_slot);
    JobSlotRecord now = verdict_record(slot);

    if (record_known(&now)) {
        if (differs(job->after.version, now.version) || differs(job->after.hash, now.hash) ||
            differs(job->after.installed_timestamp, now.installed_timestamp) ||
            (!record_known(&job->after) && verdict_target_changed(job, seen->status))) {
            *ret_reason = g_strdup_printf(
                "slot %s is booted, but it holds %s, which this job did not install", slot->name,
                now.version ? now.version : "another image");
            return FALSE;
        }
        return TRUE;
    }
    if (seen->firmware_version && g_strcmp0(job->firmware_version, seen->firmware_version) == 0) {
        *ret_reason = g_strdup_printf(
            "slot %s is booted, but the firmware version is still %s, and RAUC keeps no status "
            "of its slots",
            slot->name, seen->firmware_version);
        return FALSE;
    }
    return TRUE;
}

static JobEvent target_booted(const Job *job, const Observation *seen, char **ret_reason)
{
    const RaucSlot *slot = rauc_status_slot(seen->status, job->target_slot);

    if (verdict_slot_failed(slot)) {
        *ret_reason = g_strdup_printf("slot %s is booted, but RAUC shows its status as %s",
                                      slot->name, slot->status);
        return JOB_EVENT_BOOT_TARGET_BAD;
    }
    if (job->state == JOB_INSTALLING && !written_whole(job, seen->status)) {
        *ret_reason = g_strdup_printf("slot %s is booted before RAUC had finished writing it",
                                      job->target_slot);
        return JOB_EVENT_BOOT_TARGET_BAD;
    }
    if (job->state == JOB_INSTALLING && g_strcmp0(seen->foreign->boot_id, seen->boot_id) != 0 &&
        written_after_foreign(job, seen)) /* in this boot it is the old slot that is written */
        return written_by_another(job, ret_reason);
    if (!target_is_ours(job, seen, ret_reason))
        return JOB_EVENT_BOOT_TARGET_OTHER;
    if (job->state == JOB_CONFIRMING && job->confirm_boots + 1 >= JOB_MAX_CONFIRM_BOOTS) {
        *ret_reason = g_strdup("the new firmware was booted three times without being confirmed");
        return JOB_EVENT_BOOT_TARGET_THIRD;
    }
    return JOB_EVENT_BOOT_TARGET;
}

static JobEvent interrupted(const Job *job, char **ret_reason)
{
    if (job->interruptions + 1 > JOB_MAX_INTERRUPTIONS) {
        *ret_reason =
            g_strdup_printf("the installation was interrupted %u times", job->interruptions + 1);
        return JOB_EVENT_INTERRUPTED_LAST;
    }
    *ret_reason = g_strdup("the installation was interrupted; it is tried again");
    return JOB_EVENT_INTERRUPTED;
}

/* RAUC notes the image, points the loader to it, and then notes that; a power cut may come between.
 * Where it keeps no notes, or the job was seen beyond the installing, it did activate. */
static gboolean activation_recorded(const Job *job, const RaucSlot *target)
{
    JobSlotRecord now = verdict_record(target);

    return job->state != JOB_INSTALLING || !record_known(&now) ||
           g_strcmp0(job->before.activated_timestamp, now.activated_timestamp) != 0;
}

static JobEvent old_booted(const Job *job, const Observation *seen, char **ret_reason)
{
    const RaucSlot *target = rauc_status_slot(seen->status, job->target_slot);

    if (job->state == JOB_INSTALLING && written_after_foreign(job, seen))
        return written_by_another(job, ret_reason);
    if (activated_by_job(job, seen->status) && target &&
        g_strcmp0(target->boot_status, "bad") != 0) {
        if (verdict_target_changed(job, seen->status))
            return written_by_another(job, ret_reason);
        *ret_reason = g_strdup_printf("the charger booted %s although the boot loader points to %s",
                                      job->booted_slot, job->target_slot);
        return JOB_EVENT_BOOT_OLD_PRIMARY_TARGET;
    }
    if (job->state == JOB_INSTALLING && !written_whole(job, seen->status))
        return interrupted(job, ret_reason);
    *ret_reason =
        activation_recorded(job, target)
            ? g_strdup_printf(
                  "the boot loader went back to %s: the new firmware in %s did not boot",
                  job->booted_slot, job->target_slot)
            : g_strdup_printf(
                  "the charger rebooted while RAUC activated %s: whether the new firmware "
                  "was tried cannot be told, it is not installed again",
                  job->target_slot);
    return JOB_EVENT_BOOT_OLD;
}

/* The loader may point to the new slot, and nobody can say: the safe side is to take it back. */
static gboolean primary_unknown_after_write(const Job *job, const RaucStatus *status,
                                            char **ret_reason)
{
    if (status->primary || !verdict_target_written(job, status))
        return FALSE;
    *ret_reason = g_strdup("RAUC wrote the slot, but does not tell which slot is primary");
    return TRUE;
}

JobEvent verdict_on_start(const Job *job, const Observation *seen, char **ret_reason)
{
    const RaucSlot *booted = rauc_status_booted(seen->status);

    *ret_reason = NULL;
    if (g_strcmp0(job->boot_id, seen->boot_id) == 0) {
        if (job->state != JOB_INSTALLING)
            return JOB_EVENT_RESUME;
        if (verdict_target_changed(job, seen->status))
            return written_by_another(job, ret_reason);
        if (primary_unknown_after_write(job, seen->status, ret_reason))
            return JOB_EVENT_FAIL_ACTIVATED;
        return activated_by_job(job, seen->status) ? JOB_EVENT_ACTIVATED
                                                   : interrupted(job, ret_reason);
    }
    if (!booted)
        return JOB_EVENT_NONE;
    if (g_strcmp0(booted->name, job->target_slot) == 0)
        return target_booted(job, seen, ret_reason);
    if (g_strcmp0(booted->name, job->booted_slot) == 0)
        return old_booted(job, seen, ret_reason);
    return JOB_EVENT_NONE;
}

JobEvent verdict_on_failure(const AttemptEnd *end)
{
    switch ((RaucError)end->failure->code) {
    case RAUC_ERROR_STREAM:
        return end->other_way ? JOB_EVENT_NEXT_TRANSPORT : JOB_EVENT_REFUSED;
    case RAUC_ERROR_STORE:
        if (end->other_way)
            return JOB_EVENT_NEXT_TRANSPORT;
        break;
    case RAUC_ERROR_SIGNATURE:
    case RAUC_ERROR_COMPATIBLE:
    case RAUC_ERROR_FORMAT:
    case RAUC_ERROR_SIZE:
        return JOB_EVENT_REFUSED;
    case RAUC_ERROR_OTHER:
        /* Not the transfer's fault, so DownloadFailed would not be true. */
        return end->last ? JOB_EVENT_REFUSED : JOB_EVENT_FAIL;
    case RAUC_ERROR_RETRIEVAL:
    case RAUC_ERROR_COPY:
    case RAUC_ERROR_GONE:
    case RAUC_ERROR_BUSY: /* judged before */
        break;
    }
    return end->last ? JOB_EVENT_FAIL_LAST : JOB_EVENT_FAIL;
}

JobEvent verdict_on_attempt(const Job *job, const Observation *seen, const AttemptEnd *end,
                            char **ret_reason)
{
    const GError *failure = end->failure;
    gboolean activated = activated_by_job(job, seen->status);

    if (failure && failure->code == RAUC_ERROR_BUSY) { /* ours never began: not charged */
        JobEvent event = interrupted(job, ret_reason);

        g_free(*ret_reason);
        *ret_reason = g_strdup(failure->message);
        return event;
    }
    if (verdict_target_changed(job, seen->status))
        return written_by_another(job, ret_reason);
    if (primary_unknown_after_write(job, seen->status, ret_reason))
        return JOB_EVENT_FAIL_ACTIVATED;
    *ret_reason = failure ? g_strdup(failure->message) : NULL;
    if (activated) {
        gboolean reported = failure && failure->code != RAUC_ERROR_GONE;

        return reported ? JOB_EVENT_FAIL_ACTIVATED : JOB_EVENT_ACTIVATED;
    }
    if (failure)
        return verdict_on_failure(end);
    *ret_reason = g_strdup_printf(
        "RAUC installed the bundle but did not activate slot %s (activate-installed=false?)",
        job->target_slot);
    return JOB_EVENT_REFUSED;
}

gboolean verdict_other_slot_boots(const Job *job, const RaucStatus *status, const char *booted)
{
    const char *name =
        g_strcmp0(booted, job->target_slot) == 0 ? job->booted_slot : job->target_slot;
    const RaucSlot *other = rauc_status_slot(status, name);

    if (!other || !other->bootname)
        return FALSE;
    /* It ran when the job began: its attempts may be used up, and they can be filled up again. */
    if (g_strcmp0(name, job->booted_slot) == 0)
        return !verdict_slot_failed(other);
    return g_strcmp0(other->boot_status, "good") == 0 && !verdict_slot_failed(other);
}
