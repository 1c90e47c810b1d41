/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The CSMS's own clock: the system's, or one set by hand that runs on from there. */
#pragma once

#include <glib.h>

typedef struct {
    gint64 offset_us; /* this clock minus the monotonic clock */
} Clock;

/* Starts at the system's time. */
void clock_init(Clock *clock);
/* text: ISO 8601 with a zone, else FALSE with error. */
gboolean clock_set(Clock *clock, const char *text, GError **error);
/* Now plus so many seconds, as `2024-01-31T12:00:00.000Z`. Free with g_free(). */
char *clock_text(const Clock *clock, gint64 plus_seconds);
