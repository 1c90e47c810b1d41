/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The spool as files: see spool.h. */
#include "src/adapter/download/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "adapter/download.h"

#define FOLDER_MODE 0700
#define FILE_MODE   0600
/* Never waits for the other end of a FIFO that somebody put there. */
#define OPEN_FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
#define GROUP      "download"

typedef enum { NAME_PART, NAME_INFO, NAME_NEW_INFO, NAME_WHOLE, N_NAMES } Name;

static const char *const suffixes[N_NAMES] = {".part", ".info", ".info.new", ".raucb"};

struct _Spool {
    char *directory;
    int folder; /* descriptor */
    char *names[N_NAMES];
    char *whole_path, *part_path;
};

void spool_info_clear(SpoolInfo *info)
{
    g_clear_pointer(&info->url_sha256, g_free);
    g_clear_pointer(&info->boot_id, g_free);
    transfer_file_clear(&info->file);
    *info = SPOOL_INFO_NONE;
}

static gboolean fail(const char *what, const char *directory, const char *name, int code,
                     GError **error)
{
    g_set_error(error, TRANSFER_ERROR, TRANSFER_ERROR_LOCAL, "cannot %s %s%s%s: %s", what,
                directory, name ? "/" : "", name ? name : "", g_strerror(code));
    return FALSE;
}

/* --- The folder --- */

/* The name without a slash at its end: with one, open() follows a symbolic link in spite of
 * O_NOFOLLOW. */
static char *folder_name(const char *directory)
{
    return g_canonicalize_filename(directory, NULL);
}

static gboolean sync_folder(const char *directory, int folder, GError **error)
{
    return fsync(folder) == 0 || fail("write out", directory, NULL, errno, error);
}

static gboolean make_folder(const char *directory, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(directory);
    gboolean ok;
    int fd;

    if (mkdir(directory, FOLDER_MODE) < 0)
        return errno == EEXIST || fail("make the spool", directory, NULL, errno, error);
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail("open", parent, NULL, errno, error);
    ok = sync_folder(parent, fd, error);
    close(fd);
    return ok;
}

/* What another user may write to, he may exchange between our check and RAUC's. */
static gboolean check_folder(const char *directory, int folder, GError **error)
{
    const char *flaw = NULL;
    struct stat st;

    if (fstat(folder, &st) < 0)
        return fail("look at the spool", directory, NULL, errno, error);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        flaw = "it belongs to another user";
    else if (st.st_mode & (S_IWGRP | S_IWOTH))
        flaw = "others may write to it";
    if (!flaw)
        return TRUE;
    g_set_error(error, TRANSFER_ERROR, TRANSFER_ERROR_LOCAL, "cannot use the spool %s: %s",
                directory, flaw);
    return FALSE;
}

static int open_folder(const char *directory, GError **error)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) {
        /* ENOTDIR: also what the kernel says of a symbolic link here */
        fail("use the spool", directory, NULL, errno, error);
        return -1;
    }
    if (check_folder(directory, fd, error))
        return fd;
    close(fd);
    return -1;
}

static char *file_name(gint64 job, Name name)
{
    return g_strdup_printf("job-%" G_GINT64_FORMAT "%s", job, suffixes[name]);
}

char *download_path(const char *directory, gint64 job)
{
    g_autofree char *folder = folder_name(directory);
    g_autofree char *name = file_name(job, NAME_WHOLE);

    return g_build_filename(folder, name, NULL);
}

Spool *spool_open(const char *directory, gint64 job, GError **error)
{
    g_autofree char *name = folder_name(directory);
    Spool *spool;
    int folder;

    if (!make_folder(name, error))
        return NULL;
    folder = open_folder(name, error);
    if (folder < 0)
        return NULL;
    spool = g_new0(Spool, 1);
    spool->folder = folder;
    spool->directory = g_steal_pointer(&name);
    spool->whole_path = download_path(directory, job);
    for (Name i = 0; i < N_NAMES; i++)
        spool->names[i] = file_name(job, i);
    spool->part_path = g_build_filename(spool->directory, spool->names[NAME_PART], NULL);
    return spool;
}

void spool_free(Spool *spool)
{
    if (!spool)
        return;
    close(spool->folder);
    for (Name i = 0; i < N_NAMES; i++)
        g_free(spool->names[i]);
    g_free(spool->whole_path);
    g_free(spool->part_path);
    g_free(spool->directory);
    g_free(spool);
}

