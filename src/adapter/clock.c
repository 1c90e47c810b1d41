/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of a clock that do not depend on where the time comes from: CSMS time and the list of
 * timers.
 *
 * Timers are kept by CLOCK_BOOTTIME, not by GLib's monotonic clock: a deadline of an hour then is
 * an hour even if the charger slept in between, and no delay is too long for it.
 */
#include "clock_internal.h"

typedef struct {
    guint *id; /* the caller's */
    gint64 due_ms;
    guint64 sequence;
    void (*fire)(gpointer user_data);
    gpointer user_data;
} Timer;

void clock_free(Clock *clock)
{
    if (!clock)
        return;
    /* the owners of timers that still run may be gone: their ids are not touched */
    g_queue_clear_full(&clock->timers, g_free);
    clock->source->release(clock);
}

gint64 clock_boottime_ms(const Clock *clock)
{
    return clock->source->boottime_ms(clock);
}

gint64 clock_wall_ms(const Clock *clock)
{
    return clock->source->wall_ms(clock);
}

gboolean clock_wall_synchronised(const Clock *clock)
{
    return clock->source->wall_synchronised(clock);
}

void clock_set_csms_time(Clock *clock, gint64 csms_ms)
{
    clock->csms_offset_ms = csms_ms - clock_boottime_ms(clock);
    clock->csms_known = TRUE;
}

gboolean clock_csms_ms(const Clock *clock, gint64 *ret_ms)
{
    if (!clock->csms_known)
        return FALSE;
    *ret_ms = clock->csms_offset_ms + clock_boottime_ms(clock);
    return TRUE;
}

gint64 clock_best_ms(const Clock *clock)
{
    gint64 now;

    return clock_csms_ms(clock, &now) ? now : clock_wall_ms(clock);
}

gint64 clock_next_due(const Clock *clock)
{
    const Timer *timer = clock->timers.head ? clock->timers.head->data : NULL;

    return timer ? timer->due_ms : G_MAXINT64;
}

static void timers_changed(Clock *clock)
{
    clock->source->wake_at(clock, clock_next_due(clock));
}

/* Timers that are due together fire in the order in which they were set. */
static int compare(gconstpointer a, gconstpointer b, gpointer unused)
{
    const Timer *x = a, *y = b;

    (void)unused;
    if (x->due_ms != y->due_ms)
        return x->due_ms < y->due_ms ? -1 : 1;
    return x->sequence < y->sequence ? -1 : 1;
}

static gboolean forget(Clock *clock, const guint *id)
{
    for (GList *l = clock->timers.head; l; l = l->next) {
        Timer *timer = l->data;

        if (timer->id != id)
            continue;
        g_queue_delete_link(&clock->timers, l);
        g_free(timer);
        return TRUE;
    }
    return FALSE;
}

void clock_timer_set(Clock *clock, guint *timer, gint64 delay_ms, void (*fire)(gpointer),
                     gpointer user_data)
{
    Timer *new = g_new0(Timer, 1);
    gint64 grain = clock->source->long_grain_ms;

    forget(clock, timer);
    delay_ms = CLAMP(delay_ms, 0, CLOCK_MAX_DELAY_MS);
    new->id = timer;
    new->due_ms = clock_boottime_ms(clock) + delay_ms;
    if (delay_ms >= CLOCK_LONG_DELAY_MS)
        new->due_ms = (new->due_ms + grain - 1) / grain *grain;
    new->sequence = ++clock->sequence;
    new->fire = fire;
    new->user_data = user_data;
    g_queue_insert_sorted(&clock->timers, new, compare, NULL);
    *timer = 1;
    timers_changed(clock);
}

void clock_timer_clear(Clock *clock, guint *timer)
{
    if (*timer == 0)
        return;
    *timer = 0;
    if (forget(clock, timer))
        timers_changed(clock);
}

void clock_fire_due(Clock *clock, gint64 now_ms)
{
    /* one that is set again and again with no delay must not keep the main loop from its other
     * work */
    guint64 last = clock->sequence;

    while (clock_next_due(clock) <= now_ms) {
        g_autofree Timer *timer = NULL;
        const Timer *first = clock->timers.head->data;

        if (first->sequence > last)
            break;
        timer = g_queue_pop_head(&clock->timers);
        *timer->id = 0;
        timer->fire(timer->user_data);
    }
    timers_changed(clock);
}
