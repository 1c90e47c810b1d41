/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only place where a report's state changes: row and statuses in one transaction. */
#include "src/behaviour/diagnostics/internal.h"

#include <glib/gstdio.h>

#include "db/outbox.h"

#define STORE_RETRY_MS 5000
#define MIN_RETRY_S    1

static void timer_fired(gpointer user_data)
{
    diagnostics_advance(user_data);
}

char *diagnostics_archive_path(const Diagnostics *diagnostics)
{
    g_autofree char *name = g_strdup_printf(
        DIAGNOSTICS_PREFIX "%" G_GINT64_FORMAT DIAGNOSTICS_SUFFIX, diagnostics->report->id);

    return g_build_filename(diagnostics->config.spool_directory, name, NULL);
}

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

void diagnostics_tell_store(Diagnostics *diagnostics, const char *what, const GError *error)
{
    g_log(G_LOG_DOMAIN, diagnostics->told_store ? G_LOG_LEVEL_DEBUG : G_LOG_LEVEL_CRITICAL,
          "%s: %s; it is tried again", what, error->message);
    diagnostics->told_store = TRUE;
}

static gboolean in_transaction(Diagnostics *diagnostics, Report *next, GError **error)
{
    gboolean told = next->told;

    if (!store_begin(diagnostics->store, error))
        return FALSE;
    if (write_step(diagnostics, next, error) && store_commit(diagnostics->store, error))
        return TRUE;
    store_rollback(diagnostics->store);
    next->told = told;
    return FALSE;
}

void diagnostics_take_waiting(Diagnostics *diagnostics)
{
    g_autoptr(Report) next = NULL;
    g_autoptr(GError) error = NULL;

    if (diagnostics->report != NULL || diagnostics->waiting == NULL)
        return;
    next = report_copy(diagnostics->waiting);
    next->role = JOB_ACTIVE;
    if (!reports_update(diagnostics->store, next, &error)) {
        diagnostics_tell_store(diagnostics, "the report that waits cannot begin", error);
        clock_timer_set(diagnostics->clock, &diagnostics->timer, STORE_RETRY_MS, timer_fired,
                        diagnostics);
        return;
    }
    diagnostics->told_store = FALSE;
    g_clear_pointer(&diagnostics->waiting, report_free);
    diagnostics->report = g_steal_pointer(&next);
}

/* What the collecting child got, and maybe never read. */
void diagnostics_remove_note(const Diagnostics *diagnostics)
{
    g_autofree char *archive = diagnostics_archive_path(diagnostics);
    g_autofree char *note = g_strconcat(archive, DIAGNOSTICS_NOTE_SUFFIX, NULL);

    g_unlink(note);
}

static void adopt(Diagnostics *diagnostics, Report *next)
{
    g_message("report=%" G_GINT64_FORMAT " state=%s -> %s%s%s", next->id,
              report_state_name(diagnostics->report->state), report_state_name(next->state),
              next->reason != NULL ? " reason=" : "", next->reason != NULL ? next->reason : "");
    if (report_state_is_end(next->state)) {
        g_autofree char *archive = diagnostics_archive_path(diagnostics);

        g_unlink(archive);
        report_free(diagnostics->last);
        diagnostics->last = next;
        g_clear_pointer(&diagnostics->report, report_free);
    } else {
        report_free(diagnostics->report);
        diagnostics->report = next;
    }
}

/* The step to `diagnostics->untaken`.  A store that says no is asked again: what was done for the
 * step is not done twice. */
gboolean diagnostics_take_step(Diagnostics *diagnostics)
{
    g_autoptr(GError) error = NULL;

    if (!in_transaction(diagnostics, diagnostics->untaken, &error)) {
        diagnostics_tell_store(diagnostics, "the store does not take the report's step", error);
        clock_timer_set(diagnostics->clock, &diagnostics->timer, STORE_RETRY_MS, timer_fired,
                        diagnostics);
        return FALSE;
    }
    diagnostics->told_store = FALSE;
    adopt(diagnostics, g_steal_pointer(&diagnostics->untaken));
    diagnostics->events.outbox(diagnostics->user_data);
    diagnostics->events.changed(diagnostics->user_data);
    return TRUE;
}

/* `next` is taken over. */
void diagnostics_step(Diagnostics *diagnostics, Report *next, ReportState state)
{
    next->state = state;
    if (state ==
        REPORT_COLLECTING) /* another archive than the one of which the server may have a part */
        next->begun = FALSE;
    if (report_state_is_end(state)) {
        next->role = JOB_ENDED;
        next->ended_ms = clock_best_ms(diagnostics->clock);
    }
    diagnostics->untaken = next;
    diagnostics_take_step(diagnostics);
}

void diagnostics_set_reason(Report *report, const char *reason)
{
    g_free(report->reason);
    report->reason = g_strdup(reason);
}

/* An attempt went wrong: the next one is due after the interval, or there is none left.  `begun`:
 * the server has a part of the archive. */
void diagnostics_fail(Diagnostics *diagnostics, const char *why, guint retry_after_s,
                      gboolean begun)
{
    Report *next = report_copy(diagnostics->report);
    gint64 wait_s = MAX(MAX(next->retry_interval_s, MIN_RETRY_S),
                        MIN(retry_after_s, DIAGNOSTICS_MAX_INTERVAL_S));

    diagnostics_set_reason(next, why);
    next->begun = next->begun || begun;
    next->attempts++;
    if (next->attempts > next->retries) {
        diagnostics_step(diagnostics, next, REPORT_UPLOAD_FAILED);
        return;
    }
    g_free(next->retry_boot_id);
    next->retry_boot_id = g_strdup(diagnostics->config.boot_id);
    next->retry_boottime_ms = clock_boottime_ms(diagnostics->clock) + wait_s * 1000;
    diagnostics_step(diagnostics, next, REPORT_RETRY_WAIT);
}
