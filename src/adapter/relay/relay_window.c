/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The numbers: of all that RAUC has read a sixth may lie ahead unread, less six times what was
 * lost.  An adaptive update of 3 MB that reads half a megabyte of hash index in a row and then
 * jumps has lost less than 3 % by then, and reads nothing ahead until it has read six times as
 * much; a full update never loses anything and is at the largest window after some 16 MB.
 */
#include "relay_window.h"

#include <string.h>

/* Reads on several connections overtake each other by this much. */
#define DISORDER_MAX (512 << 10)
/* A stream of which nothing was read in so many reads has ended. */
#define STALE_READS 32
#define READ_SHARE  6
#define LOST_WEIGHT 6
/* Less is not worth a longer answer. */
#define AHEAD_MIN 4096
/* How long a few bytes take tells nothing. */
#define MEASURE_MIN (32 << 10)

void relay_window_init(RelayWindow *window, gint64 max)
{
    memset(window, 0, sizeof(*window));
    window->max = max;
}

static gint64 ahead_of(const RelayStream *stream, const RelayCache *cache)
{
    return stream->run > 0 ? relay_cache_until(cache, stream->next) - stream->next : 0;
}

/* What lies behind `next` because another stream read it, e.g. the verity tree's blocks, was not
 * read ahead. */
static gint64 unread_of(const RelayStream *stream, const RelayCache *cache)
{
    gint64 end = MIN(stream->next + ahead_of(stream, cache), stream->ahead);

    return MAX(end - stream->next, 0);
}

/* The stream that the read belongs to; NULL: none. */
static RelayStream *find_stream(RelayWindow *window, const RelayRange *range)
{
    RelayStream *best = NULL;

    for (guint i = 0; i < RELAY_STREAMS; i++) {
        RelayStream *stream = &window->streams[i];
        gint64 distance = ABS(range->offset - stream->next);

        if (stream->run == 0 || distance > MIN(stream->run, DISORDER_MAX))
            continue;
        if (best == NULL || distance < ABS(range->offset - best->next))
            best = stream;
    }
    return best;
}

static RelayStream *new_stream(RelayWindow *window, const RelayCache *cache, gint64 offset)
{
    RelayStream *oldest = &window->streams[0];

    for (guint i = 1; i < RELAY_STREAMS; i++) {
        if (window->streams[i].used < oldest->used)
            oldest = &window->streams[i];
    }
    window->lost += unread_of(oldest, cache);
    *oldest = (RelayStream){.next = offset};
    return oldest;
}

/* What is jumped over counts as lost if it is there, until it is read late. */
static void jump_over(RelayWindow *window, RelayStream *stream, const RelayCache *cache,
                      gint64 offset)
{
    gint64 lost = MIN(relay_cache_until(cache, stream->next), offset) - stream->next;

    stream->hole += lost;
    window->lost += lost;
}

static void fill_hole(RelayWindow *window, RelayStream *stream, gint64 length)
{
    gint64 found = MIN(stream->hole, length);

    stream->hole -= found;
    window->lost = MAX(window->lost - found, 0);
}

void relay_window_read(RelayWindow *window, const RelayCache *cache, const RelayRange *range)
{
    RelayStream *stream = find_stream(window, range);

    if (stream == NULL)
        stream = new_stream(window, cache, range->offset);
    stream->used = ++window->turn;
    window->read += range->length;
    if (range->offset > stream->next)
        jump_over(window, stream, cache, range->offset);
    else
        fill_hole(window, stream, MIN(stream->next, relay_range_end(range)) - range->offset);
    if (relay_range_end(range) <= stream->next)
        return;
    stream->run += relay_range_end(range) - MAX(stream->next, range->offset);
    stream->next = relay_range_end(range);
    if (stream->run >= window->run) {
        window->run = stream->run;
        window->position = stream->next;
    }
}

void relay_window_fetched(RelayWindow *window, const RelayCache *cache, const RelayRange *range)
{
    RelayStream *nearest = NULL;

    for (guint i = 0; i < RELAY_STREAMS; i++) {
        RelayStream *stream = &window->streams[i];

        if (stream->run > 0 && stream->next < relay_range_end(range) &&
            relay_cache_until(cache, stream->next) >= range->offset &&
            (nearest == NULL || stream->next > nearest->next))
            nearest = stream;
    }
    if (nearest != NULL)
        nearest->ahead = relay_range_end(range);
}

void relay_window_measured(RelayWindow *window, gint64 bytes, gint64 ms)
{
    gint64 rate = bytes * 1000 / MAX(ms, 1);

    if (bytes < MEASURE_MIN)
        return;
    window->rate = MAX(window->rate == 0 ? rate : (3 * window->rate + rate) / 4, 1);
}

