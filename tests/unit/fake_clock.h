/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A Clock for tests in which time stands still until fake_clock_advance().  It takes the place of src/adapter/clock.c: the
 * linker does not look into the library for what is defined here.
 */
#pragma once

#include <glib.h>

#include "adapter/clock.h"

typedef struct {
    guint *timer;
    gint64 due_ms;
    void (*fire)(gpointer);
    gpointer user_data;
} FakeTimer;

struct _Clock {
    gint64 now_ms;
    GArray *timers; /* of FakeTimer */
    guint last_id;
};

Clock *clock_new(void)
{
    Clock *clock = g_new0(Clock, 1);
    clock->now_ms = 1000000;
    clock->timers = g_array_new(FALSE, FALSE, sizeof(FakeTimer));
    return clock;
}

gint64 clock_boottime_ms(const Clock *clock)
{
    return clock->now_ms;
}

void clock_timer_clear(Clock *clock, guint *timer)
{
    for (guint i = 0; i < clock->timers->len; i++) {
        if (g_array_index(clock->timers, FakeTimer, i).timer == timer) {
            g_array_remove_index(clock->timers, i);
            break;
        }
    }
    *timer = 0;
}

static inline int fake_clock_first(const Clock *clock)
{
    int first = -1;
    for (guint i = 0; i < clock->timers->len; i++) {
        const FakeTimer *timer = &g_array_index(clock->timers, FakeTimer, i);
        if (first < 0 || timer->due_ms < g_array_index(clock->timers, FakeTimer, first).due_ms) {
            first = (int)i;
        }
    }
    return first;
}

/* Milliseconds until the next timer fires; -1: there is none. */
static inline gint64 fake_clock_next_ms(const Clock *clock)
{
    int first = fake_clock_first(clock);
    return first < 0 ? -1 : g_array_index(clock->timers, FakeTimer, first).due_ms - clock->now_ms;
}

static inline void fake_clock_advance(Clock *clock, gint64 ms)
{
    clock->now_ms += ms;
    int first = 0;
    while ((first = fake_clock_first(clock)) >= 0) {
        FakeTimer timer = g_array_index(clock->timers, FakeTimer, first);
        if (timer.due_ms > clock->now_ms) {
            break;
        }
        clock_timer_clear(clock, timer.timer);
        timer.fire(timer.user_data);
    }
}

static inline gboolean fake_clock_idle(gpointer clock)
{
    fake_clock_advance(clock, 0);
    return G_SOURCE_REMOVE;
}

void clock_timer_set(Clock *clock, guint *timer, gint64 delay_ms, void (*fire)(gpointer),
                     gpointer user_data)
{
    FakeTimer new_timer = {timer, clock->now_ms + MAX(delay_ms, 0), fire, user_data};
    clock_timer_clear(clock, timer);
    *timer = ++clock->last_id;
    g_array_append_val(clock->timers, new_timer);
    if (delay_ms <= 0) {
        g_idle_add(fake_clock_idle, clock);
    }
}

void clock_free(Clock *clock)
{
    if (clock == NULL) {
        return;
    }
    while (g_idle_remove_by_data(clock)) {
    }
    g_array_free(clock->timers, TRUE);
    g_free(clock);
}
