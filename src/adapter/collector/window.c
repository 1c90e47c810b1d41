/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lines of a window: see window.h. */
#include "src/adapter/collector/window.h"

#include <string.h>

#define LINE_CUT_LENGTH ((gint64)sizeof(WINDOW_LINE_CUT) - 1)

/* With its end, which the last line of a file may lack. */
static gint64 counted(gint64 length)
{
    return length <= WINDOW_LINE_MAX ? length : WINDOW_LINE_MAX + LINE_CUT_LENGTH;
}

/* A piece of a line: up to its end or that of the data. */
static gsize piece(const char *data, gsize length, gboolean *ret_end)
{
    const char *end = memchr(data, '\n', length);

    *ret_end = end != NULL;
    return end ? (gsize)(end - data) + 1 : length;
}

/* --- Finding --- */

void window_scan_begin(WindowScan *scan, gint64 from_ms, gint64 to_ms)
{
    *scan = (WindowScan){.from_ms = from_ms, .to_ms = to_ms, .line.file = G_MAXUINT};
}

static void judge(WindowScan *scan)
{
    gint64 ms;

    if (!stamp_parse(&scan->stamps, scan->head, scan->held, &ms))
        return;
    scan->stamped = TRUE;
    scan->inside = ms >= scan->from_ms && ms <= scan->to_ms;
    if (scan->inside && !scan->found) {
        scan->found = TRUE;
        scan->first = scan->line;
    }
}

static void end_line(WindowScan *scan, gint64 added)
{
    judge(scan);
    scan->line.offset += scan->length;
    scan->line.counted += counted(scan->length + added);
    scan->length = 0;
    scan->held = 0;
    if (scan->inside)
        scan->last = scan->line;
}

void window_scan_file(WindowScan *scan, gint64 written_ms, gint64 boot_ms)
{
    if (scan->length > 0)
        end_line(scan, 1);
    scan->stamps = (StampContext){.written_ms = written_ms, .boot_ms = boot_ms};
    scan->line.file++;
    scan->line.offset = 0;
}

/* A power cut leaves zeros where the end of a log had not been written, and the next line follows
 * them. */
static gsize zeros(const char *data, gsize length)
{
    gsize n = 0;

    for (guint64 word = 0; n + sizeof(word) <= length; n += sizeof(word)) {
        memcpy(&word, data + n, sizeof(word));
        if (word != 0)
            break;
    }
    while (n < length && data[n] == '\0')
        n++;
    return n;
}

static void keep_head(WindowScan *scan, const char *data, gsize length)
{
    gsize from = scan->held == 0 ? zeros(data, length) : 0;
    gsize kept = MIN(length - from, STAMP_HEAD - scan->held);

    memcpy(scan->head + scan->held, data + from, kept);
    scan->held += kept;
}

gboolean window_scan_take(gpointer to, const char *data, gsize length)
{
    WindowScan *scan = to;

    while (length > 0) {
        gboolean end;
        gsize taken = piece(data, length, &end);

        keep_head(scan, data, taken);
        scan->length += (gint64)taken;
        if (end)
            end_line(scan, 0);
        data += taken;
        length -= taken;
    }
    return TRUE;
}

/* --- Copying --- */

void window_copy_file(WindowCopy *copy, gint64 from, gint64 to)
{
    copy->from = from;
    copy->to = to;
    copy->offset = copy->length = 0;
    copy->taking = FALSE;
}

static void end_copied(WindowCopy *copy, gint64 added)
{
    if (!copy->taking && copy->offset > copy->from && copy->offset <= copy->to)
        copy->skip -= counted(copy->length + added);
    copy->length = 0;
}

gboolean window_copy_take(gpointer to, const char *data, gsize length)
{
    WindowCopy *copy = to;

    while (length > 0) {
        gboolean end;
        gsize taken = piece(data, length, &end);

        if (copy->length == 0) {
            if (copy->offset >= copy->to)
                return FALSE;
            copy->taking = copy->offset >= copy->from && copy->skip <= 0;
        }
        if (copy->taking && !sink_take(&copy->sink, data, taken))
            return FALSE;
        copy->offset += (gint64)taken;
        copy->length += (gint64)taken;
        if (end)
            end_copied(copy, 0);
        data += taken;
        length -= taken;
    }
    return TRUE;
}

gboolean window_copy_end(WindowCopy *copy)
{
    gboolean open = copy->length > 0;

    if (open)
        end_copied(copy, 1);
    return !open || !copy->taking || sink_take(&copy->sink, "\n", 1);
}

gboolean line_cutter_take(gpointer to, const char *data, gsize length)
{
    LineCutter *cutter = to;
    gboolean wanted = TRUE;

    while (length > 0 && wanted) {
        gboolean end;
        gsize taken = piece(data, length, &end), text = taken - (end ? 1 : 0);
        gsize shown = MIN(text, WINDOW_LINE_MAX - 1 - MIN(cutter->column, WINDOW_LINE_MAX - 1));

        if (shown > 0)
            wanted = sink_take(&cutter->sink, data, shown);
        cutter->column += text;
        if (end && cutter->column > WINDOW_LINE_MAX - 1) {
            cutter->cut++;
            wanted = wanted && sink_take(&cutter->sink, WINDOW_LINE_CUT "\n", LINE_CUT_LENGTH + 1);
        } else if (end) {
            wanted = wanted && sink_take(&cutter->sink, "\n", 1);
        }
        if (end)
            cutter->column = 0;
        data += taken;
        length -= taken;
    }
    return wanted;
}
