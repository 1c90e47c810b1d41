/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How bytes go from one part of the collector to the next. */
#pragma once

#include <glib.h>

#define SINK_CHUNK 65536 /* bytes that are read at a time */

/* FALSE: it wants no more, and the one that reads may stop. */
typedef gboolean (*SinkTake)(gpointer to, const char *data, gsize length);

typedef struct {
    SinkTake take;
    gpointer to;
} Sink;

static inline gboolean sink_take(const Sink *sink, const char *data, gsize length)
{
    return sink->take(sink->to, data, length);
}
