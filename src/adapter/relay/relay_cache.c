/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A sorted array of pieces: there are a few dozen, and a thousand (4 MiB of RELAY_PIECE_MIN) at
 * most by default. */
#include "relay_cache.h"

#include <string.h>

typedef struct {
    gint64 offset;
    gsize room;   /* bytes of `bytes` once they are needed */
    gsize filled; /* of them there */
    gsize read;   /* bytes that RAUC got, counted again when it got them again */
    guint pins;
    guint64 used; /* turn of the last use */
    guint8 *bytes;
} Piece;

struct _RelayCache {
    GPtrArray *pieces; /* by offset */
    gsize bound;
    gsize piece_bytes;
    gsize cost; /* of all pieces */
    guint64 turn;
    gint64 filling; /* where the next byte goes; -1: nothing is being filled */
    gint64 filling_end;
};

static gsize cost_of(gsize room)
{
    return (room + RELAY_PIECE_MIN - 1) / RELAY_PIECE_MIN * RELAY_PIECE_MIN;
}

static Piece *piece_at(const RelayCache *cache, guint index)
{
    return g_ptr_array_index(cache->pieces, index);
}

static gint64 room_end(const Piece *piece)
{
    return piece->offset + (gint64)piece->room;
}

static gint64 filled_end(const Piece *piece)
{
    return piece->offset + (gint64)piece->filled;
}

static void piece_free(gpointer data)
{
    Piece *piece = data;

    g_free(piece->bytes);
    g_free(piece);
}

RelayCache *relay_cache_new(gsize bound)
{
    RelayCache *cache = g_new0(RelayCache, 1);

    cache->bound = MAX(bound, RELAY_CACHE_MIN) / RELAY_PIECE_MIN * RELAY_PIECE_MIN;
    /* With pieces of an eighth at most, half of the bound and the pieces at both its ends fit side
     * by side. */
    cache->piece_bytes =
        MIN(RELAY_PIECE_BYTES, cache->bound / 8 / RELAY_PIECE_MIN * RELAY_PIECE_MIN);
    cache->pieces = g_ptr_array_new_with_free_func(piece_free);
    cache->filling = -1;
    return cache;
}

void relay_cache_free(RelayCache *cache)
{
    if (cache == NULL)
        return;
    g_ptr_array_unref(cache->pieces);
    g_free(cache);
}

gsize relay_cache_used(const RelayCache *cache)
{
    return cache->cost;
}

gint64 relay_cache_longest(const RelayCache *cache)
{
    return (gint64)(cache->bound / 2);
}

