/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Child processes of the collector: see child.h. */
#include "src/adapter/collector/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX   512 /* bytes of stderr that are kept */
#define KILLED_S    2   /* how long we wait for one that was killed: it may hang in the kernel */
#define LAST_READS  32  /* after the end, when a child of its own goes on writing */
#define NOT_STARTED 127
#define US          G_GINT64_CONSTANT(1000000)

typedef struct {
    pid_t pid;
    int output, errors; /* -1: closed */
    GString *words;
    char *chunk;
} Running;

/* PATH may be that of a user, who has no use for /sbin. */
char *child_find(const char *name)
{
    static const char *const more[] = {"/usr/sbin/", "/sbin/"};
    char *path = g_find_program_in_path(name);

    for (gsize i = 0; !path && !strchr(name, '/') && i < G_N_ELEMENTS(more); i++) {
        g_autofree char *other = g_strconcat(more[i], name, NULL);

        path = g_find_program_in_path(other);
    }
    return path;
}

static void become(const Child *child, const Stops *stops, const char *program, char **environment,
                   const int *output, const int *errors)
{
    struct rlimit limit = {child->memory, child->memory};

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, &stops->before, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (child->memory > 0)
        setrlimit(RLIMIT_DATA, &limit);
    if (dup2(child->input >= 0 ? child->input : open("/dev/null", O_RDONLY | O_CLOEXEC),
             STDIN_FILENO) < 0 ||
        dup2(output[1], STDOUT_FILENO) < 0 ||
        dup2(child->errors_too ? output[1] : errors[1], STDERR_FILENO) < 0)
        _exit(NOT_STARTED);
    execve(program, (char **)child->argv, environment);
    _exit(NOT_STARTED);
}

static gboolean start(const Child *child, const Stops *stops, const char *program, Running *running)
{
    g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "LC_ALL", "C", TRUE);
    int output[2], errors[2];

    if (pipe2(output, O_CLOEXEC) < 0)
        return FALSE;
    if (pipe2(errors, O_CLOEXEC) < 0) {
        close(output[0]);
        close(output[1]);
        return FALSE;
    }
    running->pid = fork();
    if (running->pid == 0)
        become(child, stops, program, environment, output, errors);
    close(output[1]);
    close(errors[1]);
    running->output = output[0];
    running->errors = errors[0];
    if (running->pid < 0)
        return FALSE;
    /* here as well: the one that comes second does nothing */
    setpgid(running->pid, running->pid);
    fcntl(running->output, F_SETFL, O_NONBLOCK);
    fcntl(running->errors, F_SETFL, O_NONBLOCK);
    return TRUE;
}

static gssize read_some(const Running *running, int *fd)
{
    gssize length = read(*fd, running->chunk, SINK_CHUNK);

    if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR)) {
        close(*fd);
        *fd = -1;
    }
    return length;
}

static void take_errors(Running *running)
{
    gssize length = read_some(running, &running->errors);

    if (length > 0)
        g_string_append_len(running->words, running->chunk, length);
    if (running->words->len > WORDS_MAX)
        g_string_erase(running->words, 0, (gssize)(running->words->len - WORDS_MAX));
}

/* FALSE: enough */
static gboolean take_output(Running *running, const Sink *sink)
{
    gssize length = read_some(running, &running->output);

    return length <= 0 || sink_take(sink, running->chunk, (gsize)length);
}

/* Not reaped: until then nobody else gets its group's number. */
static gboolean has_ended(const Running *running)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)running->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
           info.si_pid != 0;
}

static ChildEnd take_rest(Running *running, const Sink *sink)
{
    for (int i = 0; i < LAST_READS && running->errors >= 0; i++)
        take_errors(running);
    for (int i = 0; i < LAST_READS && running->output >= 0; i++) {
        if (!take_output(running, sink))
            return CHILD_FULL;
    }
    return CHILD_OK;
}

static ChildEnd attend(Running *running, const Child *child, const Stops *stops, const Sink *sink)
{
    for (;;) {
        gint64 left_us = child->deadline_us - g_get_monotonic_time();
        struct pollfd fds[] = {
            {running->output, POLLIN, 0},
            {running->errors, POLLIN, 0},
            {stops->stop_fd, POLLIN, 0},
            {stops->child_fd, POLLIN, 0},
        };

        if (left_us <= 0)
            return CHILD_LATE;
        if (poll(fds, G_N_ELEMENTS(fds), (int)(left_us / 1000) + 1) < 0 && errno != EINTR)
            return CHILD_FAILED;
        if (stops_waiting(stops))
            return CHILD_STOPPED;
        stops_drain(stops);
        if (fds[1].revents)
            take_errors(running);
        if (fds[0].revents && !take_output(running, sink))
            return CHILD_FULL;
        if (has_ended(running))
            return take_rest(running, sink);
    }
}

/* Its status; -1: it does not even die. */
static int kill_and_wait(const Running *running, const Stops *stops)
{
    gint64 deadline_us = g_get_monotonic_time() + KILLED_S * US;
    int status = -1;

    kill(-running->pid, SIGKILL);
    while (waitpid(running->pid, &status, WNOHANG) == 0) {
        struct pollfd ended = {stops->child_fd, POLLIN, 0};
        gint64 left_us = deadline_us - g_get_monotonic_time();

        if (left_us <= 0)
            return -1;
        poll(&ended, 1, (int)(left_us / 1000) + 1);
        stops_drain(stops);
    }
    return status;
}

static char *describe(ChildEnd end, int status, const Child *child, gint64 started_us,
                      const GString *words)
{
    g_autofree char *errors = g_utf8_make_valid(words->str, (gssize)words->len);
    g_autofree char *how = NULL;

    g_strstrip(errors);
    if (end == CHILD_LATE)
        how = g_strdup_printf("killed after %" G_GINT64_FORMAT " s",
                              (child->deadline_us - started_us + US / 2) / US);
    else if (end == CHILD_STOPPED)
        how = g_strdup("killed: the collector was stopped");
    else if (end == CHILD_FAILED && WIFSIGNALED(status))
        how = g_strdup_printf("killed by signal %d", WTERMSIG(status));
    else if (end == CHILD_FAILED)
        how = g_strdup_printf("exited with %d", WEXITSTATUS(status));
    if (!how)
        return *errors ? g_steal_pointer(&errors) : NULL;
    return *errors ? g_strdup_printf("%s: %s", how, errors) : g_steal_pointer(&how);
}

ChildEnd child_run(const Child *child, const Stops *stops, Sink sink, char **ret_words)
{
    g_autofree char *program = child_find(child->argv[0]);
    g_autofree char *chunk = g_malloc(SINK_CHUNK);
    g_autoptr(GString) words = g_string_new(NULL);
    Running running = {.pid = -1, .output = -1, .errors = -1, .words = words, .chunk = chunk};
    gint64 started_us = g_get_monotonic_time();
    ChildEnd end;
    int status;

    if (!program) {
        *ret_words = g_strdup_printf("there is no program %s", child->argv[0]);
        return CHILD_MISSING;
    }
    if (!start(child, stops, program, &running)) {
        *ret_words = g_strdup_printf("cannot start %s: %s", program, g_strerror(errno));
        end = CHILD_FAILED;
    } else {
        end = attend(&running, child, stops, &sink);
        status = kill_and_wait(&running, stops);
        if (end == CHILD_OK && status != 0)
            end = CHILD_FAILED;
        *ret_words = describe(end, status, child, started_us, words);
    }
    if (running.output >= 0)
        close(running.output);
    if (running.errors >= 0)
        close(running.errors);
    return end;
}
