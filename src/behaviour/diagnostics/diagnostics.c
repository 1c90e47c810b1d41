/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report under way: collected, uploaded, tried again, ended.  As in the firmware job the row in the store is what counts,
 * a step is one transaction, and what is to be done follows from the state.
 */
#include "src/behaviour/diagnostics/internal.h"

#include <errno.h>
#include <glib/gstdio.h>

#include "adapter/collector.h"
#include "adapter/command.h"
#include "adapter/location.h"
#include "db/outbox.h"

#define PREFIX          "diagnostics-" /* of the archives in the spool */
#define SAME_CLOCK_MS   10000
#define COLLECT_SLACK_S 60 /* a disk that hangs */

struct _Diagnostics {
    DiagnosticsConfig config; /* with strings of its own */
    Store *store;
    Transfers *transfers;
    Clock *clock;
    DiagnosticsEvents events;
    gpointer user_data;

    Report *report;  /* under way, or NULL */
    Report *waiting; /* or NULL */
    Report *last;    /* the newest ended one, or NULL */

    Command *collector; /* NULL: none runs */
    Upload *upload;     /* NULL: none runs */
    guint timer;        /* a retry that is due then, or a store that said no */
};

static void advance(Diagnostics *diagnostics);

static void timer_fired(gpointer user_data)
{
    advance(user_data);
}

static gint64 now(const Diagnostics *diagnostics)
{
    return clock_boottime_ms(diagnostics->clock);
}

static char *archive_path(const Diagnostics *diagnostics)
{
    g_autofree char *name =
        g_strdup_printf(PREFIX "%" G_GINT64_FORMAT DIAGNOSTICS_SUFFIX, diagnostics->report->id);

    return g_build_filename(diagnostics->config.spool_directory, name, NULL);
}

/* ------------------------------------------------------------------------------------------------------------- steps */

static gboolean push_status(Diagnostics *diagnostics, const char *status, GError **error)
{
    g_autofree char *payload = g_strdup_printf("{\"status\":\"%s\"}", status);

    return outbox_push(diagnostics->store, 0, "DiagnosticsStatusNotification", payload, error);
}

/* C 6.17: Uploading once, and before any end. */
static gboolean write_step(Diagnostics *diagnostics, Report *next, GError **error)
{
    if (report_state_is_end(next->state) || next->state == REPORT_UPLOADING) {
        if (!next->told && !push_status(diagnostics, "Uploading", error))
            return FALSE;
        next->told = TRUE;
    }
    if (next->state == REPORT_UPLOADED && !push_status(diagnostics, "Uploaded", error))
        return FALSE;
    if (next->state == REPORT_UPLOAD_FAILED && !push_status(diagnostics, "UploadFailed", error))
        return FALSE;
    return reports_update(diagnostics->store, next, error);
}

static gboolean in_transaction(Diagnostics *diagnostics, Report *next, GError **error)
{
    if (!store_begin(diagnostics->store, error))
        return FALSE;
    if (write_step(diagnostics, next, error) && store_commit(diagnostics->store, error))
        return TRUE;
    store_rollback(diagnostics->store);
    return FALSE;
}

static void take_waiting(Diagnostics *diagnostics)
{
    g_autoptr(Report) next = NULL;
    g_autoptr(GError) error = NULL;

    if (diagnostics->report != NULL || diagnostics->waiting == NULL)
        return;
    next = report_copy(diagnostics->waiting);
    next->role = JOB_ACTIVE;
    if (!reports_update(diagnostics->store, next, &error)) {
        g_warning("report=%" G_GINT64_FORMAT " cannot begin: %s", next->id, error->message);
        clock_timer_set(diagnostics->clock, &diagnostics->timer, DIAGNOSTICS_STORE_RETRY_MS,
                        timer_fired, diagnostics);
        return;
    }
    g_clear_pointer(&diagnostics->waiting, report_free);
    diagnostics->report = g_steal_pointer(&next);
}

