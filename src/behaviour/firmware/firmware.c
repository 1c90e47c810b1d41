/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firmware behaviour towards the outside, and the loop that drives it: look, step, act, until
 * nothing moves.
 */
#include "src/behaviour/firmware/internal.h"

#include <string.h>

G_DEFINE_QUARK(firmware_error, firmware_error)

static gint64 now(const Firmware *firmware)
{
    return clock_boottime_ms(firmware->clock);
}

/* ------------------------------------------------------------------------------------- the loop */

/* No progress for too long: there is no way to cancel, so RAUC itself has to go.  What became of
 * the attempt is judged when it is back. */
static void watch_attempt(Firmware *firmware)
{
    g_autoptr(GError) error = NULL;

    if (firmware->aborting && now(firmware) >= firmware->progress_ms + FIRMWARE_ABORT_AGAIN_MS)
        firmware_abort(firmware);
    if (!firmware->stalled) /* bytes that RAUC gets are progress */
        firmware->progress_ms = MAX(firmware->progress_ms, firmware_relay_moved_ms(firmware));
    if (!firmware_watches(firmware) || now(firmware) < firmware_watchdog_ms(firmware))
        return;
    g_warning("job=%" G_GINT64_FORMAT " no progress for %" G_GINT64_FORMAT
              " s at \"%s\": restarting RAUC",
              firmware->job->id, (now(firmware) - firmware->progress_ms) / 1000,
              firmware->message ? firmware->message : "");
    firmware->stalled = TRUE;
    firmware->progress_ms +=
        now(firmware) - firmware_watchdog_ms(firmware) + FIRMWARE_ABORT_AGAIN_MS;
    if (firmware_abort_relay(firmware, "RAUC stalled"))
        return;
    if (!firmware->events.restart_rauc(firmware->user_data, &error))
        g_critical("cannot restart RAUC: %s; it is tried again", error->message);
}

/* What stood in the way since then may take long, and the charger may be in use again. */
gboolean firmware_has_leave(const Firmware *firmware)
{
    return firmware->reboot_allowed && now(firmware) - firmware->leave_ms < FIRMWARE_LEAVE_MS;
}

/* What comes next needs leave: the reboot, or the mark that is made right before it. */
static gboolean needs_leave(const Firmware *firmware)
{
    if (firmware->n_effects == 0)
        return firmware->seen && firmware->job->state == JOB_REBOOT_WAIT;
    return firmware->effects[0] == JOB_EFFECT_REBOOT ||
           (firmware->effects[0] == JOB_EFFECT_MARK_BAD &&
            rauc_presence(firmware->rauc) == RAUC_IDLE &&
            now(firmware) >= firmware->effect_not_before_ms);
}

/* Never while RAUC writes a slot, nor into one that it may have left unwritten. */
gboolean firmware_wants_reboot(const Firmware *firmware)
{
    if (!firmware->job || firmware_has_leave(firmware) ||
        rauc_presence(firmware->rauc) == RAUC_BUSY || firmware_fallback_lost(firmware) ||
        firmware_fallback_in_doubt(firmware))
        return FALSE;
    return needs_leave(firmware);
}

static void tell(Firmware *firmware)
{
    gboolean health = firmware_wants_health(firmware);
    gboolean reboot = firmware_wants_reboot(firmware);

    if (health != firmware->told_health) {
        firmware->told_health = health;
        firmware->events.wants_health(health, firmware->user_data);
    }
    if (reboot != firmware->told_reboot) {
        firmware->told_reboot = reboot;
        firmware->events.wants_reboot(reboot, firmware->n_effects > 0, firmware->user_data);
    }
}

