/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What RAUC asks the relay for: the path and the Range header of a request, checked.  Pure
 * functions.
 */
#pragma once

#include <glib.h>

typedef struct {
    gint64 offset;
    gint64 length;
} RelayRange;

static inline gint64 relay_range_end(const RelayRange *range)
{
    return range->offset + range->length;
}

/* A Range header as written: `first` -1 means the last `last` bytes, `last` -1 means to the end. */
typedef struct {
    gint64 first;
    gint64 last;
} RelayAsked;

/* One range of bytes only.  FALSE: anything else. */
gboolean relay_range_parse(const char *header, RelayAsked *ret_asked);
/* As RFC 9110 14.1.2 says; FALSE: there are no such bytes (416). */
gboolean relay_range_resolve(const RelayAsked *asked, gint64 size, RelayRange *ret_range);

typedef enum {
    RELAY_TARGET_NONE,
    RELAY_TARGET_BUNDLE, /* /SECRET/bundle.raucb */
    RELAY_TARGET_STORE,  /* /SECRET/bundle.castr/<4 hex>/<64 hex>.cacnk */
} RelayTarget;

/* How long it takes does not depend on how much of the secret is right.  `*ret_chunk` (STORE only):
 * what follows bundle.castr/, in `path`. */
RelayTarget relay_target(const char *path, const char *secret, const char **ret_chunk);

/* The URL of a chunk in the store beside the bundle at `url`: .raucb becomes .castr, a query stays;
 * to be freed.  NULL: the URL does not end in .raucb, so that it has no store. */
char *relay_store_url(const char *url, const char *chunk);