static void adopt(Diagnostics *diagnostics, Report *next)
{
    g_message("report=%" G_GINT64_FORMAT " state=%s -> %s%s%s", next->id,
              report_state_name(diagnostics->report->state), report_state_name(next->state),
              next->reason != NULL ? " reason=" : "", next->reason != NULL ? next->reason : "");
    if (report_state_is_end(next->state)) {
        g_autofree char *archive = archive_path(diagnostics);

        g_unlink(archive);
        report_free(diagnostics->last);
        diagnostics->last = next;
        g_clear_pointer(&diagnostics->report, report_free);
    } else {
        report_free(diagnostics->report);
        diagnostics->report = next;
    }
}

/* Takes `next` over (it is freed); a store that says no is asked again, and the state stays what it was. */
static gboolean step(Diagnostics *diagnostics, Report *next, ReportState state)
{
    g_autoptr(Report) mine = next;
    g_autoptr(GError) error = NULL;

    mine->state = state;
    if (state ==
        REPORT_COLLECTING) /* another archive than the one of which the server may have a part */
        mine->begun = FALSE;
    if (report_state_is_end(state)) {
        mine->role = JOB_ENDED;
        mine->ended_ms = clock_best_ms(diagnostics->clock);
    }
    if (!in_transaction(diagnostics, mine, &error)) {
        g_warning("report=%" G_GINT64_FORMAT " cannot be kept: %s", mine->id, error->message);
        clock_timer_set(diagnostics->clock, &diagnostics->timer, DIAGNOSTICS_STORE_RETRY_MS,
                        timer_fired, diagnostics);
        return FALSE;
    }
    adopt(diagnostics, g_steal_pointer(&mine));
    diagnostics->events.outbox(diagnostics->user_data);
    diagnostics->events.changed(diagnostics->user_data);
    return TRUE;
}

static void set_reason(Report *report, const char *reason)
{
    g_free(report->reason);
    report->reason = g_strdup(reason);
}

/* An attempt went wrong: the next one is due after the interval, or there is none left. */
static void fail(Diagnostics *diagnostics, const char *why, guint retry_after_s)
{
    Report *next = report_copy(diagnostics->report);
    gint64 wait_s = MAX(next->retry_interval_s, MIN(retry_after_s, DIAGNOSTICS_MAX_INTERVAL_S));

    set_reason(next, why);
    next->begun = next->begun || next->state == REPORT_UPLOADING;
    next->attempts++;
    if (next->attempts > next->retries) {
        step(diagnostics, next, REPORT_UPLOAD_FAILED);
        return;
    }
    g_free(next->retry_boot_id);
    next->retry_boot_id = g_strdup(diagnostics->config.boot_id);
    next->retry_boottime_ms = now(diagnostics) + wait_s * 1000;
    step(diagnostics, next, REPORT_RETRY_WAIT);
}

/* -------------------------------------------------------------------------------------------------------- collecting */

static void on_collected(gboolean ok, const char *words, gpointer user_data)
{
    Diagnostics *diagnostics = user_data;

    diagnostics->collector = NULL;
    if (ok) {
        step(diagnostics, report_copy(diagnostics->report), REPORT_UPLOADING);
    } else {
        g_autofree char *why = g_strdup_printf("cannot collect the diagnostics: %s", words);

        fail(diagnostics, why, 0);
    }
    advance(diagnostics);
}

/* The window is meant in CSMS time, the logs were stamped by the system clock.  Two clocks that agree but for the way of a
 * message are taken as one, or the edges of the window would be blurred. */
static gint64 to_wall(const Diagnostics *diagnostics, gint64 csms_ms)
{
    gint64 csms_now, ahead_ms;

    if (csms_ms == G_MININT64 || csms_ms == G_MAXINT64 ||
        !clock_csms_ms(diagnostics->clock, &csms_now))
        return csms_ms;
    ahead_ms = clock_wall_ms(diagnostics->clock) - csms_now;
    return ABS(ahead_ms) < SAME_CLOCK_MS ? csms_ms : csms_ms + ahead_ms;
}

