/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is this boot healthy?  The checks of the setting `health`, all of which must pass:
 *
 *   csms     the CSMS has answered BootNotification with Accepted or Pending
 *   command  every executable of `health-directory` exits with 0
 *   stack    somebody has called Confirm (control interface)
 */
#pragma once

#include <glib.h>

#include "adapter/clock.h"

#define HEALTH_INTERVAL_MS       10000  /* between two rounds of the commands */
#define HEALTH_SLOW_INTERVAL_MS  300000 /* after `quick_ms` */
#define HEALTH_COMMAND_TIMEOUT_S 60     /* one command */
#define HEALTH_MAX_COMMANDS      64

typedef struct {
    gboolean csms, command, stack;
    const char *directory;
    gint64 quick_ms; /* rounds come every HEALTH_INTERVAL_MS for so long (health-timeout) */
} HealthConfig;

typedef struct _HealthChecks HealthChecks;

/* `config` is copied; `clock` is borrowed.  `passed` is called once, from the main loop, when all
 * checks have passed after health_checks_begin(). */
HealthChecks *health_checks_new(const HealthConfig *config, Clock *clock, void (*passed)(gpointer),
                                gpointer user_data);
void health_checks_free(HealthChecks *health);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HealthChecks, health_checks_free)

void health_checks_begin(HealthChecks *health);
void health_checks_end(HealthChecks *health);

void health_checks_csms(HealthChecks *health);  /* registration is Accepted or Pending */
void health_checks_stack(HealthChecks *health); /* Confirm was called */

/* What has not passed yet, in words, or NULL; g_free(). */
char *health_checks_missing(const HealthChecks *health);
