/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Versions of the schema: reading them, copies of older ones, migrations. */
#include "migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "files.h"
#include "sql.h"

#define APPLICATION_ID 0x524f4341 /* as in migrations/0001-initial.sql */

static gboolean not_a_store(Store *store, GError **error)
{
    g_set_error(error, STORE_ERROR, STORE_ERROR_CORRUPT,
                "cannot open the store %s: an SQLite file, but none of rauc-ocpp-agent's",
                store->path);
    return FALSE;
}

gboolean migrate_read_version(Store *store, int *ret_version, GError **error)
{
    static const char what[] = "read the store's version";
    gint64 version, application, tables = 0;

    if (!sql_number(store, what, "PRAGMA user_version", &version, error) ||
        !sql_number(store, what, "PRAGMA application_id", &application, error))
        return FALSE;
    if (version == 0 && application == 0) {
        if (!sql_number(store, what, "SELECT count(*) FROM sqlite_schema", &tables, error))
            return FALSE;
        if (tables != 0)
            return not_a_store(store, error);
    } else if (version <= 0 || application != APPLICATION_ID) {
        return not_a_store(store, error);
    }
    *ret_version = (int)version;
    return TRUE;
}

char *migrate_copy_name(const Store *store, int version)
{
    return g_strdup_printf("%s.v%d", store->path, version);
}

/* Writes all of the open store to a new file `part`, which is not yet synced. */
static gboolean copy_into(Store *store, const char *part, GError **error)
{
    static const char what[] = "copy the store";
    g_auto(Sql) sql = SQL_INIT;
    int fd;

    if (g_unlink(part) < 0 && errno != ENOENT)
        return sql_fail(store, what, SQLITE_CANTOPEN, error);
    /* SQLite would make it readable for all. */
    fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return sql_fail(store, what, SQLITE_CANTOPEN, error);
    close(fd);
    if (!sql_open(&sql, store, what, "VACUUM INTO ?", error))
        return FALSE;
    sql_bind_text(&sql, part);
    return sql_finish(&sql, error);
}

gboolean migrate_keep_copy(Store *store, int version, GError **error)
{
    g_autofree char *name = migrate_copy_name(store, version);
    g_autofree char *part = g_strconcat(name, ".part", NULL);

    if (copy_into(store, part, error) && files_publish(part, name, error))
        return TRUE;
    (void)g_unlink(part);
    return FALSE;
}

static gboolean check_foreign_keys(Store *store, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    gboolean row;

    if (!sql_open(&sql, store, "check the migrated store", "PRAGMA foreign_key_check", error) ||
        !sql_step(&sql, &row, error))
        return FALSE;
    return !row || sql_fail(store, "migrate the store", SQLITE_CONSTRAINT_FOREIGNKEY, error);
}

static gboolean apply(Store *store, const StoreMigration *migrations, int from, int to,
                      GError **error)
{
    g_autofree char *mark = g_strdup_printf("PRAGMA user_version = %d", to);

    for (int i = from; i < to; i++) {
        g_autofree char *what = g_strconcat("apply ", migrations[i].name, NULL);

        if (!sql_run(store, what, migrations[i].sql, error))
            return FALSE;
    }
    return check_foreign_keys(store, error) &&
           sql_run(store, "mark the store's version", mark, error);
}

gboolean migrate_run(Store *store, const StoreMigration *migrations, int from, int to,
                     GError **error)
{
    if (!store_begin(store, error))
        return FALSE;
    if (apply(store, migrations, from, to, error))
        return store_commit(store, error);
    store_rollback(store);
    return FALSE;
}

/* The part is private until it is published, so it needs no journal on disk. */
static gboolean empty_part(const char *part, GError **error)
{
    Store copy = {.path = (char *)part, .lock_fd = -1};
    gboolean done;
    int code = sqlite3_open_v2(part, &copy.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    done = code == SQLITE_OK
               ? sql_run(&copy, "empty a copy of the store",
                         "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;"
                         "PRAGMA foreign_keys = ON; BEGIN;"
                         "DELETE FROM outbox; DELETE FROM jobs; DELETE FROM reports; COMMIT;",
                         error)
               : sql_fail(&copy, "open a copy of the store", code, error);
    sqlite3_close(copy.db);
    return done;
}

/* Through a second file, so that a power cut leaves either the old copy or the emptied one. */
static gboolean settle_copy(const char *name, GError **error)
{
    g_autofree char *part = g_strconcat(name, ".part", NULL);
    Store copy = {.path = (char *)name, .lock_fd = -1};
    int code = sqlite3_open_v2(name, &copy.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    gint64 jobs = 0;
    gboolean done;

    done = (code == SQLITE_OK || sql_fail(&copy, "open a copy of the store", code, error)) &&
           sql_number(&copy, "read a copy of the store",
                      "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM reports)"
                      " + (SELECT count(*) FROM outbox)",
                      &jobs, error) &&
           (jobs == 0 || copy_into(&copy, part, error));
    sqlite3_close(copy.db);
    if (done && jobs != 0)
        done = empty_part(part, error) && files_publish(part, name, error);
    (void)g_unlink(part);
    return done;
}

gboolean store_settle_copies(Store *store, GError **error)
{
    for (int version = 1; store->durable && version < store->version; version++) {
        g_autofree char *name = migrate_copy_name(store, version);

        if (files_is_regular(name) && !settle_copy(name, error))
            return FALSE;
    }
    return TRUE;
}
