/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The only place where a job's state changes: row, history and statuses in one transaction; what
 * follows from the new state (effects, flags) is set only after the commit.
 */
#include "src/behaviour/firmware/internal.h"

#include <string.h>

void firmware_log_history(const HistoryEntry *entry)
{
    g_message("job=%" G_GINT64_FORMAT " state=%s -> %s event=%s%s%s", entry->job_id,
              job_state_name(entry->from), job_state_name(entry->to), entry->event,
              entry->detail ? " reason=" : "", entry->detail ? entry->detail : "");
}

gboolean firmware_push_status(Firmware *firmware, const Job *job, const char *status,
                              GError **error)
{
    g_autofree char *payload = g_strdup_printf("{\"status\":\"%s\"}", status);

    return outbox_push(firmware->store, job->id, "FirmwareStatusNotification", payload, error);
}

/* What is done is done, and a store that said no before is well again. */
static gboolean commit(Firmware *firmware, GError **error)
{
    if (!store_commit(firmware->store, error))
        return FALSE;
    if (firmware->told_store)
        g_message("the store takes the job's steps again");
    firmware->told_store = FALSE;
    return TRUE;
}

/* What somebody else did to the slot that is not booted has been judged, and the job does not
 * depend on that slot any more or writes it anew. */
static gboolean foreign_is_past(const Firmware *firmware, const JobStep *step)
{
    JobState state = step->job->state;

    return firmware->foreign.begun && state != step->from && state != JOB_CONFIRMING &&
           state != JOB_ROLLING_BACK;
}

static gboolean write_step(Firmware *firmware, const JobStep *step, const HistoryEntry *entry,
                           GError **error)
{
    if (!jobs_update(firmware->store, step->job, error) ||
        !history_add(firmware->store, entry, error))
        return FALSE;
    for (guint i = 0; i < step->n_statuses; i++)
        if (!firmware_push_status(firmware, step->job, step->statuses[i], error))
            return FALSE;
    return !foreign_is_past(firmware, step) || firmware_clear_foreign(firmware, error);
}

/* Ends a job that never began to matter: the waiting one that a newer request replaces. */
static gboolean write_superseded(Firmware *firmware, const Job *job, GError **error)
{
    g_autoptr(Job) ended = job_copy(job);
    HistoryEntry entry = {.job_id = job->id,
                          .time_ms = clock_best_ms(firmware->clock),
                          .from = job->state,
                          .to = JOB_SUPERSEDED,
                          .event = (char *)job_event_name(JOB_EVENT_REQUEST)};

    ended->role = JOB_ENDED;
    ended->state = JOB_SUPERSEDED;
    ended->ended_ms = entry.time_ms;
    return jobs_update(firmware->store, ended, error) &&
           history_add(firmware->store, &entry, error);
}

static gboolean write_request(Firmware *firmware, Job *request, GError **error)
{
    HistoryEntry entry = {.time_ms = clock_best_ms(firmware->clock),
                          .from = JOB_SCHEDULED,
                          .to = JOB_SCHEDULED,
                          .event = (char *)"request"};

    if (!jobs_insert(firmware->store, request, error))
        return FALSE;
    entry.job_id = request->id;
    return history_add(firmware->store, &entry, error);
}