const char *spool_directory(const Spool *spool)
{
    return spool->directory;
}

const char *spool_whole_path(const Spool *spool)
{
    return spool->whole_path;
}

const char *spool_part_path(const Spool *spool)
{
    return spool->part_path;
}

gint64 spool_free_bytes(const Spool *spool)
{
    struct statvfs vfs;

    if (fstatvfs(spool->folder, &vfs) < 0)
        return -1;
    return (gint64)MIN((guint64)vfs.f_bavail * vfs.f_frsize, (guint64)G_MAXINT64);
}

/* --- Files --- */

/* -1 with errno when there is none; EMEDIUMTYPE: there is something that we did not make. */
static int open_own(const Spool *spool, Name name, int mode, gint64 *ret_length)
{
    int fd = openat(spool->folder, spool->names[name], mode | OPEN_FLAGS);
    struct stat st;

    if (fd < 0) {
        if (errno != ENOENT)
            errno = EMEDIUMTYPE;
        return -1;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == geteuid() &&
        (st.st_mode & 07777) == FILE_MODE) {
        *ret_length = st.st_size;
        return fd;
    }
    close(fd);
    errno = EMEDIUMTYPE;
    return -1;
}

static gboolean remove_file(const Spool *spool, Name name, gboolean *changed, GError **error)
{
    if (unlinkat(spool->folder, spool->names[name], 0) < 0)
        return errno == ENOENT ||
               fail("remove", spool->directory, spool->names[name], errno, error);
    *changed = TRUE;
    return TRUE;
}

static int create(const Spool *spool, Name name, GError **error)
{
    int fd;

    if (unlinkat(spool->folder, spool->names[name], 0) < 0 && errno != ENOENT) {
        fail("remove", spool->directory, spool->names[name], errno, error);
        return -1;
    }
    fd = openat(spool->folder, spool->names[name], O_RDWR | O_CREAT | O_EXCL | OPEN_FLAGS,
                FILE_MODE);
    if (fd < 0) {
        fail("create", spool->directory, spool->names[name], errno, error);
        return -1;
    }
    /* whatever the umask */
    if (fchmod(fd, FILE_MODE) == 0)
        return fd;
    fail("set the mode of", spool->directory, spool->names[name], errno, error);
    close(fd);
    return -1;
}

int spool_open_part(const Spool *spool, gint64 *ret_length, GError **error)
{
    int fd = open_own(spool, NAME_PART, O_RDWR, ret_length);

    if (fd >= 0)
        return fd;
    fd = create(spool, NAME_PART, error);
    if (fd < 0)
        return -1;
    if (!sync_folder(spool->directory, spool->folder, error)) {
        close(fd);
        return -1;
    }
    *ret_length = 0;
    return fd;
}

int spool_open_whole(const Spool *spool, gint64 *ret_length)
{
    return open_own(spool, NAME_WHOLE, O_RDONLY, ret_length);
}

static gboolean move(const Spool *spool, Name from, Name to, GError **error)
{
    return renameat(spool->folder, spool->names[from], spool->folder, spool->names[to]) == 0 ||
           fail("rename", spool->directory, spool->names[from], errno, error);
}

gboolean spool_publish(const Spool *spool, GError **error)
{
    return move(spool, NAME_PART, NAME_WHOLE, error) &&
           sync_folder(spool->directory, spool->folder, error);
}

gboolean spool_discard(const Spool *spool, GError **error)
{
    gboolean changed = FALSE;

    for (Name i = 0; i < N_NAMES; i++) {
        if (!remove_file(spool, i, &changed, error))
            return FALSE;
    }
    return !changed || sync_folder(spool->directory, spool->folder, error);
}

/* --- What is known of the remote file --- */

static GKeyFile *read_info(const Spool *spool)
{
    g_autoptr(GKeyFile) keys = g_key_file_new();
    char text[SPOOL_MAX_INFO_BYTES];
    gint64 length;
    int fd = open_own(spool, NAME_INFO, O_RDONLY, &length);
    ssize_t got;

    if (fd < 0)
        return NULL;
    got = length <= SPOOL_MAX_INFO_BYTES ? pread(fd, text, sizeof text, 0) : -1;
    close(fd);
    if (got <= 0 || !g_key_file_load_from_data(keys, text, (gsize)got, G_KEY_FILE_NONE, NULL))
        return NULL;
    return g_steal_pointer(&keys);
}

