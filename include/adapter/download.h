/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Own download: a whole bundle into the spool, resumed over lost links, restarts of the agent and
 * reboots; never two different files in one.
 *
 * In the spool (mode 0700) a job has `job-N.part` while it is fetched, `job-N.info` (what is known
 * of the remote file, how much of the partial file is surely on the disk, a digest of the URL), and
 * `job-N.raucb` once it is whole and synced: root's, mode 0600, as RAUC demands.  A spool that is a
 * symbolic link, or that another user owns or may write to, is refused.
 */
#pragma once

#include <glib.h>

#include "adapter/clock.h"
#include "adapter/transfer.h"

#define DOWNLOAD_SYNC_BYTES  (G_GINT64_CONSTANT(8) << 20) /* about what a power cut may take back */
#define DOWNLOAD_SPARE_BYTES (G_GINT64_CONSTANT(4) << 20) /* that stay free on the file system */

typedef struct {
    const char *directory; /* the spool; made when it is not there */
    gint64 job;
    const char *url;
    gint64 hold_ms;
    gint64 timeout_ms;   /* of the whole run; 0: without limit */
    gint64 budget;       /* bytes that may still be fetched; -1: without limit */
    const char *boot_id; /* in another boot only what was synced is believed */
} DownloadRequest;

typedef struct {
    /* Bytes on the disk and of the whole (-1: not known); at most every 200 ms. */
    void (*progress)(gint64 bytes, gint64 size, gpointer user_data);
    /* Once.  `error` NULL: `path` is the whole bundle (borrowed), `sha256` its digest in hex.  Else
     * in the domain TRANSFER_ERROR, the partial file stays where a later try can use it. */
    void (*done)(const char *path, const char *sha256, const GError *error, guint retry_after_s,
                 gpointer user_data);
} DownloadEvents;

typedef struct _Download Download;

/* Always calls done() later, unless freed before.  A bundle that is whole already is found. */
Download *download_begin(Transfers *transfers, Clock *clock, const DownloadRequest *request,
                         const DownloadEvents *events, gpointer user_data);
/* At any time but from within progress(). */
void download_free(Download *download);
/* How much of the file is there, and its size (-1: not known). */
void download_position(const Download *download, gint64 *ret_bytes, gint64 *ret_size);
/* Bytes that came over the network in this run. */
gint64 download_received(const Download *download);
/* The outage that is waited out, in words; NULL: none. */
const char *download_trouble(const Download *download);

/* Removes the files of all jobs but `keep` (0: of all).  Files that are not ours stay. */
void download_clean(const char *directory, gint64 keep);
/* Where the whole bundle of a job lies; g_free(). */
char *download_path(const char *directory, gint64 job);