static Command *start_collector(Diagnostics *diagnostics, GError **error)
{
    const Report *report = diagnostics->report;
    g_autofree char *path = archive_path(diagnostics);
    g_auto(GStrv) argv = NULL;

    if (g_mkdir(diagnostics->config.spool_directory, 0700) < 0 && errno != EEXIST) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot make %s: %s",
                    diagnostics->config.spool_directory, g_strerror(errno));
        return NULL;
    }
    argv = diagnostics->events.collect(path, to_wall(diagnostics, report->start_ms),
                                       to_wall(diagnostics, report->stop_ms),
                                       diagnostics->user_data, error);
    if (argv == NULL)
        return NULL;
    return command_start((const char *const *)argv, COLLECTOR_TOTAL_S + COLLECT_SLACK_S,
                         on_collected, diagnostics, error);
}

static void collect(Diagnostics *diagnostics)
{
    g_autoptr(GError) error = NULL;

    diagnostics->collector = start_collector(diagnostics, &error);
    if (diagnostics->collector == NULL)
        fail(diagnostics, error->message, 0);
}

/* --------------------------------------------------------------------------------------------------------- uploading */

static void on_uploaded(const GError *error, guint retry_after_s, gpointer user_data)
{
    Diagnostics *diagnostics = user_data;

    diagnostics->upload = NULL;
    if (error == NULL) {
        Report *next = report_copy(diagnostics->report);

        set_reason(next, NULL);
        step(diagnostics, next, REPORT_UPLOADED);
    } else {
        fail(diagnostics, error->message, retry_after_s);
    }
    advance(diagnostics);
}

static void upload(Diagnostics *diagnostics)
{
    const Report *report = diagnostics->report;
    g_autofree char *path = archive_path(diagnostics);
    g_autofree char *name = NULL;
    g_autofree char *reason = NULL;
    /* A form names the file itself, and goes to the location as it is. */
    g_autofree char *url =
        diagnostics->config.method == UPLOAD_POST && g_str_has_prefix(report->location, "http")
            ? location_to_url(report->location, &reason)
            : diagnostics_url(report->location, report->file_name, &name, &reason);
    UploadRequest request = {
        .url = url,
        .path = path,
        .name = report->file_name,
        .method = diagnostics->config.method,
        .resume = report->begun,
    };

    diagnostics->upload = upload_begin(diagnostics->transfers, &request, on_uploaded, diagnostics);
}

/* ------------------------------------------------------------------------------------------------ what a state wants */