/* After a step: what this process has to take over from RAUC or to remember. */
static void after_step(Firmware *firmware, JobEvent event, const char *reason)
{
    if (event == JOB_EVENT_MARKED)
        firmware_settle_copies(firmware);
    if (event == JOB_EVENT_NO_FALLBACK)
        g_critical("job=%" G_GINT64_FORMAT " the charger stays with its new firmware: %s",
                   firmware->job ? firmware->job->id : firmware->last->id, reason);
    if (event == JOB_EVENT_RESUME &&
        firmware->job->state == JOB_INSTALLING) { /* adopt the install that runs */
        firmware->attempt = ATTEMPT_RUNNING;
        firmware->adopted = TRUE;
        firmware->progress_ms = now(firmware);
        firmware_rauc_progress(firmware, rauc_percent(firmware->rauc), "");
    }
}

static gboolean take_step(Firmware *firmware, GError **error)
{
    Finding finding = firmware_observe(firmware);
    g_autofree char *reason = finding.reason;

    if (finding.event == JOB_EVENT_NONE)
        return FALSE;
    if (!firmware_apply(firmware, finding.event, reason, error))
        return FALSE;
    after_step(firmware, finding.event, reason);
    return TRUE;
}

/* One thing at a time.  TRUE when it is worth looking again. */
static gboolean advance_once(Firmware *firmware, GError **error)
{
    watch_attempt(firmware);
    if (!firmware->job && firmware->waiting)
        return firmware_promote_waiting(firmware, error);
    if (!firmware->calling && firmware_may_mark_boot(firmware) &&
        rauc_presence(firmware->rauc) == RAUC_IDLE &&
        now(firmware) >= firmware->boot_mark_not_before_ms) {
        firmware_mark_boot(firmware);
        return TRUE;
    }
    if (firmware_run_effect(firmware) || take_step(firmware, error))
        return TRUE;
    if (!*error && firmware_wants_status(firmware))
        firmware_ask_status(firmware);
    return FALSE;
}

static void look_again(gpointer user_data)
{
    firmware_advance(user_data);
}

static void set_timer(Firmware *firmware, gboolean store_failed)
{
    gint64 at = firmware_next_look_ms(firmware);
    gint64 delay = at - now(firmware);

    if (store_failed)
        clock_timer_set(firmware->clock, &firmware->timer, FIRMWARE_STORE_RETRY_MS, look_again,
                        firmware);
    else if (at < 0)
        clock_timer_clear(firmware->clock, &firmware->timer);
    else
        clock_timer_set(firmware->clock, &firmware->timer,
                        delay > 0 ? MIN(delay, FIRMWARE_MAX_WAKE_MS) : FIRMWARE_BLOCKED_LOOK_MS,
                        look_again, firmware);
}

/* One line for a store that says no, however often it is asked. */
static void tell_store(Firmware *firmware, const char *what, const GError *error)
{
    g_log(G_LOG_DOMAIN, firmware->told_store ? G_LOG_LEVEL_DEBUG : G_LOG_LEVEL_CRITICAL,
          "%s: %s; it is tried again", what, error->message);
    firmware->told_store = TRUE;
}

void firmware_advance(Firmware *firmware)
{
    g_autoptr(GError) error = NULL;

    if (!firmware->started)
        return;
    if (firmware->advancing) { /* called back from within: one round more */
        firmware->again = TRUE;
        return;
    }
    firmware->advancing = TRUE;
    for (guint i = 0; i < FIRMWARE_MAX_STEPS; i++) {
        firmware->again = FALSE;
        if (!advance_once(firmware, &error) && !firmware->again)
            break;
        if (error)
            break;
        tell(firmware);
    }
    tell(firmware);
    if (firmware->job)
        firmware_drop_transport(firmware, firmware->job->state);
    firmware->advancing = FALSE;
    if (error)
        tell_store(firmware, "the store does not take the job's step", error);
    set_timer(firmware, error != NULL);
}

/* ------------------------------------------------------------------------------- life and start */

