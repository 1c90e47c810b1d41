/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When may the charger reboot?  A wish waits for leave (`reboot-permission=required`), for
 * inhibitors (ours and systemd's block inhibitors on shutdown) up to `reboot-wait-limit`, and for
 * the outbox up to `report-wait`.  With an identity of its own the agent sees no transactions: the
 * permission and the inhibitors are the means to protect one.
 */
#pragma once

#include <glib.h>

#include "adapter/clock.h"

#define REBOOT_INHIBITOR_POLL_MS 10000 /* logind is asked again while it holds us back */
#define REBOOT_FRESH_MS          100   /* after the question logind's answer still counts */
#define REBOOT_RETAKE_MS         3000  /* for holders to come back after a restart of the agent */

typedef struct {
    gboolean permission_required;
    gint64 wait_limit_ms;  /* 0: inhibitors hold the reboot back without limit */
    gint64 report_wait_ms; /* the outbox holds it back at most so long */
} RebootConfig;

typedef struct _Reboot Reboot;

/* `allowed` is called once per reboot_ask(), from the main loop, when nothing holds the reboot back
 * any more. */
Reboot *reboot_new(const RebootConfig *config, Clock *clock, void (*allowed)(gpointer),
                   gpointer user_data);
void reboot_free(Reboot *reboot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Reboot, reboot_free)

/* The agent was restarted while a job was under way: whoever held the reboot back takes his
 * inhibitor again, and no reboot comes for REBOOT_RETAKE_MS. */
void reboot_await_holders(Reboot *reboot);

/* `permitted`: no permission is needed for this one. */
void reboot_ask(Reboot *reboot, gboolean permitted);
/* A reboot_ask() is near, if one comes at all: logind is asked now, so that it need not be waited
 * for then. */
void reboot_ask_ahead(Reboot *reboot);
void reboot_withdraw(Reboot *reboot);
gboolean reboot_is_asked(const Reboot *reboot);

void reboot_permit(Reboot *reboot); /* allow-reboot; counts for the wish that is there */
void reboot_set_inhibitors(Reboot *reboot, const char *who); /* NULL: nobody */
void reboot_set_outbox(Reboot *reboot, guint rows);

/* What the wish waits for, in words, or NULL; g_free(). */
char *reboot_waits_for(const Reboot *reboot);
