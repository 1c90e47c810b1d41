/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into the agent by tests/component/ground.py: lets calls on files in some folders fail.
 *
 * A preloaded library and neither dm-error nor a disk that is remounted: those need block devices,
 * which outlive a test that dies and which not every machine has, and the kernel remounts nothing
 * read-only in which a file is open for writing, as the agent's store always is.  What a full disk
 * does is shown on a real one.
 *
 * Environment: BADGROUND_CONTROL the file that holds a struct Control, which the test changes as it
 * likes; BADGROUND_FOLDERS the folders, ':' between them, the first one bit 0 of `folders`.  Both,
 * and LD_PRELOAD, are taken out of it, so that no child inherits them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_FOLDERS 8

enum { WRITES = 1, SYNCS = 2, NAMES = 4, READS = 8 };

struct Control {
    uint32_t code; /* the errno; 0: all is well */
    uint32_t operations, folders;
};

/* A preloaded library is called without any pointer of its own: these are its only globals. */
static const volatile struct Control *control;
static char folders[MAX_FOLDERS][PATH_MAX];
static unsigned n_folders;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("BADGROUND_CONTROL"), *list = getenv("BADGROUND_FOLDERS");
    void *map;
    int fd;

    if (name == NULL || list == NULL)
        return;
    for (const char *at = list; n_folders < MAX_FOLDERS; at += strcspn(at, ":") + 1) {
        snprintf(folders[n_folders++], PATH_MAX, "%.*s", (int)strcspn(at, ":"), at);
        if (strchr(at, ':') == NULL)
            break;
    }
    fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
    map = mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort();
    close(fd);
    unsetenv("BADGROUND_CONTROL");
    unsetenv("BADGROUND_FOLDERS");
    unsetenv("LD_PRELOAD");
    control = map;
}

/* A folder of these, or something in it. */
static bool is_bad(const char *path)
{
    for (unsigned i = 0; i < n_folders; i++) {
        size_t length = strlen(folders[i]);

        if ((control->folders & 1U << i) && strncmp(path, folders[i], length) == 0 &&
            (path[length] == '\0' || path[length] == '/'))
            return true;
    }
    return false;
}

static bool is_struck(uint32_t operation)
{
    return control != NULL && control->code != 0 && (control->operations & operation);
}

static bool path_of(int fd, char *ret_path)
{
    char link[64];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, ret_path, PATH_MAX - 1);
    if (length <= 0)
        return false;
    ret_path[length] = '\0';
    return true;
}

/* TRUE with errno when the call has to fail. */
static bool fails_fd(uint32_t operation, int fd)
{
    char path[PATH_MAX];
    int saved = errno;

    if (is_struck(operation) && path_of(fd, path) && is_bad(path)) {
        errno = (int)control->code;
        return true;
    }
    errno = saved;
    return false;
}

static bool fails_name(int folder, const char *name)
{
    if (*name != '/' && folder != AT_FDCWD)
        return fails_fd(NAMES, folder);
    if (!is_struck(NAMES) || !is_bad(name))
        return false;
    errno = (int)control->code;
    return true;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at)
{
    return fails_fd(WRITES, fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at)
{
    return pwrite(fd, bytes, length, at);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    return fails_fd(WRITES, fd) ? -1 : syscall(SYS_write, fd, bytes, length);
}

int ftruncate(int fd, off_t length)
{
    return fails_fd(WRITES, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate64(int fd, off64_t length)
{
    return ftruncate(fd, length);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t at)
{
    return fails_fd(READS, fd) ? -1 : syscall(SYS_pread64, fd, bytes, length, at);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t at)
{
    return pread(fd, bytes, length, at);
}

ssize_t read(int fd, void *bytes, size_t length)
{
    return fails_fd(READS, fd) ? -1 : syscall(SYS_read, fd, bytes, length);
}

int fsync(int fd)
{
    return fails_fd(SYNCS, fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fails_fd(SYNCS, fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int renameat(int old_folder, const char *old_name, int new_folder, const char *new_name)
{
    return fails_name(new_folder, new_name)
               ? -1
               : (int)syscall(SYS_renameat, old_folder, old_name, new_folder, new_name);
}

int rename(const char *old_name, const char *new_name)
{
    return renameat(AT_FDCWD, old_name, AT_FDCWD, new_name);
}

int unlinkat(int folder, const char *name, int flags)
{
    return fails_name(folder, name) ? -1 : (int)syscall(SYS_unlinkat, folder, name, flags);
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

int mkdir(const char *name, mode_t mode)
{
    return fails_name(AT_FDCWD, name) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, name, mode);
}

static int open_call(int folder, const char *name, int flags, mode_t mode)
{
    bool changes = (flags & O_CREAT) || (flags & O_ACCMODE) != O_RDONLY;

    return changes && fails_name(folder, name)
               ? -1
               : (int)syscall(SYS_openat, folder, name, flags, mode);
}

/* The C library's names, without its variable arguments: a mode that was not given is not looked
 * at. */
int shim_open(const char *name, int flags, mode_t mode) __asm__("open");
int shim_open64(const char *name, int flags, mode_t mode) __asm__("open64");
int shim_openat(int folder, const char *name, int flags, mode_t mode) __asm__("openat");
int shim_openat64(int folder, const char *name, int flags, mode_t mode) __asm__("openat64");

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

int shim_openat64(int folder, const char *name, int flags, mode_t mode)
{
    return open_call(folder, name, flags, flags & O_CREAT ? mode : 0);
}