Firmware *firmware_new(const FirmwareConfig *config, Store *store, Rauc *rauc, Transfers *transfers,
                       Clock *clock, const FirmwareEvents *events, gpointer user_data)
{
    Firmware *firmware = g_new0(Firmware, 1);

    firmware->config = *config;
    firmware->config.boot_id = g_strdup(config->boot_id);
    firmware->config.firmware_version = g_strdup(config->firmware_version);
    firmware->config.spool_directory = g_strdup(config->spool_directory);
    firmware->config.identity = g_strdup(config->identity);
    firmware->store = store;
    firmware->rauc = rauc;
    firmware->transfers = transfers;
    firmware->clock = clock;
    firmware->events = *events;
    firmware->user_data = user_data;
    firmware->reboot_asked_ms = firmware->retry_at_ms = firmware->untold_since_ms = -1;
    firmware->absent_before_ms = -1;
    firmware->started_ms = firmware->absent_since_ms = clock_boottime_ms(clock);
    return firmware;
}

void firmware_free(Firmware *firmware)
{
    if (!firmware)
        return;
    clock_timer_clear(firmware->clock, &firmware->timer);
    job_free(firmware->job);
    job_free(firmware->waiting);
    job_free(firmware->last);
    firmware_forget_status(firmware);
    g_clear_error(&firmware->attempt_error);
    g_free(firmware->message);
    relay_free(firmware->relay);
    download_free(firmware->download);
    g_clear_error(&firmware->fetch_error);
    g_free(firmware->bundle_sha256);
    g_free(firmware->foreign.boot_id);
    g_free((char *)firmware->config.spool_directory);
    g_free((char *)firmware->config.identity);
    g_free((char *)firmware->config.boot_id);
    g_free((char *)firmware->config.firmware_version);
    g_free(firmware);
}

static gint64 retry_at_after_start(const Firmware *firmware)
{
    const Job *job = firmware->job;
    gint64 interval_ms = (gint64)job->retry_interval_s * 1000;

    if (g_strcmp0(job->retry_boot_id, firmware->config.boot_id) == 0)
        return MIN(job->retry_boottime_ms, now(firmware) + FIRMWARE_MAX_RETRY_WAIT_MS);
    return now(firmware) + interval_ms;
}

static gboolean load(Firmware *firmware, GError **error)
{
    g_autofree char *marked = NULL;

    if (!jobs_load(firmware->store, JOB_ACTIVE, &firmware->job, error) ||
        !jobs_load(firmware->store, JOB_WAITS, &firmware->waiting, error) ||
        !jobs_load(firmware->store, JOB_ENDED, &firmware->last, error) ||
        !values_get(firmware->store, VALUES_AGENT, "marked-boot-id", &marked, error) ||
        !firmware_load_foreign(firmware, error))
        return FALSE;
    firmware->boot_marked = g_strcmp0(marked, firmware->config.boot_id) == 0;
    return TRUE;
}

/* What RAUC did meanwhile found no job. */
static void start_again(gpointer user_data)
{
    Firmware *firmware = user_data;

    firmware_start(firmware);
    if (firmware->started)
        firmware_rauc_presence(firmware, rauc_presence(firmware->rauc));
}

/* A store that cannot be read is not a store without a job: nothing is begun before it can. */
void firmware_start(Firmware *firmware)
{
    g_autoptr(GError) error = NULL;

    if (!load(firmware, &error)) {
        tell_store(firmware, "cannot read the jobs", error);
        g_clear_pointer(&firmware->job, job_free);
        g_clear_pointer(&firmware->waiting, job_free);
        g_clear_pointer(&firmware->last, job_free);
        clock_timer_set(firmware->clock, &firmware->timer, FIRMWARE_STORE_RETRY_MS, start_again,
                        firmware);
        return;
    }
    firmware->started = TRUE;
    firmware->told_store = FALSE;
    firmware_learned(firmware, firmware->config.boot_id);
    download_clean(firmware->config.spool_directory, firmware->job ? firmware->job->id : 0);
    firmware_adopt(firmware);
    if (firmware->job) {
        firmware->job_at_start = TRUE;
        if (firmware->job->state == JOB_RETRY_WAIT)
            firmware->retry_at_ms = retry_at_after_start(firmware);
        g_message("job=%" G_GINT64_FORMAT " state=%s found at start", firmware->job->id,
                  job_state_name(firmware->job->state));
    } else {
        firmware_settle_copies(firmware);
    }
    firmware_advance(firmware);
}

