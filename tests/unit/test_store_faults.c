/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store on bad ground: damaged files, write errors, a full or read-only disk. */
#include "store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#define MANY_JOBS   30
#define FLIP_ROUNDS 250
#define DISK_SIZE   "size=300k"
#define STEP_ROUNDS 500 /* more than fit on that disk */

/* A store with something on many pages; all of it in the file itself. */
static GBytes *filled_file(void)
{
    GError *error = NULL;
    Store *store = open_store(STORE_CREATED);
    g_autoptr(Job) active = insert_job(store, JOB_ACTIVE, JOB_INSTALLING);
    char *data = NULL;
    gsize size;

    ok(store_begin(store, &error));
    for (int i = 0; i < MANY_JOBS; i++) {
        g_autoptr(Job) job = insert_job(store, JOB_ENDED, JOB_CANCELLED);

        ok(make_step(store, job, &error));
        ok(make_step(store, active, &error));
    }
    ok(values_set(store, VALUES_CONFIGURATION, "HeartbeatInterval", "60", &error));
    ok(values_set(store, VALUES_AGENT, "csms-time", "1760000000000", &error));
    ok(store_commit(store, &error));
    store_close(store);
    raw("", "SELECT 1 FROM jobs"); /* the last to close brings the log in */
    ck_assert(!beside("-wal"));
    ck_assert(g_file_get_contents(path, &data, &size, NULL));
    ck_assert_uint_gt(size, 20480);
    return g_bytes_new_take(data, size);
}

/* Whatever was found: the store takes a whole step and is found sound by the next start. */
static void expect_usable(Store *store)
{
    GError *error = NULL;
    g_autoptr(Job) job = NULL;

    ok(jobs_load(store, JOB_ACTIVE, &job, &error));
    ok(store_begin(store, &error));
    if (job == NULL)
        job = insert_job(store, JOB_ACTIVE, JOB_SCHEDULED);
    ok(make_step(store, job, &error));
    ok(values_set(store, VALUES_AGENT, "after", "damage", &error));
    ok(store_commit(store, &error));
    store_close(store);
    store_close(open_store(STORE_OPENED));
}

/* The file was removed, its log was not. */
START_TEST(log_without_file)
{
    GError *error = NULL;
    g_autoptr(GPtrArray) jobs = NULL;
    Store *store = open_store(STORE_CREATED);

    job_free(insert_job(store, JOB_ACTIVE, JOB_INSTALLING));
    store_close(store);
    ck_assert(beside("-wal"));
    ck_assert_int_eq(g_unlink(path), 0);
    store = open_store(STORE_CREATED);
    jobs = jobs_list(store, 10, &error);
    ck_assert_uint_eq(jobs->len, 0);
    expect_usable(store);
}
END_TEST

START_TEST(damaged_files)
{
    g_autoptr(GBytes) whole = filled_file();
    g_autofree char *aside = beside_name(".corrupt");
    g_autofree char *log = beside_name("-wal");
    gsize size;
    const char *data = g_bytes_get_data(whole, &size);
    g_autofree char *zeroed = g_memdup2(data, size);
    g_autofree char *overwritten = g_memdup2(data, size);
    g_autofree char *read_only = g_memdup2(data, size);
    const struct {
        const char *data;
        gsize size;
    } variants[] = {
        {"garbage", 7},   {data, 100},         {data, 1024},
        {data, size / 2}, {data, size - 1000}, {data, size - 1024},
        {zeroed, size},   {overwritten, size}, {read_only, size},
    };

    read_only[18] = 9; /* a format that may be read, but not written */
    memset(zeroed + 1024, 0, size / 3);
    memset(overwritten, 'x', 1024);
    for (gsize i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autofree char *set_aside = NULL;
        gsize set_aside_size;

        (void)g_unlink(log);
        write_file(path, variants[i].data, variants[i].size);
        expect_usable(open_store(STORE_CORRUPT_ASIDE));
        /* As it was found, in place of the one before. */
        ck_assert(g_file_get_contents(aside, &set_aside, &set_aside_size, NULL));
        ck_assert_uint_eq(set_aside_size, variants[i].size);
    }
    (void)g_unlink(log);
    write_file(path, "", 0);
    expect_usable(open_store(STORE_CREATED));
}
END_TEST

