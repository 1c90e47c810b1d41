/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The folder of a run.  It is locked as long as its process lives, so that what a killed run left
 * behind can be told from what another run is filling.
 */
#include "src/adapter/collector/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RANDOM_LETTERS 6
#define MAX_DEPTH      64 /* folders in a folder: of ours, none is deeper */

G_STATIC_ASSERT(sizeof(FOLDER_PREFIX "XXXXXX") == sizeof(FOLDER_PREFIX) + RANDOM_LETTERS);

static gboolean fail(const char *what, const char *path, GError **error)
{
    g_set_error(error, COLLECTOR_ERROR, COLLECTOR_ERROR_LOCAL, "cannot %s %s: %s", what, path,
                g_strerror(errno));
    return FALSE;
}

gint64 folder_room(int fd)
{
    struct statvfs vfs;

    if (fstatvfs(fd, &vfs) < 0)
        return 0;
    return (gint64)(vfs.f_bavail * vfs.f_frsize) - ROOM_KEPT;
}

/* The archive grows beside the entries, and may become as large as they are. */
static gboolean check_room(Collector *collector, GError **error)
{
    const char *directory = collector->config->work_directory;
    gint64 room = folder_room(collector->folder_fd);

    if (room < 2 * ROOM_NEEDED) {
        g_set_error(error, COLLECTOR_ERROR, COLLECTOR_ERROR_LOCAL,
                    "no room for diagnostics in %s: %" G_GINT64_FORMAT " MB are free", directory,
                    (room + ROOM_KEPT) >> 20);
        return FALSE;
    }
    collector->left = MIN(collector->left, room / 2);
    return TRUE;
}

gboolean folder_make(Collector *collector, GError **error)
{
    const char *directory = collector->config->work_directory;
    g_autofree char *folder = g_build_filename(directory, FOLDER_PREFIX "XXXXXX", NULL);

    if (!mkdtemp(folder))
        return fail("make a folder in", directory, error);
    collector->folder = g_steal_pointer(&folder);
    collector->root = g_build_filename(collector->folder, collector->config->name, NULL);
    collector->folder_fd = open(collector->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (collector->folder_fd < 0 || flock(collector->folder_fd, LOCK_EX | LOCK_NB) < 0)
        return fail("lock", collector->folder, error);
    if (mkdir(collector->root, 0700) < 0)
        return fail("make", collector->root, error);
    return check_room(collector, error);
}

static void empty(int fd, int depth);

static void remove_one(int parent, const char *name, int depth)
{
    int fd;

    if (unlinkat(parent, name, 0) == 0 || depth == MAX_DEPTH)
        return;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    empty(fd, depth + 1);
    unlinkat(parent, name, AT_REMOVEDIR);
}

/* Closes it. */
static void empty(int fd, int depth)
{
    DIR *dir = fdopendir(fd);

    if (!dir) {
        close(fd);
        return;
    }
    for (struct dirent *child = readdir(dir); child; child = readdir(dir)) {
        if (!g_str_equal(child->d_name, ".") && !g_str_equal(child->d_name, ".."))
            remove_one(dirfd(dir), child->d_name, depth);
    }
    closedir(dir);
}

void folder_remove(Collector *collector)
{
    if (collector->folder)
        remove_one(AT_FDCWD, collector->folder, 0);
    if (collector->folder_fd >= 0)
        close(collector->folder_fd);
    g_clear_pointer(&collector->folder, g_free);
    g_clear_pointer(&collector->root, g_free);
}

static gboolean is_ours(const char *name)
{
    const char *letters = name + strlen(FOLDER_PREFIX);

    if (!g_str_has_prefix(name, FOLDER_PREFIX) || strlen(letters) != RANDOM_LETTERS)
        return FALSE;
    for (; *letters; letters++) {
        if (!g_ascii_isalnum(*letters))
            return FALSE;
    }
    return TRUE;
}

static void clean_one(int parent, const char *name)
{
    struct stat st;
    int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) &&
        flock(fd, LOCK_EX | LOCK_NB) == 0)
        remove_one(parent, name, 0);
    close(fd);
}

void collector_clean(const char *work_directory)
{
    DIR *dir = opendir(work_directory);

    if (!dir)
        return;
    for (struct dirent *child = readdir(dir); child; child = readdir(dir)) {
        if (is_ours(child->d_name))
            clean_one(dirfd(dir), child->d_name);
    }
    closedir(dir);
}