/* ------------------------------------------------------------------------------------- requests */

static gboolean same_request(const Job *job, const FirmwareRequest *request)
{
    return job && strcmp(job->location, request->location) == 0 &&
           job->has_retrieve_date == request->has_retrieve_date &&
           (!request->has_retrieve_date || job->retrieve_date_ms == request->retrieve_date_ms);
}

/* A local file is not fetched: the CSMS hears nothing of a download. */
static Job *job_from_request(const Firmware *firmware, const FirmwareRequest *request)
{
    Job *job = job_new();

    job->location = g_strdup(request->location);
    job->by_hand = request->by_hand;
    job->wire = firmware_is_local(job) ? JOB_WIRE_DOWNLOADED : JOB_WIRE_NOTHING;
    job->has_retrieve_date = request->has_retrieve_date;
    job->retrieve_date_ms = request->retrieve_date_ms;
    job->retries = request->retries >= 0 ? (guint)MIN(request->retries, FIRMWARE_MAX_RETRIES)
                                         : firmware->config.default_retries;
    job->retry_interval_s =
        request->retry_interval_s >= 0
            ? (guint)MIN(request->retry_interval_s, FIRMWARE_MAX_RETRY_INTERVAL_S)
            : firmware->config.default_retry_interval_s;
    job->created_ms = clock_best_ms(firmware->clock);
    return job;
}

/* A CSMS that repeats its request before it took the status gets that one only. */
static gboolean say_again(Firmware *firmware, GError **error)
{
    guint rows = 0;

    if (!outbox_count(firmware->store, &rows, error))
        return FALSE;
    if (rows > 0)
        return TRUE;
    g_message("job=%" G_GINT64_FORMAT
              " requested again after it was installed: its last status again",
              firmware->last->id);
    if (!firmware_push_status(firmware, firmware->last, firmware->last->last_status, error))
        return FALSE;
    firmware->events.outbox(firmware->user_data);
    return TRUE;
}

/* A person is told at once what a CSMS hears as DownloadFailed. */
static gboolean may_be_asked_by_hand(const Firmware *firmware, const FirmwareRequest *request,
                                     GError **error)
{
    g_autofree char *reason = NULL;

    if (request->location[0] != '/') /* whether a file is there, RAUC sees */
        g_free(location_to_url(request->location, &reason));
    if (firmware->job) {
        g_free(reason);
        reason = g_strdup_printf("another update is under way (job %" G_GINT64_FORMAT ", %s)",
                                 firmware->job->id, job_state_name(firmware->job->state));
    }
    if (!reason)
        return TRUE;
    g_set_error_literal(error, FIRMWARE_ERROR, FIRMWARE_ERROR_STATE, reason);
    return FALSE;
}

gboolean firmware_request(Firmware *firmware, const FirmwareRequest *request, GError **error)
{
    g_autoptr(Job) job = NULL;
    g_autofree char *shown = location_for_people(request->location);
    JobEvent event = JOB_EVENT_NONE;

    if (!store_is_durable(firmware->store)) {
        g_set_error_literal(error, FIRMWARE_ERROR, FIRMWARE_ERROR_STORE,
                            "the agent has no store that outlives a reboot");
        return FALSE;
    }
    if (same_request(firmware->job, request) || same_request(firmware->waiting, request)) {
        g_message("UpdateFirmware %s: the same as the job under way", shown);
        return TRUE;
    }
    if (request->by_hand && !may_be_asked_by_hand(firmware, request, error))
        return FALSE;
    if (!request->by_hand && !firmware->job && firmware->last &&
        firmware->last->state == JOB_INSTALLED && same_request(firmware->last, request))
        return say_again(firmware, error);
    if (firmware->job)
        event = job_state_is_active(firmware->job->state) || firmware->job->tried
                    ? JOB_EVENT_REQUEST_LATE
                    : JOB_EVENT_REQUEST;
    job = job_from_request(firmware, request);
    if (!firmware->job && firmware_is_local(job)) /* it waits for nothing else */
        firmware_ask_status_ahead(firmware);
    if (!firmware_take_request(firmware, job, event, error))
        return FALSE;
    g_message("job=%" G_GINT64_FORMAT " UpdateFirmware %s%s", job->id, shown,
              event == JOB_EVENT_REQUEST_LATE ? ": waits for the end of the job under way" : "");
    firmware->events.changed(firmware->user_data);
    firmware_advance(firmware);
    return TRUE;
}

