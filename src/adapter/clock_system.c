/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's clocks, and one timerfd for all timers.  Long timers end on whole seconds, so that
 * those of one process come in one wake-up.
 */
#include <errno.h>
#include <glib-unix.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "clock_internal.h"

/* The kernel's estimate of its clock's error grows to this when nobody synchronises it (timex.h:
 * NTP_PHASE_LIMIT). */
#define MAX_ERROR_US 16000000

typedef struct {
    Clock base;
    int fd;
    GSource *watch;
} SystemClock;

static gint64 read_clock_ms(clockid_t id)
{
    struct timespec now = {0};

    clock_gettime(id, &now);
    return (gint64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static gint64 system_boottime_ms(const Clock *clock)
{
    (void)clock;
    return read_clock_ms(CLOCK_BOOTTIME);
}

static gint64 system_wall_ms(const Clock *clock)
{
    (void)clock;
    return read_clock_ms(CLOCK_REALTIME);
}

/* STA_UNSYNC is of no use here: some services set it although they keep the time, to keep the
 * kernel from writing the RTC. */
static gboolean system_wall_synchronised(const Clock *clock)
{
    struct timex state = {0};

    (void)clock;
    return adjtimex(&state) >= 0 && state.maxerror < MAX_ERROR_US;
}

static void system_wake_at(Clock *clock, gint64 boottime_ms)
{
    const SystemClock *self = (const SystemClock *)clock;
    struct itimerspec when = {0}; /* disarms */

    if (boottime_ms != G_MAXINT64) {
        when.it_value.tv_sec = (time_t)(boottime_ms / 1000);
        when.it_value.tv_nsec = (long)(boottime_ms % 1000 * 1000000);
    }
    timerfd_settime(self->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void system_release(Clock *clock)
{
    SystemClock *self = (SystemClock *)clock;

    g_source_destroy(self->watch);
    g_source_unref(self->watch);
    close(self->fd);
    g_free(self);
}

static gboolean on_expired(int fd, GIOCondition condition, gpointer data)
{
    guint64 expirations;

    (void)condition;
    /* nothing to read: the timer was moved since */
    if (read(fd, &expirations, sizeof expirations) < 0)
        return G_SOURCE_CONTINUE;
    clock_fire_due(data, system_boottime_ms(data));
    return G_SOURCE_CONTINUE;
}

Clock *clock_new(void)
{
    static const ClockSource source = {
        system_boottime_ms, system_wall_ms, system_wall_synchronised,
        system_wake_at,     system_release, 1000,
    };
    SystemClock *self = g_new0(SystemClock, 1);

    self->base.source = &source;
    self->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (self->fd < 0)
        g_error("cannot make a timer: %s", g_strerror(errno));
    self->watch = g_unix_fd_source_new(self->fd, G_IO_IN);
    /* the kind of function that a GUnixFDSource calls is not GSourceFunc's */
    g_source_set_callback(self->watch, G_SOURCE_FUNC(on_expired), self, NULL);
    g_source_attach(self->watch, NULL);
    return &self->base;
}
