/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What lies under a Clock: the kernel's time or a test's.  Only src/adapter/clock*.c includes it,
 * and tests/year, which goes from timer to timer.
 */
#pragma once

#include "adapter/clock.h"

typedef struct {
    gint64 (*boottime_ms)(const Clock *clock);
    gint64 (*wall_ms)(const Clock *clock);
    gboolean (*wall_synchronised)(const Clock *clock);
    /* The earliest timer is due then; G_MAXINT64: there is none.  clock_fire_due() has to be
     * called. */
    void (*wake_at)(Clock *clock, gint64 boottime_ms);
    void (*release)(Clock *clock);
    /* Delays of CLOCK_LONG_DELAY_MS and more end on a multiple of this many milliseconds, so that
     * long timers wake the processor together; 1: they end when they said. */
    gint64 long_grain_ms;
} ClockSource;

#define CLOCK_LONG_DELAY_MS 10000
#define CLOCK_MAX_DELAY_MS  (G_GINT64_CONSTANT(100) * 366 * 86400 * 1000)

/* The first member of each kind of clock. */
struct _Clock {
    const ClockSource *source;
    GQueue timers;    /* Timer*, the earliest first */
    guint64 sequence; /* of the timer set last */
    gboolean csms_known;
    gint64 csms_offset_ms; /* CSMS time minus boottime */
};

/* When the earliest timer is due; G_MAXINT64: there is none. */
gint64 clock_next_due(const Clock *clock);
/* Fires what is due at `now_ms` and was set before this call. */
void clock_fire_due(Clock *clock, gint64 now_ms);
