/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks at the job, at RAUC and at the clock, and names the event that they amount to.  Nothing is
 * changed here.  One function a state; the order within one is the order of importance.
 */
#include "src/behaviour/firmware/internal.h"

#include <string.h>

static const gint64 REBOOT_AGAIN_MS[] = {300000, 900000, 3600000}; /* then hourly */

static const Finding NOTHING = {JOB_EVENT_NONE, NULL};

static Finding found(JobEvent event)
{
    return (Finding){event, NULL};
}

static gint64 now(const Firmware *firmware)
{
    return clock_boottime_ms(firmware->clock);
}

gboolean firmware_last_attempt(const Firmware *firmware)
{
    return firmware->job->attempts >= firmware->job->retries ||
           firmware_is_hopeless(firmware, firmware->fetch_error);
}

static gboolean target_is_booted(const Firmware *firmware)
{
    const RaucSlot *booted = firmware_booted(firmware);

    return booted && firmware->job && g_strcmp0(booted->name, firmware->job->target_slot) == 0;
}

/* The running slot is to be confirmed before its fallback is overwritten; but a slot that never
 * gets healthy must still be open to a new firmware. */
static gboolean has_waited_for_health(const Firmware *firmware)
{
    return now(firmware) - firmware->started_ms >= firmware->config.health_timeout_ms;
}

/* RAUC says that the loader would take no slot but the booted one; what it cannot tell may boot. */
static gboolean booted_is_all(const Firmware *firmware)
{
    const RaucSlot *other = firmware->status ? rauc_status_target(firmware->status) : NULL;

    return firmware->status &&
           (!other || g_strcmp0(other->boot_status, "bad") == 0 || verdict_slot_failed(other));
}

/* A job was under way when the agent started: power cuts during a job must not use up the attempts
 * of the running slot, so it is marked without health checks, unless it is the slot that the job
 * writes.  Nor may they be used up when that slot is all that boots, as it is once an update
 * overwrites the other one. */
static gboolean marks_without_health(const Firmware *firmware)
{
    if (firmware->job && target_is_booted(firmware))
        return FALSE;
    if (firmware->job && firmware->job_at_start)
        return TRUE;
    return firmware->config.mark_good == FIRMWARE_MARK_ALWAYS && has_waited_for_health(firmware) &&
           (firmware->job ? firmware->job->state == JOB_INSTALL_WAIT : booted_is_all(firmware));
}

gboolean firmware_may_mark_boot(const Firmware *firmware)
{
    if (firmware->boot_marked || firmware->config.mark_good == FIRMWARE_MARK_NEVER ||
        !firmware_booted(firmware))
        return FALSE;
    if (marks_without_health(firmware))
        return TRUE;
    if (firmware->job && job_state_is_active(firmware->job->state) && target_is_booted(firmware))
        return FALSE; /* its health is the job's business */
    return firmware->healthy && firmware->config.mark_good == FIRMWARE_MARK_ALWAYS;
}

gboolean firmware_awaits_boot_mark(const Firmware *firmware)
{
    return !firmware->seen && firmware_may_mark_boot(firmware) &&
           firmware->boot_mark_tries < FIRMWARE_BOOT_MARK_TRIES;
}

gboolean firmware_wants_health(const Firmware *firmware)
{
    if (firmware->job && job_state_is_active(firmware->job->state))
        return firmware->seen && firmware->job->state == JOB_CONFIRMING;
    return !firmware->boot_marked && firmware->config.mark_good == FIRMWARE_MARK_ALWAYS &&
           !marks_without_health(firmware);
}

/* ----------------------------------------------------------------------- the slot to go back to */

/* Rolling back no more: the booted slot is being made the loader's again. */
static gboolean stays(const Firmware *firmware)
{
    return firmware->job->state == JOB_ROLLING_BACK &&
           (firmware->undone ||
            (firmware->n_effects > 0 && firmware->effects[0] == JOB_EFFECT_UNDO));
}

