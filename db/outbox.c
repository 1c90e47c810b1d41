/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The outbox: notifications in the order in which they were put in. */
#include "db/outbox.h"

#include "sql.h"

gboolean outbox_push(Store *store, gint64 job_id, const char *action, const char *payload,
                     GError **error)
{
    g_auto(Sql) sql = SQL_INIT;

    if (!sql_open(&sql, store, "queue a notification",
                  "INSERT INTO outbox (job_id, action, payload)"
                  " SELECT ?, ?, ? WHERE (SELECT count(*) FROM outbox) < ?",
                  error))
        return FALSE;
    sql_bind_int(&sql, job_id);
    sql_bind_text(&sql, action);
    sql_bind_text(&sql, payload);
    sql_bind_int(&sql, OUTBOX_MAX_ROWS);
    if (!sql_finish(&sql, error))
        return FALSE;
    return sqlite3_changes(store->db) == 1 || sql_refuse(&sql, "the outbox is full", error);
}

static OutboxRow *read_row(Sql *sql)
{
    OutboxRow *row = g_new0(OutboxRow, 1);

    row->id = sql_get_int(sql, 1, G_MAXINT64);
    row->job_id = sql_get_int(sql, 0, G_MAXINT64);
    row->action = sql_get_text(sql, FALSE);
    row->payload = sql_get_text(sql, FALSE);
    return row;
}

/* The next row of a SELECT; `*ret_row` is NULL at the end. */
static gboolean next_row(Sql *sql, OutboxRow **ret_row, GError **error)
{
    g_autoptr(OutboxRow) row = NULL;
    gboolean have;

    if (!sql_step(sql, &have, error))
        return FALSE;
    if (have)
        row = read_row(sql);
    if (!sql_intact(sql, error))
        return FALSE;
    *ret_row = g_steal_pointer(&row);
    return TRUE;
}

gboolean outbox_head(Store *store, OutboxRow **ret_row, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;

    return sql_open(&sql, store, "read the outbox",
                    "SELECT id, job_id, action, payload FROM outbox ORDER BY id LIMIT 1", error) &&
           next_row(&sql, ret_row, error);
}

GPtrArray *outbox_list(Store *store, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)outbox_row_free);

    if (!sql_open(&sql, store, "read the outbox",
                  "SELECT id, job_id, action, payload FROM outbox ORDER BY id", error))
        return NULL;
    for (;;) {
        OutboxRow *row = NULL;

        if (!next_row(&sql, &row, error))
            return NULL;
        if (row == NULL)
            return g_steal_pointer(&rows);
        g_ptr_array_add(rows, row);
    }
}

gboolean outbox_remove(Store *store, gint64 id, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;

    if (!sql_open(&sql, store, "remove a notification", "DELETE FROM outbox WHERE id = ?", error))
        return FALSE;
    sql_bind_int(&sql, id);
    return sql_finish(&sql, error);
}

gboolean outbox_count(Store *store, guint *ret_count, GError **error)
{
    gint64 count;

    if (!sql_number(store, "count the outbox", "SELECT count(*) FROM outbox", &count, error))
        return FALSE;
    *ret_count = (guint)count;
    return TRUE;
}

void outbox_row_free(OutboxRow *row)
{
    if (row == NULL)
        return;
    g_free(row->action);
    g_free(row->payload);
    g_free(row);
}
