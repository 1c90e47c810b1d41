/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SIGTERM, SIGINT and SIGHUP while the collector runs: held back until it has cleaned up, and then
 * delivered.  Signals that were ignored stay so.  No handler, so nothing of this is global.
 */
#pragma once

#include <glib.h>
#include <signal.h>

typedef struct {
    sigset_t before; /* the mask that children get, and that comes back */
    sigset_t held;
    struct sigaction child_before;
    int stop_fd;  /* readable when one is waiting */
    int child_fd; /* readable when a child has ended; stops_drain() */
} Stops;

void stops_begin(Stops *stops);
/* Delivers what was held back: it may not return. */
void stops_end(Stops *stops);
gboolean stops_waiting(const Stops *stops);
void stops_drain(const Stops *stops);
