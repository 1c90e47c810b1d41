/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into the agent: its system clock begins at CLOCK_START (seconds since 1970) at each
 * start of the process, and counts as synchronised if CLOCK_SYNCHRONISED is set.  Only
 * CLOCK_REALTIME is changed; faketime(1) breaks absolute timers of the other clocks.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

#define UNKNOWN_ERROR_US 16000000

static int real_clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    void *symbol = real ? NULL : dlsym(RTLD_NEXT, "clock_gettime");

    if (!real)
        memcpy(&real, &symbol, sizeof real);
    return real(id, now);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    static time_t begun_s;
    const char *start = getenv("CLOCK_START");
    int result = real_clock_gettime(id == CLOCK_REALTIME ? CLOCK_MONOTONIC : id, now);

    if (id != CLOCK_REALTIME || result != 0)
        return result;
    if (begun_s == 0)
        begun_s = now->tv_sec;
    now->tv_sec += (start ? atol(start) : 0) - begun_s;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = (suseconds_t)(precise.tv_nsec / 1000);
    return 0;
}

time_t time(time_t *ret_now)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (ret_now)
        *ret_now = now.tv_sec;
    return now.tv_sec;
}

int adjtimex(struct timex *state)
{
    memset(state, 0, sizeof *state);
    state->maxerror = getenv("CLOCK_SYNCHRONISED") ? 0 : UNKNOWN_ERROR_US;
    return state->maxerror == 0 ? TIME_OK : TIME_ERROR;
}
