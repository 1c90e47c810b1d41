/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each state wants to be done: collecting, uploading, waiting for the next attempt. */
#include "src/behaviour/diagnostics/internal.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "adapter/collector.h"
#include "adapter/location.h"

#define COLLECT_SLACK_S 60 /* a disk that hangs */

static void timer_fired(gpointer user_data)
{
    diagnostics_advance(user_data);
}

/* ----------------------------------------------------------------------------------- collecting */

static void on_collected(gboolean ok, const char *words, gpointer user_data)
{
    Diagnostics *diagnostics = user_data;

    diagnostics->collector = NULL;
    diagnostics_remove_note(diagnostics);
    if (ok) {
        diagnostics_step(diagnostics, report_copy(diagnostics->report), REPORT_UPLOADING);
    } else {
        g_autofree char *why = g_strdup_printf("cannot collect the diagnostics: %s", words);

        diagnostics_fail(diagnostics, why, 0, FALSE);
    }
    diagnostics_advance(diagnostics);
}

static gint64 to_wall(const Report *report, gint64 csms_ms)
{
    return csms_ms == G_MININT64 || csms_ms == G_MAXINT64 ? csms_ms
                                                          : csms_ms + report->clock_ahead_ms;
}

static Command *start_collector(Diagnostics *diagnostics, GError **error)
{
    const Report *report = diagnostics->report;
    g_autofree char *path = diagnostics_archive_path(diagnostics);
    g_auto(GStrv) argv = NULL;

    if (g_mkdir(diagnostics->config.spool_directory, 0700) < 0 && errno != EEXIST) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot make %s: %s",
                    diagnostics->config.spool_directory, g_strerror(errno));
        return NULL;
    }
    collector_clean(diagnostics->config.spool_directory);
    argv = diagnostics->events.collect(path, to_wall(report, report->start_ms),
                                       to_wall(report, report->stop_ms), diagnostics->user_data,
                                       error);
    if (argv == NULL)
        return NULL;
    return command_start((const char *const *)argv, COLLECTOR_TOTAL_S + COLLECT_SLACK_S,
                         on_collected, diagnostics, error);
}

static void collect(Diagnostics *diagnostics)
{
    g_autoptr(GError) error = NULL;

    diagnostics->collector = start_collector(diagnostics, &error);
    if (diagnostics->collector != NULL)
        return;
    diagnostics_remove_note(diagnostics);
    diagnostics_fail(diagnostics, error->message, 0, FALSE);
}

/* ------------------------------------------------------------------------------------ uploading */

static void on_uploaded(const GError *error, guint retry_after_s, gint64 sent, gpointer user_data)
{
    Diagnostics *diagnostics = user_data;

    diagnostics->upload = NULL;
    if (error == NULL) {
        Report *next = report_copy(diagnostics->report);

        diagnostics_set_reason(next, NULL);
        diagnostics_step(diagnostics, next, REPORT_UPLOADED);
    } else {
        diagnostics_fail(diagnostics, error->message, retry_after_s, sent > 0);
    }
    diagnostics_advance(diagnostics);
}

/* A form names the file itself, and goes to the location as it is.  It was usable when the report
 * began. */
static char *upload_url(const Diagnostics *diagnostics, char **ret_reason)
{
    const Report *report = diagnostics->report;
    g_autofree char *name = NULL;
    g_autofree char *location = location_to_url(report->location, ret_reason);

    if (diagnostics->config.method == UPLOAD_POST && location != NULL &&
        g_ascii_strncasecmp(location, "http", strlen("http")) == 0)
        return g_steal_pointer(&location);
    return diagnostics_url(report->location, report->file_name, &name, ret_reason);
}

static void upload(Diagnostics *diagnostics)
{
    const Report *report = diagnostics->report;
    g_autofree char *path = diagnostics_archive_path(diagnostics);
    g_autofree char *reason = NULL;
    g_autofree char *url = upload_url(diagnostics, &reason);
    UploadRequest request = {
        .url = url,
        .path = path,
        .name = report->file_name,
        .method = diagnostics->config.method,
        .resume = report->begun,
    };

    diagnostics->upload = upload_begin(diagnostics->transfers, &request, on_uploaded, diagnostics);
}

/* --------------------------------------------------------------------------- what a state wants */

gboolean diagnostics_have_archive(const Diagnostics *diagnostics)
{
    g_autofree char *path = diagnostics_archive_path(diagnostics);

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
        diagnostics_set_reason(next, reason);
        diagnostics_step(diagnostics, next, REPORT_UPLOAD_FAILED);
    } else {
        diagnostics_step(diagnostics, next, REPORT_COLLECTING);
    }
}

static void wait_for_retry(Diagnostics *diagnostics)
{
    gint64 left_ms = diagnostics->report->retry_boottime_ms - clock_boottime_ms(diagnostics->clock);

    if (left_ms > 0)
        clock_timer_set(diagnostics->clock, &diagnostics->timer, left_ms, timer_fired, diagnostics);
    else
        diagnostics_step(diagnostics, report_copy(diagnostics->report),
                         diagnostics_have_archive(diagnostics) ? REPORT_UPLOADING
                                                               : REPORT_COLLECTING);
}

/* Does what the state wants, until something is under way. */
void diagnostics_advance(Diagnostics *diagnostics)
{
    ReportState before;

    do {
        if (!diagnostics->started || diagnostics->timer != 0 ||
            (diagnostics->untaken != NULL && !diagnostics_take_step(diagnostics)))
            return;
        diagnostics_take_waiting(diagnostics);
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
    } while (diagnostics->untaken == NULL &&
             (diagnostics->report == NULL || diagnostics->report->state != before));
}
