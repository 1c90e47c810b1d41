/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal: asked for with the newest entry first, so that what is kept when there is too much,
 * or no more time, is the newest; then turned round.  Nothing but the lines of one read is in
 * memory.
 */
#include "src/adapter/collector/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "src/adapter/collector/window.h"

#define REVERSED "journal.reversed"

/* Both edges to the microsecond, of which a millisecond of the window has a thousand. */
static char *edge_option(const char *option, gint64 ms, int us)
{
    return g_strdup_printf("%s=@%" G_GINT64_FORMAT ".%03d%03d", option, ms / 1000, (int)(ms % 1000),
                           us);
}

static char **journal_argv(const CollectorConfig *config)
{
    g_autoptr(GStrvBuilder) argv = g_strv_builder_new();
    g_autofree char *since = edge_option("--since", MAX(config->from_ms, 0), 0);
    g_autofree char *until = edge_option("--until", MAX(config->to_ms, 0), 999);

    g_strv_builder_add_many(argv, "journalctl", "--quiet", "--reverse", "--no-pager", "-o",
                            "short-iso-precise", NULL);
    if (config->from_ms != G_MININT64)
        g_strv_builder_add(argv, since);
    if (config->to_ms != G_MAXINT64)
        g_strv_builder_add(argv, until);
    return g_strv_builder_end(argv);
}

/* --- Turning round --- */

typedef struct {
    int fd;
    gint64 length;
    const Collector *collector;
    Entry *entry;
    char *chunk;
} Reversed;

static gboolean copy(Reversed *reversed, gint64 from, gint64 to)
{
    while (from < to) {
        gssize length =
            pread(reversed->fd, reversed->chunk, (gsize)MIN(to - from, SINK_CHUNK), from);

        if (length <= 0 || !entry_take(reversed->entry, reversed->chunk, (gsize)length))
            return FALSE;
        from += length;
    }
    return TRUE;
}

/* An entry's further lines begin with blanks. */
static gboolean turn_round(Reversed *reversed)
{
    g_autofree char *block = g_malloc(SINK_CHUNK);
    gint64 end = reversed->length;
    char next = ' '; /* the byte behind the one that is looked at */

    for (gint64 start = end; start > 0;) {
        gint64 size = MIN(start, SINK_CHUNK);

        if (collector_over(reversed->collector))
            return FALSE;
        start -= size;
        if (pread(reversed->fd, block, (gsize)size, start) != size)
            return FALSE;
        for (gint64 i = size - 1; i >= 0; i--) {
            if (block[i] == '\n' && next != ' ' && start + i + 1 < end) {
                if (!copy(reversed, start + i + 1, end))
                    return FALSE;
                end = start + i + 1;
            }
            next = block[i];
        }
    }
    return copy(reversed, 0, end);
}

/* --- Asking for it --- */

typedef struct {
    int fd;
    gint64 limit, written, whole; /* bytes; `whole`: to the end of the last line */
} ReversedFile;

static gboolean take_reversed(gpointer to, const char *data, gsize length)
{
    ReversedFile *file = to;
    const char *end;
    gsize taken = (gsize)MIN((gint64)length, file->limit - file->written);

    if (folder_room(file->fd) < (gint64)length || write(file->fd, data, taken) != (gssize)taken)
        return FALSE;
    end = memrchr(data, '\n', taken);
    if (end)
        file->whole = file->written + (end - data) + 1;
    file->written += (gint64)taken;
    return taken == length;
}

static ChildEnd ask(Collector *collector, ReversedFile *file, guint *ret_cut, char **ret_words)
{
    g_auto(GStrv) argv = journal_argv(collector->config);
    Child child = {.argv = (const char *const *)argv, .input = -1};
    LineCutter cutter = {.sink = {take_reversed, file}};
    ChildEnd end;

    child.deadline_us = command_deadline(collector);
    redactor_begin(collector->redactor, (Sink){line_cutter_take, &cutter});
    end =
        child_run(&child, &collector->stops, (Sink){redactor_take, collector->redactor}, ret_words);
    /* what was killed may end in the middle of a secret: that, and all of its line, is not taken */
    if (!redactor_end(collector->redactor, end == CHILD_OK) && end == CHILD_OK)
        end = CHILD_FULL;
    *ret_cut = cutter.cut;
    return end;
}

static char *remark_on(ChildEnd end, guint cut, const char *words)
{
    GString *remark = g_string_new(NULL);

    if (end == CHILD_FULL)
        g_string_append(remark, "cut: its newest entries; ");
    else if (end != CHILD_OK)
        g_string_append(remark, "what came, the newest first; ");
    if (cut > 0)
        g_string_append_printf(remark, "lines of more than %d bytes cut: %u; ", WINDOW_LINE_MAX,
                               cut);
    if (words)
        g_string_append(remark, words);
    if (g_str_has_suffix(remark->str, "; "))
        g_string_truncate(remark, remark->len - 2);
    return g_string_free(remark, FALSE);
}

static void collect_from(Collector *collector, ReversedFile *file)
{
    g_autofree char *chunk = g_malloc(SINK_CHUNK);
    Reversed reversed = {.fd = file->fd, .collector = collector, .chunk = chunk};
    g_autofree char *remark = NULL, *words = NULL;
    guint cut;
    ChildEnd end = ask(collector, file, &cut, &words);
    Entry entry;

    if (end == CHILD_MISSING) {
        manifest_missing(collector, "journal", words);
        return;
    }
    remark = remark_on(end, cut, words);
    reversed.length = file->whole;
    reversed.entry = &entry;
    if (entry_begin(&entry, collector, "journal.log", collector->left) && !turn_round(&reversed) &&
        !entry.flaw)
        entry.flaw = "cut: no more time";
    entry_end(&entry, "journal", *remark ? remark : NULL, "nothing in the window");
}

void journal_collect(Collector *collector, gint64 limit)
{
    ReversedFile file = {.limit = limit};

    file.fd = openat(collector->folder_fd, REVERSED, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file.fd < 0) {
        manifest_missing(collector, "journal", g_strerror(errno));
        return;
    }
    /* gone with us, whatever happens */
    unlinkat(collector->folder_fd, REVERSED, 0);
    collect_from(collector, &file);
    close(file.fd);
}
