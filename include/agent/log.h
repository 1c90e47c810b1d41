/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log: stderr, one line an event; with syslog priorities (`<6>...`) when stderr is the
 * journal's (JOURNAL_STREAM), so that journald files each line rightly.  Everything logs through
 * GLib (g_message, g_warning, ...); this installs the writer.
 *
 *   g_critical  2  needs a person
 *   g_warning   4  went wrong, goes on
 *   g_message   5  a step of a job
 *   g_info      6  connections and the like
 *   g_debug     7  only with --verbose
 *
 * A line is at most LOG_MAX_LINE bytes; control characters are made visible, so that no outside
 * text can forge a line.
 */
#pragma once

#include <glib.h>

#define LOG_MAX_LINE 2048

/* Once.  `verbose` also shows g_debug.  A stderr that cannot be written to is ignored; the program
 * ignores SIGPIPE (commands_main()). */
void log_init(gboolean verbose);
