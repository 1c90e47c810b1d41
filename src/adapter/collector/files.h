/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Log files: found by glob, together with their rotated ancestors; opened only if they are plain
 * files on a real file system; read unpacked.
 */
#pragma once

#include "src/adapter/collector/internal.h"

#define FILES_MAX_ENTRIES 100000 /* names in folders that one glob looks at */

typedef enum { PACKED_NOT, PACKED_GZIP, PACKED_XZ, PACKED_ZSTD, PACKED_BZIP2, N_PACKINGS } Packing;

typedef struct {
    char *path;
    int fd;
    Packing packing;
    gint64 size; /* when it was opened: what it grows by is of the next archive */
    gint64 written_ms, born_ms;
    guint64 device, inode;
} LogFile;

/* --- find.c --- */

/* The paths that the glob matches, each once, without the endings of rotated and packed files, at
 * most `max`.  `*ret_flaw`: what to say of it in the MANIFEST, or NULL; static. */
GPtrArray *files_find(const Collector *collector, const char *glob, guint max,
                      const char **ret_flaw);
/* The base and its ancestors in its folder: names, oldest first, at most `max`, the newest of
 * them. */
GPtrArray *files_ancestors(const char *base, guint max);
Packing files_packing(const char *name);
/* Whether it is what `plain` becomes when it is packed. */
gboolean files_packed_of(const char *packed, const char *plain);

/* --- unpack.c --- */

/* NULL: not to be opened, with the reason. */
LogFile *log_file_open(const char *path, char **ret_flaw);
void log_file_free(LogFile *file);
/* Reads it from its beginning until the sink wants no more.  What is wrong with it, or NULL;
 * g_free(). */
char *log_file_read(const LogFile *file, const Collector *collector, Sink sink);
