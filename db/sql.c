/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Statement helpers of the store: see sql.h. */
#include "sql.h"

#include <string.h>

/* What a result of SQLite means for those who hold a store. */
static StoreError error_of_code(int code)
{
    switch (code) {
    /* A medium that does not give back what was written is a damaged store, not a passing trouble.
     */
    case SQLITE_IOERR_READ:
    case SQLITE_IOERR_SHORT_READ:
    case SQLITE_IOERR_CORRUPTFS:
    case SQLITE_IOERR_DATA:
        return STORE_ERROR_CORRUPT;
    default:
        break;
    }
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
        return STORE_ERROR_CONFLICT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return STORE_ERROR_OPEN;
    /* Our own statements are fixed: "no such column" is a damaged schema. */
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
    case SQLITE_MISMATCH:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return STORE_ERROR_CORRUPT;
    default:
        return STORE_ERROR_WRITE;
    }
}

static void doom(Store *store, StoreError why)
{
    if (store->in_transaction)
        store->doomed = TRUE;
    if (why == STORE_ERROR_CORRUPT)
        store->damaged = TRUE;
}

/* What the system said when a file of the store failed; 0: not known.  sqlite3_system_errno() does
 * not know it after a commit. */
static int system_errno(sqlite3 *db)
{
    sqlite3_file *log = NULL;
    int code = 0;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK &&
        log != NULL && log->pMethods != NULL)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &code);
    if (code == 0)
        sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &code);
    return code;
}

gboolean sql_fail(Store *store, const char *what, int code, GError **error)
{
    /* The connection's text says more, but only while it is about this very failure. */
    gboolean same =
        store->db != NULL && (sqlite3_extended_errcode(store->db) & 0xff) == (code & 0xff);
    /* "disk I/O error" is also what SQLite calls a file system that is read-only. */
    int system = same && (code & 0xff) == SQLITE_IOERR ? system_errno(store->db) : 0;

    g_set_error(error, STORE_ERROR, error_of_code(code), "cannot %s: %s%s%s (%s)", what,
                same ? sqlite3_errmsg(store->db) : sqlite3_errstr(code), system != 0 ? ": " : "",
                system != 0 ? g_strerror(system) : "", store->path);
    doom(store, error_of_code(code));
    return FALSE;
}

gboolean sql_run(Store *store, const char *what, const char *text, GError **error)
{
    int code = sqlite3_exec(store->db, text, NULL, NULL, NULL);

    return code == SQLITE_OK || sql_fail(store, what, code, error);
}

gboolean sql_number(Store *store, const char *what, const char *text, gint64 *ret_number,
                    GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    gboolean row = FALSE;
    gint64 number;

    if (!sql_open(&sql, store, what, text, error) || !sql_step(&sql, &row, error))
        return FALSE;
    if (!row)
        return sql_fail(store, what, SQLITE_CORRUPT, error);
    number = sql_get_int(&sql, G_MININT64, G_MAXINT64);
    if (!sql_intact(&sql, error))
        return FALSE;
    *ret_number = number;
    return TRUE;
}

gboolean sql_open(Sql *sql, Store *store, const char *what, const char *text, GError **error)
{
    int code;

    sql->store = store;
    sql->what = what;
    /* After a failure SQLite may have ended the transaction by itself; what follows would then be
     * committed alone. */
    if (store->doomed) {
        g_set_error(error, STORE_ERROR, STORE_ERROR_WRITE,
                    "cannot %s: an earlier step of this transaction failed (%s)", what,
                    store->path);
        return FALSE;
    }
    code = sqlite3_prepare_v2(store->db, text, -1, &sql->statement, NULL);
    return code == SQLITE_OK || sql_fail(store, what, code, error);
}

void sql_clear(Sql *sql)
{
    sqlite3_finalize(sql->statement);
    g_free(sql->damaged);
    memset(sql, 0, sizeof *sql);
}

static void note_fault(Sql *sql, int code)
{
    if (sql->fault == SQLITE_OK)
        sql->fault = code;
}

