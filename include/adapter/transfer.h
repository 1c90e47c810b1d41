/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading files from servers: http, https, ftp, ftps and sftp, with libcurl on the default main
 * context.  One transfer is one request for a part of a file; what goes on over broken links is
 * fetch.h's business.
 *
 * A user and a password in a URL are used and never shown: no message of this module contains them,
 * nor the query of a URL.  Redirects are followed (TRANSFER_MAX_REDIRECTS at most, never from https
 * to http, never to another scheme than the ones above), and credentials are not sent to another
 * host.  Compressed answers are neither asked for nor accepted.  At most one connection is open at
 * a time.
 */
#pragma once

#include <glib.h>

#define TRANSFER_MAX_REDIRECTS 5
#define TRANSFER_STALL_S       30 /* slower than low_speed_limit for so long: the connection is dead */
#define TRANSFER_HELD_S        60 /* so long at most a transfer is held */
#define TRANSFER_MAX_SIZE      (G_GINT64_CONSTANT(1) << 40)

#define TRANSFER_ERROR (transfer_error_quark())
GQuark transfer_error_quark(void);

typedef enum {
    TRANSFER_ERROR_NETWORK, /* name, connection, cut, stalled: may go well the next time */
    TRANSFER_ERROR_SERVER,  /* 5xx, 408, 425, 429, FTP 4xx: may go well the next time */
    TRANSFER_ERROR_REFUSED, /* 401, 403, 404, other 4xx, FTP 5xx, wrong password: will not */
    TRANSFER_ERROR_TLS,     /* certificate, host name, protocol version: will not */
    TRANSFER_ERROR_URL, /* not usable: scheme, no host, redirect loop or to where it may not go */
    TRANSFER_ERROR_RANGES,  /* the server cannot read from the middle */
    TRANSFER_ERROR_CHANGED, /* not the file that was read before */
    TRANSFER_ERROR_PROTOCOL, /* an answer that cannot be right: lying range, encoding, too many bytes */
    TRANSFER_ERROR_BUDGET, /* set by the receiver: more bytes than may be spent */
    TRANSFER_ERROR_LOCAL,  /* set by the receiver, e.g. disk full */
} TransferError;

/* Worth another try without anybody changing anything: NETWORK, SERVER. */
gboolean transfer_error_is_transient(const GError *error);

/* What is known of a file; two answers are about the same file when nothing known to both
 * differs. */
typedef struct {
    gint64 size;     /* bytes; -1: unknown */
    char *etag;      /* NULL: none.  Weak ones are kept, with their W/ */
    gint64 modified; /* seconds since 1970; -1: unknown */
} TransferFile;

#define TRANSFER_FILE_UNKNOWN ((TransferFile){-1, NULL, -1})
void transfer_file_clear(TransferFile *file);
void transfer_file_copy(TransferFile *to, const TransferFile *from); /* `to` is valid before */
/* Whether a resumed read could notice that the file was exchanged: an ETag that is not weak, or a
 * time of modification, besides the size. */
gboolean transfer_file_has_validator(const TransferFile *file);

typedef struct {
    const char *ca_file;                            /* NULL: the system's */
    const char *client_cert_file, *client_key_file; /* NULL: none */
    const char *netrc_file;                         /* NULL: none; for URLs without a user */
    const char *known_hosts_file; /* sftp: NULL: any host key is taken (the bundle is signed) */
    const char *proxy;            /* NULL: what the environment says */
    guint connect_timeout_s;
    guint low_speed_limit; /* bytes/s, at least 1 */
    gint64 rate_limit;     /* bytes/s; 0: none */
    /* Certificates are judged at this time (ms since 1970) if the system clock is behind it; NULL
     * or 0: the system clock. */
    gint64 (*not_before_ms)(gpointer user_data);
    gpointer user_data;
} TransferConfig;

typedef struct _Transfers Transfers;

/* `config` and its strings are copied.  Nothing is loaded or connected before the first
 * transfer. */
Transfers *transfers_new(const TransferConfig *config);
void transfers_free(Transfers *transfers); /* no transfer may be under way */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Transfers, transfers_free)

typedef struct {
    const char *url;
    gint64 offset;
    gint64 length; /* bytes; -1: to the end */
    const TransferFile
        *known; /* the file as read before (asks with If-Range; CHANGED when it is another one);
                                  NULL: not known.  With offset 0 and length -1 and NULL no range is asked for. */
} TransferRequest;

/* Never called from within transfer_begin(). */
typedef struct {
    /* The answer is right, and of this file; before the first data, once.  May be NULL. */
    void (*begins)(const TransferFile *file, gpointer user_data);
    /* The next bytes, in order.  FALSE with `error` set ends the transfer with that error. */
    gboolean (*data)(const guint8 *bytes, gsize length, GError **error, gpointer user_data);
    /* Once, the last call; the transfer is gone.  NULL: all bytes came.  `retry_after_s`: what the
     * server asked for, 0: nothing. */
    void (*done)(const GError *error, guint retry_after_s, gpointer user_data);
} TransferEvents;

typedef struct _Transfer Transfer;

/* Always calls done() later, unless cancelled.  `events` is copied. */
Transfer *transfer_begin(Transfers *transfers, const TransferRequest *request,
                         const TransferEvents *events, gpointer user_data);
void transfer_cancel(
    Transfer *transfer); /* no callback comes any more; not from within data() or begins() */
/* TRUE, from within data() or later: no more bytes come; those that libcurl has read already
 * (TRANSFER_BUFFER_BYTES at most) are kept, the others wait at the server.  The silence of a held
 * transfer does not end it; what ends it, with NETWORK, is TRANSFER_HELD_S or another transfer that
 * waits for its turn; one whose bytes have all come ends as ever.  FALSE: the bytes go on, not from
 * within the call. */
void transfer_hold(Transfer *transfer, gboolean held);
