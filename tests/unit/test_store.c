/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening the store: fresh, of others, unusable, in use; and its transactions. */
#include "store_open_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db/sql.h"

START_TEST(fresh_store)
{
    g_autofree char *sub = g_build_filename(folder, "agent", NULL);
    g_autofree char *inside = g_build_filename(sub, "agent.db", NULL);
    g_autofree char *lock = g_strconcat(inside, ".lock", NULL);
    Store *store;

    g_free(path);
    path = g_strdup(inside);
    store = open_with(store_migrations, store_n_migrations, STORE_CREATED, NULL);
    expect_mode(sub, 0700);
    expect_mode(path, 0600);
    expect_mode(lock, 0600);
    put(store, "a", "1");
    store_close(store);
    store = open_with(store_migrations, store_n_migrations, STORE_OPENED, NULL);
    expect(store, "a", "1");
    store_close(store);
    store_close(NULL);
    expect_value("", "PRAGMA page_size", "1024");
    expect_value("", "PRAGMA journal_mode", "wal");
    expect_value("", "PRAGMA auto_vacuum", "0");
}
END_TEST

START_TEST(connection_settings)
{
    g_autoptr(Store) store = open_store(STORE_CREATED);
    const struct {
        const char *pragma;
        gint64 expected;
    } settings[] = {
        {"PRAGMA synchronous", 2},        {"PRAGMA foreign_keys", 1},
        {"PRAGMA trusted_schema", 0},     {"PRAGMA cell_size_check", 1},
        {"PRAGMA cache_size", 64},        {"PRAGMA wal_autocheckpoint", 256},
        {"PRAGMA max_page_count", 16384}, {"PRAGMA user_version", store_n_migrations},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(settings); i++) {
        GError *error = NULL;
        gint64 value = -1;

        ok(sql_number(store, "test", settings[i].pragma, &value, &error));
        ck_assert_msg(value == settings[i].expected, "%s is %d", settings[i].pragma, (int)value);
    }
}
END_TEST

START_TEST(files_of_others)
{
    sqlite3 *db = NULL;
    Store *store;

    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "CREATE TABLE photos (x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    store_close(open_with(store_migrations, 1, STORE_CORRUPT_ASIDE, "none of rauc-ocpp-agent's"));
    raw("", "PRAGMA application_id = 7");
    store_close(open_with(store_migrations, 1, STORE_CORRUPT_ASIDE, "none of rauc-ocpp-agent's"));
    raw("", "PRAGMA user_version = -1");
    store_close(open_with(store_migrations, 1, STORE_CORRUPT_ASIDE, "none of rauc-ocpp-agent's"));
    raw("", "DROP TABLE outbox");
    store_close(open_with(store_migrations, 1, STORE_CORRUPT_ASIDE, "no such table: outbox"));
    raw("", "ALTER TABLE jobs DROP COLUMN reason");
    store = open_with(store_migrations, 1, STORE_CORRUPT_ASIDE, "no such column: reason");
    store_close(store);
    store_close(open_store(STORE_OPENED));
}
END_TEST

