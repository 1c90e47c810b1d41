/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Agents of two versions at one store: migration, rollback to the older agent, its copy, migrations
 * that fail. */
#include "store_open_fixture.h"

/* The present schema with one that a later version may bring. */
static void later_migrations(StoreMigration migrations[2], const char *sql)
{
    ck_assert_int_eq(store_n_migrations, 1); /* else the tests here want the new count */
    migrations[0] = store_migrations[0];
    migrations[1] = (StoreMigration){"0002-test.sql", sql};
}

#define ADD_TABLE "CREATE TABLE extra (x INTEGER) STRICT;"

/* An older agent's store, the newer agent, the older one again after a rollback, the newer one once
 * more. */
START_TEST(old_new_old_new)
{
    GError *error = NULL;
    StoreMigration migrations[2];
    g_autoptr(Job) job = NULL, found = NULL;
    Store *store;

    later_migrations(migrations, ADD_TABLE);
    store = open_with(migrations, 1, STORE_CREATED, NULL);
    job = insert_job(store, JOB_ACTIVE, JOB_REBOOTING);
    put(store, "a", "old");
    store_close(store);

    store = open_with(migrations, 2, STORE_MIGRATED, "agent.db.v1");
    expect(store, "a", "old");
    ck_assert(beside(".v1"));
    ck_assert(!beside(".v1.part"));
    put(store, "a", "new");
    store_close(store);
    expect_value(".v1", "PRAGMA user_version", "1");
    expect_value(".v1", "PRAGMA integrity_check", "ok");
    store_close(open_with(migrations, 2, STORE_OPENED, NULL));

    store = open_with(migrations, 1, STORE_OWN_COPY, "agent.db.newer-v2");
    expect(store, "a", "old");
    ok(jobs_load(store, JOB_ACTIVE, &found, &error));
    ck_assert_int_eq(found->id, job->id);
    ck_assert_int_eq(found->state, JOB_REBOOTING);
    put(store, "a", "old again");
    ck_assert(!beside(".v1"));
    store_close(store);
    expect_value(".newer-v2", "SELECT value FROM configuration", "new");
    store_close(open_with(migrations, 1, STORE_OPENED, NULL));

    store = open_with(migrations, 2, STORE_MIGRATED, "agent.db.v1");
    expect(store, "a", "old again");
    store_close(store);
    expect_value(".v1", "SELECT value FROM configuration", "old again");
    expect_mode(path, 0600);
}
END_TEST

/* The newer agent was cut off: its last commits are in the log, another connection keeps that from
 * being emptied. */
START_TEST(newer_store_with_its_log)
{
    StoreMigration migrations[2];
    sqlite3 *technician = NULL;
    Store *store;

    later_migrations(migrations, ADD_TABLE);
    store = open_with(migrations, 1, STORE_CREATED, NULL);
    put(store, "a", "old");
    store_close(store);
    store = open_with(migrations, 2, STORE_MIGRATED, "");
    put(store, "a", "new");
    ck_assert_int_eq(sqlite3_open(path, &technician), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(technician, "BEGIN; SELECT * FROM jobs", NULL, NULL, NULL),
                     SQLITE_OK);
    put(store, "b", "newest");
    store_close(store);
    store = open_with(migrations, 1, STORE_OWN_COPY, "");
    expect(store, "a", "old");
    expect(store, "b", NULL);
    store_close(store);
    sqlite3_close(technician);
    expect_value(".newer-v2", "SELECT group_concat(value) FROM configuration", "new,newest");
}
END_TEST

START_TEST(newer_without_own_copy)
{
    Store *store = open_store(STORE_CREATED);
    g_autofree char *sql = g_strdup_printf("PRAGMA user_version = %d", store_n_migrations + 1);

    put(store, "a", "newer");
    store_close(store);
    raw("", sql);
    store = open_with(store_migrations, store_n_migrations, STORE_NEWER_ASIDE, "no copy of ours");
    expect(store, "a", NULL);
    store_close(store);
    expect_value(".newer-v2", "SELECT value FROM configuration", "newer");
    store_close(open_store(STORE_OPENED));

    /* A later one takes its place, and its schema need not be readable. */
    raw("", "CREATE TABLE t (x); PRAGMA writable_schema = ON;"
            "UPDATE sqlite_schema SET sql = 'CREATE TABLE t (x FROM THE FUTURE' WHERE name = 't';"
            "PRAGMA user_version = 20");
    store_close(open_store(STORE_NEWER_ASIDE));
    ck_assert(beside(".newer-v20"));
    ck_assert(!beside(".newer-v2"));
}
END_TEST

