/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The boot that we are in, and asking for the next one.
 */
#pragma once

#include <glib.h>

#define BOOT_ID_FILE           "/proc/sys/kernel/random/boot_id"
#define BOOT_COMMAND_TIMEOUT_S 60

/* The id of this boot, stripped of white space; NULL with `error` when the file cannot be read or
 * is empty. */
char *boot_id_read(const char *file, GError **error);

/* Runs the reboot (or RAUC restart) command, a command line split by shell rules but run without a
 * shell.  Returns at once; what it printed and how it ended is logged.  FALSE with `error` when it
 * cannot be started.  A command that still runs after BOOT_COMMAND_TIMEOUT_S is killed. */
gboolean command_run(const char *command_line, GError **error);