static void make_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_uint_lt(g_strlcpy(address.sun_path, name, sizeof address.sun_path),
                      sizeof address.sun_path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

static void expect_volatile(const char *name, const char *word)
{
    GError *error = NULL;
    g_autoptr(Job) job = NULL, found = NULL;
    g_autofree char *detail = NULL;
    StoreOrigin origin = STORE_OPENED;
    g_autoptr(Store) store = store_open(name, 0, &origin, &detail, &error);

    ok(store != NULL);
    ck_assert_msg(origin == STORE_VOLATILE, "%s: origin %d", name, origin);
    ck_assert(!store_is_durable(store));
    ck_assert_msg(strstr(detail, word) != NULL, "no `%s` in: %s", word, detail);
    ck_assert_ptr_nonnull(strstr(detail, "in memory only"));
    /* It works, as long as it lasts. */
    ok(store_begin(store, &error));
    job = insert_job(store, JOB_ACTIVE, JOB_SCHEDULED);
    ok(make_step(store, job, &error));
    ok(store_commit(store, &error));
    ok(jobs_load(store, JOB_ACTIVE, &found, &error));
    ck_assert_int_eq(found->id, job->id);
    ok(store_settle_copies(store, &error));
}

START_TEST(unusable_paths)
{
    g_autofree char *fifo = g_build_filename(folder, "fifo", NULL);
    g_autofree char *link_name = g_build_filename(folder, "link", NULL);
    g_autofree char *socket_name = g_build_filename(folder, "socket", NULL);
    g_autofree char *fifo_log = g_strconcat(path, "-wal", NULL);
    g_autofree char *deep = g_build_filename(folder, "no", "such", "agent.db", NULL);
    g_autofree char *below_file = g_build_filename(fifo, "agent.db", NULL);
    g_autofree char *file_name = g_strnfill(300, 'x');
    g_autofree char *long_name = g_build_filename(folder, file_name, NULL);

    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    ck_assert_int_eq(mkfifo(fifo_log, 0600), 0);
    ck_assert_int_eq(symlink("elsewhere.db", link_name), 0);
    make_socket(socket_name);
    expect_volatile(folder, "it is a folder");
    expect_volatile("/", "it is a folder");
    expect_volatile("", "it is a folder");
    expect_volatile(fifo, "it is a FIFO");
    expect_volatile(path, "agent.db-wal: it is a FIFO");
    expect_volatile(link_name, "it is a symbolic link");
    expect_volatile(socket_name, "it is a socket");
    expect_volatile("/dev/null", "it is a device");
    expect_volatile(deep, "No such file or directory");
    expect_volatile(below_file, "Not a directory");
    expect_volatile(long_name, "File name too long");
    ck_assert(!g_file_test("/dev/null.lock", G_FILE_TEST_EXISTS));
}
END_TEST

/* In a child, since the lock of this very process would say nothing. */
static pid_t hold_store(void)
{
    int ready[2];
    char byte;
    pid_t pid;

    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        Store *store = store_open(path, 0, NULL, NULL, NULL);

        if (store == NULL || write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

START_TEST(second_agent)
{
    GError *error = NULL;
    pid_t pid = hold_store();
    StoreOrigin origin = STORE_VOLATILE;
    Store *store;

    ck_assert_ptr_null(store_open(path, 0, &origin, NULL, &error));
    ck_assert(g_error_matches(error, STORE_ERROR, STORE_ERROR_OPEN));
    ck_assert_ptr_nonnull(strstr(error->message, "another rauc-ocpp-agent uses it"));
    ck_assert_ptr_nonnull(strstr(error->message, path));
    ck_assert_int_eq(origin, STORE_VOLATILE); /* untouched */
    g_clear_error(&error);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    store = open_store(STORE_OPENED);
    refused(store_open(path, 0, NULL, NULL, &error) != NULL, STORE_ERROR_OPEN);
    put(store, "a", "1"); /* the refused one has not taken our locks away */
    store_close(store);
}
END_TEST

START_TEST(lock_of_a_technician)
{
    GError *error = NULL;
    sqlite3 *technician = NULL;
    Store *store = open_store(STORE_CREATED);
    const StoreMigration migrations[] = {store_migrations[0], {"0002-test.sql", "SELECT 1;"}};

    put(store, "a", "1");
    ck_assert_int_eq(sqlite3_open(path, &technician), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(technician, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    refused(store_begin(store, &error), STORE_ERROR_OPEN);
    refused(values_set(store, VALUES_AGENT, "b", "2", &error), STORE_ERROR_OPEN);
    expect(store, "a", "1");
    store_close(store);
    store_close(open_store(STORE_OPENED)); /* reading is enough for that */
    refused(store_open_with(path, migrations, 2, NULL, NULL, &error) != NULL, STORE_ERROR_OPEN);
    sqlite3_close(technician);
    store = open_store(STORE_OPENED);
    put(store, "a", "2");
    store_close(store);
}
END_TEST

START_TEST(transactions)
{
    GError *error = NULL;
    Store *store = open_store(STORE_CREATED);

    store_rollback(store); /* nothing to do */
    refused(store_commit(store, &error), STORE_ERROR_WRITE);
    ok(store_begin(store, &error));
    refused(store_begin(store, &error), STORE_ERROR_WRITE);
    put(store, "a", "committed");
    ok(store_commit(store, &error));
    ok(store_begin(store, &error));
    put(store, "a", "rolled back");
    expect(store, "a", "rolled back");
    store_rollback(store);
    store_rollback(store);
    expect(store, "a", "committed");
    ok(store_begin(store, &error));
    put(store, "a", "never committed");
    store_close(store);
    store = open_store(STORE_OPENED);
    expect(store, "a", "committed");
    store_close(store);
}
END_TEST

START_TEST(failure_dooms_the_transaction)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_CREATED);
    g_autofree char *value = NULL;

    ok(store_begin(store, &error));
    put(store, "a", "1");
    refused(values_set(store, VALUES_AGENT, NULL, "x", &error), STORE_ERROR_CONFLICT);
    refused(values_set(store, VALUES_AGENT, "x", "x", &error), STORE_ERROR_WRITE);
    refused(values_get(store, VALUES_AGENT, "x", &value, &error), STORE_ERROR_WRITE);
    refused(store_commit(store, &error), STORE_ERROR_WRITE);
    expect(store, "a", NULL);
    put(store, "a", "2");
    ok(store_begin(store, &error));
    put(store, "b", "2");
    ok(store_commit(store, &error));
    expect(store, "b", "2");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        fresh_store,  connection_settings,  files_of_others, unusable_paths,
        second_agent, lock_of_a_technician, transactions,    failure_dooms_the_transaction,
    };

    return run_tests("store", tests, G_N_ELEMENTS(tests));
}