void sql_bind_int(Sql *sql, gint64 value)
{
    note_fault(sql, sqlite3_bind_int64(sql->statement, ++sql->parameter, value));
}

void sql_bind_text(Sql *sql, const char *value)
{
    int at = ++sql->parameter;

    if (value == NULL)
        note_fault(sql, sqlite3_bind_null(sql->statement, at));
    else if (g_utf8_validate(value, -1, NULL))
        note_fault(sql, sqlite3_bind_text(sql->statement, at, value, -1, SQLITE_STATIC));
    else
        note_fault(sql,
                   sqlite3_bind_text(sql->statement, at, g_utf8_make_valid(value, -1), -1, g_free));
}

gboolean sql_step(Sql *sql, gboolean *ret_row, GError **error)
{
    int code = sql->fault;

    if (code == SQLITE_OK)
        code = sqlite3_step(sql->statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return sql_fail(sql->store, sql->what, code, error);
    sql->column = 0;
    *ret_row = code == SQLITE_ROW;
    return TRUE;
}

gboolean sql_finish(Sql *sql, GError **error)
{
    gboolean row;

    return sql_step(sql, &row, error);
}

static void note_damage(Sql *sql, int column)
{
    if (sql->damaged == NULL)
        sql->damaged = g_strdup(sqlite3_column_name(sql->statement, column));
}

gint64 sql_get_int(Sql *sql, gint64 least, gint64 most)
{
    int column = sql->column++;

    if (sqlite3_column_type(sql->statement, column) == SQLITE_INTEGER) {
        gint64 value = sqlite3_column_int64(sql->statement, column);

        if (value >= least && value <= most)
            return value;
    }
    note_damage(sql, column);
    return CLAMP(0, least, most);
}

char *sql_get_text(Sql *sql, gboolean may_be_null)
{
    int column = sql->column++;
    int type = sqlite3_column_type(sql->statement, column);
    const char *text;

    if (type == SQLITE_NULL && may_be_null)
        return NULL;
    text = type == SQLITE_TEXT ? (const char *)sqlite3_column_text(sql->statement, column) : NULL;
    if (text == NULL) {
        note_damage(sql, column);
        return NULL;
    }
    /* Words with a flipped bit are still words: the row stays readable, and JSON can be made of it.
     */
    return g_utf8_make_valid(text, sqlite3_column_bytes(sql->statement, column));
}

int sql_get_name(Sql *sql, const char *const *names, int n_names)
{
    int column = sql->column;
    g_autofree char *text = sql_get_text(sql, FALSE);

    for (int i = 0; text != NULL && i < n_names; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    note_damage(sql, column);
    return 0;
}

void sql_mark_damaged(Sql *sql)
{
    note_damage(sql, sql->column - 1);
}

gboolean sql_intact(Sql *sql, GError **error)
{
    if (sql->damaged == NULL)
        return TRUE;
    g_set_error(error, STORE_ERROR, STORE_ERROR_CORRUPT,
                "cannot %s: a damaged row, unusable value of `%s` (%s)", sql->what, sql->damaged,
                sql->store->path);
    doom(sql->store, STORE_ERROR_CORRUPT);
    return FALSE;
}

gboolean sql_refuse(Sql *sql, const char *reason, GError **error)
{
    g_set_error(error, STORE_ERROR, STORE_ERROR_CONFLICT, "cannot %s: %s (%s)", sql->what, reason,
                sql->store->path);
    doom(sql->store, STORE_ERROR_CONFLICT);
    return FALSE;
}

gboolean sql_enter(Store *store, gboolean *ret_own, GError **error)
{
    if (store->in_transaction) {
        *ret_own = FALSE;
        return TRUE;
    }
    if (!store_begin(store, error))
        return FALSE;
    *ret_own = TRUE;
    return TRUE;
}

gboolean sql_leave(Store *store, gboolean own, gboolean done, GError **error)
{
    if (own && done)
        return store_commit(store, error);
    if (own)
        store_rollback(store);
    return done;
}
