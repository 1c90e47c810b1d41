/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The diagnostics behaviour towards the outside: requests, what people are shown, life.  As in the
 * firmware job the row in the store is what counts, a step is one transaction, and what is to be
 * done follows from the state.
 */
#include "src/behaviour/diagnostics/internal.h"

#include <glib/gstdio.h>

#include "adapter/collector.h"
#include "adapter/location.h"

#define SAME_CLOCK_MS  10000
#define STORE_RETRY_MS 5000
#define MAX_RETRIES    100

/* ------------------------------------------------------------------------------------- requests */

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

/* How far the system clock, which logs are stamped by, is ahead of the CSMS's.  Two clocks that
 * agree but for the way of a message are taken as one, or the edges of a window would be
 * blurred. */
static gint64 clock_ahead_ms(const Diagnostics *diagnostics)
{
    gint64 csms_now, ahead_ms;

    if (!clock_csms_ms(diagnostics->clock, &csms_now))
        return 0;
    ahead_ms = clock_wall_ms(diagnostics->clock) - csms_now;
    return ABS(ahead_ms) < SAME_CLOCK_MS ? 0 : ahead_ms;
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
    report->clock_ahead_ms = clock_ahead_ms(diagnostics);
    report->retries =
        request->retries < 0 ? config->default_retries : (guint)MIN(request->retries, MAX_RETRIES);
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

/* The one under way waits for its next attempt: it ends here, for a newer one. */
static void give_way(Diagnostics *diagnostics)
{
    Report *next = report_copy(diagnostics->report);
    g_autofree char *why = g_strdup_printf("a newer request has taken its place; before: %s",
                                           next->reason != NULL ? next->reason : "no attempt");

    if (diagnostics->untaken != NULL) {
        report_free(next);
        return;
    }
    clock_timer_clear(diagnostics->clock, &diagnostics->timer);
    diagnostics_set_reason(next, why);
    diagnostics_step(diagnostics, next, REPORT_UPLOAD_FAILED);
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

    *ret_file_name = NULL;
    if (!diagnostics->started) {
        g_set_error_literal(error, STORE_ERROR, STORE_ERROR_WRITE,
                            "the reports cannot be read from the store now");
        return FALSE;
    }
    if (same_request(diagnostics->waiting, request))
        return tell_repeat(diagnostics->waiting, ret_file_name);
    if (same_request(diagnostics->report, request))
        return tell_repeat(diagnostics->report, ret_file_name);
    if (is_empty(diagnostics, request)) {
        g_message("GetDiagnostics %s: the window is empty, there is nothing to upload", shown);
        return TRUE;
    }
    if (diagnostics->report != NULL && diagnostics->report->state == REPORT_RETRY_WAIT)
        give_way(diagnostics);
    report = report_from_request(diagnostics, request);
    if (!insert(diagnostics, report, error))
        return FALSE;
    g_clear_pointer(&diagnostics->waiting, report_free);
    g_message("report=%" G_GINT64_FORMAT " GetDiagnostics %s%s", report->id, shown,
              diagnostics->report != NULL ? ": waits for the end of the one under way" : "");
    *ret_file_name = g_strdup(report->file_name);
    if (diagnostics->report == NULL)
        diagnostics->report = g_steal_pointer(&report);
    else
        diagnostics->waiting = g_steal_pointer(&report);
    diagnostics->events.changed(diagnostics->user_data);
    diagnostics_advance(diagnostics);
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

/* ----------------------------------------------------------------------------------------- life */

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
    report_free(diagnostics->untaken);
    g_free((char *)diagnostics->config.identity);
    g_free((char *)diagnostics->config.boot_id);
    g_free((char *)diagnostics->config.spool_directory);
    g_free(diagnostics);
}

/* Archives of reports that are not under way, and what a killed collector has left. */
static void clean_spool(Diagnostics *diagnostics)
{
    g_autoptr(GDir) folder = g_dir_open(diagnostics->config.spool_directory, 0, NULL);
    g_autofree char *own =
        diagnostics->report != NULL ? diagnostics_archive_path(diagnostics) : NULL;
    const char *name;

    while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
        g_autofree char *path = g_build_filename(diagnostics->config.spool_directory, name, NULL);

        if (g_str_has_prefix(name, DIAGNOSTICS_PREFIX) && g_strcmp0(path, own) != 0)
            g_unlink(path);
    }
    collector_clean(diagnostics->config.spool_directory);
}

/* What an earlier process was doing has to be done again: what does that too often is what goes
 * wrong. */
static void take_up(Diagnostics *diagnostics)
{
    Report *next = report_copy(diagnostics->report);
    gint64 longest_ms =
        clock_boottime_ms(diagnostics->clock) + (gint64)DIAGNOSTICS_MAX_INTERVAL_S * 1000;

    if (next->state == REPORT_RETRY_WAIT &&
        g_strcmp0(next->retry_boot_id, diagnostics->config.boot_id) == 0) {
        diagnostics->report->retry_boottime_ms = MIN(next->retry_boottime_ms, longest_ms);
        report_free(next);
    } else if (next->state == REPORT_RETRY_WAIT) { /* the interval starts anew, once a boot */
        g_free(next->retry_boot_id);
        next->retry_boot_id = g_strdup(diagnostics->config.boot_id);
        next->retry_boottime_ms =
            clock_boottime_ms(diagnostics->clock) + (gint64)next->retry_interval_s * 1000;
        diagnostics_step(diagnostics, next, REPORT_RETRY_WAIT);
    } else if (next->state == REPORT_REQUESTED) {
        report_free(next);
    } else if (next->interruptions >= DIAGNOSTICS_MAX_INTERRUPTIONS) {
        report_free(next);
        diagnostics_fail(diagnostics, "the agent ended in the middle of it, again and again", 0,
                         FALSE);
    } else {
        next->interruptions++;
        diagnostics_step(diagnostics, next,
                         diagnostics_have_archive(diagnostics) ? REPORT_UPLOADING
                                                               : REPORT_COLLECTING);
    }
}

static gboolean load(Diagnostics *diagnostics)
{
    g_autoptr(GError) error = NULL;

    if (reports_load(diagnostics->store, JOB_ACTIVE, &diagnostics->report, &error) &&
        reports_load(diagnostics->store, JOB_WAITS, &diagnostics->waiting, &error) &&
        reports_load(diagnostics->store, JOB_ENDED, &diagnostics->last, &error))
        return TRUE;
    diagnostics_tell_store(diagnostics, "cannot load the reports", error);
    g_clear_pointer(&diagnostics->report, report_free);
    g_clear_pointer(&diagnostics->waiting, report_free);
    return FALSE;
}

static void start(gpointer user_data)
{
    Diagnostics *diagnostics = user_data;

    if (!load(diagnostics)) {
        clock_timer_set(diagnostics->clock, &diagnostics->timer, STORE_RETRY_MS, start,
                        diagnostics);
        return;
    }
    diagnostics->started = TRUE;
    diagnostics->told_store = FALSE;
    clean_spool(diagnostics);
    if (diagnostics->report != NULL)
        take_up(diagnostics);
    diagnostics_advance(diagnostics);
}

void diagnostics_start(Diagnostics *diagnostics)
{
    start(diagnostics);
}
