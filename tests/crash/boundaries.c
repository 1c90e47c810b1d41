/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into the agent by tests/crash/run.py: names its durable boundaries, one line each, and
 * strikes at one of them.
 *
 * A boundary is the moment before or after a call that the world outside can tell from its absence:
 * what makes files durable or changes names (fsync, fdatasync, rename, unlink, ftruncate, creation)
 * in the folders of store and spool, a method call on the bus that changes RAUC's state
 * (InstallBundle, Mark), a message on the WebSocket (seen in lws_write(), before it is masked), and
 * the start of a command (fork).  Its key is OPERATION:OBJECT:SIDE#N; N counts within this process,
 * for each of the others by itself, so that threads do not change the keys.
 *
 * A preloaded library and not system call injection (strace, seccomp): it sees the messages in
 * plain text, costs next to nothing, and can keep what was synced, for the power cuts.
 *
 * Environment: CRASH_LOG file the keys are appended to; CRASH_FOLDERS the folders, ':' between
 * them; CRASH_AT key to strike at; CRASH_ACTION kill (the agent dies; also for a power cut), rauc
 * (RAUC dies: the group in the file CRASH_RAUC_PID) or csms (connections to the port
 * CRASH_CSMS_PORT break); CRASH_SHADOW folder for what was synced (shadow.c); CRASH_WRITES=1 adds
 * pwrite().  All of it is taken out of the environment, so that no child inherits it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim.h"

struct Shim shim = {.lock = PTHREAD_MUTEX_INITIALIZER, .log = -1};

/* --- Striking --- */

static void die(void)
{
    keep_names_now();
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void kill_rauc(void)
{
    char text[32] = "";
    int fd = raw_open(shim.rauc_pid, O_RDONLY, 0);
    long pid;

    if (fd < 0)
        return;
    if (read(fd, text, sizeof text - 1) > 0 && (pid = strtol(text, NULL, 10)) > 1)
        kill((pid_t)-pid, SIGKILL);
    close(fd);
}

static void break_csms(void)
{
    for (int fd = 3; fd < MAX_FDS; fd++) {
        struct sockaddr_in peer = {0};
        socklen_t size = sizeof peer;

        if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.sin_family == AF_INET &&
            ntohs(peer.sin_port) == shim.csms_port)
            shutdown(fd, SHUT_RDWR);
    }
}

static void strike(void)
{
    if (strcmp(shim.action, "rauc") == 0)
        kill_rauc();
    else if (strcmp(shim.action, "csms") == 0)
        break_csms();
    else
        die();
}

static unsigned count_label(const char *label)
{
    for (int i = 0; i < shim.n_labels; i++) {
        if (strcmp(shim.labels[i].label, label) == 0)
            return ++shim.labels[i].count;
    }
    if (shim.n_labels == MAX_LABELS)
        abort();
    snprintf(shim.labels[shim.n_labels].label, MAX_LABEL, "%s", label);
    shim.labels[shim.n_labels].count = 1;
    shim.n_labels++;
    return 1;
}

static void boundary(const char *operation, const char *object, const char *side)
{
    char label[MAX_LABEL], key[MAX_LABEL + 16], line[MAX_LABEL + 32];
    int saved = errno;
    int length;

    snprintf(label, sizeof label, "%s:%s:%s", operation, object, side);
    pthread_mutex_lock(&shim.lock);
    snprintf(key, sizeof key, "%s#%u", label, count_label(label));
    length = snprintf(line, sizeof line, "%s\n", key);
    raw_write(shim.log, line, (size_t)length);
    if (strcmp(key, shim.at) == 0) {
        raw_write(shim.log, "STRUCK\n", 7);
        strike();
    }
    pthread_mutex_unlock(&shim.lock);
    errno = saved;
}

/* --- Which calls --- */

static const char *base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* One of the folders, something in it, or what it lies in. */
static bool is_ours(const char *path)
{
    for (int i = 0; shim.active && i < shim.n_folders; i++) {
        size_t length = strlen(shim.folders[i]);

        if ((strncmp(path, shim.folders[i], length) == 0 &&
             (path[length] == '\0' || path[length] == '/')) ||
            is_parent(path, shim.folders[i]))
            return true;
    }
    return false;
}

static bool path_of(int fd, char *ret_path)
{
    char link[64];
    ssize_t length;

    if (!shim.active)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, ret_path, PATH_MAX - 1);
    if (length <= 0)
        return false;
    ret_path[length] = '\0';
    return is_ours(ret_path);
}

