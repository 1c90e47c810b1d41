/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One step of the firmware job: takes the row from the table, brings the job's fields forward, and
 * works out which statuses the wire still lacks.
 */
#include "src/behaviour/firmware/machine.h"

static const char *status_at(JobWire wire)
{
    switch (wire) {
    case JOB_WIRE_DOWNLOADING:
        return "Downloading";
    case JOB_WIRE_DOWNLOADED:
        return "Downloaded";
    default:
        return "Installing";
    }
}

gboolean job_state_is_active(JobState state)
{
    return state >= JOB_INSTALLING && state <= JOB_UNDOING;
}

static void queue_status(JobStep *step, const char *status)
{
    g_assert(step->n_statuses < JOB_MAX_STATUSES);
    step->statuses[step->n_statuses++] = status;
    g_free(step->job->last_status);
    step->job->last_status = g_strdup(status);
}

/* A local file is not retrieved: until RAUC begins with it the CSMS has heard of nothing that could
 * fail. */
static gboolean is_unheard_file(const Job *job)
{
    return job->wire == JOB_WIRE_DOWNLOADED && !job->last_status;
}

/* The wire never goes backward and skips nothing: what is missing before `note` is queued first,
 * what was already said is not said again, and after an end nothing follows. */
static void notify(JobStep *step, JobNote note)
{
    static const struct {
        JobWire need;
        const char *end;
    } NOTES[] = {
        [JOB_NOTE_NONE] = {JOB_WIRE_NOTHING, NULL},
        [JOB_NOTE_DOWNLOADING] = {JOB_WIRE_DOWNLOADING, NULL},
        [JOB_NOTE_DOWNLOADED] = {JOB_WIRE_DOWNLOADED, NULL},
        [JOB_NOTE_INSTALLING] = {JOB_WIRE_INSTALLING, NULL},
        [JOB_NOTE_INSTALLED] = {JOB_WIRE_INSTALLING, "Installed"},
        [JOB_NOTE_FAILURE] = {JOB_WIRE_DOWNLOADING, "DownloadFailed"},
        [JOB_NOTE_INSTALLATION_FAILED] = {JOB_WIRE_INSTALLING, "InstallationFailed"},
        [JOB_NOTE_INVALID_SIGNATURE] = {JOB_WIRE_DOWNLOADED, "InvalidSignature"},
    };
    Job *job = step->job;

    if (job->wire == JOB_WIRE_ENDED)
        return;
    if (note == JOB_NOTE_FAILURE && is_unheard_file(job)) {
        job->wire = JOB_WIRE_ENDED;
        return;
    }
    if (job->wire >= JOB_WIRE_INSTALLING &&
        (note == JOB_NOTE_FAILURE || note == JOB_NOTE_INVALID_SIGNATURE))
        note = JOB_NOTE_INSTALLATION_FAILED;
    while (job->wire < NOTES[note].need) {
        job->wire++;
        queue_status(step, status_at(job->wire));
    }
    if (NOTES[note].end) {
        queue_status(step, NOTES[note].end);
        job->wire = JOB_WIRE_ENDED;
    }
}

static void slot_record_set(JobSlotRecord *record, const JobSlotRecord *from)
{
    static const JobSlotRecord EMPTY = {0};

    if (!from)
        from = &EMPTY;
    record->installed_count = from->installed_count;
    g_free(record->installed_timestamp);
    record->installed_timestamp = g_strdup(from->installed_timestamp);
    g_free(record->activated_timestamp);
    record->activated_timestamp = g_strdup(from->activated_timestamp);
    g_free(record->version);
    record->version = g_strdup(from->version);
    g_free(record->hash);
    record->hash = g_strdup(from->hash);
}

static void set_text(char **field, const char *text)
{
    if (*field != text) {
        g_free(*field);
        *field = g_strdup(text);
    }
}

/* Everything that will be asked for after a crash in mid-install. */
static void take_snapshot(Job *job, const JobFacts *facts)
{
    job->snapshot = TRUE;
    job->tried = TRUE;
    job->written = FALSE;
    set_text(&job->boot_id, facts->boot_id);
    set_text(&job->booted_slot, facts->booted_slot);
    set_text(&job->target_slot, facts->target_slot);
    set_text(&job->primary_slot, facts->primary_slot);
    set_text(&job->firmware_version, facts->firmware_version);
    slot_record_set(&job->before, facts->target);
    slot_record_set(&job->after, NULL);
}

/* Which end `undoing` and `rolling-back` lead to.  The first decision stands: a slot that was given
 * up by a cancel and then boots the old one is a cancelled job. */
static void decide_failure(Job *job, JobEvent event)
{
    if (job->failure != JOB_SCHEDULED)
        return;
    if (event == JOB_EVENT_CANCEL)
        job->failure = JOB_CANCELLED;
    else if (event == JOB_EVENT_FAIL_ACTIVATED || job->state == JOB_INSTALLING)
        job->failure = JOB_INSTALL_FAILED; /* the new firmware never ran */
    else
        job->failure = JOB_ROLLED_BACK;
}