gboolean firmware_fallback_in_doubt(const Firmware *firmware)
{
    return firmware->foreign.begun && !firmware->status && firmware->job &&
           firmware->job->state == JOB_ROLLING_BACK && !stays(firmware);
}

/* Up to 1.8 RAUC shows nothing of an install that failed but what the loader knows: that slot is
 * bad. */
gboolean firmware_fallback_boots(const Firmware *firmware)
{
    const Job *job = firmware->job;

    return verdict_other_slot_boots(job, firmware->status, job->target_slot) &&
           (!firmware->foreign.begun ||
            g_strcmp0(rauc_status_slot(firmware->status, job->booted_slot)->boot_status, "good") ==
                0);
}

gboolean firmware_fallback_lost(const Firmware *firmware)
{
    return firmware->job && firmware->job->state == JOB_ROLLING_BACK && !firmware->calling &&
           !stays(firmware) && target_is_booted(firmware) && !firmware_fallback_boots(firmware);
}

/* A RAUC that does not tell its slots may still do as it is told: the slot that runs is the one
 * that is known to boot. */
static Finding observe_fallback(const Firmware *firmware)
{
    if (firmware_fallback_lost(firmware))
        return (Finding){JOB_EVENT_NO_FALLBACK,
                         g_strdup("another installation has left no other slot that would boot")};
    if (firmware_fallback_in_doubt(firmware) && rauc_presence(firmware->rauc) == RAUC_IDLE &&
        !firmware->calling && firmware->query_tries >= FIRMWARE_POINT_ASKS)
        return (Finding){
            JOB_EVENT_NO_FALLBACK,
            g_strdup("RAUC does not tell what another installation has left of the other slot")};
    return NOTHING;
}

/* ------------------------------------------------------------------------------- one state each */

/* DESIGN, "Time": dates are judged by CSMS time; without it by the system clock, if that can be
 * believed. */
static gboolean judging_time(const Firmware *firmware, gint64 *ret_ms)
{
    if (clock_csms_ms(firmware->clock, ret_ms))
        return TRUE;
    *ret_ms = clock_wall_ms(firmware->clock);
    return clock_wall_synchronised(firmware->clock) && *ret_ms >= firmware->config.last_csms_ms;
}

/* A fleet that is told one date shall not come to the server all at once.  By what the job is, so
 * that a restart does not draw anew. */
static gint64 spread_ms(const Firmware *firmware)
{
    const Job *job = firmware->job;
    g_autofree char *text =
        g_strdup_printf("%s %s %" G_GINT64_FORMAT, firmware->config.identity, job->location,
                        job->has_retrieve_date ? job->retrieve_date_ms : job->created_ms);

    if (firmware->config.spread_s == 0 || job->by_hand)
        return 0;
    return (gint64)g_str_hash(text) * 1000 % ((gint64)firmware->config.spread_s * 1000);
}

/* When the job is to begin; FALSE: at once. */
static gboolean begins_at(const Firmware *firmware, gint64 *ret_ms)
{
    const Job *job = firmware->job;

    if (!job->has_retrieve_date && spread_ms(firmware) == 0)
        return FALSE;
    *ret_ms =
        (job->has_retrieve_date ? job->retrieve_date_ms : job->created_ms) + spread_ms(firmware);
    return TRUE;
}

static gboolean retrieve_date_reached(const Firmware *firmware)
{
    gint64 ms, at;

    if (!begins_at(firmware, &at))
        return TRUE;
    return judging_time(firmware, &ms) && ms >= at;
}

/* An unusable location goes the way of the own download, which is refused at once: Downloading,
 * DownloadFailed. */
static Finding due(const Firmware *firmware)
{
    g_autofree char *reason = NULL;
    g_autofree char *url = NULL;

    if (firmware_is_local(firmware->job))
        return found(JOB_EVENT_DUE_STREAM);
    url = location_to_url(firmware->job->location, &reason);
    return found(url && firmware_streams(firmware) ? JOB_EVENT_DUE_STREAM : JOB_EVENT_DUE);
}