/* Bytes of one fetch. */
static gint64 longest(const RelayWindow *window)
{
    return window->rate > 0 && window->rate < window->max / RELAY_WINDOW_S
               ? window->rate * RELAY_WINDOW_S
               : window->max;
}

/* How many bytes ahead of `stream` may be there unread; what of the reads is `pending` has not been
 * fetched yet. */
static gint64 allowed(const RelayWindow *window, const RelayCache *cache, const RelayStream *stream,
                      gint64 pending)
{
    gint64 ahead = 0;
    gint64 lost = window->lost;

    for (guint i = 0; i < RELAY_STREAMS; i++) {
        const RelayStream *other = &window->streams[i];

        if (other->used + STALE_READS < window->turn)
            lost += unread_of(other, cache);
        else if (other != stream)
            ahead += unread_of(other, cache);
    }
    gint64 credit = (window->read - pending) / READ_SHARE - ahead - LOST_WEIGHT * lost;
    return CLAMP(credit, 0, MIN(stream->run / 2, longest(window)));
}

static const RelayStream *stream_at(const RelayWindow *window, gint64 offset)
{
    for (guint i = 0; i < RELAY_STREAMS; i++) {
        if (window->streams[i].run > 0 && window->streams[i].next == offset)
            return &window->streams[i];
    }
    return NULL;
}

gint64 relay_window_row(const RelayWindow *window, gint64 offset)
{
    gint64 row = 0;

    for (guint i = 0; i < RELAY_STREAMS; i++) {
        const RelayStream *stream = &window->streams[i];

        if (offset >= stream->next - stream->run && offset <= stream->next)
            row = MAX(row, stream->run);
    }
    return row;
}

/* `[offset, end)` less what lies behind the end of the file or is there already. */
static gboolean cut(const RelayCache *cache, gint64 size, gint64 offset, gint64 end,
                    RelayRange *ret_range)
{
    end = MIN(MIN(end, size), relay_cache_next(cache, offset));
    if (end <= offset)
        return FALSE;
    *ret_range = (RelayRange){offset, end - offset};
    return TRUE;
}

/* The end of the requests that go on from one another. */
static gint64 adjoining_end(const RelayRange *waiting, guint count, gint64 end)
{
    for (guint pass = 0; pass < count; pass++) {
        for (guint i = 0; i < count; i++) {
            if (waiting[i].offset <= end)
                end = MAX(end, relay_range_end(&waiting[i]));
        }
    }
    return end;
}

gboolean relay_window_demand(const RelayWindow *window, const RelayCache *cache,
                             const RelayRange *waiting, guint count, gint64 size,
                             RelayRange *ret_range)
{
    gint64 pending = 0;

    for (guint i = 0; i < count; i++)
        pending += waiting[i].length;
    for (guint i = 0; i < count; i++) {
        gint64 offset = relay_cache_until(cache, waiting[i].offset);

        if (offset >= relay_range_end(&waiting[i]))
            continue;
        gint64 end = adjoining_end(waiting + i, count - i, relay_range_end(&waiting[i]));
        const RelayStream *stream = stream_at(window, end);
        if (stream != NULL) {
            gint64 ahead = allowed(window, cache, stream, pending);

            end += ahead >= AHEAD_MIN ? ahead : 0;
        }
        /* The request itself may be longer than a window: it is what is waited for. */
        end = MIN(end, MAX(relay_range_end(&waiting[i]), offset + longest(window)));
        return cut(cache, size, offset, end, ret_range);
    }
    return FALSE;
}

gboolean relay_window_prefetch(const RelayWindow *window, const RelayCache *cache, gint64 size,
                               RelayRange *ret_range, RelayRange *ret_keep)
{
    const RelayStream *stream = NULL;

    for (guint i = 0; i < RELAY_STREAMS; i++) {
        const RelayStream *other = &window->streams[i];

        if (other->used + STALE_READS >= window->turn && other->run > 0 &&
            (stream == NULL || other->run > stream->run))
            stream = other;
    }
    if (stream == NULL)
        return FALSE;
    gint64 there = ahead_of(stream, cache);
    gint64 more = allowed(window, cache, stream, 0) - there;
    /* Half of what was read ahead is used up; and never many small requests in place of a large
     * one. */
    if (there > longest(window) / 2 || more < longest(window) / 2)
        return FALSE;
    *ret_keep = (RelayRange){stream->next, there};
    return cut(cache, size, stream->next + there, stream->next + there + more, ret_range);
}
