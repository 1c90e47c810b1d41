/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reports: the jobs of GetDiagnostics (C 5.9), as the store keeps them.  What leads from one state
 * to the next is the business of behaviour/diagnostics.
 *
 * At most one report is under way, at most one waits behind it; of those that ended the newest
 * REPORTS_KEPT are kept.  Times are milliseconds, as in db/jobs.h.
 */
#pragma once

#include <glib.h>

#include "db/jobs.h"
#include "db/store.h"

#define REPORTS_KEPT 10

typedef enum {
    REPORT_REQUESTED, /* nothing was done yet */
    REPORT_COLLECTING,
    REPORT_UPLOADING,
    REPORT_RETRY_WAIT,
    /* ends */
    REPORT_UPLOADED,
    REPORT_UPLOAD_FAILED,
    REPORT_SUPERSEDED, /* by a newer request, before it had begun */
    REPORT_N_STATES
} ReportState;

const char *report_state_name(ReportState state); /* "requested", ..., also on disk */
gboolean report_state_is_end(ReportState state);

typedef struct {
    gint64 id; /* 0: not in the store yet */
    JobRole role;
    ReportState state;

    /* the request */
    char *location;
    gint64 start_ms, stop_ms; /* of the window, in CSMS time; G_MININT64 and G_MAXINT64: open */
    gint64
        clock_ahead_ms; /* so far the system clock was ahead of the CSMS's at the request: logs are stamped by it */
    guint retries; /* attempts = 1 + retries */
    guint retry_interval_s;

    char *file_name; /* what will lie at the location */
    gboolean told;   /* Uploading is in the outbox, or was sent */
    guint attempts;  /* charged so far */
    guint interruptions;
    gboolean begun; /* the server may have a part of the archive that lies in the spool */
    char *reason;
    char *retry_boot_id; /* as in db/jobs.h */
    gint64 retry_boottime_ms;
    gint64 created_ms;
    gint64 ended_ms; /* 0: not ended */
} Report;

Report *report_new(void);
Report *report_copy(const Report *report);
void report_free(Report *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Report, report_free)

/* As jobs_insert() and jobs_update(); an update that ends a report also removes the oldest ended
 * ones. */
gboolean reports_insert(Store *store, Report *report, GError **error);
gboolean reports_update(Store *store, const Report *report, GError **error);
/* `*ret_report` is NULL when there is none; JOB_ENDED: the newest ended one. */
gboolean reports_load(Store *store, JobRole role, Report **ret_report, GError **error);