static Finding observe_scheduled(const Firmware *firmware)
{
    return retrieve_date_reached(firmware) ? due(firmware) : NOTHING;
}

static Finding observe_retry_wait(const Firmware *firmware)
{
    return now(firmware) >= firmware->retry_at_ms ? due(firmware) : NOTHING;
}

static Finding observe_downloading(const Firmware *firmware)
{
    if (firmware->fetched)
        return (Finding){JOB_EVENT_FETCH_OK,
                         g_strdup_printf("%" G_GINT64_FORMAT " bytes fetched, sha256=%s",
                                         firmware_fetched_bytes(firmware),
                                         firmware->bundle_sha256)};
    if (!firmware->fetch_error)
        return NOTHING;
    return (Finding){firmware_last_attempt(firmware) ? JOB_EVENT_FETCH_FAIL_LAST
                                                     : JOB_EVENT_FETCH_FAIL,
                     g_strdup(firmware->fetch_error->message)};
}

/* Not on the bus, or there and not telling its slots: there is no verdict without it. */
static gint64 mute_since(const Firmware *firmware)
{
    return firmware->absent_since_ms >= 0 ? firmware->absent_since_ms : firmware->untold_since_ms;
}

static gboolean absent_too_long(const Firmware *firmware)
{
    return mute_since(firmware) >= 0 &&
           now(firmware) - mute_since(firmware) >= firmware->config.absent_timeout_ms;
}

/* A RAUC that refuses the mark holds the update up no longer. */
static gboolean boot_is_settled(const Firmware *firmware)
{
    return firmware->boot_marked || firmware->config.mark_good != FIRMWARE_MARK_ALWAYS ||
           (has_waited_for_health(firmware) &&
            (!firmware_may_mark_boot(firmware) ||
             firmware->boot_mark_tries >= FIRMWARE_BOOT_MARK_TRIES));
}

static Finding observe_install_wait(const Firmware *firmware)
{
    if (absent_too_long(firmware))
        return (Finding){JOB_EVENT_FAIL_LAST, g_strdup("RAUC does not answer")};
    if (!firmware->status || rauc_presence(firmware->rauc) != RAUC_IDLE ||
        !boot_is_settled(firmware))
        return NOTHING;
    if (!firmware_booted(firmware))
        return (Finding){JOB_EVENT_FAIL_LAST, g_strdup("RAUC does not know which slot is booted")};
    if (!rauc_status_target(firmware->status))
        return (Finding){JOB_EVENT_FAIL_LAST, g_strdup("RAUC has no second slot to install to")};
    return found(firmware->job->transport == JOB_TRANSPORT_STREAM &&
                         !firmware_is_local(firmware->job)
                     ? JOB_EVENT_PERMIT_STREAM
                     : JOB_EVENT_PERMIT);
}

static Finding observe_installing(const Firmware *firmware)
{
    Observation seen = {firmware->status, firmware->config.boot_id,
                        firmware->config.firmware_version, &firmware->foreign};
    AttemptEnd end = {firmware->attempt_error, FALSE, FALSE};
    Finding finding;

    if (firmware->writing && (!firmware->job->written || firmware->job->wire < JOB_WIRE_INSTALLING))
        return found(JOB_EVENT_WRITING);
    if (firmware->attempt != ATTEMPT_ENDED || (!firmware->status && !firmware->outrun))
        return NOTHING;
    end.last = firmware_last_attempt(firmware);
    end.other_way = firmware_has_other_way(firmware, firmware->attempt_error);
    if (firmware->outrun)
        return (Finding){verdict_on_failure(&end), g_strdup(firmware->attempt_error->message)};
    finding.event = verdict_on_attempt(firmware->job, &seen, &end, &finding.reason);
    return finding;
}

