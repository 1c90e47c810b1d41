/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a power cut would leave of the folders: a copy of each file as it was last synced, and of
 * each folder's names, in CRASH_SHADOW.  power.py brings the folders back to it.
 *
 * content.ID has a file's bytes, names.N and now.N lines of ID and name (as synced; as they are at
 * death), exists.N says that folder N was itself synced.  The harshest reading of POSIX: no name
 * survives without a sync of its folder.
 */
#include "shim.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COPY_PIECE 65536
#define SHADOW_NAME(ret_name, format, ...)                                                         \
    snprintf(ret_name, PATH_MAX, "%s/" format, shim.shadow, __VA_ARGS__)

int raw_open(const char *name, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, AT_FDCWD, name, flags | O_CLOEXEC, mode);
}

void raw_write(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = syscall(SYS_write, fd, bytes, length);

        if (written <= 0)
            abort();
        bytes += written;
        length -= (size_t)written;
    }
}

/* Number and birth of a file, which tell it from a later one with the same number; FALSE: there is
 * none. */
static bool identify(int folder, const char *name, int flags, char *ret_id, size_t size)
{
    struct statx st;

    if (syscall(SYS_statx, folder, name, flags | AT_SYMLINK_NOFOLLOW,
                STATX_BASIC_STATS | STATX_BTIME, &st) < 0 ||
        !S_ISREG(st.stx_mode))
        return false;
    snprintf(ret_id, size, "%llu.%lld.%u", (unsigned long long)st.stx_ino,
             (long long)st.stx_btime.tv_sec, st.stx_btime.tv_nsec);
    return true;
}

/* The whole content of a file as it is now, under its identity. */
static void keep_content(int fd)
{
    char id[80], name[PATH_MAX], new_name[PATH_MAX], piece[COPY_PIECE];
    off_t at = 0;
    ssize_t got;
    int copy;

    if (!identify(fd, "", AT_EMPTY_PATH, id, sizeof id))
        return;
    SHADOW_NAME(name, "content.%s", id);
    SHADOW_NAME(new_name, "new.%s", id);
    copy = raw_open(new_name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (copy < 0)
        abort();
    while ((got = pread(fd, piece, sizeof piece, at)) > 0) {
        raw_write(copy, piece, (size_t)got);
        at += got;
    }
    close(copy);
    syscall(SYS_rename, new_name, name);
}

/* Which names there are in a folder, and of which files; `prefix` tells what was synced from what
 * there is. */
static void keep_names(int folder, const char *prefix)
{
    char name[PATH_MAX], new_name[PATH_MAX];
    DIR *dir = opendir(shim.folders[folder]);
    struct dirent *entry;
    int list;

    if (dir == NULL)
        return;
    SHADOW_NAME(name, "%s.%d", prefix, folder);
    SHADOW_NAME(new_name, "new.%s.%d", prefix, folder);
    list = raw_open(new_name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (list < 0)
        abort();
    while ((entry = readdir(dir)) != NULL) {
        char id[80], line[NAME_MAX + 100];

        if (identify(dirfd(dir), entry->d_name, 0, id, sizeof id)) {
            int length = snprintf(line, sizeof line, "%s %s\n", id, entry->d_name);

            raw_write(list, line, (size_t)length);
        }
    }
    closedir(dir);
    close(list);
    syscall(SYS_rename, new_name, name);
}

static void touch_shadow(const char *what, int folder)
{
    char name[PATH_MAX];

    SHADOW_NAME(name, "%s.%d", what, folder);
    close(raw_open(name, O_WRONLY | O_CREAT, 0600));
}

bool is_parent(const char *path, const char *folder)
{
    size_t length = strlen(path);

    return strncmp(path, folder, length) == 0 && folder[length] == '/' &&
           strchr(folder + length + 1, '/') == NULL;
}

/* After a successful fsync() or fdatasync() of a file or folder. */
void keep_synced(int fd, const char *path)
{
    struct stat st;

    if (*shim.shadow == '\0' || fstat(fd, &st) < 0)
        return;
    if (S_ISREG(st.st_mode)) {
        keep_content(fd);
        return;
    }
    for (int i = 0; i < shim.n_folders; i++) {
        if (strcmp(path, shim.folders[i]) == 0)
            keep_names(i, "names");
        if (is_parent(path, shim.folders[i]) && access(shim.folders[i], F_OK) == 0)
            touch_shadow("exists", i);
    }
}

/* What lies there at the first start since the power came is durable. */
static void keep_everything(void)
{
    for (int i = 0; i < shim.n_folders; i++) {
        DIR *dir = opendir(shim.folders[i]);
        struct dirent *entry;

        if (dir == NULL)
            continue;
        while ((entry = readdir(dir)) != NULL) {
            int fd = (int)syscall(SYS_openat, dirfd(dir), entry->d_name,
                                  O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);

            if (fd >= 0) {
                keep_content(fd);
                close(fd);
            }
        }
        closedir(dir);
        keep_names(i, "names");
        touch_shadow("exists", i);
    }
}

void start_shadow(void)
{
    char ready[PATH_MAX];

    SHADOW_NAME(ready, "%s", "ready.0");
    if (access(ready, F_OK) == 0)
        return;
    keep_everything();
    touch_shadow("ready", 0);
}

void keep_names_now(void)
{
    for (int i = 0; *shim.shadow != '\0' && i < shim.n_folders; i++)
        keep_names(i, "now");
}
