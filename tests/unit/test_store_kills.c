/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store of an agent that is killed: at any time, in a transaction, at every system call of an
 * opening. */
#include "store_fixture.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define KILL_ROUNDS 12
#define MAX_CALLS   1000 /* that change files, of one opening */

/* Steps without end, each told to `fd` once its commit has returned. */
static void step_until_killed(int fd)
{
    Store *store = store_open(path, 0, NULL, NULL, NULL);
    Job *job = NULL;

    if (store == NULL || !jobs_load(store, JOB_ACTIVE, &job, NULL) || job == NULL)
        _exit(1);
    for (;;) {
        job->attempts++;
        if (!store_begin(store, NULL) || !make_step(store, job, NULL) ||
            !store_commit(store, NULL) ||
            write(fd, &job->attempts, sizeof job->attempts) != sizeof job->attempts)
            _exit(1);
    }
}

static void expect_whole_steps(guint committed)
{
    GError *error = NULL;
    g_autoptr(Store) store = open_store(STORE_OPENED);
    g_autoptr(GPtrArray) history = history_list(store, G_MAXUINT, &error);
    g_autoptr(Job) job = NULL;

    ok(jobs_load(store, JOB_ACTIVE, &job, &error));
    /* Killed between the commit and the word of it there is one more. */
    ck_assert_uint_ge(job->attempts, committed);
    ck_assert_uint_le(job->attempts, committed + 1);
    ck_assert_uint_eq(history->len, job->attempts);
    ck_assert_uint_eq(count_outbox(store), job->attempts);
}

START_TEST(killed_at_any_time)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(2028);
    Store *store = open_store(STORE_CREATED);
    guint committed = 0;

    job_free(insert_job(store, JOB_ACTIVE, JOB_INSTALLING));
    store_close(store);
    for (int round = 0; round < KILL_ROUNDS; round++) {
        int told[2], wanted = g_rand_int_range(rand, 1, 25), status;
        pid_t pid;

        ck_assert_int_eq(pipe(told), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            step_until_killed(told[1]);
        close(told[1]);
        while (read(told[0], &committed, sizeof committed) == sizeof committed)
            if (--wanted == 0)
                kill(pid, SIGKILL);
        close(told[0]);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
        expect_whole_steps(committed);
        store = open_store(STORE_OPENED);
        {
            GError *error = NULL;
            g_autoptr(Job) job = NULL;

            ok(jobs_load(store, JOB_ACTIVE, &job, &error));
            committed = job->attempts;
        }
        store_close(store);
    }
}
END_TEST

START_TEST(killed_inside_and_after_a_transaction)
{
    for (int commit = 0; commit <= 1; commit++) {
        Store *store = open_store(commit == 0 ? STORE_CREATED : STORE_OPENED);
        GError *error = NULL;
        g_autofree char *value = NULL;
        int status;
        pid_t pid;

        store_close(store);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            store = store_open(path, 0, NULL, NULL, NULL);
            if (store == NULL || !store_begin(store, NULL) ||
                !values_set(store, VALUES_AGENT, "a", "1", NULL) ||
                (commit && !store_commit(store, NULL)))
                _exit(1);
            raise(SIGKILL);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
        store = open_store(STORE_OPENED);
        ok(values_get(store, VALUES_AGENT, "a", &value, &error));
        ck_assert_pstr_eq(value, commit ? "1" : NULL);
        store_close(store);
    }
}
END_TEST

/* The calls that change files: a death between two of them is a death before the second. */
static const unsigned int file_calls[] = {
    SYS_write,    SYS_pwrite64,  SYS_ftruncate, SYS_fsync,   SYS_fdatasync, SYS_openat,
    SYS_unlinkat, SYS_renameat2, SYS_linkat,    SYS_mkdirat, SYS_fchmod,
#ifdef SYS_rename
    SYS_open,     SYS_unlink,    SYS_rename,    SYS_link,    SYS_mkdir,
#endif
#ifdef SYS_renameat
    SYS_renameat,
#endif
};

/* Has this process stopped before each of them, for the process that traces it. */
static gboolean stop_at_file_calls(void)
{
    struct sock_filter filter[2 * G_N_ELEMENTS(file_calls) + 2];
    struct sock_fprog program = {G_N_ELEMENTS(filter), filter};
    struct sock_filter *next = filter;

    *next++ =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (gsize i = 0; i < G_N_ELEMENTS(file_calls); i++) {
        *next++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, file_calls[i], 0, 1);
        *next++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    *next++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Runs `work` in a child and kills it when it is about to make its `nth` call that changes files
 * (from 0).  TRUE when it was done before that. */
static gboolean killed_at(int nth, void (*work)(void), gboolean *ret_can_trace)
{
    const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL;
    int status;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0 ||
            !stop_at_file_calls())
            _exit(77);
        work();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    *ret_can_trace = WIFSTOPPED(status) && ptrace(PTRACE_SETOPTIONS, pid, NULL, options) == 0;
    for (int seen = 0; WIFSTOPPED(status);) {
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8) && seen++ == nth)
            kill(pid, SIGKILL);
        else
            ck_assert_int_eq(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        *ret_can_trace = FALSE;
    else
        ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFEXITED(status);
}

