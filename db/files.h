/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Internal to db/: the store's files as files, without SQLite.  What lies beside `<path>`:
 *
 *     <path>-wal, <path>-shm    SQLite's own
 *     <path>.lock               locked by the agent that has the store open; always empty, never
 * removed <path>.v<N>               copy made before the schema went from N to a later version
 *     <path>.newer-v<N>         a newer agent's store, set aside (one at most)
 *     <path>.corrupt            a damaged store, set aside (one at most)
 *
 * None of these functions may be called for a file that SQLite has open in this process, where it
 * would be opened here: closing it would drop SQLite's locks.  Errors are STORE_ERROR_WRITE unless
 * said otherwise.
 */
#pragma once

#include <glib.h>

/* Makes the last folder of `path` when missing, and checks that the store's files are regular files
 * or absent. A FIFO, a device, a symbolic link, a folder are refused: opening them could hang or
 * write elsewhere. */
gboolean files_check(const char *path, GError **error);

/* `*ret_fd` holds the lock until it is closed.  STORE_ERROR_OPEN when another process has it. */
gboolean files_lock(const char *path, int *ret_fd, GError **error);

/* An empty file, mode 0600, when there is none.  (SQLite does not replay an older one's left-over
 * log into it.) */
gboolean files_create(const char *path, GError **error);

/* `path` and its companions become `aside`, which is replaced.  With `replacement` (may be NULL)
 * that file takes the place of `path` in one rename, so that a power cut leaves one of the two
 * there. */
gboolean files_set_aside(const char *path, const char *aside, const char *replacement,
                         GError **error);

/* Removes all files `<path>.newer-v*` but `keep`. */
void files_forget_newer(const char *path, const char *keep);

/* A finished copy `part` gets its name: fsync, rename, fsync of the folder. */
gboolean files_publish(const char *part, const char *path, GError **error);

gboolean files_is_regular(const char *path);
