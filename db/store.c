/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening the store, come what may, and its transactions.
 *
 * Opening goes in rounds.  A round looks at what lies at the path; where it is of no use (damaged,
 * or a newer agent's) it is set aside and the next round finds what took its place.
 */
#include "db/store.h"

#include <fcntl.h>
#include <unistd.h>

#include "db/jobs.h"
#include "db/outbox.h"
#include "db/reports.h"
#include "db/values.h"
#include "files.h"
#include "migrate.h"
#include "sql.h"

/* A newer agent's store, then a damaged copy of ours, then a fresh file. */
#define OPEN_MAX_ROUNDS 3

/* A technician's sqlite3 may hold the lock: wait a little, but the main loop stands still
 * meanwhile. */
#define BUSY_TIMEOUT_MS 1000

/* Nothing that needs the schema: the version is read before that is known to be readable. */
#define CONNECT_SETTINGS "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"

/* cache_size, max_page_count and the WAL's limits are in pages of 1 KiB.  A checkpoint costs two
 * fsyncs and the pages once more, so it comes about once in two updates; the log stays a file of
 * some 256 KiB. */
#define STORE_SETTINGS                                                                             \
    "PRAGMA page_size = 1024; PRAGMA auto_vacuum = NONE; PRAGMA journal_mode = WAL;"               \
    "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 256;"                                  \
    "PRAGMA journal_size_limit = 270336; PRAGMA cache_size = 64; PRAGMA temp_store = MEMORY;"      \
    "PRAGMA max_page_count = " G_STRINGIFY(STORE_MAX_PAGES) ";"

#define STORE_MAX_PAGES 16384

G_DEFINE_QUARK(store_error, store_error)

typedef struct {
    const StoreMigration *migrations;
    int version; /* this agent's */
    StoreOrigin origin;
    GString *detail;
} Opening;

static void tell(Opening *opening, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void tell(Opening *opening, const char *format, ...)
{
    va_list arguments;

    if (opening->detail->len > 0)
        g_string_append(opening->detail, "; ");
    va_start(arguments, format);
    g_string_append_vprintf(opening->detail, format, arguments);
    va_end(arguments);
}

static void disconnect(Store *store)
{
    sqlite3_close(store->db);
    store->db = NULL;
}

static gboolean connect_to(Store *store, GError **error)
{
    int code = sqlite3_open_v2(store->path, &store->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                   (store->durable ? 0 : SQLITE_OPEN_CREATE),
                               NULL);

    if (code != SQLITE_OK)
        return sql_fail(store, "open the store", code, error);
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, STORE_MAX_VALUE);
    if (sqlite3_db_readonly(store->db, "main") == 1)
        return sql_fail(store, "open the store for writing", SQLITE_READONLY, error);
    return sql_run(store, "set up the store", CONNECT_SETTINGS, error);
}

/* Connects, and says which version is there. */
static gboolean connect_and_look(Store *store, int *ret_found, GError **error)
{
    g_autoptr(GError) first = NULL;

    if (!connect_to(store, error))
        return FALSE;
    if (migrate_read_version(store, ret_found, &first))
        return TRUE;
    if (!g_error_matches(first, STORE_ERROR, STORE_ERROR_WRITE)) {
        g_propagate_error(error, g_steal_pointer(&first));
        return FALSE;
    }
    /* A full disk has no room for the index of the log (-shm).  Alone with the file SQLite keeps it
     * in memory: the job is known then, and steps succeed again as soon as there is space. */
    disconnect(store);
    return connect_to(store, error) &&
           sql_run(store, "set up the store", "PRAGMA locking_mode = EXCLUSIVE", error) &&
           migrate_read_version(store, ret_found, error);
}

static gboolean check_integrity(Store *store, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    g_autofree char *verdict = NULL;
    gboolean row = FALSE;

    if (!sql_open(&sql, store, "check the store", "PRAGMA integrity_check(1)", error) ||
        !sql_step(&sql, &row, error))
        return FALSE;
    verdict = row ? sql_get_text(&sql, FALSE) : NULL;
    if (g_strcmp0(verdict, "ok") == 0)
        return TRUE;
    g_set_error(error, STORE_ERROR, STORE_ERROR_CORRUPT, "cannot open the store %s: damaged, %s",
                store->path, verdict != NULL ? verdict : "no verdict");
    return FALSE;
}

/* The first reads of every table are done here, where a table that is missing or holds nonsense can
 * still be set aside. */
static gboolean try_tables(Store *store, GError **error)
{
    g_autoptr(GPtrArray) lines = NULL;
    g_autoptr(OutboxRow) head = NULL;
    g_autofree char *configuration = NULL;
    g_autofree char *note = NULL;

    for (int role = JOB_ACTIVE; role <= JOB_ENDED; role++) {
        g_autoptr(Job) job = NULL;
        g_autoptr(Report) report = NULL;

        if (!jobs_load(store, role, &job, error) || !reports_load(store, role, &report, error))
            return FALSE;
    }
    lines = history_list(store, 1, error);
    return lines != NULL && outbox_head(store, &head, error) &&
           values_get(store, VALUES_CONFIGURATION, "", &configuration, error) &&
           values_get(store, VALUES_AGENT, "", &note, error);
}

/* Makes the connected file, which is of version `found`, this agent's store. */
static gboolean take(Store *store, Opening *opening, int found, GError **error)
{
    int own = opening->version;

    if (!sql_run(store, "set up the store", STORE_SETTINGS, error) ||
        !check_integrity(store, error))
        return FALSE;
    /* The file could be opened for writing, so this is a format number in its header that SQLite
     * does not know. */
    if (sqlite3_db_readonly(store->db, "main") == 1)
        return sql_fail(store, "write to the store", SQLITE_CORRUPT, error);
    if (found > 0 && found < own && !migrate_keep_copy(store, found, error))
        return FALSE;
    if (found < own && !migrate_run(store, opening->migrations, found, own, error))
        return FALSE;
    if (!sql_run(store, "set up the store", "PRAGMA foreign_keys = ON", error))
        return FALSE;
    /* The functions of the tables know the newest schema alone. */
    if (own >= store_n_migrations && !try_tables(store, error))
        return FALSE;
    store->version = own;
    store->damaged = FALSE; /* what was found before lies aside */
    /* A log that stays is written over in place: that spares flash the growing of a new one after
     * every start (measured on ext4: 150 KB instead of 250 KB for twelve steps), and gives the
     * steps some room when the disk is full. */
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (found > 0 && found < own)
        tell(opening, "the store was migrated from schema %d to %d, the copy is %s.v%d", found, own,
             store->path, found);
    if (opening->origin == STORE_OPENED && found < own)
        opening->origin = found == 0 ? STORE_CREATED : STORE_MIGRATED;
    return TRUE;
}

static gboolean set_newer_aside(Store *store, Opening *opening, int found, GError **error)
{
    g_autofree char *aside = g_strdup_printf("%s.newer-v%d", store->path, found);
    g_autofree char *copy = migrate_copy_name(store, opening->version);
    gboolean have_copy = files_is_regular(copy);

    if (!files_set_aside(store->path, aside, have_copy ? copy : NULL, error))
        return FALSE;
    files_forget_newer(store->path, aside);
    opening->origin = have_copy ? STORE_OWN_COPY : STORE_NEWER_ASIDE;
    tell(opening, "a newer agent's store (schema %d, ours is %d) was set aside as %s, %s", found,
         opening->version, aside,
         have_copy ? "the copy kept before the migration is used" : "there is no copy of ours");
    return TRUE;
}

static gboolean set_corrupt_aside(Store *store, Opening *opening, const GError *why, GError **error)
{
    g_autofree char *aside = g_strconcat(store->path, ".corrupt", NULL);

    if (!files_set_aside(store->path, aside, NULL, error))
        return FALSE;
    opening->origin = STORE_CORRUPT_ASIDE;
    tell(opening, "%s; it was set aside as %s", why->message, aside);
    return TRUE;
}

/* A migration that a rule of the schema refuses would be refused at every start, as damage is. */
static gboolean is_damage(const GError *error)
{
    return g_error_matches(error, STORE_ERROR, STORE_ERROR_CORRUPT) ||
           g_error_matches(error, STORE_ERROR, STORE_ERROR_CONFLICT);
}

static gboolean open_round(Store *store, Opening *opening, gboolean *ret_taken, GError **error)
{
    g_autoptr(GError) why = NULL;
    int found = 0;

    if (!files_create(store->path, error))
        return FALSE;
    if (connect_and_look(store, &found, &why)) {
        if (found > opening->version) {
            /* Closing brings the log into the file, so that one file is set aside. */
            disconnect(store);
            return set_newer_aside(store, opening, found, error);
        }
        if (take(store, opening, found, &why)) {
            *ret_taken = TRUE;
            return TRUE;
        }
    }
    if (!is_damage(why)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    /* As it was found, for those who want to know why. */
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    disconnect(store);
    return set_corrupt_aside(store, opening, why, error);
}

static gboolean open_durable(Store *store, Opening *opening, GError **error)
{
    gboolean taken = FALSE;

    store->durable = TRUE;
    if (!files_check(store->path, error) || !files_lock(store->path, &store->lock_fd, error))
        return FALSE;
    for (int round = 0; round < OPEN_MAX_ROUNDS && !taken; round++)
        if (!open_round(store, opening, &taken, error))
            return FALSE;
    if (!taken)
        g_set_error(error, STORE_ERROR, STORE_ERROR_WRITE,
                    "cannot open the store %s: what was put in its place is of no use either",
                    store->path);
    return taken;
}

static Store *store_new(const char *path)
{
    Store *store = g_new0(Store, 1);

    store->path = g_strdup(path);
    store->lock_fd = -1;
    return store;
}

static Store *open_volatile(Opening *opening, const GError *why, GError **error)
{
    g_autoptr(Store) store = store_new(":memory:");

    opening->origin = STORE_OPENED;
    if (!connect_to(store, error) || !take(store, opening, 0, error))
        return NULL;
    opening->origin = STORE_VOLATILE;
    tell(opening, "%s; jobs are kept in memory only and are lost at exit", why->message);
    return g_steal_pointer(&store);
}

Store *store_open_with(const char *path, const StoreMigration *migrations, int version,
                       StoreOrigin *ret_origin, char **ret_detail, GError **error)
{
    /* Absolute, so that neither a later chdir nor SQLite's special names (file:, :memory:) matter.
     */
    g_autofree char *full = g_canonicalize_filename(*path != '\0' ? path : ".", NULL);
    Store *store = store_new(full);
    g_autoptr(GError) why = NULL;
    g_autoptr(GString) detail = g_string_new(NULL);
    Opening opening = {migrations, version, STORE_OPENED, detail};

    if (!open_durable(store, &opening, &why)) {
        store_close(store);
        if (g_error_matches(why, STORE_ERROR, STORE_ERROR_OPEN)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return NULL;
        }
        store = open_volatile(&opening, why, error);
        if (store == NULL)
            return NULL;
    }
    if (ret_origin != NULL)
        *ret_origin = opening.origin;
    if (ret_detail != NULL)
        *ret_detail = detail->len > 0 ? g_strdup(detail->str) : NULL;
    return store;
}

Store *store_open(const char *path, int schema_version, StoreOrigin *ret_origin, char **ret_detail,
                  GError **error)
{
    return store_open_with(path, store_migrations,
                           schema_version == 0 ? store_n_migrations : schema_version, ret_origin,
                           ret_detail, error);
}

void store_close(Store *store)
{
    if (store == NULL)
        return;
    disconnect(store);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    g_free(store->path);
    g_free(store);
}

gboolean store_is_durable(const Store *store)
{
    return store->durable;
}

gboolean store_is_damaged(const Store *store)
{
    return store->damaged;
}

int store_version(const Store *store)
{
    return store->version;
}

gboolean store_begin(Store *store, GError **error)
{
    if (store->in_transaction) {
        g_set_error(error, STORE_ERROR, STORE_ERROR_WRITE,
                    "cannot begin a transaction: one is open (%s)", store->path);
        return FALSE;
    }
    if (!sql_run(store, "begin a transaction", "BEGIN IMMEDIATE", error))
        return FALSE;
    store->in_transaction = TRUE;
    return TRUE;
}

gboolean store_commit(Store *store, GError **error)
{
    gboolean done = FALSE;

    if (!store->in_transaction || store->doomed)
        g_set_error(error, STORE_ERROR, STORE_ERROR_WRITE, "cannot commit: %s (%s)",
                    store->doomed ? "a step of the transaction failed" : "no transaction is open",
                    store->path);
    else
        done = sql_run(store, "commit", "COMMIT", error);
    if (done)
        store->in_transaction = FALSE;
    else
        store_rollback(store);
    return done;
}

void store_rollback(Store *store)
{
    /* SQLite may have rolled back already, for want of space for instance. */
    if (store->db != NULL && !sqlite3_get_autocommit(store->db))
        (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    store->in_transaction = FALSE;
    store->doomed = FALSE;
}
