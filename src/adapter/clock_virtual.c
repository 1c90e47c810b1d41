/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A clock for tests: it stands still until it is told to move.
 */
#include "clock_internal.h"

/* The agent is started some time after the kernel; 0 would be a boottime that no agent ever
 * sees. */
#define START_MS 10000

typedef struct {
    Clock base;
    gint64 boottime_ms;
    gint64 wall_offset_ms;
    gboolean synchronised;
} VirtualClock;

static gint64 virtual_boottime_ms(const Clock *clock)
{
    return ((const VirtualClock *)clock)->boottime_ms;
}

static gint64 virtual_wall_ms(const Clock *clock)
{
    const VirtualClock *self = (const VirtualClock *)clock;

    return self->boottime_ms + self->wall_offset_ms;
}

static gboolean virtual_wall_synchronised(const Clock *clock)
{
    return ((const VirtualClock *)clock)->synchronised;
}

/* Nobody to wake: time passes in clock_virtual_advance() alone. */
static void virtual_wake_at(Clock *clock, gint64 boottime_ms)
{
    (void)clock;
    (void)boottime_ms;
}

static void virtual_release(Clock *clock)
{
    g_free(clock);
}

Clock *clock_new_virtual(gint64 wall_ms)
{
    static const ClockSource source = {
        virtual_boottime_ms, virtual_wall_ms, virtual_wall_synchronised,
        virtual_wake_at,     virtual_release, 1,
    };
    VirtualClock *self = g_new0(VirtualClock, 1);

    self->base.source = &source;
    self->boottime_ms = START_MS;
    self->wall_offset_ms = wall_ms - START_MS;
    return &self->base;
}

void clock_virtual_set_wall(Clock *clock, gint64 wall_ms, gboolean synchronised)
{
    VirtualClock *self = (VirtualClock *)clock;

    self->wall_offset_ms = wall_ms - self->boottime_ms;
    self->synchronised = synchronised;
}

void clock_virtual_advance(Clock *clock, gint64 ms)
{
    VirtualClock *self = (VirtualClock *)clock;
    gint64 end = self->boottime_ms + ms;

    /* each timer sees the moment for which it was set, and may set others before the end */
    while (clock_next_due(clock) <= end) {
        self->boottime_ms = MAX(self->boottime_ms, clock_next_due(clock));
        clock_fire_due(clock, self->boottime_ms);
    }
    self->boottime_ms = end;
}
