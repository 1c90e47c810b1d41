/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For the tests of db/: a folder of its own for each test, and a way round the store to its file.
 */
#pragma once

#include <check.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/jobs.h"
#include "db/migrate.h"
#include "db/outbox.h"
#include "db/store.h"
#include "db/values.h"

/* In both a variable `GError *error = NULL` must be in scope; it is NULL afterwards. */
#define ok(call) ck_assert_msg((call), "%s: %s", #call, error != NULL ? error->message : "no error")
#define refused(call, number)                                                                      \
    do {                                                                                           \
        ck_assert_msg(!(call), "%s succeeded", #call);                                             \
        ck_assert_msg(g_error_matches(error, STORE_ERROR, (number)), "%s: wrong error: %s", #call, \
                      error != NULL ? error->message : "none");                                    \
        g_clear_error(&error);                                                                     \
    } while (0)

static char *folder;
static char *path; /* of the store, not made yet */

static void remove_folder(const char *name)
{
    GDir *dir = g_dir_open(name, 0, NULL);
    const char *entry;

    while (dir != NULL && (entry = g_dir_read_name(dir)) != NULL) {
        g_autofree char *full = g_build_filename(name, entry, NULL);

        if (g_file_test(full, G_FILE_TEST_IS_DIR) && !g_file_test(full, G_FILE_TEST_IS_SYMLINK))
            remove_folder(full);
        else
            ck_assert_int_eq(g_unlink(full), 0);
    }
    if (dir != NULL)
        g_dir_close(dir);
    ck_assert_int_eq(g_rmdir(name), 0);
}

static void setup(void)
{
    folder = g_dir_make_tmp("store-XXXXXX", NULL);
    ck_assert_ptr_nonnull(folder);
    path = g_build_filename(folder, "agent.db", NULL);
}

static void teardown(void)
{
    remove_folder(folder);
    g_clear_pointer(&folder, g_free);
    g_clear_pointer(&path, g_free);
}

/* For tests that open and write files a thousand times: the syncs of a real disk would take most of
 * the time. */
static G_GNUC_UNUSED void use_memory_disk(void)
{
    if (g_access("/dev/shm", W_OK) == 0)
        g_setenv("TMPDIR", "/dev/shm", TRUE);
}

static G_GNUC_UNUSED char *beside_name(const char *suffix)
{
    return g_strconcat(path, suffix, NULL);
}

static G_GNUC_UNUSED guint count_outbox(Store *store)
{
    GError *error = NULL;
    guint count = G_MAXUINT;

    ok(outbox_count(store, &count, &error));
    return count;
}

static G_GNUC_UNUSED void write_file(const char *name, const void *data, gsize size)
{
    ck_assert(g_file_set_contents(name, data, (gssize)size, NULL));
}

/* "<path><suffix>" is there. */
static G_GNUC_UNUSED gboolean beside(const char *suffix)
{
    g_autofree char *name = g_strconcat(path, suffix, NULL);

    return g_file_test(name, G_FILE_TEST_EXISTS);
}

static G_GNUC_UNUSED Store *open_store(StoreOrigin expected)
{
    GError *error = NULL;
    g_autofree char *detail = NULL;
    StoreOrigin origin;
    Store *store = store_open(path, 0, &origin, &detail, &error);

    ok(store != NULL);
    ck_assert_msg(origin == expected, "origin %d, not %d: %s", origin, expected,
                  detail != NULL ? detail : "no detail");
    return store;
}

/* Runs SQL behind the store's back, with the checks of the schema off, in the file
 * `<path><suffix>`.  What the store wrote last is in the file itself afterwards, unless the store
 * is open. */
static G_GNUC_UNUSED void raw(const char *suffix, const char *sql)
{
    g_autofree char *name = g_strconcat(path, suffix, NULL);
    sqlite3 *db = NULL;

    ck_assert_int_eq(sqlite3_open_v2(name, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA ignore_check_constraints = ON", NULL, NULL, NULL);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql,
                  sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

/* The first value that a statement gives, as text; g_free(). */
static G_GNUC_UNUSED char *raw_value(const char *suffix, const char *sql)
{
    g_autofree char *name = g_strconcat(path, suffix, NULL);
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    char *value;

    ck_assert_int_eq(sqlite3_open_v2(name, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s", sql,
                  sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    value = g_strdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

static G_GNUC_UNUSED void expect_value(const char *suffix, const char *sql, const char *expected)
{
    g_autofree char *value = raw_value(suffix, sql);

    ck_assert_str_eq(value, expected);
}

#define REPLACE_SCHEMA                                                                             \
    "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = %s%s%s WHERE name = '%s'"

/* UPDATE `table` with values that its schema refuses in every way: through a looser schema, put
 * away again. */
static G_GNUC_UNUSED void damage(const char *table, const char *loose, const char *set)
{
    g_autofree char *query =
        g_strdup_printf("SELECT quote(sql) FROM sqlite_schema WHERE name = '%s'", table);
    g_autofree char *strict = raw_value("", query);
    g_autofree char *update = g_strdup_printf("UPDATE %s SET %s", table, set);
    g_autofree char *loosen = g_strdup_printf(REPLACE_SCHEMA, "'", loose, "'", table);
    g_autofree char *restore = g_strdup_printf(REPLACE_SCHEMA, "", strict, "", table);

    raw("", loosen);
    raw("", update);
    raw("", restore);
}

/* A job with a location, in the store. */
static G_GNUC_UNUSED Job *insert_job(Store *store, JobRole role, JobState state)
{
    GError *error = NULL;
    Job *job = job_new();

    job->role = role;
    job->state = state;
    job->location = g_strdup("https://bundles.example.com/charger.raucb");
    ok(jobs_insert(store, job, &error));
    return job;
}

/* One step as the firmware job makes it: row, history, notification. */
static G_GNUC_UNUSED gboolean make_step(Store *store, const Job *job, GError **error)
{
    const HistoryEntry entry = {job->id, 1, JOB_INSTALLING, job->state, (char *)"test", NULL};

    return jobs_update(store, job, error) && history_add(store, &entry, error) &&
           outbox_push(store, job->id, "FirmwareStatusNotification", "{\"status\":\"Installing\"}",
                       error);
}

static G_GNUC_UNUSED int run_tests(const char *name, const TTest *const *tests, gsize n_tests)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    SRunner *runner;
    int failures;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    for (gsize i = 0; i < n_tests; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures;
}
