/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of the bundle that the relay holds: pieces of the file, never overlapping, in a bounded
 * amount of memory.
 *
 * One range at a time is being filled (begin, add, end); its room is made before its first byte
 * comes, by throwing out what RAUC has read already, the longest unused first, and then what it has
 * not.  Pieces that are being sent are pinned and stay.
 */
#pragma once

#include "relay_range.h"

/* A range is kept in pieces of this many bytes (less in a small buffer), each of which comes and
 * goes as one. */
#define RELAY_PIECE_BYTES (256 << 10)
/* What a piece costs at least, so that many small ones are bounded too. */
#define RELAY_PIECE_MIN 4096

typedef struct _RelayCache RelayCache;

/* `bound`: bytes, RELAY_CACHE_MIN at least (less is taken as that). */
#define RELAY_CACHE_MIN (256 << 10)
RelayCache *relay_cache_new(gsize bound);
void relay_cache_free(RelayCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RelayCache, relay_cache_free)

/* What pieces cost now, also those that are still to be filled; never above the bound. */
gsize relay_cache_used(const RelayCache *cache);
/* The longest range that always finds room when nothing is pinned: half of the bound. */
gint64 relay_cache_longest(const RelayCache *cache);

/* Whether something is pinned; throws out what is not. */
gboolean relay_cache_is_pinned(const RelayCache *cache);
void relay_cache_clear(RelayCache *cache);

/* Where the bytes end that are there from `offset` on without a gap; `offset` itself: the byte is
 * not there. */
gint64 relay_cache_until(const RelayCache *cache, gint64 offset);
/* The first byte at or after `offset` that is there; G_MAXINT64: none. */
gint64 relay_cache_next(const RelayCache *cache, gint64 offset);

/* Makes room for `range`, of which no byte may be there, without touching `keep` (NULL: nothing is
 * kept).  FALSE: there is not enough that could be thrown out, and nothing was. */
gboolean relay_cache_begin(RelayCache *cache, const RelayRange *range, const RelayRange *keep);
/* The next bytes of the range.  FALSE: more than was begun. */
gboolean relay_cache_add(RelayCache *cache, const guint8 *bytes, gsize length);
/* Gives up the room of what did not come.  Harmless when nothing was begun. */
void relay_cache_end(RelayCache *cache);

/* Keeps the bytes of `range`, which are all there, until unpinned. */
void relay_cache_pin(RelayCache *cache, const RelayRange *range);
/* `read`: RAUC got them, so that they go first. */
void relay_cache_unpin(RelayCache *cache, const RelayRange *range, gboolean read);
/* The bytes from `offset` on that lie together, at most `*length`, which becomes how many they are;
 * valid until the next call that changes the cache.  NULL: not there. */
const guint8 *relay_cache_peek(const RelayCache *cache, gint64 offset, gsize *length);
