/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files behind agent/commands.h share: the options, and how they speak to the user.
 * The table of sub-commands is in src/agent/commands.c.
 */
#pragma once

#include <glib.h>

#include "agent/commands.h"

typedef struct {
    char *config; /* settings file */
    gboolean verbose;
    gboolean json;    /* status, history */
    int limit;        /* history: 1..CONTROL_MAX_HISTORY */
    char *who, *why;  /* inhibit: NULL when not given */
    char *from, *to;  /* diagnostics: dates; NULL when not given */
    char *report;     /* diagnostics: what the agent has left for its child */
    char **arguments; /* behind the options; NULL-terminated, maybe empty */
} CommandOptions;

/* Each returns the exit code. */
int commands_run(const CommandOptions *options);
int commands_check_config(const CommandOptions *options);
int commands_status(const CommandOptions *options);
int commands_history(const CommandOptions *options);
int commands_install(const CommandOptions *options);
int commands_diagnostics(const CommandOptions *options);
int commands_cancel(const CommandOptions *options);
int commands_confirm(const CommandOptions *options);
int commands_allow_reboot(const CommandOptions *options);
int commands_inhibit(const CommandOptions *options);

/* Writes `text` to stdout.  EXIT_DONE, or EXIT_FAILED when it cannot be written (a closed pipe is
 * not worth a message). */
int commands_print(const char *text);
/* One line on stderr, its text made visible; EXIT_FAILED. */
int commands_fail(const GError *error);
/* One line on stderr with a hint at --help; EXIT_USAGE. */
int commands_usage(const char *format, ...) G_GNUC_PRINTF(1, 2);
