/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command interpreter: names, usage, and one line at a time. */
#pragma once

#include <glib.h>

#include "commands.h"

/* Carries out one line (not `wait`, which only a script file has) and logs it. Empty lines and
 * those that begin with # do nothing. FALSE: it failed, as the log says. */
gboolean script_run(CommandContext *context, const char *line);

/* Logs a command that was carried out elsewhere; problem NULL: ok. */
void script_log(Log *log, const char *line, const char *problem);
