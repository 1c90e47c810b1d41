/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing, hashing and syncing one file: see part.h. */
#include "src/adapter/download/part.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "adapter/transfer.h"

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
    EVP_MD_CTX *digest; /* OpenSSL's is many times faster than GLib's where the processor helps */
    char *sha256;

    guint hashing; /* idle source */
    gint64 hashed;
    PartDone hash_done;
    gpointer hash_data;

    Sync *sync;          /* under way */
    gboolean sync_again; /* another one was asked for meanwhile */
    PartDone sync_done;
    gpointer sync_data;
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
    part->digest = EVP_MD_CTX_new();
    if (!part->digest || EVP_DigestInit_ex(part->digest, EVP_sha256(), NULL) != 1)
        g_error("OpenSSL has no SHA-256");
    return part;
}

void part_free(Part *part)
{
    if (!part)
        return;
    if (part->sync)
        part->sync->part = NULL;
    g_clear_handle_id(&part->hashing, g_source_remove);
    EVP_MD_CTX_free(part->digest);
    g_free(part->sha256);
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

const char *part_sha256(Part *part)
{
    guint8 digest[EVP_MAX_MD_SIZE];
    guint length = 0;
    GString *hex;

    if (part->sha256)
        return part->sha256;
    EVP_DigestFinal_ex(part->digest, digest, &length);
    hex = g_string_new(NULL);
    for (guint i = 0; i < length; i++)
        g_string_append_printf(hex, "%02x", digest[i]);
    part->sha256 = g_string_free(hex, FALSE);
    return part->sha256;
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
    EVP_DigestUpdate(part->digest, bytes, length);
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
    return TRUE;
}

/* --- What is there already --- */

static gboolean hash_piece(Part *part, GError **error)
{
    g_autofree guint8 *piece = g_malloc(PART_HASH_PIECE);
    gint64 wanted = MIN(part->length - part->hashed, PART_HASH_PIECE);
    ssize_t got = pread(part->fd, piece, (size_t)wanted, part->hashed);

    if (got < 0 && errno == EINTR)
        return TRUE;
    if (got <= 0)
        return fail(part, "read", got < 0 ? errno : ENODATA, error);
    EVP_DigestUpdate(part->digest, piece, (size_t)got);
    part->hashed += got;
    return TRUE;
}

static gboolean hash_next(gpointer user_data)
{
    g_autoptr(GError) error = NULL;
    Part *part = user_data;

    if (part->hashed < part->length && hash_piece(part, &error) && part->hashed < part->length)
        return G_SOURCE_CONTINUE;
    part->hashing = 0;
    part->hash_done(error, part->hash_data);
    return G_SOURCE_REMOVE;
}

void part_hash(Part *part, PartDone done, gpointer user_data)
{
    part->hash_done = done;
    part->hash_data = user_data;
    part->hashing = g_idle_add(hash_next, part);
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
    /* before the answer, so that nobody finds the file open for writing who was told that it is finished */
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
