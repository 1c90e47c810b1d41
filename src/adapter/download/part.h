/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of one file of the spool: appended, and meanwhile hashed (SHA-256) and synced by
 * threads.
 *
 * part_append() writes at once.  Callbacks never come from within the call that asks for them, and
 * not after part_free().  Errors are TRANSFER_ERROR_LOCAL.  Only src/adapter/download includes
 * this.
 */
#pragma once

#include <glib.h>

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

/* Only the first `length` bytes stay; before the first part_append(). */
gboolean part_cut(Part *part, gint64 length, GError **error);
gboolean part_append(Part *part, const guint8 *bytes, gsize length, GError **error);
/* Syncs what is there now.  Takes the place of a sync that is under way, whose callback does not
 * come. */
void part_sync(Part *part, PartDone done, gpointer user_data);
gboolean part_is_syncing(const Part *part);
/* Nothing more comes: syncs and hashes all of it. */
void part_finish(Part *part, PartDone done, gpointer user_data);
/* In hex, of all bytes, after a good end.  Borrowed. */
const char *part_sha256(const Part *part);
