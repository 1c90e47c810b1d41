/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Child processes: started without a shell, bounded in time and in what is read of their output,
 * never waited for in the main loop.
 */
#pragma once

#include <glib.h>

#define COMMAND_MAX_OUTPUT 2048 /* bytes of stdout and stderr together that are kept */

typedef struct _Command Command;

/* `ok`: exited with 0.  `words`: how it ended, with the end of its output; valid during the call.
 * The Command is gone after this. */
typedef void (*CommandDone)(gboolean ok, const char *words, gpointer user_data);

/* NULL with `error` when it cannot be started.  After `timeout_s` it is killed with all of its
 * process group. */
Command *command_start(const char *const *argv, guint timeout_s, CommandDone done,
                       gpointer user_data, GError **error);
/* The same for a command line, split by the rules of a shell. */
Command *command_start_line(const char *line, guint timeout_s, CommandDone done, gpointer user_data,
                            GError **error);
/* Kills it; `done` is not called. */
void command_cancel(Command *command);
