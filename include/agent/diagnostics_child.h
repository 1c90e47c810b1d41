/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way into the process that collects diagnostics: its command line, and the note with what the
 * agent knows, a file that holds a{ss} (name in the archive -> text).
 */
#pragma once

#include <glib.h>

typedef struct {
    const char *config; /* settings file */
    const char *note;
    const char *from, *to; /* dates; NULL: open */
    const char *output;    /* the archive */
} DiagnosticsChild;

/* NULL-terminated, this very program also when an update has replaced its file meanwhile;
 * g_strfreev(). */
char **diagnostics_child_command(const DiagnosticsChild *child);

/* Sinks `texts`. */
gboolean diagnostics_child_leave_note(const char *path, GVariant *texts, GError **error);
/* The note's texts, or one with the reason why there are none; the file is removed.
 * g_variant_unref(). */
GVariant *diagnostics_child_take_note(const char *path);
/* Floating: a text with the reason why there are no others. */
GVariant *diagnostics_child_no_texts(const char *why);