static gboolean have_archive(const Diagnostics *diagnostics)
{
    g_autofree char *path = archive_path(diagnostics);

    return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

/* Nobody can do anything about a location that is none: it is not tried again. */
static void begin(Diagnostics *diagnostics)
{
    Report *next = report_copy(diagnostics->report);
    g_autofree char *name = NULL;
    g_autofree char *reason = NULL;
    g_autofree char *url = diagnostics_url(next->location, next->file_name, &name, &reason);

    if (url == NULL) {
        set_reason(next, reason);
        step(diagnostics, next, REPORT_UPLOAD_FAILED);
    } else {
        step(diagnostics, next, REPORT_COLLECTING);
    }
}

static void wait_for_retry(Diagnostics *diagnostics)
{
    gint64 left_ms = diagnostics->report->retry_boottime_ms - now(diagnostics);

    if (left_ms > 0)
        clock_timer_set(diagnostics->clock, &diagnostics->timer, left_ms, timer_fired, diagnostics);
    else
        step(diagnostics, report_copy(diagnostics->report),
             have_archive(diagnostics) ? REPORT_UPLOADING : REPORT_COLLECTING);
}

/* Does what the state wants, until something is under way. */
static void advance(Diagnostics *diagnostics)
{
    ReportState before;

    do {
        take_waiting(diagnostics);
        if (diagnostics->report == NULL || diagnostics->collector != NULL ||
            diagnostics->upload != NULL || diagnostics->timer != 0)
            return;
        before = diagnostics->report->state;
        if (before == REPORT_REQUESTED)
            begin(diagnostics);
        else if (before == REPORT_COLLECTING)
            collect(diagnostics);
        else if (before == REPORT_UPLOADING)
            upload(diagnostics);
        else
            wait_for_retry(diagnostics);
    } while (diagnostics->report == NULL || diagnostics->report->state != before);
}

/* ---------------------------------------------------------------------------------------------------------- requests */

static gboolean same_request(const Report *report, const DiagnosticsRequest *request)
{
    return report != NULL && g_str_equal(report->location, request->location) &&
           report->start_ms == request->start_ms && report->stop_ms == request->stop_ms;
}

static gboolean is_empty(const Diagnostics *diagnostics, const DiagnosticsRequest *request)
{
    return request->start_ms > request->stop_ms ||
           request->start_ms > clock_best_ms(diagnostics->clock);
}

static Report *report_from_request(const Diagnostics *diagnostics,
                                   const DiagnosticsRequest *request)
{
    const DiagnosticsConfig *config = &diagnostics->config;
    Report *report = report_new();
    g_autofree char *name = NULL;
    g_autofree char *reason = NULL;

    report->created_ms = clock_best_ms(diagnostics->clock);
    name = diagnostics_file_name(config->identity, report->created_ms);
    /* A location that cannot be used is told when the report begins. */
    g_free(diagnostics_url(request->location, name, &report->file_name, &reason));
    report->location = g_strdup(request->location);
    report->start_ms = request->start_ms;
    report->stop_ms = request->stop_ms;
    report->retries = request->retries < 0 ? config->default_retries
                                           : (guint)MIN(request->retries, DIAGNOSTICS_MAX_RETRIES);
    report->retry_interval_s =
        request->retry_interval_s < 0
            ? config->default_retry_interval_s
            : (guint)MIN(request->retry_interval_s, DIAGNOSTICS_MAX_INTERVAL_S);
    return report;
}

/* Behind the one under way, in the place of one that waits. */
static gboolean insert(Diagnostics *diagnostics, Report *report, GError **error)
{
    g_autoptr(Report) replaced =
        diagnostics->waiting != NULL ? report_copy(diagnostics->waiting) : NULL;

    report->role = diagnostics->report != NULL ? JOB_WAITS : JOB_ACTIVE;
    if (!store_begin(diagnostics->store, error))
        return FALSE;
    if (replaced != NULL) {
        replaced->role = JOB_ENDED;
        replaced->state = REPORT_SUPERSEDED;
        replaced->ended_ms = report->created_ms;
    }
    if ((replaced == NULL || reports_update(diagnostics->store, replaced, error)) &&
        reports_insert(diagnostics->store, report, error) &&
        store_commit(diagnostics->store, error))
        return TRUE;
    store_rollback(diagnostics->store);
    return FALSE;
}

static gboolean tell_repeat(const Report *report, char **ret_file_name)
{
    g_message("report=%" G_GINT64_FORMAT " GetDiagnostics again: the same", report->id);
    *ret_file_name = g_strdup(report->file_name);
    return TRUE;
}

gboolean diagnostics_request(Diagnostics *diagnostics, const DiagnosticsRequest *request,
                             char **ret_file_name, GError **error)
{
    g_autoptr(Report) report = NULL;
    g_autofree char *shown = location_for_people(request->location);

    if (same_request(diagnostics->waiting, request))
        return tell_repeat(diagnostics->waiting, ret_file_name);
    if (same_request(diagnostics->report, request))
        return tell_repeat(diagnostics->report, ret_file_name);
    *ret_file_name = NULL;
    if (is_empty(diagnostics, request)) {
        g_message("GetDiagnostics %s: the window is empty, there is nothing to upload", shown);
        return TRUE;
    }
    report = report_from_request(diagnostics, request);
    if (!insert(diagnostics, report, error))
        return FALSE;
    g_message("report=%" G_GINT64_FORMAT " GetDiagnostics %s%s", report->id, shown,
              diagnostics->report != NULL ? ": waits for the end of the one under way" : "");
    *ret_file_name = g_strdup(report->file_name);
    if (diagnostics->report == NULL) {
        diagnostics->report = g_steal_pointer(&report);
    } else {
        report_free(diagnostics->waiting);
        diagnostics->waiting = g_steal_pointer(&report);
    }
    diagnostics->events.changed(diagnostics->user_data);
    advance(diagnostics);
    return TRUE;
}

const char *diagnostics_triggered_status(const Diagnostics *diagnostics)
{
    return diagnostics->report != NULL && diagnostics->report->told ? "Uploading" : "Idle";
}

const Report *diagnostics_report(const Diagnostics *diagnostics)
{
    return diagnostics->report != NULL ? diagnostics->report : diagnostics->last;
}

gint64 diagnostics_sent(const Diagnostics *diagnostics)
{
    return diagnostics->upload != NULL ? upload_sent(diagnostics->upload) : -1;
}

/* -------------------------------------------------------------------------------------------------------------- life */

Diagnostics *diagnostics_new(const DiagnosticsConfig *config, Store *store, Transfers *transfers,
                             Clock *clock, const DiagnosticsEvents *events, gpointer user_data)
{
    Diagnostics *diagnostics = g_new0(Diagnostics, 1);

    diagnostics->config = *config;
    diagnostics->config.identity = g_strdup(config->identity);
    diagnostics->config.boot_id = g_strdup(config->boot_id);
    diagnostics->config.spool_directory = g_strdup(config->spool_directory);
    diagnostics->store = store;
    diagnostics->transfers = transfers;
    diagnostics->clock = clock;
    diagnostics->events = *events;
    diagnostics->user_data = user_data;
    return diagnostics;
}

void diagnostics_free(Diagnostics *diagnostics)
{
    if (diagnostics == NULL)
        return;
    clock_timer_clear(diagnostics->clock, &diagnostics->timer);
    g_clear_pointer(&diagnostics->collector, command_cancel);
    g_clear_pointer(&diagnostics->upload, upload_cancel);
    report_free(diagnostics->report);
    report_free(diagnostics->waiting);
    report_free(diagnostics->last);
    g_free((char *)diagnostics->config.identity);
    g_free((char *)diagnostics->config.boot_id);
    g_free((char *)diagnostics->config.spool_directory);
    g_free(diagnostics);
}

/* Archives of reports that are not under way, and what a killed collector has left. */
static void clean_spool(Diagnostics *diagnostics)
{
    g_autoptr(GDir) folder = g_dir_open(diagnostics->config.spool_directory, 0, NULL);
    g_autofree char *own = diagnostics->report != NULL ? archive_path(diagnostics) : NULL;
    const char *name;

    while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
        g_autofree char *path = g_build_filename(diagnostics->config.spool_directory, name, NULL);

        if (g_str_has_prefix(name, PREFIX) && g_strcmp0(path, own) != 0)
            g_unlink(path);
    }
    collector_clean(diagnostics->config.spool_directory);
}