/* What only this process knows about the step that was just left. */
static void enter_state(Firmware *firmware, const JobStep *step)
{
    JobState state = step->job->state;

    memcpy(firmware->effects, step->effects, sizeof(firmware->effects));
    firmware->n_effects = step->n_effects;
    if (foreign_is_past(firmware, step))
        firmware->foreign.begun = FALSE;
    firmware->effect_tries = 0;
    firmware->effect_not_before_ms = 0;
    if (state == step->from)
        return;
    firmware->attempt = ATTEMPT_NONE;
    g_clear_error(&firmware->attempt_error);
    firmware->stalled = firmware->outrun = firmware->adopted = FALSE;
    firmware->relay_lost = firmware->fetched = FALSE;
    g_clear_error(&firmware->fetch_error);
    firmware->retry_after_s = 0;
    firmware->fetched_before = firmware->fetched_kept = 0;
    firmware->rate = (TransferRate){0};
    firmware_drop_transport(firmware, state);
    firmware->writing = firmware->percent_seen = FALSE;
    firmware->marked = firmware->undone = FALSE;
    if (state != JOB_REBOOTING) /* there the leave that led to it is used */
        firmware->reboot_allowed = FALSE;
    firmware->mark_good_refused = firmware->primary_tries = 0;
    firmware->reboot_asked = 0;
    firmware->reboot_asked_ms = -1;
    firmware->retry_at_ms = state == JOB_RETRY_WAIT ? step->job->retry_boottime_ms : -1;
    /* What led to these still holds when RAUC is called or the reboot asked for: an install in
     * between would change RAUC's presence, and that forgets it. */
    if (state != JOB_INSTALLING && state != JOB_REBOOT_WAIT && state != JOB_REBOOTING)
        firmware_forget_status(firmware);
}

static void adopt_step(Firmware *firmware, JobStep *step)
{
    job_free(firmware->job);
    firmware->job = g_steal_pointer(&step->job);
    if (job_state_is_end(firmware->job->state)) {
        job_free(firmware->last);
        firmware->last = g_steal_pointer(&firmware->job);
        firmware->job_at_start = FALSE;
        download_clean(firmware->config.spool_directory, 0);
    }
}

static void fill_facts(Firmware *firmware, JobEvent event, const char *reason,
                       JobSlotRecord *target, JobFacts *ret_facts)
{
    const Job *job = firmware->job;
    const RaucSlot *slot = NULL;
    gboolean wait = event == JOB_EVENT_FAIL || event == JOB_EVENT_FETCH_FAIL;

    *ret_facts = (JobFacts){
        .boot_id = firmware->config.boot_id,
        .boottime_ms = clock_boottime_ms(firmware->clock),
        .now_ms = clock_best_ms(firmware->clock),
        .reason = reason,
        .report_before_reboot = firmware->config.report_before_reboot,
        .fetched_bytes = firmware->fetched_before + firmware_fetched_bytes(firmware),
        .firmware_version = firmware->config.firmware_version,
    };
    ret_facts->retry_boottime_ms =
        ret_facts->boottime_ms +
        (wait ? (gint64)MAX(job->retry_interval_s, firmware->retry_after_s) * 1000 : 0);
    if (!firmware->status)
        return;
    if (event == JOB_EVENT_PERMIT || event == JOB_EVENT_PERMIT_STREAM) {
        slot = rauc_status_target(firmware->status);
        ret_facts->booted_slot = firmware_booted(firmware)->name;
        ret_facts->target_slot = slot->name;
        ret_facts->primary_slot = firmware->status->primary;
    } else {
        slot = rauc_status_slot(firmware->status, job->target_slot);
    }
    *target = verdict_record(slot);
    ret_facts->target = target;
}

gboolean firmware_apply(Firmware *firmware, JobEvent event, const char *reason, GError **error)
{
    JobSlotRecord target = {0};
    JobFacts facts;
    JobStep step;
    HistoryEntry entry;

    fill_facts(firmware, event, reason, &target, &facts);
    job_step(firmware->job, event, &facts, &step);
    if (step.ignored) {
        g_debug("job=%" G_GINT64_FORMAT " state=%s event=%s ignored", firmware->job->id,
                job_state_name(step.from), job_event_name(event));
        firmware->seen = TRUE;
        job_step_clear(&step);
        return TRUE;
    }
    entry = (HistoryEntry){.job_id = firmware->job->id,
                           .time_ms = facts.now_ms,
                           .from = step.from,
                           .to = step.job->state,
                           .event = (char *)job_event_name(event),
                           .detail = (char *)reason};
    if (step.job->state == JOB_INSTALL_WAIT)
        firmware_ask_status_ahead(firmware);
    if (!store_begin(firmware->store, error) || !write_step(firmware, &step, &entry, error) ||
        !commit(firmware, error)) {
        store_rollback(firmware->store);
        job_step_clear(&step);
        return FALSE;
    }
    firmware_log_history(&entry);
    enter_state(firmware, &step);
    firmware->silent = event == JOB_EVENT_SILENT;
    if (step.n_statuses > 0 && firmware->events.outbox)
        firmware->events.outbox(firmware->user_data);
    adopt_step(firmware, &step);
    if (!firmware->silent) /* else the verdict is still to come */
        firmware->seen = TRUE;
    job_step_clear(&step);
    if (firmware->events.changed)
        firmware->events.changed(firmware->user_data);
    return TRUE;
}

