/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file that is sent, in pieces as libcurl asks for them. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "upload_internal.h"

static gboolean fail(const Upload *upload, const char *words, GError **error)
{
    g_propagate_error(
        error, upload_error_make(upload, TRANSFER_ERROR_LOCAL, "%s: %s", upload->path, words));
    return FALSE;
}

/* A FIFO would hold the agent up when it is opened, and has no size. */
gboolean upload_file_open(Upload *upload, GError **error)
{
    struct stat info;

    upload->fd = open(upload->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (upload->fd < 0 || fstat(upload->fd, &info) != 0)
        return fail(upload, g_strerror(errno), error);
    if (!S_ISREG(info.st_mode))
        return fail(upload, "not a regular file", error);
    if (info.st_size > TRANSFER_MAX_SIZE)
        return fail(upload, "too large", error);
    upload->size = info.st_size;
    return TRUE;
}

/* What has been written behind the end since the start is not sent: the server knows the size. */
static gssize next_piece(Upload *upload, char *buffer, gsize room)
{
    gint64 rate_limit = upload->transfers->config.rate_limit;
    gsize piece = upload_piece_bytes(upload);
    gsize most = rate_limit > 0 ? (gsize)CLAMP(rate_limit, 1024, (gint64)piece) : piece;
    gsize wanted = (gsize)MIN((gint64)MIN(room, most), upload->size - upload->offset);
    gssize got;

    if (wanted == 0)
        return 0;
    do
        got = pread(upload->fd, buffer, wanted, upload->offset);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        upload->offset += got;
        return got;
    }
    fail(upload, got < 0 ? g_strerror(errno) : "it became shorter while it was sent",
         &upload->error);
    return -1;
}

size_t upload_file_read(char *buffer, size_t size, size_t count, void *user_data)
{
    Upload *upload = user_data;
    UploadTurn turn = UPLOAD_SEND;
    gssize got;

    upload->started = TRUE;
    if (upload->error || upload->cancelled)
        return CURL_READFUNC_ABORT;
    if (upload_is_ftp(upload))
        turn = upload_ftp_turn(upload);
    if (turn == UPLOAD_WAIT) {
        upload_ftp_wait(upload);
        return CURL_READFUNC_PAUSE;
    }
    upload_heard(upload);
    if (turn == UPLOAD_END) {
        upload->at_end = TRUE;
        return 0;
    }
    got = next_piece(upload, buffer, size * count);
    return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

/* Where to go on is told here, before a byte is sent: how much the server has. */
int upload_file_seek(void *user_data, curl_off_t offset, int origin)
{
    Upload *upload = user_data;

    if (origin != SEEK_SET || offset < 0)
        return CURL_SEEKFUNC_FAIL;
    upload_heard(upload);
    if (upload->resume && !upload->started && offset >= upload->size) {
        upload->server_has_all = offset == upload->size;
        upload->server_has_more = offset > upload->size;
        return CURL_SEEKFUNC_FAIL;
    }
    if (offset > upload->size)
        return CURL_SEEKFUNC_FAIL;
    upload->start = upload->offset = offset;
    return CURL_SEEKFUNC_OK;
}
