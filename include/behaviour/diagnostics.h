/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GetDiagnostics (C 5.9): has an archive collected by a child process, uploads it with retries, and
 * queues the statuses for the CSMS.  One report is under way; a newer request waits behind it, one
 * deep, and takes the place of one that waits.  One that waits for its next attempt is ended by a
 * newer request: who corrects a location does not want to wait for the wrong one.
 *
 * A report survives restarts and reboots: what was interrupted is done again, five times without
 * being charged as an attempt.  An upload goes on where an earlier attempt at it broke off, if the
 * server can.
 */
#pragma once

#include <glib.h>

#include "adapter/clock.h"
#include "adapter/transfer.h"
#include "adapter/upload.h"
#include "db/reports.h"
#include "db/store.h"

#define DIAGNOSTICS_MAX_INTERRUPTIONS 5         /* that are not charged */
#define DIAGNOSTICS_SUFFIX            ".tar.gz" /* of an archive */
#define DIAGNOSTICS_NOTE_SUFFIX       ".report"

typedef struct {
    const char *identity; /* of the charge point: the archive is named after it */
    const char *boot_id;
    const char *spool_directory;
    guint default_retries, default_retry_interval_s;
    UploadMethod method;
} DiagnosticsConfig;

/* From the main loop; they must not call back into Diagnostics before they return. */
typedef struct {
    /* The state changed. */
    void (*changed)(gpointer user_data);
    /* Something was put into the outbox. */
    void (*outbox)(gpointer user_data);
    /* The command line that collects the window `[from_ms, to_ms]` (of the system clock; G_MININT64
     * and G_MAXINT64: open) into the file `path`, as a NULL-terminated list; g_strfreev().  NULL
     * with `error`: it cannot be had.  It may leave a file `path` + DIAGNOSTICS_NOTE_SUFFIX for the
     * child, which is removed at the child's end. */
    char **(*collect)(const char *path, gint64 from_ms, gint64 to_ms, gpointer user_data,
                      GError **error);
} DiagnosticsEvents;

typedef struct {
    const char *location;
    gint64 start_ms, stop_ms; /* CSMS time; G_MININT64, G_MAXINT64: absent */
    gint64 retries;           /* -1: the default */
    gint64 retry_interval_s;  /* -1: the default */
} DiagnosticsRequest;

typedef struct _Diagnostics Diagnostics;

/* `config` and its strings are copied, the rest is borrowed.  `transfers` is not the firmware's. */
Diagnostics *diagnostics_new(const DiagnosticsConfig *config, Store *store, Transfers *transfers,
                             Clock *clock, const DiagnosticsEvents *events, gpointer user_data);
void diagnostics_free(Diagnostics *diagnostics);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Diagnostics, diagnostics_free)

/* Loads what the store holds and begins. */
void diagnostics_start(Diagnostics *diagnostics);

/* TRUE once it is in the store, or is a repeat of the one that is under way or waits.
 * `*ret_file_name` (g_free()): what will lie at the location; NULL: the window is empty, nothing
 * will be uploaded. */
gboolean diagnostics_request(Diagnostics *diagnostics, const DiagnosticsRequest *request,
                             char **ret_file_name, GError **error);

/* The answer to TriggerMessage DiagnosticsStatusNotification: "Uploading" or "Idle".  Static. */
const char *diagnostics_triggered_status(const Diagnostics *diagnostics);

/* "CP001_20261122T102030Z.tar.gz", from what of `identity` may stand in a name; g_free(). */
char *diagnostics_file_name(const char *identity, gint64 now_ms);

/* For people: the one under way or the last ended one; borrowed, NULL: none. */
const Report *diagnostics_report(const Diagnostics *diagnostics);
/* Bytes of the upload that is under way; -1: none is. */
gint64 diagnostics_sent(const Diagnostics *diagnostics);
