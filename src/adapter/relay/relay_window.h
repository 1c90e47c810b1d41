/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How far to read ahead: looks at what RAUC reads and says which range to fetch next.  No I/O, no
 * clock.
 *
 * RAUC reads in streams: the image in 128 KiB steps, and beside it the verity tree; a stream that
 * goes on is worth reading ahead of, the further the longer it has gone on.  A read that jumps gets
 * its bytes and no more.  What was read ahead in vain makes it careful: an adaptive update, which
 * jumps after some sequential beginning, must not cost more than it needs.
 */
#pragma once

#include "relay_cache.h"

#define RELAY_STREAMS 4
/* One fetch takes about so long at most, at the rate of the last ones. */
#define RELAY_WINDOW_S 10

typedef struct {
    gint64 next; /* the byte that goes on */
    gint64 run;  /* bytes read in a row; 0: no stream */
    gint64
        ahead; /* where the bytes end that were fetched ahead of it; those behind `next` are unread */
    gint64 hole;  /* bytes jumped over that count as lost until they are read after all */
    guint64 used; /* turn of the last read */
} RelayStream;

typedef struct {
    RelayStream streams[RELAY_STREAMS];
    guint64 turn;
    gint64 max;      /* bytes of one fetch */
    gint64 read;     /* by RAUC */
    gint64 lost;     /* read ahead of a stream that jumped away */
    gint64 rate;     /* bytes a second; 0: not known */
    gint64 run;      /* the longest one */
    gint64 position; /* where it is */
} RelayWindow;

void relay_window_init(RelayWindow *window, gint64 max);
/* RAUC asks for `range`: once for each request, before the next range is chosen. */
void relay_window_read(RelayWindow *window, const RelayCache *cache, const RelayRange *range);
/* `range` is about to be fetched: after relay_window_read() of what it is for. */
void relay_window_fetched(RelayWindow *window, const RelayCache *cache, const RelayRange *range);
/* A fetch of so many bytes took so long, from its first to its last; few bytes do not count. */
void relay_window_measured(RelayWindow *window, gint64 bytes, gint64 ms);

/* Bytes of the row of reads that `offset` belongs to; 0: none. */
gint64 relay_window_row(const RelayWindow *window, gint64 offset);

/* What to fetch for the requests that wait, the oldest first (`count` > 0, all told to
 * relay_window_read()): the bytes that the oldest one is short of, those of others that adjoin, and
 * ahead.  Never a byte that is there, nor one behind `size`.  FALSE: all of them are there. */
gboolean relay_window_demand(const RelayWindow *window, const RelayCache *cache,
                             const RelayRange *waiting, guint count, gint64 size,
                             RelayRange *ret_range);
/* What to fetch while nobody waits, so that the round trip is over before somebody does.
 * `*ret_keep`: what of the stream is there already and must not make room for it.  FALSE:
 * nothing. */
gboolean relay_window_prefetch(const RelayWindow *window, const RelayCache *cache, gint64 size,
                               RelayRange *ret_range, RelayRange *ret_keep);
