/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of reports. */
#include "db/reports.h"

#include "sql.h"

static const char *const state_names[REPORT_N_STATES] = {
    [REPORT_REQUESTED] = "requested",   [REPORT_COLLECTING] = "collecting",
    [REPORT_UPLOADING] = "uploading",   [REPORT_RETRY_WAIT] = "retry-wait",
    [REPORT_UPLOADED] = "uploaded",     [REPORT_UPLOAD_FAILED] = "upload-failed",
    [REPORT_SUPERSEDED] = "superseded",
};

const char *report_state_name(ReportState state)
{
    return (guint)state < REPORT_N_STATES ? state_names[state] : "unknown";
}

gboolean report_state_is_end(ReportState state)
{
    return state >= REPORT_UPLOADED && state < REPORT_N_STATES;
}

Report *report_new(void)
{
    Report *report = g_new0(Report, 1);

    report->start_ms = G_MININT64;
    report->stop_ms = G_MAXINT64;
    return report;
}

Report *report_copy(const Report *report)
{
    Report *copy = g_memdup2(report, sizeof(*report));

    copy->location = g_strdup(report->location);
    copy->file_name = g_strdup(report->file_name);
    copy->reason = g_strdup(report->reason);
    copy->retry_boot_id = g_strdup(report->retry_boot_id);
    return copy;
}

void report_free(Report *report)
{
    if (report == NULL)
        return;
    g_free(report->location);
    g_free(report->file_name);
    g_free(report->reason);
    g_free(report->retry_boot_id);
    g_free(report);
}

/* The order of COLUMNS, bind_report() and read_report() is one. */
#define COLUMNS                                                                                    \
    "role, state, location, start_ms, stop_ms, clock_ahead_ms, retries, retry_interval_s, "        \
    "file_name, told,"                                                                             \
    " attempts, interruptions, begun, reason, retry_boot_id, retry_boottime_ms, created_ms,"       \
    " ended_ms"

static void bind_report(Sql *sql, const Report *report)
{
    sql_bind_text(sql, sql_role_names[report->role]);
    sql_bind_text(sql, report_state_name(report->state));
    sql_bind_text(sql, report->location);
    sql_bind_int(sql, report->start_ms);
    sql_bind_int(sql, report->stop_ms);
    sql_bind_int(sql, report->clock_ahead_ms);
    sql_bind_int(sql, report->retries);
    sql_bind_int(sql, report->retry_interval_s);
    sql_bind_text(sql, report->file_name);
    sql_bind_int(sql, report->told ? 1 : 0);
    sql_bind_int(sql, report->attempts);
    sql_bind_int(sql, report->interruptions);
    sql_bind_int(sql, report->begun ? 1 : 0);
    sql_bind_text(sql, report->reason);
    sql_bind_text(sql, report->retry_boot_id);
    sql_bind_int(sql, report->retry_boottime_ms);
    sql_bind_int(sql, report->created_ms);
    sql_bind_int(sql, report->ended_ms);
}

static Report *read_report(Sql *sql)
{
    Report *report = report_new();

    report->id = sql_get_int(sql, 1, G_MAXINT64);
    report->role = sql_get_name(sql, sql_role_names, SQL_N_ROLES);
    report->state = sql_get_name(sql, state_names, REPORT_N_STATES);
    report->location = sql_get_text(sql, FALSE);
    report->start_ms = sql_get_int(sql, G_MININT64, G_MAXINT64);
    report->stop_ms = sql_get_int(sql, G_MININT64, G_MAXINT64);
    report->clock_ahead_ms = sql_get_int(sql, G_MININT64, G_MAXINT64);
    report->retries = (guint)sql_get_int(sql, 0, G_MAXUINT);
    report->retry_interval_s = (guint)sql_get_int(sql, 0, G_MAXUINT);
    report->file_name = sql_get_text(sql, FALSE);
    report->told = (gboolean)sql_get_int(sql, 0, 1);
    report->attempts = (guint)sql_get_int(sql, 0, G_MAXUINT);
    report->interruptions = (guint)sql_get_int(sql, 0, G_MAXUINT);
    report->begun = (gboolean)sql_get_int(sql, 0, 1);
    report->reason = sql_get_text(sql, TRUE);
    report->retry_boot_id = sql_get_text(sql, TRUE);
    report->retry_boottime_ms = sql_get_int(sql, G_MININT64, G_MAXINT64);
    report->created_ms = sql_get_int(sql, G_MININT64, G_MAXINT64);
    report->ended_ms = sql_get_int(sql, G_MININT64, G_MAXINT64);
    return report;
}

gboolean reports_insert(Store *store, Report *report, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;

    if (!sql_open(&sql, store, "store a new report",
                  "INSERT INTO reports (" COLUMNS
                  ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                  error))
        return FALSE;
    if (report->id != 0)
        return sql_refuse(&sql, "it has a number already", error);
    bind_report(&sql, report);
    if (!sql_finish(&sql, error))
        return FALSE;
    report->id = sqlite3_last_insert_rowid(store->db);
    return TRUE;
}

static gboolean forget_old(Store *store, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;

    if (!sql_open(&sql, store, "forget old reports",
                  "DELETE FROM reports WHERE role = 'ended' AND id NOT IN"
                  " (SELECT id FROM reports WHERE role = 'ended' ORDER BY id DESC LIMIT ?)",
                  error))
        return FALSE;
    sql_bind_int(&sql, REPORTS_KEPT);
    return sql_finish(&sql, error);
}

static gboolean update(Store *store, const Report *report, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;

    if (!sql_open(&sql, store, "store a report",
                  "UPDATE reports SET (" COLUMNS
                  ") = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?",
                  error))
        return FALSE;
    bind_report(&sql, report);
    sql_bind_int(&sql, report->id);
    if (!sql_finish(&sql, error))
        return FALSE;
    return sqlite3_changes(store->db) == 1 || sql_refuse(&sql, "there is no such report", error);
}

gboolean reports_update(Store *store, const Report *report, GError **error)
{
    gboolean own, done;

    if (!sql_enter(store, &own, error))
        return FALSE;
    done = update(store, report, error) && (report->role != JOB_ENDED || forget_old(store, error));
    return sql_leave(store, own, done, error);
}

gboolean reports_load(Store *store, JobRole role, Report **ret_report, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    g_autoptr(Report) report = NULL;
    gboolean row;

    if (!sql_open(&sql, store, "load a report",
                  "SELECT id, " COLUMNS " FROM reports WHERE role = ? ORDER BY id DESC LIMIT 1",
                  error))
        return FALSE;
    sql_bind_text(&sql, sql_role_names[role]);
    if (!sql_step(&sql, &row, error))
        return FALSE;
    if (row)
        report = read_report(&sql);
    if (!sql_intact(&sql, error))
        return FALSE;
    *ret_report = g_steal_pointer(&report);
    return TRUE;
}