static void flip_bits(GRand *rand, char *data, gsize size)
{
    for (int flips = g_rand_int_range(rand, 1, 9); flips > 0; flips--)
        data[g_rand_int_range(rand, 0, (gint32)size)] ^= (char)(1 << g_rand_int_range(rand, 0, 8));
}

START_TEST(flipped_bits)
{
    GError *error = NULL;
    g_autoptr(GBytes) whole = filled_file();
    g_autoptr(GRand) rand = g_rand_new_with_seed(2026);
    g_autofree char *log = beside_name("-wal");
    int found[STORE_VOLATILE + 1] = {0};
    gsize size;
    const char *data = g_bytes_get_data(whole, &size);

    for (int round = 0; round < FLIP_ROUNDS; round++) {
        g_autofree char *flipped = g_memdup2(data, size);
        g_autofree char *detail = NULL;
        StoreOrigin origin;
        Store *store;

        /* Every third time in the first page, where the schema and the header are. */
        flip_bits(rand, flipped, round % 3 == 0 ? 1024 : size);
        (void)g_unlink(log);
        write_file(path, flipped, size);
        store = store_open(path, 0, &origin, &detail, &error);
        ok(store != NULL);
        ck_assert_msg(origin == STORE_OPENED || origin == STORE_CORRUPT_ASIDE ||
                          origin == STORE_NEWER_ASIDE,
                      "round %d: origin %d: %s", round, origin, detail);
        found[origin]++;
        expect_usable(store);
    }
    ck_assert_int_gt(found[STORE_OPENED], 0);
    ck_assert_int_gt(found[STORE_CORRUPT_ASIDE], FLIP_ROUNDS / 4);
}
END_TEST

/* Damage in the log costs the last steps at most: what is before it is whole. */
START_TEST(flipped_bits_in_the_log)
{
    GError *error = NULL;
    g_autoptr(GRand) rand = g_rand_new_with_seed(2027);
    g_autofree char *log = beside_name("-wal");
    g_autofree char *data = NULL, *log_data = NULL;
    gsize size, log_size;
    Store *store = open_store(STORE_CREATED);
    g_autoptr(Job) job = insert_job(store, JOB_ACTIVE, JOB_INSTALLING);

    for (job->attempts = 1; job->attempts <= 20; job->attempts++) {
        ok(store_begin(store, &error));
        ok(make_step(store, job, &error));
        ok(store_commit(store, &error));
    }
    store_close(store);
    ck_assert(g_file_get_contents(path, &data, &size, NULL));
    ck_assert(g_file_get_contents(log, &log_data, &log_size, NULL));
    for (int round = 0; round < FLIP_ROUNDS / 10; round++) {
        g_autofree char *flipped = g_memdup2(log_data, log_size);
        g_autoptr(Job) found = NULL;
        StoreOrigin origin;

        flip_bits(rand, flipped, log_size);
        write_file(path, data, size);
        write_file(log, flipped, log_size);
        store = store_open(path, 0, &origin, NULL, &error);
        ok(store != NULL);
        ck_assert_int_ne(origin, STORE_VOLATILE);
        ok(jobs_load(store, JOB_ACTIVE, &found, &error));
        if (found != NULL)
            ck_assert_uint_eq(found->attempts, count_outbox(store));
        expect_usable(store);
    }
}
END_TEST

/* Steps until one fails; gives the error. */
static guint step_until_full(Store *store, Job *job, GError **error)
{
    guint before = job->attempts;

    while (job->attempts < before + STEP_ROUNDS) {
        if (!store_begin(store, error))
            break;
        job->attempts++;
        if (!make_step(store, job, error) || !store_commit(store, error)) {
            job->attempts--;
            store_rollback(store);
            break;
        }
    }
    return job->attempts - before;
}

/* The step that failed has left nothing, what went before is there, and with space it goes on. */
static void expect_steps(Store *store, guint steps)
{
    GError *error = NULL;
    g_autoptr(Job) found = NULL;

    ok(jobs_load(store, JOB_ACTIVE, &found, &error));
    ck_assert_uint_eq(found->attempts, steps);
    ck_assert_uint_eq(count_outbox(store), steps);
}

