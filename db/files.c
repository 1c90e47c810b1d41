/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store's files as files: see files.h. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/store.h"

#define FOLDER_MODE 0700
#define FILE_MODE   0600

/* What SQLite keeps beside its file.  -shm holds nothing that cannot be made again. */
static const char *const companions[] = {"-wal", "-journal", "-shm"};

static gboolean fail(const char *what, const char *path, int code, GError **error)
{
    g_set_error(error, STORE_ERROR, STORE_ERROR_WRITE, "cannot %s %s: %s", what, path,
                g_strerror(code));
    return FALSE;
}

static gboolean sync_path(const char *path, int flags, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    int code = 0;

    if (fd < 0)
        return fail("open", path, errno, error);
    if (fsync(fd) < 0)
        code = errno;
    close(fd);
    return code == 0 || fail("write out", path, code, error);
}

/* A name that was made or changed survives a power cut only once its folder is written. */
static gboolean sync_folder_of(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);

    return sync_path(folder, O_DIRECTORY, error);
}

static const char *kind_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a folder";
    case S_IFLNK:
        return "a symbolic link";
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    default:
        return "a device";
    }
}

static gboolean check_kind(const char *path, const char *suffix, GError **error)
{
    g_autofree char *name = g_strconcat(path, suffix, NULL);
    struct stat st;

    if (lstat(name, &st) < 0)
        return errno == ENOENT || fail("look at", name, errno, error);
    if (S_ISREG(st.st_mode))
        return TRUE;
    g_set_error(error, STORE_ERROR, STORE_ERROR_WRITE, "cannot use %s: it is %s, not a file", name,
                kind_name(st.st_mode));
    return FALSE;
}

gboolean files_check(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);

    if (mkdir(folder, FOLDER_MODE) == 0) {
        if (!sync_folder_of(folder, error))
            return FALSE;
    } else if (errno != EEXIST) {
        return fail("make the folder", folder, errno, error);
    }
    if (!check_kind(path, "", error) || !check_kind(path, ".lock", error))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(companions); i++)
        if (!check_kind(path, companions[i], error))
            return FALSE;
    return TRUE;
}

gboolean files_lock(const char *path, int *ret_fd, GError **error)
{
    g_autofree char *name = g_strconcat(path, ".lock", NULL);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, FILE_MODE);
    int code;

    if (fd < 0)
        return fail("open", name, errno, error);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *ret_fd = fd;
        return TRUE;
    }
    code = errno;
    close(fd);
    if (code != EWOULDBLOCK)
        return fail("lock", name, code, error);
    g_set_error(error, STORE_ERROR, STORE_ERROR_OPEN,
                "cannot open the store %s: another rauc-ocpp-agent uses it (%s is locked)", path,
                name);
    return FALSE;
}

/* Absent is as good as removed; a failure shows in the rename or creation that follows. */
static void remove_companions(const char *path)
{
    for (gsize i = 0; i < G_N_ELEMENTS(companions); i++) {
        g_autofree char *name = g_strconcat(path, companions[i], NULL);

        (void)g_unlink(name);
    }
}

gboolean files_create(const char *path, GError **error)
{
    int fd;

    if (g_access(path, F_OK) == 0)
        return TRUE;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return fail("create", path, errno, error);
    close(fd);
    return sync_folder_of(path, error);
}

static gboolean move_companions(const char *path, const char *aside, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(companions); i++) {
        g_autofree char *from = g_strconcat(path, companions[i], NULL);
        g_autofree char *to = g_strconcat(aside, companions[i], NULL);

        if (g_rename(from, to) < 0 && errno != ENOENT)
            return fail("set aside", from, errno, error);
    }
    return TRUE;
}

gboolean files_set_aside(const char *path, const char *aside, const char *replacement,
                         GError **error)
{
    gboolean linked;

    remove_companions(aside);
    if (g_unlink(aside) < 0 && errno != ENOENT)
        return fail("remove", aside, errno, error);
    /* Where the file system has links, `path` is never absent: the last rename is the one that
     * counts. */
    linked = replacement != NULL && link(path, aside) == 0;
    if (!linked && g_rename(path, aside) < 0)
        return fail("set aside", path, errno, error);
    /* Before the replacement comes: the old file's log must never be replayed into it. */
    if (!move_companions(path, aside, error))
        return FALSE;
    if (replacement != NULL && g_rename(replacement, path) < 0)
        return fail("put into place", replacement, errno, error);
    return sync_folder_of(path, error);
}

void files_forget_newer(const char *path, const char *keep)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *file = g_path_get_basename(path);
    g_autofree char *prefix = g_strconcat(file, ".newer-v", NULL);
    g_autofree char *kept = g_path_get_basename(keep);
    g_autofree char *kept_companions = g_strconcat(kept, "-", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *full = g_build_filename(folder, name, NULL);

        if (g_str_has_prefix(name, prefix) && strcmp(name, kept) != 0 &&
            !g_str_has_prefix(name, kept_companions))
            (void)g_unlink(full);
    }
}

gboolean files_publish(const char *part, const char *path, GError **error)
{
    if (!sync_path(part, 0, error))
        return FALSE;
    if (g_rename(part, path) < 0)
        return fail("rename", part, errno, error);
    return sync_folder_of(path, error);
}

gboolean files_is_regular(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}
