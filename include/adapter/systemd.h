/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What systemd offers to a service, without its library: readiness, status line and watchdog over
 * NOTIFY_SOCKET, and the block inhibitors on shutdown that logind knows of.  Without systemd all of
 * it does nothing.
 */
#pragma once

#include <gio/gio.h>

/* One datagram, e.g. "READY=1" or "STATUS=...".  Errors are of no interest to a service. */
void systemd_notify(const char *state);
/* Half of WATCHDOG_USEC in milliseconds when it is set for this process, else 0. */
gint64 systemd_watchdog_interval_ms(void);

/* Asks logind whether somebody blocks shutdown.  `done` gets the names, or NULL for nobody (also
 * without logind); it is not called once `cancellable` is cancelled. */
void systemd_query_shutdown_inhibitors(GCancellable *cancellable,
                                       void (*done)(const char *who, gpointer user_data),
                                       gpointer user_data);