static const char later[] = "CREATE TABLE extra (x INTEGER) STRICT;";

static Store *open_version(int version, StoreOrigin *ret_origin)
{
    const StoreMigration migrations[] = {store_migrations[0], {"0002-test.sql", later}};

    return store_open_with(path, migrations, version, ret_origin, NULL, NULL);
}

static void open_old(void)
{
    store_close(open_version(1, NULL));
}

static void open_new(void)
{
    store_close(open_version(2, NULL));
}

static void settle(void)
{
    Store *store = open_version(2, NULL);

    (void)store_settle_copies(store, NULL);
    store_close(store);
}

static void make_nothing(void)
{
}

/* A job, as the old agent left it. */
static void make_old(void)
{
    Store *store = open_version(1, NULL);

    job_free(insert_job(store, JOB_ACTIVE, JOB_REBOOTING));
    store_close(store);
}

static void make_new(void)
{
    make_old();
    open_new();
}

static void make_corrupt(void)
{
    g_autofree char *log = beside_name("-wal");

    make_old();
    write_file(path, "garbage", 7);
    write_file(log, "garbage", 7); /* the whole log would mend it */
}

/* The old agent finds its job, or none where none was; whatever was interrupted, it has a store on
 * disk. */
static void expect_job(int jobs)
{
    GError *error = NULL;
    StoreOrigin origin;
    g_autoptr(Store) store = open_version(1, &origin);
    g_autoptr(GPtrArray) list = NULL;

    ck_assert_ptr_nonnull(store);
    ck_assert_int_ne(origin, STORE_VOLATILE);
    list = jobs_list(store, 10, &error);
    ck_assert_ptr_nonnull(list);
    if (jobs >= 0)
        ck_assert_uint_eq(list->len, (guint)jobs);
}

static const struct {
    const char *name;
    void (*prepare)(void);
    void (*work)(void);
    int jobs; /* that the old agent finds afterwards; -1: with or without */
} cuts[] = {
    {"create", make_nothing, open_old, 0},   {"migrate", make_old, open_new, 1},
    {"roll back", make_new, open_old, 1},    {"set aside", make_corrupt, open_old, 0},
    {"settle copies", make_new, settle, -1},
};

/* What lies in the test's folder: name -> GBytes. */
static GHashTable *save_folder(void)
{
    GHashTable *files =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *full = g_build_filename(folder, name, NULL);
        char *data = NULL;
        gsize size;

        ck_assert(g_file_get_contents(full, &data, &size, NULL));
        g_hash_table_insert(files, g_strdup(name), g_bytes_new_take(data, size));
    }
    return files;
}

static void restore_folder(GHashTable *files)
{
    GHashTableIter iter;
    gpointer name, bytes;

    remove_folder(folder);
    ck_assert_int_eq(g_mkdir(folder, 0700), 0);
    g_hash_table_iter_init(&iter, files);
    while (g_hash_table_iter_next(&iter, &name, &bytes)) {
        g_autofree char *full = g_build_filename(folder, name, NULL);
        gsize size;
        const char *data = g_bytes_get_data(bytes, &size);

        write_file(full, data, size);
    }
}

static int kill_everywhere(gsize cut)
{
    g_autoptr(GHashTable) files = NULL;
    gboolean can_trace = TRUE, done = FALSE;
    int calls;

    cuts[cut].prepare();
    files = save_folder();
    for (calls = 0; calls < MAX_CALLS && !done && can_trace; calls++) {
        restore_folder(files);
        done = killed_at(calls, cuts[cut].work, &can_trace);
        expect_job(done || can_trace ? cuts[cut].jobs : -1);
    }
    ck_assert_msg(done || !can_trace, "%s: never done", cuts[cut].name);
    g_hash_table_remove_all(files);
    restore_folder(files);
    return can_trace ? calls : 0;
}

START_TEST(killed_at_every_call)
{
    for (gsize cut = 0; cut < G_N_ELEMENTS(cuts); cut++) {
        int calls = kill_everywhere(cut);

        if (calls == 0) {
            fprintf(stderr, "killed_at_every_call: skipped, ptrace is not allowed here\n");
            return;
        }
        ck_assert_int_gt(calls, 10);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        killed_at_any_time,
        killed_inside_and_after_a_transaction,
        killed_at_every_call,
    };

    use_memory_disk();
    return run_tests("store kills", tests, G_N_ELEMENTS(tests));
}
