/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals that end the collector: see stops.h. */
#include "src/adapter/collector/stops.h"

#include <sys/signalfd.h>
#include <unistd.h>

static const int stopping[] = {SIGTERM, SIGINT, SIGHUP};

static int watch(const sigset_t *set)
{
    return signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void stops_begin(Stops *stops)
{
    /* a parent that ignores it would have us never hear of our own children */
    struct sigaction child = {.sa_handler = SIG_DFL}, action;
    sigset_t children, both;

    sigemptyset(&stops->held);
    for (gsize i = 0; i < G_N_ELEMENTS(stopping); i++) {
        if (sigaction(stopping[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&stops->held, stopping[i]);
    }
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    both = stops->held;
    sigaddset(&both, SIGCHLD);
    sigaction(SIGCHLD, &child, &stops->child_before);
    sigprocmask(SIG_BLOCK, &both, &stops->before);
    stops->stop_fd = watch(&stops->held);
    stops->child_fd = watch(&children);
}

void stops_end(Stops *stops)
{
    stops_drain(stops);
    if (stops->stop_fd >= 0)
        close(stops->stop_fd);
    if (stops->child_fd >= 0)
        close(stops->child_fd);
    sigaction(SIGCHLD, &stops->child_before, NULL);
    sigprocmask(SIG_SETMASK, &stops->before, NULL);
}

gboolean stops_waiting(const Stops *stops)
{
    sigset_t pending;

    if (sigpending(&pending) < 0)
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(stopping); i++) {
        if (sigismember(&stops->held, stopping[i]) && sigismember(&pending, stopping[i]))
            return TRUE;
    }
    return FALSE;
}

void stops_drain(const Stops *stops)
{
    struct signalfd_siginfo info;

    while (read(stops->child_fd, &info, sizeof(info)) > 0)
        ;
}
