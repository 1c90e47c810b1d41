/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which lines of a log and its rotated ancestors, read as one, are in the window of time (the rule
 * is in include/adapter/collector.h), and the copying of these.  A log is read twice: first to find
 * the places where the lines begin and end, then to copy them; of neither is more in memory than
 * the piece that was read.
 *
 * A line counts with the bytes that it takes in the archive: one longer than WINDOW_LINE_MAX is cut
 * there.
 */
#pragma once

#include "src/adapter/collector/sink.h"
#include "src/adapter/collector/stamp.h"

#define WINDOW_LINE_MAX 65536
#define WINDOW_LINE_CUT " [line cut]"

typedef struct {
    guint file;     /* as many window_file() came before it */
    gint64 offset;  /* in this file */
    gint64 counted; /* bytes of the archive before this place */
} WindowPlace;

typedef struct {
    gint64 from_ms, to_ms;
    StampContext stamps;
    WindowPlace line;        /* where the line begins that is read now */
    WindowPlace first, last; /* valid if `found`: its first line, and behind its last */
    gboolean found;
    gboolean stamped; /* some line has a stamp */
    gboolean inside;  /* the last stamp was in the window */
    gint64 length;    /* of the line so far */
    gsize held;       /* bytes in head */
    char head[STAMP_HEAD];
} WindowScan;

void window_scan_begin(WindowScan *scan, gint64 from_ms, gint64 to_ms);
/* The next file; the end of the one before it is the end of a line.  Also to be called after the
 * last one. */
void window_scan_file(WindowScan *scan, gint64 written_ms, gint64 boot_ms);
/* A SinkTake. */
gboolean window_scan_take(gpointer scan, const char *data, gsize length);

typedef struct {
    gint64 from, to; /* offsets in this file */
    gint64 skip;     /* lines are left out until so many bytes (as they count) are */
    gint64 offset, length;
    gboolean taking;
    Sink sink;
} WindowCopy;

/* Goes on with the next file and what is left of `skip`. */
void window_copy_file(WindowCopy *copy, gint64 from, gint64 to);
gboolean window_copy_take(gpointer copy, const char *data, gsize length);
/* Ends the last line when the file did not. */
gboolean window_copy_end(WindowCopy *copy);

/* Cuts long lines; after what hides secrets. */
typedef struct {
    gsize column;
    guint cut; /* lines */
    Sink sink;
} LineCutter;

gboolean line_cutter_take(gpointer cutter, const char *data, gsize length);