gboolean firmware_cancel(Firmware *firmware, const char *reason, GError **error)
{
    gboolean at_work;

    if (!firmware->job) {
        g_set_error_literal(error, FIRMWARE_ERROR, FIRMWARE_ERROR_STATE, "no update is under way");
        return FALSE;
    }
    if (!job_row(firmware->job->state, JOB_EVENT_CANCEL)) {
        g_set_error(error, FIRMWARE_ERROR, FIRMWARE_ERROR_STATE,
                    "the update is being taken back already (%s)",
                    job_state_name(firmware->job->state));
        return FALSE;
    }
    if (job_state_is_active(firmware->job->state) &&
        (!firmware->seen || (firmware->job->state == JOB_CONFIRMING && !firmware->status))) {
        g_set_error_literal(error, FIRMWARE_ERROR, FIRMWARE_ERROR_STATE,
                            "RAUC has not told yet what this boot brought");
        return FALSE;
    }
    if (firmware->job->state == JOB_CONFIRMING && !firmware_fallback_boots(firmware)) {
        g_set_error_literal(error, FIRMWARE_ERROR, FIRMWARE_ERROR_STATE,
                            "there is no other slot to go back to");
        return FALSE;
    }
    at_work = firmware->attempt == ATTEMPT_CALLED || firmware->attempt == ATTEMPT_RUNNING;
    if (!firmware_apply(firmware, JOB_EVENT_CANCEL, reason, error))
        return FALSE;
    firmware->abort_ours = at_work;
    firmware_advance(firmware);
    return TRUE;
}

/* -------------------------------------------------------------------------- what the world does */

void firmware_time_changed(Firmware *firmware)
{
    firmware_advance(firmware);
}

void firmware_reboot_allowed(Firmware *firmware)
{
    firmware->reboot_allowed = firmware_wants_reboot(firmware);
    firmware->leave_ms = now(firmware);
    tell(firmware); /* the wish is used: what is left of it when the leave is over is a new one */
    firmware_advance(firmware);
}

void firmware_set_healthy(Firmware *firmware, gboolean healthy)
{
    firmware->healthy = healthy;
    firmware_advance(firmware);
}

/* ----------------------------------------------------------------------------------- for others */

gboolean firmware_rejects_reset(const Firmware *firmware)
{
    return firmware->job &&
           (firmware->job->state == JOB_INSTALLING || firmware->job->state == JOB_CONFIRMING);
}

gboolean firmware_delays_reset(const Firmware *firmware)
{
    return firmware->job &&
           (firmware->job->state == JOB_UNDOING || firmware->job->state == JOB_ROLLING_BACK);
}

const char *firmware_triggered_status(const Firmware *firmware)
{
    return firmware->job && firmware->job->last_status ? firmware->job->last_status : "Idle";
}

const Job *firmware_job(const Firmware *firmware)
{
    return firmware->job;
}

const Job *firmware_last_job(const Firmware *firmware)
{
    return firmware->last;
}

gboolean firmware_has_waiting(const Firmware *firmware)
{
    return firmware->waiting != NULL;
}

int firmware_progress(const Firmware *firmware, const char **ret_message)
{
    if (!firmware->job || firmware->job->state != JOB_INSTALLING ||
        firmware->attempt == ATTEMPT_NONE)
        return -1;
    *ret_message = firmware->message ? firmware->message : "";
    return firmware->percent;
}

gboolean firmware_boot_marked(const Firmware *firmware)
{
    return firmware->boot_marked;
}
