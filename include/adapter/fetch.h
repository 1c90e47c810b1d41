/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a part of a remote file over broken links: a transfer that breaks off is taken up again at
 * the byte where it broke, with back-off, until the outage has lasted for `hold_ms`.  What cannot
 * get better ends at once.  While nothing is known of the file yet (its first contact) every
 * failure ends it: a server that is not there is not an outage.  A few bytes do not end an outage:
 * see FETCH_PROGRESS_BYTES.
 */
#pragma once

#include <glib.h>

#include "adapter/clock.h"
#include "adapter/transfer.h"

#define FETCH_BACKOFF_FIRST_MS 500
/* Less than that since the last break, and the next one is still the same outage: a server that
 * drips does not keep a fetch alive for ever. */
#define FETCH_PROGRESS_BYTES 4096
#define FETCH_BACKOFF_MAX_MS 10000

typedef struct {
    const char *url;
    gint64 offset;
    gint64 length; /* -1: to the end */
    TransferFile
        *file;      /* in and out, owned by the caller and kept until the end: what is known of the
                           file (size -1: first contact) */
    gint64 hold_ms; /* 0: no outage is borne */
    gboolean sure;  /* not taken up again where nothing would show that the file was exchanged
                           (transfer_file_has_validator()): ends with the error of the break */
} FetchRequest;

/* As in transfer.h; `begins` comes once, with the first right answer. */
typedef TransferEvents FetchEvents;

typedef struct _Fetch Fetch;

Fetch *fetch_begin(Transfers *transfers, Clock *clock, const FetchRequest *request,
                   const FetchEvents *events, gpointer user_data);
void fetch_cancel(Fetch *fetch);
/* How many bytes came, also twice; how many requests were made. */
gint64 fetch_received(const Fetch *fetch);
guint fetch_requests(const Fetch *fetch);
/* While an outage is waited out: why, in words; else NULL.  Borrowed. */
const char *fetch_trouble(const Fetch *fetch);
/* As transfer_hold(); only from within data() is it TRUE.  A held fetch does not end because its
 * connection is lost, and none of that time counts as an outage: when it goes on, the rest is asked
 * for anew. */
void fetch_hold(Fetch *fetch, gboolean held);
