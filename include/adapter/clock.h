/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time and timers for everything above: the one place that reads a clock, so that a test can put in
 * its own.
 *
 *   boottime   milliseconds of CLOCK_BOOTTIME: for elapsed times; runs on in suspend, starts anew
 *              at a boot
 *   wall       milliseconds since 1970 of the system clock: may be wrong, a charger may boot in 1970
 *   CSMS time  currentTime of the last BootNotification.conf or Heartbeat.conf plus the boottime
 *              since: dates are judged by it
 */
#pragma once

#include <glib.h>

typedef struct _Clock Clock;

Clock *clock_new(void);
void clock_free(Clock *clock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Clock, clock_free)

gint64 clock_boottime_ms(const Clock *clock);
gint64 clock_wall_ms(const Clock *clock);
/* Whether the kernel says that the system clock is synchronised (adjtimex). */
gboolean clock_wall_synchronised(const Clock *clock);

/* The CSMS told its time.  */
void clock_set_csms_time(Clock *clock, gint64 csms_ms);
/* CSMS time; FALSE while none was told in this boot (`*ret_ms` untouched). */
gboolean clock_csms_ms(const Clock *clock, gint64 *ret_ms);
/* For history and logs: CSMS time when known, else the wall clock's. */
gint64 clock_best_ms(const Clock *clock);

/* One-shot timers on the default main context.  `delay_ms` below 0 counts as 0. `timer` is a guint
 * owned by the caller that stays in its place while the timer runs; 0 = not running; setting a
 * running one moves it.  `fire` runs with `*timer` already 0, never early; after a delay of 10 s or
 * more it may come up to a second late, together with others.  Time spent in suspend counts.  The
 * clock must not be freed by `fire`. */
void clock_timer_set(Clock *clock, guint *timer, gint64 delay_ms, void (*fire)(gpointer),
                     gpointer user_data);
void clock_timer_clear(Clock *clock, guint *timer);

/* For tests: a clock that stands still until it is moved; unsynchronised, some seconds after a
 * boot.  Its timers fire, each at its own time, from within clock_virtual_advance() and nowhere
 * else, and may set others. */
Clock *clock_new_virtual(gint64 wall_ms);
void clock_virtual_advance(Clock *clock, gint64 ms);
void clock_virtual_set_wall(Clock *clock, gint64 wall_ms, gboolean synchronised);