static Finding foreign_install(const Firmware *firmware)
{
    if (firmware->status && verdict_target_changed(firmware->job, firmware->status))
        return (Finding){JOB_EVENT_BOOT_TARGET_OTHER,
                         g_strdup_printf("slot %s was written by another installation",
                                         firmware->job->target_slot)};
    return NOTHING;
}

/* Somebody else's install may just have ended: RAUC is asked before the reboot.  One that does not
 * tell holds nothing up. */
static gboolean rauc_is_to_tell(const Firmware *firmware)
{
    return rauc_presence(firmware->rauc) == RAUC_IDLE && !firmware->status &&
           now(firmware) >= firmware->query_not_before_ms;
}

static Finding observe_reboot_wait(const Firmware *firmware)
{
    Finding finding = foreign_install(firmware);

    if (finding.event != JOB_EVENT_NONE)
        return finding;
    if (rauc_presence(firmware->rauc) == RAUC_BUSY || rauc_is_to_tell(firmware))
        return NOTHING;
    return firmware_has_leave(firmware) ? found(JOB_EVENT_REBOOT_NOW) : NOTHING;
}

static gint64 reboot_again_at(const Firmware *firmware)
{
    guint i = MIN(firmware->reboot_asked, G_N_ELEMENTS(REBOOT_AGAIN_MS));

    return firmware->reboot_asked_ms < 0
               ? -1
               : firmware->reboot_asked_ms + REBOOT_AGAIN_MS[i > 0 ? i - 1 : 0];
}

static Finding observe_reboot_pending(const Firmware *firmware)
{
    Finding finding;

    if (firmware->undone)
        return found(JOB_EVENT_UNDONE);
    finding = firmware->job->state == JOB_REBOOTING ? foreign_install(firmware) : NOTHING;
    if (finding.event != JOB_EVENT_NONE)
        return finding;
    if (firmware->reboot_asked_ms >= 0 && now(firmware) >= reboot_again_at(firmware))
        return found(JOB_EVENT_REBOOT_AGAIN);
    return NOTHING;
}

static gint64 deadline(const Firmware *firmware)
{
    return firmware->job->confirm_boottime_ms + firmware->config.health_timeout_ms;
}

/* A slot that is healthy is given up only when RAUC refuses for good to mark it. */
static gboolean may_become_good(const Firmware *firmware)
{
    return firmware->healthy && firmware->mark_good_refused < FIRMWARE_MARK_GOOD_TRIES;
}

static Finding deadline_passed(const Firmware *firmware)
{
    if (!firmware->status)
        return NOTHING;
    if (!firmware_fallback_boots(firmware))
        return (Finding){
            JOB_EVENT_NO_FALLBACK,
            g_strdup("the new firmware failed its health checks, and no other slot would boot")};
    return (Finding){JOB_EVENT_DEADLINE,
                     g_strdup("the new firmware did not pass its health checks in time")};
}

static Finding observe_confirming(const Firmware *firmware)
{
    gboolean never = firmware->config.mark_good == FIRMWARE_MARK_NEVER;

    if (firmware->marked || (firmware->healthy && never))
        return found(JOB_EVENT_MARKED);
    if (!may_become_good(firmware))
        return now(firmware) >= deadline(firmware) ? deadline_passed(firmware) : NOTHING;
    if (now(firmware) >= firmware->effect_not_before_ms &&
        rauc_presence(firmware->rauc) == RAUC_IDLE)
        return found(JOB_EVENT_HEALTHY);
    return NOTHING;
}

static Finding observe_undoing(const Firmware *firmware)
{
    if (firmware->undone)
        return found(JOB_EVENT_UNDONE);
    return rauc_presence(firmware->rauc) == RAUC_IDLE && firmware->status ? found(JOB_EVENT_IDLE)
                                                                          : NOTHING;
}

/* ------------------------------------------------------------------------------- the first look */