static gboolean event_is_verdict(JobEvent event)
{
    return event == JOB_EVENT_INTERRUPTED || event == JOB_EVENT_INTERRUPTED_LAST ||
           (event >= JOB_EVENT_BOOT_TARGET && event <= JOB_EVENT_BOOT_OLD_PRIMARY_TARGET);
}

JobTransport job_transport_after(JobTransport transport)
{
    return transport < JOB_TRANSPORT_STORE ? transport + 1 : transport;
}

static void bring_forward(Job *job, JobEvent event, JobState next, const JobFacts *facts)
{
    if (next != job->state && (job->state == JOB_DOWNLOADING || job->state == JOB_INSTALLING))
        job->fetched_bytes += facts->fetched_bytes;
    switch (event) {
    case JOB_EVENT_DUE:
        job->transport = MAX(job->transport, JOB_TRANSPORT_DOWNLOAD);
        break;
    case JOB_EVENT_DUE_STREAM:
        job->transport = MAX(job->transport, JOB_TRANSPORT_STREAM);
        break;
    case JOB_EVENT_NEXT_TRANSPORT:
        job->transport = job_transport_after(job->transport);
        break;
    case JOB_EVENT_FETCH_FAIL:
    case JOB_EVENT_FETCH_FAIL_LAST:
    case JOB_EVENT_FAIL:
    case JOB_EVENT_FAIL_LAST:
    case JOB_EVENT_REFUSED:
        job->attempts++;
        break;
    case JOB_EVENT_SILENT: /* as often as an installation may be interrupted; a reboot that does not come is not counted */
        job->interruptions += g_strcmp0(job->retry_boot_id, facts->boot_id) != 0;
        set_text(&job->retry_boot_id, facts->boot_id);
        break;
    case JOB_EVENT_INTERRUPTED:
    case JOB_EVENT_INTERRUPTED_LAST:
        job->interruptions++;
        break;
    case JOB_EVENT_PERMIT:
    case JOB_EVENT_PERMIT_STREAM:
        take_snapshot(job, facts);
        break;
    case JOB_EVENT_WRITING:
        job->written = TRUE;
        break;
    case JOB_EVENT_ACTIVATED:
    case JOB_EVENT_FAIL_ACTIVATED:
        job->attempts++;
        job->written = TRUE;
        slot_record_set(&job->after, facts->target);
        break;
    case JOB_EVENT_BOOT_TARGET:
        job->written = TRUE;
        job->confirm_boots = job->state == JOB_CONFIRMING ? job->confirm_boots + 1 : 1;
        job->confirm_boottime_ms = facts->boottime_ms;
        break;
    default:
        break;
    }
    /* Only a verdict may move the job into this boot: any other step would hide from the next start
     * that one is due. */
    if (event_is_verdict(event))
        set_text(&job->boot_id, facts->boot_id);
    if (job->state == JOB_INSTALLING && job_state_is_active(next) && next != JOB_INSTALLING)
        job->interruptions = 0; /* none of them counts against the boots to come */
    if ((next == JOB_UNDOING || next == JOB_ROLLING_BACK) && job->state != next)
        decide_failure(job, event);
    if (next == JOB_RETRY_WAIT) {
        set_text(&job->retry_boot_id, facts->boot_id);
        job->retry_boottime_ms = facts->retry_boottime_ms;
    }
    if (facts->reason && event != JOB_EVENT_FETCH_OK &&
        !(job->reason && (job->state == JOB_UNDOING || job->state == JOB_ROLLING_BACK)))
        set_text(&job->reason, facts->reason);
}

static JobState failure_end(const Job *job, const JobRow *row)
{
    if (job->failure != JOB_SCHEDULED)
        return job->failure;
    return job->wire < JOB_WIRE_INSTALLING && !is_unheard_file(job) ? JOB_DOWNLOAD_FAILED
                                                                    : row->next;
}

void job_step(const Job *job, JobEvent event, const JobFacts *facts, JobStep *ret_step)
{
    const JobRow *row = job_row(job->state, event);
    JobStep step = {.ignored = row == NULL, .from = job->state, .job = job_copy(job)};
    JobState next = row && !row->same ? row->next : job->state;
    JobNote note = row ? row->note : JOB_NOTE_NONE;

    if (!row) {
        *ret_step = step;
        return;
    }
    bring_forward(step.job, event, next, facts);
    if (event == JOB_EVENT_ACTIVATED && facts->report_before_reboot)
        note = JOB_NOTE_INSTALLED;
    if (row->failure_end)
        next = failure_end(step.job, row);
    notify(&step, note);
    step.job->state = next;
    if (job_state_is_end(next) && !job_state_is_end(job->state)) {
        step.job->role = JOB_ENDED;
        step.job->ended_ms = facts->now_ms;
        if (next == JOB_INSTALLED)
            g_clear_pointer(&step.job->reason, g_free);
    }
    while (step.n_effects < JOB_MAX_EFFECTS && row->effects[step.n_effects] != JOB_EFFECT_NONE) {
        step.effects[step.n_effects] = row->effects[step.n_effects];
        step.n_effects++;
    }
    *ret_step = step;
}

void job_step_clear(JobStep *step)
{
    g_clear_pointer(&step->job, job_free);
}
