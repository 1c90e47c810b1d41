/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of a Relay, for relay.c (life, routes, giving up, telling), relay_bundle.c (the bundle
 * through the buffer), relay_run.c (its transfer that is kept), relay_local.c (a file in its place)
 * and relay_store.c (a casync store).
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

/* The transfer to the end of the file, of a server without ranges. */
typedef struct {
    gboolean wanted;   /* the server has none */
    gboolean open;     /* relay->fetch is the run */
    gboolean held;     /* its window is full, and the next one may be chosen */
    gint64 position;   /* of the next byte */
    gint64 begin, end; /* of the window */
    gint64 last;       /* where it ends */
    guint requests;    /* when the window began */
    GByteArray *over;  /* what came behind the window, one piece of libcurl at most */
    guint step;        /* source */
    gboolean tail_read;
} RelayRun;

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
    gint64 turn_bytes; /* that came without a look at what RAUC asks */
    guint turn;        /* source: the fetch, which is held, goes on */
    GError *failure;
    guint retry_after_s; /* of the failure */
    gboolean known_told, failure_told;
    guint telling; /* source */

    RelayCache *cache;
    RelayWindow window;
    RelayRun run;
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

/* From now on 204 to everything; `error` is copied.  Not from within begins() and data() of a
 * fetch. */
void relay_give_up(Relay *relay, const GError *error);
/* Begins the next fetch that is due, when none is under way. */
void relay_pump(Relay *relay);
/* Ends the waiting: `answer` is on its way. */
void relay_answer(RelayJob *job, const RelayAnswer *answer);
void relay_answer_status(RelayJob *job, guint status, gint64 size);
/* Whether no other fetch may begin. */
gboolean relay_is_busy(const Relay *relay);
/* Gives up a run that is held. */
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
/* The end when RAUC has waited for too long; `why` NULL: nothing is known.  `code` of
 * TRANSFER_ERROR. */
GError *relay_late_error(const Relay *relay, int code, const char *why);

/* ---- relay_bundle.c ---- */

/* Answers what can be answered. */
void relay_bundle_serve(Relay *relay);
/* Begins what the waiting requests need; FALSE: nothing is to be begun. */
gboolean relay_bundle_fetch(Relay *relay);
gboolean relay_bundle_prefetch(Relay *relay);

/* ---- relay_run.c ---- */

void relay_run_init(Relay *relay);
void relay_run_clear(Relay *relay);
/* Makes of the range that is wanted next the one that is the cheapest to fetch. */
void relay_run_plan(Relay *relay, RelayRange *range);
/* Whether `offset` is the byte that a held run goes on with. */
gboolean relay_run_is_at(const Relay *relay, gint64 offset);
/* Bytes that may be read from the beginning of `range` on. */
gint64 relay_run_budget(const Relay *relay, const RelayRange *range);
/* What to ask the server for when a fetch begins with `range`; -1: to the end. */
gint64 relay_run_length(const Relay *relay, const RelayRange *range);
/* relay->fetch has begun with `range`, with relay_run_length(). */
void relay_run_begin(Relay *relay, const RelayRange *range, gint64 length);
/* The held run goes on with `range`, which begins where it is. */
void relay_run_go_on(Relay *relay, const RelayRange *range);
/* data() of the fetch, when the run is open. */
void relay_run_take(Relay *relay, const guint8 *bytes, gsize length);
/* Gives up the run if it is held. */
void relay_run_drop(Relay *relay);
/* The fetch has ended, or is about to. */
void relay_run_close(Relay *relay);

/* ---- relay_local.c ---- */

gboolean relay_local_open(Relay *relay, const char *path, GError **error);
void relay_local_close(Relay *relay);
void relay_local_serve(RelayJob *job, gboolean head);

/* ---- relay_store.c ---- */

gboolean relay_store_fetch(Relay *relay);
/* The connection of `job` is gone, or its chunk has been sent. */
void relay_store_ended(RelayJob *job);
void relay_store_clear(Relay *relay);
