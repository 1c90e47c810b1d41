/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bundle: requests are answered from the buffer, once all of their bytes are in it. */
#include "relay_internal.h"

/* The first contact asks for as much as RAUC does first. */
#define PROBE_BYTES 4
/* After so much of a fetch RAUC's requests have their turn. */
#define TURN_BYTES (32 << 10)

/* ---- answering ---- */

static const guint8 *body(gint64 offset, gsize *length, gpointer body_data)
{
    const RelayJob *job = body_data;

    return relay_cache_peek(job->relay->cache, offset, length);
}

/* FALSE: it was answered. */
static gboolean resolve(RelayJob *job)
{
    Relay *relay = job->relay;
    gint64 size = relay->place.file.size;

    if (!job->ranged) {
        /* Only HEAD comes here without a range: it has no body. */
        RelayAnswer answer = {.status = 200, .size = size, .length = size};

        relay_answer(job, &answer);
        return FALSE;
    }
    /* RAUC's server reads 1.25 MiB at once at most, and usually 128 KiB.  What is longer than half
     * of the buffer could be answered neither as a whole nor in part: a short answer is the end of
     * RAUC's server. */
    if (!relay_range_resolve(&job->asked, size, &job->range) ||
        job->range.length > relay_cache_longest(relay->cache)) {
        relay_answer_status(job, 416, size);
        return FALSE;
    }
    job->resolved = TRUE;
    relay_window_read(&relay->window, relay->cache, &job->range);
    return TRUE;
}

static void answer_if_whole(RelayJob *job)
{
    Relay *relay = job->relay;
    RelayAnswer answer = {
        .status = 206,
        .size = relay->place.file.size,
        .offset = job->range.offset,
        .length = job->range.length,
        .body = body,
        .body_data = job,
    };

    if (relay_cache_until(relay->cache, job->range.offset) < relay_range_end(&job->range))
        return;
    relay_cache_pin(relay->cache, &job->range);
    job->pinned = TRUE;
    relay_answer(job, &answer);
}

void relay_bundle_serve(Relay *relay)
{
    if (relay->place.file.size < 0)
        return;
    for (GList *at = relay->waiting.head; at != NULL;) {
        RelayJob *job = at->data;

        at = at->next; /* an answer takes the job out of the queue */
        if (job->chunk == NULL && (job->resolved || resolve(job)))
            answer_if_whole(job);
    }
}

/* ---- fetching ---- */

static void on_begins(G_GNUC_UNUSED const TransferFile *file, gpointer user_data)
{
    Relay *relay = user_data;

    relay->first_byte_ms = clock_boottime_ms(relay->clock);
}

static gboolean go_on(gpointer user_data)
{
    Relay *relay = user_data;

    relay->turn = 0;
    fetch_hold(relay->fetch, FALSE);
    return G_SOURCE_REMOVE;
}

/* libcurl reads for as long as a fast server sends: what RAUC asks meanwhile comes first. */
static void give_way(Relay *relay, gsize length)
{
    relay->turn_bytes += (gint64)length;
    if (relay->turn_bytes < TURN_BYTES || relay->turn != 0)
        return;
    relay->turn_bytes = 0;
    if (!relay_http_is_asked(relay->http))
        return;
    /* before the hold: another transfer that waits for its turn takes it from one that is still
     * held then */
    relay->turn = g_idle_add_full(G_PRIORITY_DEFAULT, go_on, relay, NULL);
    fetch_hold(relay->fetch, TRUE);
}

static gboolean on_data(const guint8 *bytes, gsize length, GError **error, gpointer user_data)
{
    Relay *relay = user_data;

    relay_count(relay);
    if (relay->run.open) {
        relay_run_take(relay, bytes, length);
    } else if (!relay_cache_add(relay->cache, bytes, length)) {
        g_set_error_literal(error, TRANSFER_ERROR, TRANSFER_ERROR_PROTOCOL,
                            "the server sends more than it was asked for");
        return FALSE;
    }
    relay_bundle_serve(relay);
    /* A run is held by its window, and must not go on before there is another one. */
    if (!relay->run.open)
        give_way(relay, length);
    return TRUE;
}

