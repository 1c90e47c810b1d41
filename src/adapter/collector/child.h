/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Child processes of the collector: started without a shell, in a process group of their own, which
 * is killed with them at the end, also at a good one.  The output goes to a sink while it comes;
 * the collector waits for it, bounded in time.
 */
#pragma once

#include "src/adapter/collector/sink.h"
#include "src/adapter/collector/stops.h"

typedef enum {
    CHILD_OK,      /* exited with 0 */
    CHILD_FAILED,  /* otherwise; the words say how */
    CHILD_FULL,    /* killed: the sink wanted no more */
    CHILD_LATE,    /* killed: its time was over */
    CHILD_STOPPED, /* killed: we are to stop */
    CHILD_MISSING, /* there is no such program */
} ChildEnd;

typedef struct {
    const char *const *argv; /* [0]: a name for PATH, or a path */
    int input;               /* descriptor; -1: none */
    gboolean errors_too;     /* stderr goes to the sink as well, and not into the words */
    gsize memory;            /* limit of RLIMIT_DATA; 0: none */
    gint64 deadline_us;      /* of the monotonic clock */
} Child;

/* `*ret_words`: why it is not CHILD_OK, and the end of what it wrote to stderr; NULL: nothing to
 * say.  g_free(). */
ChildEnd child_run(const Child *child, const Stops *stops, Sink sink, char **ret_words);
/* Its path; NULL: there is no such program.  g_free(). */
char *child_find(const char *name);
