/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the diagnostics behaviour share.
 *
 *   diagnostics.c   requests, what people are shown, life
 *   steps.c         row and statuses of a step, in one transaction
 *   work.c          what is done in each state
 *   target.c        names and URLs, pure
 */
#pragma once

#include "adapter/command.h"
#include "behaviour/diagnostics.h"

#define DIAGNOSTICS_PREFIX         "diagnostics-" /* of the archives in the spool */
#define DIAGNOSTICS_MAX_IDENTITY   64             /* characters of it in a name */
#define DIAGNOSTICS_MAX_NAME       255            /* characters of fileName */
#define DIAGNOSTICS_MAX_INTERVAL_S 86400

/* The URL of the file, where `location` is a folder, or the file itself when it ends in
 * DIAGNOSTICS_SUFFIX; g_free().  `*ret_name` (g_free()): how the file is called there.  NULL with
 * `*ret_reason` (g_free()): the location cannot be used; then it is called `name`. */
char *diagnostics_url(const char *location, const char *name, char **ret_name, char **ret_reason);

struct _Diagnostics {
    DiagnosticsConfig config; /* with strings of its own */
    Store *store;
    Transfers *transfers;
    Clock *clock;
    DiagnosticsEvents events;
    gpointer user_data;

    gboolean started;
    Report *report;  /* under way, or NULL */
    Report *waiting; /* or NULL */
    Report *last;    /* the newest ended one, or NULL */
    Report *untaken; /* the next row of `report`, which the store has not taken yet; NULL: none */

    Command *collector;  /* NULL: none runs */
    Upload *upload;      /* NULL: none runs */
    guint timer;         /* a retry that is due then, or a store that said no */
    gboolean told_store; /* the log knows that the store says no */
};

/* steps.c */
char *diagnostics_archive_path(const Diagnostics *diagnostics); /* in the spool; g_free() */
void diagnostics_remove_note(
    const Diagnostics *diagnostics); /* what the collecting child got, and maybe never read */
/* `next`, a copy of the report with what has changed, is taken over.  A store that says no is asked
 * again later. */
void diagnostics_step(Diagnostics *diagnostics, Report *next, ReportState state);
gboolean diagnostics_take_step(Diagnostics *diagnostics); /* again; FALSE: still not */
void diagnostics_fail(Diagnostics *diagnostics, const char *why, guint retry_after_s,
                      gboolean begun);
void diagnostics_set_reason(Report *report, const char *reason);
void diagnostics_take_waiting(Diagnostics *diagnostics); /* when none is under way */
/* One line in the log for a store that says no, however often it is asked. */
void diagnostics_tell_store(Diagnostics *diagnostics, const char *what, const GError *error);

/* work.c: does what the state wants, until something is under way. */
void diagnostics_advance(Diagnostics *diagnostics);
gboolean diagnostics_have_archive(const Diagnostics *diagnostics);
