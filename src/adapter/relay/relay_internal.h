/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of a Relay, for relay.c (life, routes, giving up, telling), relay_bundle.c (the bundle through the buffer),
 * relay_local.c (a file in its place) and relay_store.c (a casync store).
 */
#pragma once

#include "adapter/fetch.h"
#include "adapter/relay.h"
#include "relay_cache.h"
#include "relay_http.h"
#include "relay_range.h"
#include "relay_window.h"

/* A request that waits for its bytes, or whose answer is on its way. */
typedef struct {
    Relay *relay;
    RelayCall *call;
    gint64 since_ms;
    char *chunk;     /* of the store; NULL: of the bundle */
    gboolean ranged; /* else the whole (HEAD, or a local bundle) */
    RelayAsked asked;
    gboolean resolved; /* `range` is known */
    RelayRange range;
    gboolean pinned;
    GBytes *bytes; /* the chunk */
} RelayJob;

struct _Relay {
    Transfers *transfers;
    Clock *clock;
    char *source; /* URL of the bundle */
    char *url;    /* RAUC's */
    gint64 hold_ms;
    gint64 budget;
    RelayPlace place;
    RelayEvents events;
    gpointer user_data;
    RelayHttp *http;

    GQueue waiting; /* RelayJob*, the oldest first; RELAY_MAX_CONNECTIONS at most */
    guint late;     /* timer: the oldest one has waited too long */
    Fetch *fetch;   /* the only one; NULL: none */
    gint64 fetched, fetch_counted;
    guint requests, requests_counted;
    gint64 first_byte_ms;
    GError *failure;
    guint retry_after_s; /* of the failure */
    gboolean known_told, failure_told;
    guint telling; /* source */

    RelayCache *cache;
    RelayWindow window;
    gboolean tired; /* reading ahead failed: not again before RAUC asks again */

    int local_fd; /* -1: the bundle comes from `source` */
    gint64 local_size;
    guint8 *local_bytes;

    RelayJob *chunk_job; /* that is fetched, or whose chunk is being sent; NULL: none */
    GByteArray *chunk;   /* NULL: the current fetch is not one of a chunk */
    TransferFile chunk_file;
    guint chunk_retry; /* timer */
    gint64 chunk_backoff_ms;
    GError *chunk_trouble;

    gint64 served, last_ms;
    guint asked;
};

/* ---- relay.c ---- */

/* From now on 204 to everything; `error` is copied.  Not from within begins() and data() of a fetch. */
void relay_give_up(Relay *relay, const GError *error);
/* Begins the next fetch that is due, when none is under way. */
void relay_pump(Relay *relay);
/* Ends the waiting: `answer` is on its way. */
void relay_answer(RelayJob *job, const RelayAnswer *answer);
void relay_answer_status(RelayJob *job, guint status, gint64 size);
void relay_begin_fetch(Relay *relay, const FetchRequest *request, const FetchEvents *events);
/* Counts what has come since the last call. */
void relay_count(Relay *relay);
/* The current fetch is over. */
void relay_end_fetch(Relay *relay);
/* Bytes that may still be fetched; G_MAXINT64: without limit. */
gint64 relay_budget_left(const Relay *relay);
/* BUDGET, in words. */
GError *relay_budget_error(const Relay *relay);
/* Whether RAUC has waited for `hold_ms`. */
gboolean relay_is_late(const Relay *relay);

/* ---- relay_bundle.c ---- */

/* Answers what can be answered. */
void relay_bundle_serve(Relay *relay);
/* Begins what the waiting requests need; FALSE: nothing is to be begun. */
gboolean relay_bundle_fetch(Relay *relay);
gboolean relay_bundle_prefetch(Relay *relay);

/* ---- relay_local.c ---- */

gboolean relay_local_open(Relay *relay, const char *path, GError **error);
void relay_local_close(Relay *relay);
void relay_local_serve(RelayJob *job, gboolean head);

/* ---- relay_store.c ---- */

gboolean relay_store_fetch(Relay *relay);
/* The connection of `job` is gone, or its chunk has been sent. */
void relay_store_ended(RelayJob *job);
void relay_store_clear(Relay *relay);
