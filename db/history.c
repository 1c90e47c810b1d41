/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The history: one line for each step of a job, the newest of them kept. */
#include "db/jobs.h"
#include "sql.h"

#define ADD                                                                                        \
    "INSERT INTO history (job_id, time_ms, from_state, to_state, event, detail) VALUES (?, ?, ?, " \
    "?, ?, ?)"

/* The first condition spares the walk over all lines while there are few. */
#define PRUNE                                                                                      \
    "DELETE FROM history WHERE (SELECT max(id) - min(id) FROM history) >= ?1"                      \
    " AND id <= (SELECT id FROM history ORDER BY id DESC LIMIT 1 OFFSET ?1)"

/* Their lines go with them (ON DELETE CASCADE). */
#define PRUNE_JOBS                                                                                 \
    "DELETE FROM jobs WHERE role = 'ended' AND id <="                                              \
    " (SELECT id FROM jobs WHERE role = 'ended' ORDER BY id DESC LIMIT 1 OFFSET ?1)"

#define LIST                                                                                       \
    "SELECT job_id, time_ms, from_state, to_state, event, detail FROM history"                     \
    " ORDER BY id DESC LIMIT ?"

static gboolean add(Store *store, const HistoryEntry *entry, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;

    if (!sql_open(&sql, store, "add to the history", ADD, error))
        return FALSE;
    sql_bind_int(&sql, entry->job_id);
    sql_bind_int(&sql, entry->time_ms);
    sql_bind_text(&sql, job_state_name(entry->from));
    sql_bind_text(&sql, job_state_name(entry->to));
    sql_bind_text(&sql, entry->event);
    sql_bind_text(&sql, entry->detail);
    return sql_finish(&sql, error);
}

static gboolean prune(Store *store, const char *text, gint64 keep, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;

    if (!sql_open(&sql, store, "prune the history", text, error))
        return FALSE;
    sql_bind_int(&sql, keep);
    return sql_finish(&sql, error);
}

gboolean history_add(Store *store, const HistoryEntry *entry, GError **error)
{
    gboolean own, done;

    if (!sql_enter(store, &own, error))
        return FALSE;
    done = add(store, entry, error) && prune(store, PRUNE, HISTORY_MAX_ENTRIES, error);
    /* Only a step to an end makes one more ended job. */
    if (done && job_state_is_end(entry->to))
        done = prune(store, PRUNE_JOBS, HISTORY_MAX_JOBS, error);
    return sql_leave(store, own, done, error);
}

void history_entry_free(HistoryEntry *entry)
{
    if (entry == NULL)
        return;
    g_free(entry->event);
    g_free(entry->detail);
    g_free(entry);
}

static JobState get_state(Sql *sql)
{
    g_autofree char *name = sql_get_text(sql, FALSE);
    JobState state = JOB_SCHEDULED;

    if (name != NULL && !job_state_from_name(name, &state))
        sql_mark_damaged(sql);
    return state;
}

GPtrArray *history_list(Store *store, guint limit, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)history_entry_free);
    gboolean row = TRUE;

    if (!sql_open(&sql, store, "read the history", LIST, error))
        return NULL;
    sql_bind_int(&sql, MIN(limit, HISTORY_MAX_ENTRIES));
    while (row) {
        HistoryEntry *entry;

        if (!sql_step(&sql, &row, error))
            return NULL;
        if (!row)
            break;
        entry = g_new0(HistoryEntry, 1);
        g_ptr_array_add(list, entry);
        entry->job_id = sql_get_int(&sql, 1, G_MAXINT64);
        entry->time_ms = sql_get_int(&sql, G_MININT64, G_MAXINT64);
        entry->from = get_state(&sql);
        entry->to = get_state(&sql);
        entry->event = sql_get_text(&sql, FALSE);
        entry->detail = sql_get_text(&sql, TRUE);
        if (!sql_intact(&sql, error))
            return NULL;
    }
    return g_steal_pointer(&list);
}