START_TEST(newer_with_damaged_own_copy)
{
    g_autofree char *copy = g_strconcat(path, ".v1", NULL);
    Store *store = open_store(STORE_CREATED);

    store_close(store);
    raw("", "PRAGMA user_version = 2");
    ck_assert(g_file_set_contents(copy, "this is no SQLite file", -1, NULL));
    store = open_with(store_migrations, 1, STORE_CORRUPT_ASIDE, "agent.db.newer-v2");
    put(store, "a", "1");
    store_close(store);
    ck_assert(beside(".newer-v2"));
    ck_assert(beside(".corrupt"));
    store_close(open_store(STORE_OPENED));
}
END_TEST

START_TEST(copies_forget_their_jobs)
{
    GError *error = NULL;
    StoreMigration migrations[2];
    g_autoptr(Job) job = NULL, next = NULL, kept = NULL, none = NULL;
    guint count;
    Store *store;

    later_migrations(migrations, ADD_TABLE);
    store = open_with(migrations, 1, STORE_CREATED, NULL);
    ok(store_settle_copies(store, &error)); /* none yet */
    job = insert_job(store, JOB_ACTIVE, JOB_REBOOTING);
    ok(make_step(store, job, &error));
    put(store, "a", "kept");
    store_close(store);
    store = open_with(migrations, 2, STORE_MIGRATED, "");
    ok(store_settle_copies(store, &error));
    ok(store_settle_copies(store, &error));
    ck_assert(!beside(".v1.part"));
    ok(jobs_load(store, JOB_ACTIVE, &kept, &error));
    ck_assert_ptr_nonnull(kept); /* only the copy forgets */
    store_close(store);

    store = open_with(migrations, 1, STORE_OWN_COPY, "");
    ok(jobs_load(store, JOB_ACTIVE, &none, &error));
    ck_assert_ptr_null(none);
    ok(outbox_count(store, &count, &error));
    ck_assert_uint_eq(count, 0);
    expect(store, "a", "kept");
    next = insert_job(store, JOB_ACTIVE, JOB_SCHEDULED);
    ck_assert_int_gt(next->id, job->id);
    store_close(store);
}
END_TEST

/* What does not migrate today will not tomorrow; the copy and the file set aside keep the data. */
START_TEST(refused_migrations)
{
    const char *const refused_sql[] = {
        "CREATE UNIQUE INDEX one ON history (job_id);",    /* there are two */
        "DELETE FROM jobs;",                               /* leaves history without its job */
        "UPDATE history SET to_state = 'in-a-good-state';" /* breaks a CHECK */
    };

    for (gsize i = 0; i < G_N_ELEMENTS(refused_sql); i++) {
        GError *error = NULL;
        StoreMigration migrations[2];
        g_autofree char *copy = g_strconcat(path, ".v1", NULL);
        g_autoptr(Job) job = NULL;
        Store *store;

        later_migrations(migrations, refused_sql[i]);
        store = open_with(migrations, 1, i == 0 ? STORE_CREATED : STORE_NEWER_ASIDE,
                          i == 0 ? NULL : "");
        job = insert_job(store, JOB_ACTIVE, JOB_INSTALLING);
        ok(make_step(store, job, &error));
        ok(make_step(store, job, &error));
        store_close(store);
        store = open_with(migrations, 2, STORE_CORRUPT_ASIDE, "agent.db.corrupt");
        put(store, "a", "usable");
        store_close(store);
        expect_value(".v1", "SELECT count(*) FROM history", "2");
        expect_value(".corrupt", "PRAGMA user_version", "1");
        expect_value(".corrupt", "SELECT count(*) FROM history", "2");
        ck_assert_int_eq(g_unlink(copy), 0);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        old_new_old_new,          newer_store_with_its_log,
        newer_without_own_copy,   newer_with_damaged_own_copy,
        copies_forget_their_jobs, refused_migrations,
    };

    return run_tests("store versions", tests, G_N_ELEMENTS(tests));
}
