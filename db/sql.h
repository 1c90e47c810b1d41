/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Internal to db/: the store's inside and the few helpers with which its tables are read and
 * written.
 *
 * One statement is one Sql on the stack:
 *
 *     g_auto(Sql) sql = SQL_INIT;
 *     if (!sql_open(&sql, store, "remove a notification", "DELETE FROM outbox WHERE id = ?",
 * error)) return FALSE; sql_bind_int(&sql, id); return sql_finish(&sql, error);
 *
 * Binding and reading remember their first fault, and the next sql_step() or sql_intact() reports
 * it. A failure inside of a transaction dooms it: all further calls and the commit fail (see
 * store.h).
 */
#pragma once

#include <glib.h>
#include <sqlite3.h>

#include "db/store.h"

struct _Store {
    sqlite3 *db;
    char *path; /* absolute; ":memory:" for a volatile store */
    int lock_fd;
    int version;
    gboolean durable;
    gboolean in_transaction; /* what the caller began; SQLite may have rolled it back meanwhile */
    gboolean doomed;
    gboolean damaged; /* found since it was opened */
};

/* Sets `error` to "cannot <what>: <SQLite's text> (<path>)".  Always FALSE. */
gboolean sql_fail(Store *store, const char *what, int code, GError **error);
/* Runs one or more statements that have neither parameters nor a result of interest. */
gboolean sql_run(Store *store, const char *what, const char *text, GError **error);
/* A single number, e.g. of a PRAGMA. */
gboolean sql_number(Store *store, const char *what, const char *text, gint64 *ret_number,
                    GError **error);

typedef struct {
    Store *store;
    sqlite3_stmt *statement;
    const char *what; /* "load a job": for error texts; static */
    int parameter;    /* last one bound */
    int column;       /* next one to read */
    int fault;        /* first failure of a bind */
    char *damaged;    /* name of the first column that held what it must not */
} Sql;

#define SQL_INIT                                                                                   \
    {                                                                                              \
        0                                                                                          \
    }

gboolean sql_open(Sql *sql, Store *store, const char *what, const char *text, GError **error);
void sql_clear(Sql *sql);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sql, sql_clear)

/* The next parameter.  Text may be NULL; what is not UTF-8 in it becomes U+FFFD.  It must live
 * until the last step. */
void sql_bind_int(Sql *sql, gint64 value);
void sql_bind_text(Sql *sql, const char *value);

/* `*ret_row`: there is a row to read. */
gboolean sql_step(Sql *sql, gboolean *ret_row, GError **error);
/* For statements without rows. */
gboolean sql_finish(Sql *sql, GError **error);

/* The next column of the row.  Another type, a number out of range, a NULL where none may be mark
 * the row as damaged. */
gint64 sql_get_int(Sql *sql, gint64 least, gint64 most);
char *sql_get_text(Sql *sql, gboolean may_be_null);
/* The text's place in `names`; one that is not there damages the row. */
int sql_get_name(Sql *sql, const char *const *names, int n_names);
/* Of JobRole (db/jobs.h), which reports have as well; in jobs.c. */
#define SQL_N_ROLES 3
extern const char *const sql_role_names[SQL_N_ROLES];
/* For what only the caller can judge: the column just read is damaged. */
void sql_mark_damaged(Sql *sql);
/* STORE_ERROR_CORRUPT when anything read from this row was damaged. */
gboolean sql_intact(Sql *sql, GError **error);

/* STORE_ERROR_CONFLICT with a reason of ours: a rule that the statement kept by changing nothing.
 * Always FALSE. */
gboolean sql_refuse(Sql *sql, const char *reason, GError **error);

/* For calls of several statements: a transaction of their own where the caller has none.
 * sql_leave() ends what sql_enter() began; `done` FALSE rolls it back, and `error` is already set
 * then. */
gboolean sql_enter(Store *store, gboolean *ret_own, GError **error);
gboolean sql_leave(Store *store, gboolean own, gboolean done, GError **error);