void firmware_settle_copies(Firmware *firmware)
{
    g_autoptr(GError) error = NULL;

    if (!store_settle_copies(firmware->store, &error))
        g_warning("a copy of the store keeps a job that has ended: %s", error->message);
}

gboolean firmware_promote_waiting(Firmware *firmware, GError **error)
{
    g_autoptr(Job) job = job_copy(firmware->waiting);
    HistoryEntry entry = {.job_id = job->id,
                          .time_ms = clock_best_ms(firmware->clock),
                          .from = job->state,
                          .to = job->state,
                          .event = (char *)job_event_name(JOB_EVENT_NEXT)};

    job->role = JOB_ACTIVE;
    if (!store_begin(firmware->store, error) || !jobs_update(firmware->store, job, error) ||
        !history_add(firmware->store, &entry, error) || !commit(firmware, error)) {
        store_rollback(firmware->store);
        return FALSE;
    }
    firmware_log_history(&entry);
    g_clear_pointer(&firmware->waiting, job_free);
    firmware->job = g_steal_pointer(&job);
    firmware->seen = TRUE;
    firmware->retry_at_ms = -1;
    return TRUE;
}

static gboolean write_new_request(Firmware *firmware, Job *request, JobEvent event, JobStep *step,
                                  GError **error)
{
    if (firmware->waiting && !write_superseded(firmware, firmware->waiting, error))
        return FALSE;
    if (event == JOB_EVENT_REQUEST) {
        HistoryEntry entry = {.job_id = step->job->id,
                              .time_ms = clock_best_ms(firmware->clock),
                              .from = step->from,
                              .to = step->job->state,
                              .event = (char *)job_event_name(event)};

        if (!write_step(firmware, step, &entry, error))
            return FALSE;
    }
    return write_request(firmware, request, error) && commit(firmware, error);
}

static void log_superseded(const Job *job)
{
    HistoryEntry entry = {.job_id = job->id,
                          .from = job->state,
                          .to = JOB_SUPERSEDED,
                          .event = (char *)job_event_name(JOB_EVENT_REQUEST)};

    firmware_log_history(&entry);
}

gboolean firmware_take_request(Firmware *firmware, Job *request, JobEvent event, GError **error)
{
    JobFacts facts = {.boot_id = firmware->config.boot_id,
                      .now_ms = clock_best_ms(firmware->clock)};
    JobStep step = {.job = NULL};

    request->role = event == JOB_EVENT_REQUEST_LATE ? JOB_WAITS : JOB_ACTIVE;
    if (event == JOB_EVENT_REQUEST)
        job_step(firmware->job, event, &facts, &step);
    if (!store_begin(firmware->store, error) ||
        !write_new_request(firmware, request, event, &step, error)) {
        store_rollback(firmware->store);
        job_step_clear(&step);
        return FALSE;
    }
    if (firmware->waiting)
        log_superseded(firmware->waiting);
    g_clear_pointer(&firmware->waiting, job_free);
    if (event == JOB_EVENT_REQUEST_LATE) {
        firmware->waiting = job_copy(request);
        return TRUE;
    }
    if (event == JOB_EVENT_REQUEST) {
        log_superseded(firmware->job);
        enter_state(firmware, &step);
        adopt_step(firmware, &step);
    }
    firmware->job = job_copy(request);
    firmware->seen = TRUE;
    job_step_clear(&step);
    return TRUE;
}
