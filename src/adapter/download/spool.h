/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The spool's files.  Of a job there are
 *   job-N.part    what was fetched so far
 *   job-N.info    what is known of the remote file; stays beside the whole bundle
 *   job-N.raucb   the whole bundle
 * all with mode 0600 in a folder that nobody but root and we can write to; symbolic links are followed
 * nowhere.  A file that is not as we make them (kind, owner, mode, hard links) counts as absent.
 *
 * All errors are TRANSFER_ERROR_LOCAL.  Only src/adapter/download includes this.
 */
#pragma once

#include <glib.h>

#include "adapter/transfer.h"

#define SPOOL_MAX_INFO_BYTES 4096
#define SPOOL_MAX_ETAG_BYTES 1024 /* a longer one is not kept */

typedef struct {
    char *url_sha256;
    TransferFile file;
    gint64 synced; /* so much of the partial file survives a power cut */
    char *boot_id; /* when this was written; may be NULL */
} SpoolInfo;

#define SPOOL_INFO_NONE ((SpoolInfo){NULL, TRANSFER_FILE_UNKNOWN, 0, NULL})
void spool_info_clear(SpoolInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SpoolInfo, spool_info_clear)

typedef struct _Spool Spool;

/* Makes the folder when it is not there (its parent has to be). */
Spool *spool_open(const char *directory, gint64 job, GError **error);
void spool_free(Spool *spool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Spool, spool_free)

const char *spool_directory(const Spool *spool);
/* Where the whole bundle is, or will be; and the partial file. */
const char *spool_whole_path(const Spool *spool);
const char *spool_part_path(const Spool *spool);
/* Bytes that may still be written; -1: not known. */
gint64 spool_free_bytes(const Spool *spool);

/* `info` is SPOOL_INFO_NONE before.  FALSE: there is none, or none that makes sense. */
gboolean spool_load_info(const Spool *spool, SpoolInfo *info);
/* At once or not at all, also in a power cut; of two states in succession a power cut may bring
 * back the older one. */
gboolean spool_save_info(const Spool *spool, const SpoolInfo *info, GError **error);

/* For reading and writing; made when it is not there.  -1 with `error`. */
int spool_open_part(const Spool *spool, gint64 *ret_length, GError **error);
/* For reading; -1: there is none. */
int spool_open_whole(const Spool *spool, gint64 *ret_length);
/* The partial file, which is synced and no longer open, becomes the whole bundle. */
gboolean spool_publish(const Spool *spool, GError **error);
/* Removes all files of the job: for good when it returns, so that the information about one remote
 * file never meets the bytes of another. */
gboolean spool_discard(const Spool *spool, GError **error);