static Finding observe_start(const Firmware *firmware)
{
    gboolean same_boot = g_strcmp0(firmware->job->boot_id, firmware->config.boot_id) == 0;
    Observation seen = {firmware->status, firmware->config.boot_id,
                        firmware->config.firmware_version, &firmware->foreign};
    Finding finding;

    if (!job_state_is_active(firmware->job->state))
        return found(JOB_EVENT_RESUME);
    if (same_boot && firmware->job->state == JOB_INSTALLING &&
        rauc_presence(firmware->rauc) == RAUC_BUSY)
        return found(JOB_EVENT_RESUME); /* our install, or at least its end will tell */
    if (same_boot && firmware->job->state == JOB_ROLLING_BACK)
        return found(JOB_EVENT_RESUME); /* the slot is given up, whatever RAUC tells */
    if (!firmware->status)
        return NOTHING; /* RAUC is silent, or at work for somebody else */
    if (firmware_awaits_boot_mark(firmware))
        return NOTHING; /* GetPrimary is not to be believed before the mark */
    finding.event = verdict_on_start(firmware->job, &seen, &finding.reason);
    if (finding.event == JOB_EVENT_BOOT_TARGET_THIRD && !firmware_fallback_boots(firmware))
        finding.event = JOB_EVENT_NO_FALLBACK;
    return finding;
}

/* Once the slot is activated, waiting for the reboot needs no RAUC. */
static gboolean needs_rauc(const Firmware *firmware)
{
    gboolean waits =
        firmware->job->state == JOB_REBOOT_WAIT || firmware->job->state == JOB_REBOOTING;

    return job_state_is_active(firmware->job->state) && !(firmware->seen && waits);
}

/* What the installation has been through already must not count: the slot without RAUC may have
 * been booted before RAUC said that it had activated it. */
static guint silent_boots_allowed(const Job *job)
{
    return job->state == JOB_INSTALLING ? 2 * JOB_MAX_INTERRUPTIONS : JOB_MAX_INTERRUPTIONS;
}

/* RAUC mute since a boot: without it no verdict can be had, and the loader falls back when nothing
 * marks the slot good. */
static Finding observe_silence(const Firmware *firmware)
{
    JobEffect next = firmware->n_effects > 0 ? firmware->effects[0] : JOB_EFFECT_NONE;

    if (next == JOB_EFFECT_REBOOT || stays(firmware) || firmware_fallback_in_doubt(firmware) ||
        !needs_rauc(firmware) || !absent_too_long(firmware))
        return NOTHING;
    if (next != JOB_EFFECT_MARK_BAD && /* after that the loader does not come back here */
        firmware->job->interruptions >= silent_boots_allowed(firmware->job))
        return NOTHING;
    return (Finding){JOB_EVENT_SILENT, g_strdup("RAUC does not answer; rebooting without a mark")};
}

Finding firmware_observe(Firmware *firmware)
{
    static Finding (*const OBSERVE[JOB_N_STATES])(const Firmware *) = {
        [JOB_SCHEDULED] = observe_scheduled,         [JOB_DOWNLOADING] = observe_downloading,
        [JOB_RETRY_WAIT] = observe_retry_wait,       [JOB_INSTALL_WAIT] = observe_install_wait,
        [JOB_INSTALLING] = observe_installing,       [JOB_REBOOT_WAIT] = observe_reboot_wait,
        [JOB_REBOOTING] = observe_reboot_pending,    [JOB_CONFIRMING] = observe_confirming,
        [JOB_ROLLING_BACK] = observe_reboot_pending, [JOB_UNDOING] = observe_undoing,
    };
    Finding finding;

    if (!firmware->job)
        return NOTHING;
    finding = observe_fallback(firmware);
    if (finding.event == JOB_EVENT_NONE)
        finding = observe_silence(firmware);
    if (finding.event != JOB_EVENT_NONE)
        return finding;
    if (firmware->n_effects > 0 || firmware->calling)
        return NOTHING;
    if (!firmware->seen)
        return observe_start(firmware);
    return OBSERVE[firmware->job->state] ? OBSERVE[firmware->job->state](firmware) : NOTHING;
}

/* --------------------------------------------------------------------------- when to look again */

