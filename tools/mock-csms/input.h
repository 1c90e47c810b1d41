/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where commands come from: standard input, a line at a time as they come, and a script file, in
 * order, with `wait` in between. The two do not wait for each other.
 *
 * `wait WHAT [FIELD=VALUE...] [timeout SECONDS]` looks at everything that came since the last wait
 * was fulfilled: requests (`wait Heartbeat`), answers (`wait Reset.conf status=Accepted`, `wait
 * Reset.error`), `connected`, `disconnected`. A script ends at its first failing line.
 */
#pragma once

#include <glib.h>

#include "csms.h"

/* The longest line, and the longest script file. */
#define LINE_MAX_BYTES   2097152
#define SCRIPT_MAX_BYTES 16777216

typedef struct Input Input;

/* finished: `quit`, or standard input has ended and the script, too. */
Input *input_new(Csms *csms, const char *script, void (*finished)(gpointer user), gpointer user,
                 GError **error);
void input_free(Input *input);

/* Begins with the script and with standard input as soon as the main loop runs. */
void input_start(Input *input);

/* A line of the script failed. */
gboolean input_script_failed(const Input *input);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Input, input_free)