static bool path_at(int folder, const char *name, char *ret_path)
{
    char at[PATH_MAX];

    if (!shim.active)
        return false;
    if (*name == '/' || folder == AT_FDCWD) {
        snprintf(ret_path, PATH_MAX, "%s", name);
        return is_ours(ret_path);
    }
    if (!path_of(folder, at))
        return false;
    return snprintf(ret_path, PATH_MAX, "%s/%s", at, name) < PATH_MAX;
}

static int sync_call(const char *operation, long number, int fd)
{
    char path[PATH_MAX];
    bool ours = path_of(fd, path);
    int result;

    if (ours)
        boundary(operation, base(path), "before");
    result = (int)syscall(number, fd);
    if (ours && result == 0)
        keep_synced(fd, path);
    if (ours)
        boundary(operation, base(path), "after");
    return result;
}

int fsync(int fd)
{
    return sync_call("fsync", SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_call("fdatasync", SYS_fdatasync, fd);
}

int renameat(int old_folder, const char *old_name, int new_folder, const char *new_name)
{
    char path[PATH_MAX];
    bool ours = path_at(new_folder, new_name, path);
    int result;

    if (ours)
        boundary("rename", base(path), "before");
    result = (int)syscall(SYS_renameat, old_folder, old_name, new_folder, new_name);
    if (ours)
        boundary("rename", base(path), "after");
    return result;
}

int rename(const char *old_name, const char *new_name)
{
    return renameat(AT_FDCWD, old_name, AT_FDCWD, new_name);
}

int unlinkat(int folder, const char *name, int flags)
{
    char path[PATH_MAX];
    bool ours = path_at(folder, name, path) && access(path, F_OK) == 0;
    int result;

    if (ours)
        boundary("unlink", base(path), "before");
    result = (int)syscall(SYS_unlinkat, folder, name, flags);
    if (ours)
        boundary("unlink", base(path), "after");
    return result;
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

int ftruncate(int fd, off_t length)
{
    char path[PATH_MAX];
    bool ours = path_of(fd, path);
    int result;

    if (ours)
        boundary("ftruncate", base(path), "before");
    result = (int)syscall(SYS_ftruncate, fd, length);
    if (ours)
        boundary("ftruncate", base(path), "after");
    return result;
}

int ftruncate64(int fd, off64_t length)
{
    return ftruncate(fd, length);
}

static int open_call(int folder, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    bool creates = (flags & O_CREAT) && path_at(folder, name, path) && access(path, F_OK) != 0;
    int result;

    if (creates)
        boundary("create", base(path), "before");
    result = (int)syscall(SYS_openat, folder, name, flags, mode);
    if (creates)
        boundary("create", base(path), "after");
    return result;
}

/* The C library's names, without its variable arguments: a mode that was not given is not looked
 * at.  O_TMPFILE needs one as well; nobody here uses it. */
int shim_open(const char *name, int flags, mode_t mode) __asm__("open");
int shim_open64(const char *name, int flags, mode_t mode) __asm__("open64");
int shim_openat(int folder, const char *name, int flags, mode_t mode) __asm__("openat");

int shim_open(const char *name, int flags, mode_t mode)
{
    return open_call(AT_FDCWD, name, flags, flags & O_CREAT ? mode : 0);
}

int shim_open64(const char *name, int flags, mode_t mode)
{
    return open_call(AT_FDCWD, name, flags, flags & O_CREAT ? mode : 0);
}

int shim_openat(int folder, const char *name, int flags, mode_t mode)
{
    return open_call(folder, name, flags, flags & O_CREAT ? mode : 0);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at)
{
    char path[PATH_MAX];
    bool ours = shim.writes && path_of(fd, path);
    ssize_t result;

    if (ours)
        boundary("pwrite", base(path), "before");
    result = syscall(SYS_pwrite64, fd, bytes, length, at);
    if (ours)
        boundary("pwrite", base(path), "after");
    return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at)
{
    return pwrite(fd, bytes, length, at);
}

/* --- The bus --- */

#define HAS(bytes, length, text)                                                                   \
    (memmem(bytes, length, text, sizeof(text)) != NULL) /* with its NUL */

/* The length before the name tells a member's name from text that only contains it. */
static const char *changing_call(const char *bytes, size_t length)
{
    if (HAS(bytes, length, "\x0d\0\0\0InstallBundle"))
        return "InstallBundle";
    if (!HAS(bytes, length, "\x04\0\0\0Mark"))
        return NULL;
    return HAS(bytes, length, "\x06\0\0\0active") ? "Mark-active"
           : HAS(bytes, length, "\x03\0\0\0bad")  ? "Mark-bad"
                                                  : "Mark-good";
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    const char *call = NULL;
    ssize_t result;

    for (size_t i = 0; shim.active && call == NULL && i < message->msg_iovlen; i++)
        call = changing_call(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
    if (call != NULL)
        boundary("bus", call, "before");
    result = syscall(SYS_sendmsg, fd, message, flags);
    if (call != NULL)
        boundary("bus", call, "after");
    return result;
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    const char *call = shim.active ? changing_call(bytes, length) : NULL;
    ssize_t result;

    if (call != NULL)
        boundary("bus", call, "before");
    result = syscall(SYS_sendto, fd, bytes, length, flags, NULL, 0);
    if (call != NULL)
        boundary("bus", call, "after");
    return result;
}

/* --- The WebSocket --- */

/* The text between the n-th pair of quotation marks. */
static void quoted(const char *text, int n, char *ret_word, size_t size)
{
    const char *at = text;
    size_t length = 0;

    for (int marks = 2 * n - 1; at != NULL && marks > 0; marks--) {
        at = strchr(at, '"');
        at = at != NULL ? at + 1 : NULL;
    }
    if (at != NULL)
        length = strcspn(at, "\"");
    snprintf(ret_word, size, "%.*s", (int)length, at != NULL ? at : "");
}

static void name_message(const unsigned char *bytes, size_t length, char *ret_name, size_t size)
{
    char text[512], action[64], status[64] = "";
    const char *found;

    snprintf(text, sizeof text, "%.*s", (int)(length < sizeof text ? length : sizeof text - 1),
             (const char *)bytes);
    if (text[1] != '2') {
        snprintf(ret_name, size, "%s", text[1] == '3' ? "result" : "error");
        return;
    }
    quoted(text, 2, action, sizeof action);
    found = strstr(text, "\"status\"");
    if (found != NULL)
        quoted(found, 2, status, sizeof status);
    snprintf(ret_name, size, "%s%s%s", action, *status != '\0' ? "-" : "", status);
}

int lws_write(struct lws *wsi, unsigned char *bytes, size_t length,
              enum lws_write_protocol protocol)
{
    bool message = shim.active && protocol == LWS_WRITE_TEXT && length > 2 && bytes[0] == '[';
    char name[130];
    int result;

    if (message) {
        name_message(bytes, length, name, sizeof name);
        boundary("csms", name, "before");
    }
    result = shim.lws_write(wsi, bytes, length, protocol);
    if (message)
        boundary("csms", name, "after");
    return result;
}

/* --- Commands --- */

pid_t fork(void)
{
    pid_t child;

    if (!shim.active)
        return shim.fork();
    boundary("fork", "command", "before");
    child = shim.fork();
    if (child != 0)
        boundary("fork", "command", "after");
    return child;
}

/* --- Start --- */

static void take(const char *variable, char *ret_value, size_t size)
{
    const char *value = getenv(variable);

    snprintf(ret_value, size, "%s", value != NULL ? value : "");
    unsetenv(variable);
}

static void take_folders(void)
{
    char all[MAX_FOLDERS * PATH_MAX], *rest = all, *folder;

    take("CRASH_FOLDERS", all, sizeof all);
    while ((folder = strsep(&rest, ":")) != NULL && shim.n_folders < MAX_FOLDERS)
        snprintf(shim.folders[shim.n_folders++], PATH_MAX, "%s", folder);
}

__attribute__((constructor)) static void start(void)
{
    char log[PATH_MAX], number[16];
    int fd;

    *(void **)&shim.lws_write = dlsym(RTLD_NEXT, "lws_write");
    *(void **)&shim.fork = dlsym(RTLD_NEXT, "fork");
    if (strcmp(program_invocation_short_name, AGENT) != 0)
        return;
    unsetenv("LD_PRELOAD");
    take("CRASH_LOG", log, sizeof log);
    take_folders();
    take("CRASH_AT", shim.at, sizeof shim.at);
    take("CRASH_ACTION", shim.action, sizeof shim.action);
    take("CRASH_SHADOW", shim.shadow, sizeof shim.shadow);
    take("CRASH_RAUC_PID", shim.rauc_pid, sizeof shim.rauc_pid);
    take("CRASH_CSMS_PORT", number, sizeof number);
    shim.csms_port = (unsigned)strtoul(number, NULL, 10);
    take("CRASH_WRITES", number, sizeof number);
    shim.writes = *number == '1';
    fd = raw_open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0)
        abort();
    shim.log = fcntl(fd, F_DUPFD_CLOEXEC, LOG_FD);
    close(fd);
    if (*shim.shadow != '\0')
        start_shadow();
    shim.active = true;
}