gboolean firmware_wants_status(const Firmware *firmware)
{
    gboolean at_work = firmware->calling || firmware->attempt == ATTEMPT_CALLED ||
                       firmware->attempt == ATTEMPT_RUNNING;

    if (firmware->status || firmware->asking || at_work ||
        rauc_presence(firmware->rauc) != RAUC_IDLE || now(firmware) < firmware->query_not_before_ms)
        return FALSE;
    if (!firmware->boot_marked && firmware->config.mark_good != FIRMWARE_MARK_NEVER)
        return TRUE;
    return firmware->job &&
           (job_state_is_active(firmware->job->state) || firmware->job->state == JOB_INSTALL_WAIT);
}

static void sooner(gint64 *next, gint64 at)
{
    if (at >= 0 && (*next < 0 || at < *next))
        *next = at;
}

/* Whether an install is watched: the attempt, or one that `undoing` waits for, which may be an
 * attempt that was cancelled before this process began. */
gboolean firmware_watches(const Firmware *firmware)
{
    if (!firmware->job || firmware->aborting)
        return FALSE;
    if (firmware->job->state == JOB_INSTALLING)
        return firmware->attempt == ATTEMPT_RUNNING;
    return firmware->job->state == JOB_UNDOING && rauc_presence(firmware->rauc) == RAUC_BUSY;
}

gint64 firmware_watchdog_ms(const Firmware *firmware)
{
    return firmware->progress_ms + (firmware->percent_seen ? firmware->config.stall_timeout_ms
                                                           : firmware->config.silent_timeout_ms);
}

static gint64 scheduled_at(const Firmware *firmware)
{
    gint64 ms, at;

    if (!begins_at(firmware, &at))
        return -1;
    if (!judging_time(firmware, &ms))
        return now(firmware) + FIRMWARE_MAX_WAKE_MS;
    return now(firmware) + CLAMP(at - ms, 0, FIRMWARE_MAX_WAKE_MS);
}

static gint64 state_looks_at(const Firmware *firmware)
{
    switch (firmware->job->state) {
    case JOB_SCHEDULED:
        return scheduled_at(firmware);
    case JOB_RETRY_WAIT:
        return firmware->retry_at_ms;
    case JOB_INSTALL_WAIT:
        return boot_is_settled(firmware)
                   ? -1
                   : firmware->started_ms + firmware->config.health_timeout_ms;
    case JOB_REBOOTING:
    case JOB_ROLLING_BACK:
        return reboot_again_at(firmware);
    case JOB_CONFIRMING:
        return may_become_good(firmware) ? -1 : deadline(firmware);
    case JOB_UNDOING:
        return firmware->aborting ? firmware->progress_ms + FIRMWARE_ABORT_AGAIN_MS : -1;
    default:
        return -1;
    }
}

gint64 firmware_next_look_ms(const Firmware *firmware)
{
    gint64 next = -1;

    if (firmware->effect_not_before_ms > now(firmware))
        sooner(&next, firmware->effect_not_before_ms);
    if (firmware->boot_mark_not_before_ms > now(firmware))
        sooner(&next, firmware->boot_mark_not_before_ms);
    if (firmware->query_not_before_ms > now(firmware))
        sooner(&next, firmware->query_not_before_ms);
    if (!firmware->job && firmware->boot_marked)
        return next;
    if (!has_waited_for_health(firmware))
        sooner(&next, firmware->started_ms + firmware->config.health_timeout_ms);
    if (!firmware->job)
        return next;
    if (mute_since(firmware) >= 0 &&
        (needs_rauc(firmware) || firmware->job->state == JOB_INSTALL_WAIT))
        sooner(&next, mute_since(firmware) + firmware->config.absent_timeout_ms);
    if (firmware_watches(firmware))
        sooner(&next, firmware_watchdog_ms(firmware));
    if (firmware->seen && !firmware->calling)
        sooner(&next, state_looks_at(firmware));
    return next;
}
