/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of an upload know of each other.  Nobody but src/adapter/upload*.c includes it. */
#pragma once

#include "adapter/upload.h"
#include "transfer_internal.h"

#define UPLOAD_PIECE_BYTES 16384 /* read from the file and handed to libcurl at once */
#define UPLOAD_SFTP_BYTES                                                                          \
    262144 /* the same: of these, all is on its way at once, and of the next ones nothing */
/* Wait in the kernel for the line.  More than a piece in its TLS record, so that a piece goes out
 * whole or not at all: libcurl would not ask upload_ftp_turn() for the rest. */
#define UPLOAD_UNSENT_BYTES 32768
#define UPLOAD_TICK_MS      20 /* between two looks at what a server of FTP is doing */

struct _Upload {
    Transfers *transfers;
    UploadDone done;
    gpointer user_data;
    char *asked_url, *path, *name;
    UploadMethod method;
    gboolean resume;

    TransferUrl url;
    TransferTrust trust;
    TransferLoop *loop; /* its own; NULL: not started */
    CURL *easy;
    struct curl_slist *headers;
    curl_mime *form;
    char detail[CURL_ERROR_SIZE];

    int fd; /* -1: not open */
    gint64 size;
    gint64 start;  /* of what is sent in this try */
    gint64 offset; /* of the byte of the file that is sent next */
    gint64 gone;   /* bytes that libcurl has sent, with what it puts around them */

    gboolean started; /* libcurl has asked for the file's bytes */
    gboolean http;    /* the answer is one of HTTP */
    gboolean head_complete;
    gint64 head_bytes, discarded;
    gint64 last_heard_us; /* monotonic; when something went or came */

    gboolean server_has_all, server_has_more; /* of an earlier try */
    gboolean half_closed;                     /* FTP: the server has been told that this was all */
    gboolean at_end;                          /* FTP: libcurl has been told so */
    guint watchdog, nudge, tick;              /* sources */
    gboolean cancelled;
    GError *error; /* the first is the cause */
};

static inline gboolean upload_is_ftp(const Upload *upload)
{
    return !upload->http &&
           (upload->url.scheme == TRANSFER_FTP || upload->url.scheme == TRANSFER_FTPS);
}

static inline gsize upload_piece_bytes(const Upload *upload)
{
    return upload->url.scheme == TRANSFER_SFTP ? UPLOAD_SFTP_BYTES : UPLOAD_PIECE_BYTES;
}

static inline void upload_heard(Upload *upload)
{
    upload->last_heard_us = g_get_monotonic_time();
}

/* --- upload_request.c: the options of a request --- */

gboolean upload_request_prepare(Upload *upload, GError **error);

/* --- upload_file.c: the file, as libcurl wants it --- */

gboolean upload_file_open(Upload *upload, GError **error);
/* CURLOPT_READFUNCTION and CURLOPT_SEEKFUNCTION, with the Upload. */
size_t upload_file_read(char *buffer, size_t size, size_t count, void *user_data);
int upload_file_seek(void *user_data, curl_off_t offset, int origin);

/* --- upload_ftp.c: when a server of FTP may be sent what --- */

typedef enum {
    UPLOAD_SEND, /* the next piece */
    UPLOAD_WAIT, /* nothing for now */
    UPLOAD_END,  /* the server has something to say, or the file is at its end */
} UploadTurn;

UploadTurn upload_ftp_turn(Upload *upload);
/* Has libcurl ask again when it is not the time to wait any more. */
void upload_ftp_wait(Upload *upload);

/* --- upload_error.c --- */

/* "cannot send to ftp://host/path: " and the words. */
GError *upload_error_make(const Upload *upload, TransferError code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
GError *upload_error_from_http(const Upload *upload, long status);
/* Of an upload that libcurl ended. */
GError *upload_error_from_curl(Upload *upload, CURLcode code);
