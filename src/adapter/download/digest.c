/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The context is the thread's while one runs, and the loop's else. */
#include "src/adapter/download/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "adapter/transfer.h"

#define PIECE_BYTES (256 << 10)

/* Outlives the digest when that is freed while the thread reads. */
typedef struct {
    Digest *digest; /* NULL: freed */
    gint stop;      /* atomic */
    int fd;
    EVP_MD_CTX *context; /* OpenSSL's is many times faster than GLib's where the processor helps */
    gint64 from, to;     /* of this run */
    gboolean last;       /* no other one follows */
} Reader;

struct _Digest {
    char *path;
    Reader *reader;
    gboolean running, finishing;
    gint64 wanted, hashed;
    char *hex;
    DigestDone done;
    gpointer user_data;
};

static void start(Digest *digest);

static void reader_clear(gpointer data)
{
    Reader *reader = data;

    EVP_MD_CTX_free(reader->context);
    if (reader->fd >= 0)
        close(reader->fd);
}

static void reader_release(gpointer data)
{
    g_atomic_rc_box_release_full(data, reader_clear);
}

/* --- The thread --- */

static int read_piece(Reader *reader, guint8 *piece)
{
    size_t wanted = (size_t)MIN(reader->to - reader->from, PIECE_BYTES);
    ssize_t got = pread(reader->fd, piece, wanted, reader->from);

    if (got < 0)
        return errno == EINTR ? 0 : errno;
    if (got == 0)
        return ENODATA;
    EVP_DigestUpdate(reader->context, piece, (size_t)got);
    reader->from += got;
    return 0;
}

static void read_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    g_autofree guint8 *piece = g_malloc(PIECE_BYTES);
    Reader *reader = data;
    int code = 0;

    (void)source;
    (void)cancellable;
    while (code == 0 && reader->from < reader->to && !g_atomic_int_get(&reader->stop))
        code = read_piece(reader, piece);
    /* before the answer, so that nobody finds the file open for writing who was told that it is
     * finished */
    if (reader->last) {
        close(reader->fd);
        reader->fd = -1;
    }
    g_task_return_int(task, code);
}

/* --- The loop --- */

static void conclude(Digest *digest)
{
    guint8 bytes[EVP_MAX_MD_SIZE];
    guint length = 0;
    GString *hex = g_string_new(NULL);

    EVP_DigestFinal_ex(digest->reader->context, bytes, &length);
    for (guint i = 0; i < length; i++)
        g_string_append_printf(hex, "%02x", bytes[i]);
    digest->hex = g_string_free(hex, FALSE);
    digest->done(NULL, digest->user_data);
}

static void has_read(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Reader *reader = g_task_get_task_data(G_TASK(result));
    int code = (int)g_task_propagate_int(G_TASK(result), NULL);
    Digest *digest = reader->digest;

    (void)source;
    (void)user_data;
    if (!digest)
        return;
    digest->running = FALSE;
    digest->hashed = reader->from;
    if (code && digest->finishing) {
        g_autoptr(GError) error = g_error_new(TRANSFER_ERROR, TRANSFER_ERROR_LOCAL,
                                              "cannot read %s: %s", digest->path, g_strerror(code));

        digest->done(error, digest->user_data);
    } else if (digest->finishing && digest->hashed == digest->wanted) {
        conclude(digest);
    } else if (digest->finishing ||
               (!code && digest->wanted - digest->hashed >= DIGEST_BEGIN_BYTES)) {
        start(digest);
    }
}

static void start(Digest *digest)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, has_read, NULL);

    digest->running = TRUE;
    digest->reader->to = digest->wanted;
    digest->reader->last = digest->finishing;
    g_task_set_task_data(task, g_atomic_rc_box_acquire(digest->reader), reader_release);
    g_task_run_in_thread(task, read_in_thread);
}

Digest *digest_new(const char *path, int fd)
{
    Digest *digest = g_new0(Digest, 1);
    Reader *reader = g_atomic_rc_box_new0(Reader);

    digest->path = g_strdup(path);
    digest->reader = reader;
    reader->digest = digest;
    reader->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    reader->context = EVP_MD_CTX_new();
    if (!reader->context || EVP_DigestInit_ex(reader->context, EVP_sha256(), NULL) != 1)
        g_error("OpenSSL has no SHA-256");
    return digest;
}

void digest_free(Digest *digest)
{
    if (!digest)
        return;
    digest->reader->digest = NULL;
    g_atomic_int_set(&digest->reader->stop, TRUE);
    reader_release(digest->reader);
    g_free(digest->path);
    g_free(digest->hex);
    g_free(digest);
}

void digest_follow(Digest *digest, gint64 length)
{
    digest->wanted = length;
    if (!digest->running && digest->wanted - digest->hashed >= DIGEST_BEGIN_BYTES)
        start(digest);
}

void digest_finish(Digest *digest, gint64 length, DigestDone done, gpointer user_data)
{
    digest->wanted = length;
    digest->finishing = TRUE;
    digest->done = done;
    digest->user_data = user_data;
    if (!digest->running)
        start(digest);
}

const char *digest_hex(const Digest *digest)
{
    return digest->hex;
}