/* The index of the first piece that ends after `offset`. */
static guint first_after(const RelayCache *cache, gint64 offset)
{
    guint low = 0;
    guint high = cache->pieces->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (room_end(piece_at(cache, middle)) > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

gint64 relay_cache_until(const RelayCache *cache, gint64 offset)
{
    for (guint i = first_after(cache, offset); i < cache->pieces->len; i++) {
        const Piece *piece = piece_at(cache, i);

        if (piece->offset > offset || filled_end(piece) <= offset)
            break;
        offset = filled_end(piece);
        if (piece->filled < piece->room)
            break;
    }
    return offset;
}

gint64 relay_cache_next(const RelayCache *cache, gint64 offset)
{
    for (guint i = first_after(cache, offset); i < cache->pieces->len; i++) {
        const Piece *piece = piece_at(cache, i);

        if (piece->filled > 0 && filled_end(piece) > offset)
            return MAX(piece->offset, offset);
    }
    return G_MAXINT64;
}

static gboolean may_go(const Piece *piece, const RelayRange *keep)
{
    return piece->pins == 0 && (keep == NULL || room_end(piece) <= keep->offset ||
                                piece->offset >= relay_range_end(keep));
}

static gboolean is_read(const Piece *piece)
{
    return piece->read >= piece->filled;
}

/* Whether `a` should go before `b`. */
static gboolean goes_before(const Piece *a, const Piece *b)
{
    if (is_read(a) != is_read(b))
        return is_read(a);
    return a->used < b->used;
}

static void drop(RelayCache *cache, guint index)
{
    cache->cost -= cost_of(piece_at(cache, index)->room);
    g_ptr_array_remove_index(cache->pieces, index);
}

gboolean relay_cache_is_pinned(const RelayCache *cache)
{
    for (guint i = 0; i < cache->pieces->len; i++) {
        if (piece_at(cache, i)->pins > 0)
            return TRUE;
    }
    return FALSE;
}

void relay_cache_clear(RelayCache *cache)
{
    for (guint i = cache->pieces->len; i > 0; i--) {
        if (may_go(piece_at(cache, i - 1), NULL))
            drop(cache, i - 1);
    }
}

static gboolean make_room(RelayCache *cache, gsize cost, const RelayRange *keep)
{
    gsize free_able = cache->bound - cache->cost;

    for (guint i = 0; i < cache->pieces->len; i++) {
        if (may_go(piece_at(cache, i), keep))
            free_able += cost_of(piece_at(cache, i)->room);
    }
    if (free_able < cost)
        return FALSE;
    while (cache->bound - cache->cost < cost) {
        guint worst = cache->pieces->len;

        for (guint i = 0; i < cache->pieces->len; i++) {
            if (may_go(piece_at(cache, i), keep) &&
                (worst == cache->pieces->len ||
                 goes_before(piece_at(cache, i), piece_at(cache, worst))))
                worst = i;
        }
        drop(cache, worst);
    }
    return TRUE;
}

gboolean relay_cache_begin(RelayCache *cache, const RelayRange *range, const RelayRange *keep)
{
    gsize whole = (gsize)range->length / cache->piece_bytes;
    gsize rest = (gsize)range->length % cache->piece_bytes;

    g_return_val_if_fail(cache->filling < 0 && range->length > 0, FALSE);
    if ((gsize)range->length > cache->bound ||
        !make_room(cache, whole * cost_of(cache->piece_bytes) + cost_of(rest), keep))
        return FALSE;
    guint index = first_after(cache, range->offset);
    for (gint64 at = range->offset; at < relay_range_end(range);) {
        Piece *piece = g_new0(Piece, 1);

        piece->offset = at;
        piece->room = MIN(cache->piece_bytes, (gsize)(relay_range_end(range) - at));
        piece->used = ++cache->turn;
        cache->cost += cost_of(piece->room);
        g_ptr_array_insert(cache->pieces, (gint)index++, piece);
        at = room_end(piece);
    }
    cache->filling = range->offset;
    cache->filling_end = relay_range_end(range);
    return TRUE;
}

gboolean relay_cache_add(RelayCache *cache, const guint8 *bytes, gsize length)
{
    if (cache->filling < 0 || length > (gsize)(cache->filling_end - cache->filling))
        return FALSE;
    for (guint i = first_after(cache, cache->filling); length > 0; i++) {
        Piece *piece = piece_at(cache, i);
        gsize part = MIN(length, piece->room - piece->filled);

        if (piece->bytes == NULL)
            piece->bytes = g_malloc(piece->room);
        memcpy(piece->bytes + piece->filled, bytes, part);
        piece->filled += part;
        cache->filling += (gint64)part;
        bytes += part;
        length -= part;
    }
    return TRUE;
}

void relay_cache_end(RelayCache *cache)
{
    if (cache->filling < 0)
        return;
    for (guint i = first_after(cache, cache->filling);
         i < cache->pieces->len && piece_at(cache, i)->offset < cache->filling_end;) {
        Piece *piece = piece_at(cache, i);

        if (piece->filled == 0) {
            drop(cache, i);
            continue;
        }
        cache->cost -= cost_of(piece->room) - cost_of(piece->filled);
        piece->bytes = g_realloc(piece->bytes, piece->filled);
        piece->room = piece->filled;
        i++;
    }
    cache->filling = -1;
}

void relay_cache_pin(RelayCache *cache, const RelayRange *range)
{
    for (guint i = first_after(cache, range->offset);
         i < cache->pieces->len && piece_at(cache, i)->offset < relay_range_end(range); i++) {
        piece_at(cache, i)->pins++;
        piece_at(cache, i)->used = ++cache->turn;
    }
}

void relay_cache_unpin(RelayCache *cache, const RelayRange *range, gboolean read)
{
    for (guint i = first_after(cache, range->offset);
         i < cache->pieces->len && piece_at(cache, i)->offset < relay_range_end(range); i++) {
        Piece *piece = piece_at(cache, i);

        piece->pins--;
        if (read)
            piece->read += (gsize)(MIN(filled_end(piece), relay_range_end(range)) -
                                   MAX(piece->offset, range->offset));
    }
}

const guint8 *relay_cache_peek(const RelayCache *cache, gint64 offset, gsize *length)
{
    guint index = first_after(cache, offset);
    const Piece *piece = index < cache->pieces->len ? piece_at(cache, index) : NULL;

    if (piece == NULL || piece->offset > offset || filled_end(piece) <= offset)
        return NULL;
    *length = MIN(*length, (gsize)(filled_end(piece) - offset));
    return piece->bytes + (offset - piece->offset);
}