static void judge(Relay *relay, const GError *error)
{
    gboolean known = relay->place.file.size >= 0;

    if (error == NULL && !known) {
        g_autoptr(GError) no_size =
            g_error_new_literal(TRANSFER_ERROR, TRANSFER_ERROR_RANGES,
                                "the server does not tell how long the bundle is");

        relay_give_up(relay, no_size);
    } else if (error != NULL && (!known || !transfer_error_is_transient(error))) {
        relay_give_up(relay, error);
    } else if (error != NULL && relay_is_late(relay)) {
        g_autoptr(GError) late = relay_late_error(relay, error->code, error->message);

        relay_give_up(relay, late);
    } else if (error != NULL) {
        /* Reading ahead waited for a server while RAUC did not, or not for that long. */
        relay->tired = TRUE;
    }
}

static void on_done(const GError *error, guint retry_after_s, gpointer user_data)
{
    Relay *relay = user_data;

    relay->retry_after_s = retry_after_s;
    relay_count(relay);
    if (error == NULL && fetch_requests(relay->fetch) == 1 && !relay->run.open)
        relay_window_measured(&relay->window, fetch_received(relay->fetch),
                              clock_boottime_ms(relay->clock) - relay->first_byte_ms);
    relay_end_fetch(relay);
    judge(relay, error);
    relay_pump(relay);
}

static void begin(Relay *relay, const RelayRange *range)
{
    static const FetchEvents events = {on_begins, on_data, on_done};
    FetchRequest request = {
        .url = relay->source,
        .offset = range->offset,
        .length = relay_run_length(relay, range),
        .file = &relay->place.file,
        .hold_ms = relay->hold_ms,
    };

    relay->first_byte_ms = clock_boottime_ms(relay->clock);
    relay_window_fetched(&relay->window, relay->cache, range);
    if (relay_run_is_at(relay, range->offset)) {
        relay_run_go_on(relay, range);
        return;
    }
    relay_begin_fetch(relay, &request, &events);
    relay_run_begin(relay, range, request.length);
}

/* Makes room, with less read ahead or at the cost of everything else.  FALSE: what is being sent is
 * in the way. */
static gboolean make_room(Relay *relay, const RelayRange *wanted, RelayRange *range)
{
    if (relay_cache_begin(relay->cache, range, wanted))
        return TRUE;
    range->length = MIN(range->length, relay_range_end(wanted) - range->offset);
    if (relay_cache_begin(relay->cache, range, wanted))
        return TRUE;
    if (relay_cache_is_pinned(relay->cache))
        return FALSE;
    relay_cache_clear(relay->cache);
    range->offset = wanted->offset;
    range->length = MIN(wanted->length, relay_budget_left(relay));
    return relay_cache_begin(relay->cache, range, NULL);
}

/* Returns how many jobs of the bundle wait; the first is the one to be fetched for. */
static guint collect(Relay *relay, RelayRange *wanted)
{
    guint count = 0;

    for (GList *at = relay->waiting.head; at != NULL && count < RELAY_MAX_CONNECTIONS;
         at = at->next) {
        const RelayJob *job = at->data;

        if (job->chunk == NULL)
            wanted[count++] = job->range;
    }
    return count;
}

gboolean relay_bundle_fetch(Relay *relay)
{
    RelayRange wanted[RELAY_MAX_CONNECTIONS];
    RelayRange range = {0, PROBE_BYTES};
    guint count = collect(relay, wanted);
    gboolean known = relay->place.file.size >= 0;
    gint64 left;

    if (count == 0 || (known && !relay_window_demand(&relay->window, relay->cache, wanted, count,
                                                     relay->place.file.size, &range)))
        return FALSE;
    relay_run_plan(relay, &range);
    left = relay_run_budget(relay, &range);
    if (left == 0) {
        g_autoptr(GError) error = relay_budget_error(relay);

        relay_give_up(relay, error);
        return TRUE;
    }
    range.length = MIN(range.length, left);
    if (!make_room(relay, known ? &wanted[0] : &range, &range))
        return TRUE; /* the end of an answer comes back here */
    begin(relay, &range);
    return TRUE;
}

gboolean relay_bundle_prefetch(Relay *relay)
{
    RelayRange range;
    RelayRange keep;

    if (relay->place.file.size < 0 || relay->local_fd >= 0 ||
        !relay_window_prefetch(&relay->window, relay->cache, relay->place.file.size, &range, &keep))
        return FALSE;
    relay_run_plan(relay, &range);
    if (relay->run.open && !relay_run_is_at(relay, range.offset))
        return FALSE; /* it is not given up for what nobody waits for */
    range.length = MIN(range.length, relay_run_budget(relay, &range));
    if (range.length == 0 || !relay_cache_begin(relay->cache, &range, &keep))
        return FALSE;
    begin(relay, &range);
    return TRUE;
}
