/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing and syncing one file: see part.h. */
#include "src/adapter/download/part.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <unistd.h>

#include "adapter/transfer.h"
#include "src/adapter/download/digest.h"

/* Outlives the part when that is freed while the thread is in the kernel. */
typedef struct {
    Part *part; /* NULL: freed */
    int fd;
    gint64 length;
} Sync;

struct _Part {
    char *path;
    int fd;
    gint64 length, synced;
    Digest *digest;

    Sync *sync;          /* under way */
    gboolean sync_again; /* another one was asked for meanwhile */
    PartDone sync_done;
    gpointer sync_data;

    gboolean finished_sync, finished_digest; /* each is one half of part_finish() */
    PartDone finish_done;
    gpointer finish_data;
};

static gboolean fail(const Part *part, const char *what, int code, GError **error)
{
    g_set_error(error, TRANSFER_ERROR, TRANSFER_ERROR_LOCAL, "cannot %s %s: %s", what, part->path,
                g_strerror(code));
    return FALSE;
}

Part *part_new(const char *path, int fd, gint64 length, gint64 synced)
{
    Part *part = g_new0(Part, 1);

    part->path = g_strdup(path);
    part->fd = fd;
    part->length = length;
    part->synced = MIN(synced, length);
    part->digest = digest_new(path, fd);
    return part;
}

void part_free(Part *part)
{
    if (!part)
        return;
    if (part->sync)
        part->sync->part = NULL;
    digest_free(part->digest);
    close(part->fd);
    g_free(part->path);
    g_free(part);
}

gint64 part_length(const Part *part)
{
    return part->length;
}

gint64 part_synced(const Part *part)
{
    return part->synced;
}

const char *part_sha256(const Part *part)
{
    return digest_hex(part->digest);
}

gboolean part_cut(Part *part, gint64 length, GError **error)
{
    if (ftruncate(part->fd, length) < 0)
        return fail(part, "truncate", errno, error);
    part->length = length;
    part->synced = MIN(part->synced, length);
    return TRUE;
}

gboolean part_append(Part *part, const guint8 *bytes, gsize length, GError **error)
{
    while (length > 0) {
        ssize_t written = pwrite(part->fd, bytes, length, part->length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail(part, "write", written < 0 ? errno : ENOSPC, error);
        part->length += written;
        bytes += written;
        length -= (gsize)written;
    }
    digest_follow(part->digest, part->length);
    return TRUE;
}

/* --- Syncing --- */

static void sync_free(gpointer data)
{
    Sync *sync = data;

    if (sync->fd >= 0)
        close(sync->fd);
    g_free(sync);
}

static void sync_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    Sync *sync = data;
    int code = fdatasync(sync->fd) < 0 ? errno : 0;

    (void)source;
    (void)cancellable;
    /* before the answer, so that nobody finds the file open for writing who was told that it is
     * finished */
    if (sync->fd >= 0)
        close(sync->fd);
    sync->fd = -1;
    g_task_return_int(task, code);
}

static void sync_start(Part *part);

static void sync_ended(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Sync *sync = g_task_get_task_data(G_TASK(result));
    int code = (int)g_task_propagate_int(G_TASK(result), NULL);
    g_autoptr(GError) error = NULL;
    Part *part = sync->part;

    (void)source;
    (void)user_data;
    if (!part)
        return;
    part->sync = NULL;
    if (code)
        fail(part, "write out", code, &error);
    else
        part->synced = sync->length;
    if (!error && part->sync_again)
        sync_start(part);
    else
        part->sync_done(error, part->sync_data);
}

static void sync_start(Part *part)
{
    Sync *sync = g_new0(Sync, 1);
    g_autoptr(GTask) task = g_task_new(NULL, NULL, sync_ended, NULL);

    sync->part = part;
    sync->fd = fcntl(part->fd, F_DUPFD_CLOEXEC, 0);
    sync->length = part->length;
    part->sync = sync;
    part->sync_again = FALSE;
    g_task_set_task_data(task, sync, sync_free);
    g_task_run_in_thread(task, sync_in_thread);
}

void part_sync(Part *part, PartDone done, gpointer user_data)
{
    part->sync_done = done;
    part->sync_data = user_data;
    if (part->sync)
        part->sync_again = TRUE;
    else
        sync_start(part);
}

gboolean part_is_syncing(const Part *part)
{
    return part->sync != NULL;
}

/* --- The end --- */

/* The receiver may free the part: nothing may come after this. */
static void finish_half(Part *part, gboolean *half, const GError *error)
{
    PartDone done = part->finish_done;

    *half = TRUE;
    if (!done || (!error && !(part->finished_sync && part->finished_digest)))
        return;
    part->finish_done = NULL; /* one error is enough */
    done(error, part->finish_data);
}

static void finish_synced(const GError *error, gpointer user_data)
{
    Part *part = user_data;

    finish_half(part, &part->finished_sync, error);
}

static void finish_hashed(const GError *error, gpointer user_data)
{
    Part *part = user_data;

    finish_half(part, &part->finished_digest, error);
}

void part_finish(Part *part, PartDone done, gpointer user_data)
{
    part->finish_done = done;
    part->finish_data = user_data;
    part_sync(part, finish_synced, part);
    digest_finish(part->digest, part->length, finish_hashed, part);
}