/* `least` to `most`; FALSE for everything else, also for what is missing. */
static gboolean read_number(GKeyFile *keys, const char *key, gint64 least, gint64 most,
                            gint64 *ret_number)
{
    g_autoptr(GError) error = NULL;
    gint64 number = g_key_file_get_int64(keys, GROUP, key, &error);

    if (error || number < least || number > most)
        return FALSE;
    *ret_number = number;
    return TRUE;
}

static gboolean take_info(GKeyFile *keys, SpoolInfo *info)
{
    info->url_sha256 = g_key_file_get_string(keys, GROUP, "url-sha256", NULL);
    info->boot_id = g_key_file_get_string(keys, GROUP, "boot-id", NULL);
    info->file.etag = g_key_file_get_string(keys, GROUP, "etag", NULL);
    return info->url_sha256 && read_number(keys, "size", -1, TRANSFER_MAX_SIZE, &info->file.size) &&
           read_number(keys, "modified", -1, G_MAXINT64, &info->file.modified) &&
           read_number(keys, "synced", 0, TRANSFER_MAX_SIZE, &info->synced);
}

gboolean spool_load_info(const Spool *spool, SpoolInfo *info)
{
    g_autoptr(GKeyFile) keys = read_info(spool);

    if (keys && take_info(keys, info))
        return TRUE;
    spool_info_clear(info);
    return FALSE;
}

static char *write_info(const SpoolInfo *info, gsize *ret_length)
{
    g_autoptr(GKeyFile) keys = g_key_file_new();
    const char *etag = info->file.etag;

    g_key_file_set_string(keys, GROUP, "url-sha256", info->url_sha256);
    g_key_file_set_int64(keys, GROUP, "size", info->file.size);
    /* a key file takes UTF-8 only */
    if (etag && strlen(etag) <= SPOOL_MAX_ETAG_BYTES && g_utf8_validate(etag, -1, NULL))
        g_key_file_set_string(keys, GROUP, "etag", etag);
    g_key_file_set_int64(keys, GROUP, "modified", info->file.modified);
    g_key_file_set_int64(keys, GROUP, "synced", info->synced);
    if (info->boot_id)
        g_key_file_set_string(keys, GROUP, "boot-id", info->boot_id);
    return g_key_file_to_data(keys, ret_length, NULL);
}

gboolean spool_save_info(const Spool *spool, const SpoolInfo *info, GError **error)
{
    gsize length;
    g_autofree char *text = write_info(info, &length);
    int fd = create(spool, NAME_NEW_INFO, error);
    ssize_t written;
    int code = 0;

    if (fd < 0)
        return FALSE;
    written = pwrite(fd, text, length, 0);
    if (written != (ssize_t)length)
        code = written < 0 ? errno : ENOSPC;
    else if (fdatasync(fd) < 0)
        code = errno;
    close(fd);
    if (code)
        return fail("write", spool->directory, spool->names[NAME_NEW_INFO], code, error);
    return move(spool, NAME_NEW_INFO, NAME_INFO, error);
}

/* --- Cleaning --- */

/* Whether a file is called as ours are, and of a job that is not kept. */
static gboolean to_be_cleaned(const char *name, gint64 keep)
{
    gint64 job;

    if (!g_str_has_prefix(name, "job-"))
        return FALSE;
    job = g_ascii_strtoll(name + strlen("job-"), NULL, 10);
    if (job == keep)
        return FALSE;
    for (Name i = 0; i < N_NAMES; i++) {
        g_autofree char *ours = file_name(job, i);

        if (strcmp(name, ours) == 0)
            return TRUE;
    }
    return FALSE;
}

void download_clean(const char *directory, gint64 keep)
{
    g_autofree char *name = folder_name(directory);
    g_autoptr(GError) error = NULL;
    struct dirent *entry;
    DIR *dir;
    int fd;

    if (access(name, F_OK) < 0 && errno == ENOENT)
        return;
    fd = open_folder(name, &error);
    if (fd < 0) {
        g_warning("%s; it is not cleaned", error->message);
        return;
    }
    dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return;
    }
    while ((entry = readdir(dir))) {
        if (to_be_cleaned(entry->d_name, keep) && unlinkat(fd, entry->d_name, 0) < 0)
            g_warning("cannot remove %s/%s: %s", name, entry->d_name, g_strerror(errno));
    }
    closedir(dir);
}
