/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One transfer that is kept, for servers without ranges (ftp, ftps, sftp): libcurl has to cut what
 * it does not read to the end, and with it go the login (12 round trips with FTP) and what is on
 * the way (0.6 MiB on a line of 100 ms).
 *
 *     the first contact   asks for the head of the file, which RAUC reads in some small steps
 *     near the end        all from where the verity tree begins: to the end is no cut, and RAUC comes back to the tree
 *     a row of reads      the run: to the end of the file, held when the window is full, going on with the next one
 *     any other jump      its bytes and no more
 */
#include "relay_internal.h"

#define HEAD_BYTES ((gint64)64 << 10)
/* A hash of 32 bytes for each block of 4096, and hashes of these, are 1/127 of the image; behind
 * them is the signature. */
#define TREE_SHARE      127
#define SIGNATURE_BYTES ((gint64)64 << 10)
/* RAUC reads a row in steps of that. */
#define ROW_BYTES ((gint64)128 << 10)
/* Reading over so many bytes costs less than a cut. */
#define GAP_MAX ((gint64)256 << 10)

void relay_run_init(Relay *relay)
{
    static const char *const schemes[] = {"ftp", "ftps", "sftp", NULL};
    const char *scheme = g_uri_peek_scheme(relay->source);

    relay->run.over = g_byte_array_new();
    relay->run.wanted = scheme != NULL && g_strv_contains(schemes, scheme);
}

void relay_run_clear(Relay *relay)
{
    relay_run_close(relay);
    g_byte_array_unref(relay->run.over);
}

/* ---- what to fetch ---- */

/* The tail of the file, when it is the first jump there. */
static void plan_tail(Relay *relay, RelayRange *range)
{
    gint64 size = relay->place.file.size;
    gint64 longest = relay_cache_longest(relay->cache) / 2;
    gint64 from = MAX(size - MIN(size / TREE_SHARE + SIGNATURE_BYTES, longest), 0);
    gint64 there;

    if (relay->run.tail_read || range->offset < from)
        return;
    relay->run.tail_read = TRUE;
    while ((there = relay_cache_next(relay->cache, from)) < range->offset)
        from = relay_cache_until(relay->cache, there);
    range->length = MIN(size, relay_cache_next(relay->cache, range->offset)) - from;
    range->offset = from;
}

void relay_run_plan(Relay *relay, RelayRange *range)
{
    const RelayRun *run = &relay->run;
    gint64 gap = range->offset - run->position;

    if (!run->wanted)
        return;
    if (relay->place.file.size < 0) {
        range->length = MIN(HEAD_BYTES, relay_cache_longest(relay->cache));
    } else if (run->open && gap >= 0 &&
               gap <= MIN(GAP_MAX, relay_cache_longest(relay->cache) / 2) &&
               relay_cache_next(relay->cache, run->position) >= range->offset) {
        /* What lies between may be read late, and is kept. */
        range->offset -= gap;
        range->length += gap;
    } else {
        plan_tail(relay, range);
    }
}

gboolean relay_run_is_at(const Relay *relay, gint64 offset)
{
    return relay->run.open && relay->run.position == offset;
}

gint64 relay_run_budget(const Relay *relay, const RelayRange *range)
{
    gint64 left = relay_budget_left(relay);
    gint64 paid = relay_run_is_at(relay, range->offset) ? (gint64)relay->run.over->len : 0;

    return left > G_MAXINT64 - paid ? left : left + paid;
}

gint64 relay_run_length(const Relay *relay, const RelayRange *range)
{
    gint64 to_the_end = relay->place.file.size - range->offset;

    if (!relay->run.wanted || to_the_end < 0)
        return range->length;
    if (range->length < to_the_end && relay_window_row(&relay->window, range->offset) < ROW_BYTES)
        return range->length;
    return relay_budget_left(relay) < to_the_end ? relay_budget_left(relay) : -1;
}

/* ---- the run itself ---- */

static void window_begins(Relay *relay, const RelayRange *range)
{
    relay->run.held = FALSE;
    relay->run.begin = range->offset;
    relay->run.end = relay_range_end(range);
    relay->run.requests = fetch_requests(relay->fetch);
    relay->first_byte_ms = clock_boottime_ms(relay->clock);
}

static gboolean is_full(const RelayRun *run)
{
    return run->position == run->end && run->end < run->last; /* else the fetch ends by itself */
}

/* Returns how many of the bytes belong to the window. */
static gsize fill(Relay *relay, const guint8 *bytes, gsize length)
{
    RelayRun *run = &relay->run;
    gsize used = MIN(length, (gsize)(run->end - run->position));

    relay_cache_add(relay->cache, bytes, used);
    run->position += (gint64)used;
    if (!is_full(run))
        return used;
    relay_cache_end(relay->cache);
    if (fetch_requests(relay->fetch) == run->requests)
        relay_window_measured(&relay->window, run->end - run->begin,
                              clock_boottime_ms(relay->clock) - relay->first_byte_ms);
    return used;
}

/* Outside of the fetch's callbacks, so that it may be given up for another one. */
static gboolean step(gpointer user_data)
{
    Relay *relay = user_data;
    RelayRun *run = &relay->run;

    run->step = 0;
    if (!is_full(run)) {
        g_byte_array_remove_range(run->over, 0,
                                  (guint)fill(relay, run->over->data, run->over->len));
        relay_bundle_serve(relay);
    }
    run->held = is_full(run);
    if (run->held)
        relay_pump(relay);
    else
        fetch_hold(relay->fetch, FALSE);
    return G_SOURCE_REMOVE;
}

static void step_soon(Relay *relay)
{
    relay->run.step = g_idle_add_full(G_PRIORITY_DEFAULT, step, relay, NULL);
}

void relay_run_take(Relay *relay, const guint8 *bytes, gsize length)
{
    gsize used = fill(relay, bytes, length);

    if (!is_full(&relay->run))
        return;
    g_byte_array_append(relay->run.over, bytes + used, (guint)(length - used));
    fetch_hold(relay->fetch, TRUE);
    step_soon(relay);
}

void relay_run_begin(Relay *relay, const RelayRange *range, gint64 length)
{
    if (length == range->length)
        return;
    relay->run.open = TRUE;
    relay->run.position = range->offset;
    relay->run.last = length < 0 ? relay->place.file.size : range->offset + length;
    window_begins(relay, range);
}

void relay_run_go_on(Relay *relay, const RelayRange *range)
{
    window_begins(relay, range);
    step_soon(relay);
}

/* ---- its end ---- */

void relay_run_drop(Relay *relay)
{
    if (!relay->run.held)
        return;
    relay_count(relay);
    fetch_cancel(g_steal_pointer(&relay->fetch));
    relay_run_close(relay);
}

void relay_run_close(Relay *relay)
{
    RelayRun *run = &relay->run;

    g_clear_handle_id(&run->step, g_source_remove);
    g_byte_array_set_size(run->over, 0);
    run->open = run->held = FALSE;
}