/* What an earlier process was doing has to be done again: what does that too often is what goes wrong. */
static void take_up(Diagnostics *diagnostics)
{
    Report *report = diagnostics->report;

    if (report->state == REPORT_RETRY_WAIT &&
        g_strcmp0(report->retry_boot_id, diagnostics->config.boot_id) != 0)
        report->retry_boottime_ms = now(diagnostics) + (gint64)report->retry_interval_s * 1000;
    if (report->state != REPORT_COLLECTING && report->state != REPORT_UPLOADING)
        return;
    if (report->interruptions >= DIAGNOSTICS_MAX_INTERRUPTIONS) {
        fail(diagnostics, "the agent ended in the middle of it, again and again", 0);
        return;
    }
    report->interruptions++;
    report->begun = report->begun || report->state == REPORT_UPLOADING;
    step(diagnostics, report_copy(report),
         have_archive(diagnostics) ? REPORT_UPLOADING : REPORT_COLLECTING);
}

void diagnostics_start(Diagnostics *diagnostics)
{
    g_autoptr(GError) error = NULL;

    if (!reports_load(diagnostics->store, JOB_ACTIVE, &diagnostics->report, &error) ||
        !reports_load(diagnostics->store, JOB_WAITS, &diagnostics->waiting, &error) ||
        !reports_load(diagnostics->store, JOB_ENDED, &diagnostics->last, &error)) {
        g_critical("cannot load the reports: %s", error->message);
        return;
    }
    clean_spool(diagnostics);
    if (diagnostics->report != NULL)
        take_up(diagnostics);
    advance(diagnostics);
}
