/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relay: an HTTP server on 127.0.0.1 between RAUC's streaming and the real server.
 *
 *     http://127.0.0.1:PORT/SECRET/bundle.raucb          the bundle, by ranges, read ahead and kept in a bounded buffer
 *     http://127.0.0.1:PORT/SECRET/bundle.castr/...      a casync store, file by file, from beside the URL
 *
 * RAUC's side of the contract (measured with 1.13 and 1.15): GET with Range only, a probe of
 * bytes=0-3, then reads on 2 to 4 connections that are kept alive; every answer has to be a whole
 * 206; a request may be held for 300 s, then the kernel gives up.  So a request is answered once
 * all its bytes are there, an outage is a request held, and the relay itself gives up after
 * `hold_ms` without a byte: from then on every request gets 204, which RAUC takes as the end at
 * once.  Its LastError does not tell why; relay_failure() does.  From a server without ranges (ftp,
 * ftps, sftp) what RAUC reads in a row comes in one transfer, held while nobody reads.  A RAUC that
 * cannot stream asks for the bundle without a range: see `whole`.
 */
#pragma once

#include <glib.h>

#include "adapter/clock.h"
#include "adapter/transfer.h"

#define RELAY_MAX_CONNECTIONS 8
#define RELAY_WINDOW_MAX      (4 << 20)  /* bytes of one read ahead */
#define RELAY_MAX_CHUNK_BYTES (16 << 20) /* of a file of a casync store */

#define RELAY_ERROR (relay_error_quark())
GQuark relay_error_quark(void);
typedef enum {
    RELAY_ERROR_WHOLE, /* RAUC asked without a range: it cannot stream */
    RELAY_ERROR_PORT   /* the port of before cannot be had */
} RelayError;

/* What a relay needs to go on where another one ended; kept in the store. */
typedef struct {
    guint16 port;      /* 0: any */
    char *secret;      /* NULL: a new one */
    TransferFile file; /* unknown: first contact */
} RelayPlace;
void relay_place_clear(RelayPlace *place);

typedef struct {
    const char *url;
    const char *
        local_bundle; /* NULL, or a file that is served, whole or by ranges, in place of the URL's: only the
                                 casync store comes from there */
    gsize read_ahead; /* bytes of buffer, 256 KiB at least */
    gint64 hold_ms;
    gint64 budget; /* bytes that may still be fetched; -1: without limit */
} RelayConfig;

typedef struct {
    /* The first right answer: place.file is known from now on. */
    void (*known)(const TransferFile *file, gpointer user_data);
    /* The relay has given up; relay_failure() says why.  Once. */
    void (*failed)(gpointer user_data);
} RelayEvents;

typedef struct {
    gint64 size;         /* of the file; -1: not known */
    gint64 position;     /* how far RAUC has read, at the farthest sequential read */
    gint64 fetched;      /* bytes that came from the server */
    gint64 served;       /* bytes that RAUC got */
    guint requests;      /* to the server */
    guint asked;         /* by RAUC */
    gint64 last_ms;      /* boottime of the last byte to RAUC */
    guint retry_after_s; /* what the server asked for when the relay gave up; 0: nothing */
    const char *trouble; /* the outage that is waited out; NULL: none.  Borrowed */
} RelayState;

typedef struct _Relay Relay;

/* NULL with RELAY_ERROR_PORT when the port cannot be had.  `place` is copied and read back with
 * relay_place(). */
Relay *relay_new(Transfers *transfers, Clock *clock, const RelayConfig *config,
                 const RelayPlace *place, const RelayEvents *events, gpointer user_data,
                 GError **error);
void relay_free(Relay *relay);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Relay, relay_free)

const char *relay_url(const Relay *relay);
const RelayPlace *relay_place(const Relay *relay);
void relay_state(const Relay *relay, RelayState *ret_state);
/* From now on 204 to everything.  `reason` (copied) is what relay_failure() will give, if nothing
 * was wrong before. */
void relay_abort(Relay *relay, const GError *reason);
const GError *relay_failure(const Relay *relay); /* NULL: none */
