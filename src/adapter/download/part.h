/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of one file of the spool: appended, hashed (SHA-256) and synced.
 *
 * What is in the file already is hashed in pieces from idle sources, and synced by a thread, so that
 * the loop goes on; part_append() writes at once.  Callbacks never come from within the call that asks
 * for them, and not after part_free().  Errors are TRANSFER_ERROR_LOCAL.
 * Only src/adapter/download includes this.
 */
#pragma once

#include <glib.h>

#define PART_HASH_PIECE (1 << 20) /* bytes that are read at once */

typedef struct _Part Part;

/* `error` NULL: all is well. */
typedef void (*PartDone)(const GError *error, gpointer user_data);

/* Takes the descriptor.  `path` is for messages; so much of `length` is known to be `synced`. */
Part *part_new(const char *path, int fd, gint64 length, gint64 synced);
void part_free(Part *part);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Part, part_free)

gint64 part_length(const Part *part);
/* So much is surely on the disk. */
gint64 part_synced(const Part *part);

/* Only the first `length` bytes stay; before part_hash(). */
gboolean part_cut(Part *part, gint64 length, GError **error);
/* Hashes what is there; before the first part_append(), which a part that is not empty has to wait for. */
void part_hash(Part *part, PartDone done, gpointer user_data);
gboolean part_append(Part *part, const guint8 *bytes, gsize length, GError **error);
/* Syncs what is there now.  Takes the place of a sync that is under way, whose callback does not come. */
void part_sync(Part *part, PartDone done, gpointer user_data);
gboolean part_is_syncing(const Part *part);
/* In hex, of all bytes; the last call but part_free().  Borrowed. */
const char *part_sha256(Part *part);