static void expect_write_error(const GError *error, const char *word)
{
    ck_assert_ptr_nonnull(error);
    ck_assert(g_error_matches(error, STORE_ERROR, STORE_ERROR_WRITE));
    ck_assert_msg(strstr(error->message, word) != NULL, "no `%s` in: %s", word, error->message);
}

START_TEST(write_error)
{
    GError *error = NULL;
    Store *store = open_store(STORE_CREATED);
    g_autoptr(Job) job = insert_job(store, JOB_ACTIVE, JOB_INSTALLING);
    struct rlimit limit, small;

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 65536;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    ck_assert_uint_lt(step_until_full(store, job, &error), STEP_ROUNDS);
    expect_write_error(error, path);
    g_clear_error(&error);
    expect_steps(store, job->attempts);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    job->attempts++;
    ok(make_step(store, job, &error));
    store_close(store);
    store = open_store(STORE_OPENED);
    expect_steps(store, job->attempts);
    store_close(store);
}
END_TEST

static gboolean mount_small_disk(void)
{
    if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("none", folder, "tmpfs", 0, DISK_SIZE) == 0)
        return TRUE;
    fprintf(stderr, "full_disk: skipped, no small disk can be mounted here: %s\n",
            g_strerror(errno));
    return FALSE;
}

static void fill_disk(const char *name)
{
    static const char block[1024];
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    while (write(fd, block, sizeof block) > 0)
        ;
    ck_assert_int_eq(errno, ENOSPC);
    close(fd);
}

/* A start finds no room even for SQLite's -shm: the job is known all the same. */
static void start_on_full_disk(const char *filler, guint steps)
{
    GError *error = NULL;
    g_autofree char *index = beside_name("-shm");
    g_autofree char *elsewhere = g_build_filename(folder, "other.db", NULL);
    g_autofree char *detail = NULL;
    g_autoptr(Store) other = NULL;
    StoreOrigin origin;
    Store *store;

    (void)g_unlink(index);
    fill_disk(filler);
    store = open_store(STORE_OPENED);
    expect_steps(store, steps);
    other = store_open(elsewhere, 0, &origin, &detail, &error);
    ok(other != NULL);
    ck_assert_int_eq(origin, STORE_VOLATILE);
    ck_assert_ptr_nonnull(detail);
    ck_assert_int_eq(g_unlink(filler), 0);
    ok(values_set(store, VALUES_AGENT, "space", "is back", &error));
    store_close(store);
    store_close(open_store(STORE_OPENED));
}

START_TEST(full_disk)
{
    GError *error = NULL;
    g_autofree char *filler = g_build_filename(folder, "filler", NULL);
    g_autofree char *detail = NULL;
    g_autoptr(Job) job = NULL;
    StoreOrigin origin;
    Store *store;

    if (!mount_small_disk())
        return;
    store = open_store(STORE_CREATED);
    job = insert_job(store, JOB_ACTIVE, JOB_INSTALLING);
    fill_disk(filler);
    ck_assert_uint_lt(step_until_full(store, job, &error), STEP_ROUNDS);
    expect_write_error(error, "full");
    g_clear_error(&error);
    expect_steps(store, job->attempts);
    ck_assert_int_eq(g_unlink(filler), 0);
    job->attempts++;
    ok(make_step(store, job, &error));
    store_close(store);
    start_on_full_disk(filler, job->attempts);

    ck_assert_int_eq(mount("none", folder, "tmpfs", MS_REMOUNT | MS_RDONLY, DISK_SIZE), 0);
    store = store_open(path, 0, &origin, &detail, &error);
    ok(store != NULL);
    ck_assert_int_eq(origin, STORE_VOLATILE);
    ck_assert_ptr_nonnull(strstr(detail, "Read-only file system"));
    store_close(store);
    ck_assert_int_eq(umount(folder), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        log_without_file,        damaged_files, flipped_bits,
        flipped_bits_in_the_log, write_error,   full_disk,
    };

    use_memory_disk();
    return run_tests("store faults", tests, G_N_ELEMENTS(tests));
}
