/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sending a local file to a server: ftp, ftps, sftp, http and https, with libcurl on the default
 * main context.  Credentials, certificates, proxy, limits and errors are those of transfer.h; one
 * upload is one try, retries are the owner's business.  A user and a password in a URL are used and
 * never shown.
 *
 * A file counts as sent when the server has said so (HTTP 2xx, FTP 226, SFTP close).  Redirects are
 * not followed: what a server answers to a PUT that it wants elsewhere is not the same everywhere,
 * and the words say so.
 */
#pragma once

#include <glib.h>

#include "adapter/transfer.h"

typedef enum {
    UPLOAD_PUT, /* the file is the body, the URL names it */
    UPLOAD_POST /* multipart/form-data, field "file" with the file's name */
} UploadMethod;

typedef struct {
    const char *url;     /* of the file at the server, its name included, or what takes the form */
    const char *path;    /* a regular file that nobody changes meanwhile */
    const char *name;    /* what a form calls the file; NULL: as `path` ends */
    UploadMethod method; /* http and https only */
    /* An earlier try has sent a part of this very file: goes on behind what the server has (ftp,
     * ftps: SIZE and APPE; sftp), or anew where it has more than the file is long, or cannot tell.
     * http and https: always anew. */
    gboolean resume;
} UploadRequest;

/* Once; the Upload is gone.  `error` (TRANSFER_ERROR): NULL when the server has the file.
 * `retry_after_s`: what the server asked for, 0: nothing.  `sent`: as upload_sent(); more than 0
 * means that what the server has begins with this very file. */
typedef void (*UploadDone)(const GError *error, guint retry_after_s, gint64 sent,
                           gpointer user_data);

typedef struct _Upload Upload;

/* Always calls `done` later, unless cancelled.  `transfers` is not the one of a download: uploads
 * have a connection of their own, and of all uploads of one Transfers one runs at a time. */
Upload *upload_begin(Transfers *transfers, const UploadRequest *request, UploadDone done,
                     gpointer user_data);
void upload_cancel(Upload *upload);
/* Bytes of the file that the server has been sent, those of an earlier try included. */
gint64 upload_sent(const Upload *upload);
