/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The logs: each with its rotated ancestors is one entry, the lines of the window.  All are read
 * once to know how much there is of each; then what is left of the limit is shared out, and what a
 * small one does not need is for the others.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "src/adapter/collector/files.h"
#include "src/adapter/collector/window.h"

#define DMESG      "dmesg"
#define DMESG_PATH "system/dmesg.txt"

/* What of a file is in the window. */
typedef struct {
    LogFile *file;
    gint64 before;   /* bytes, as they count, of the files before it */
    gint64 from, to; /* offsets of what is unpacked */
    gint64 counted;  /* bytes, as they count, between these */
} Part;

typedef struct {
    char *path;      /* in the archive */
    char *name;      /* for the MANIFEST */
    GArray *parts;   /* Part, oldest first */
    GString *remark; /* for the MANIFEST */
    gint64 boot_ms;
    gint64 total, share; /* bytes */
} Log;

typedef struct {
    Collector *collector;
    GPtrArray *logs;
    guint n_files;
} Logs;

static void part_clear(gpointer part)
{
    log_file_free(((Part *)part)->file);
}

static Log *log_new(const char *path, const char *name)
{
    Log *log = g_new0(Log, 1);

    log->path = g_strdup(path);
    log->name = g_strdup(name);
    log->parts = g_array_new(FALSE, FALSE, sizeof(Part));
    g_array_set_clear_func(log->parts, part_clear);
    log->remark = g_string_new(NULL);
    log->boot_ms = G_MININT64;
    return log;
}

static void log_free(gpointer data)
{
    Log *log = data;

    g_array_unref(log->parts);
    g_string_free(log->remark, TRUE);
    g_free(log->path);
    g_free(log->name);
    g_free(log);
}

static Part *part_of(const Log *log, guint i)
{
    return &g_array_index(log->parts, Part, i);
}

static void G_GNUC_PRINTF(2, 3) remark(Log *log, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    if (log->remark->len > 0)
        g_string_append(log->remark, "; ");
    g_string_append_vprintf(log->remark, format, values);
    va_end(values);
}

/* --- Opening --- */

static gboolean is_known(const Logs *logs, const LogFile *file)
{
    for (guint i = 0; i < logs->logs->len; i++) {
        const Log *log = logs->logs->pdata[i];

        for (guint j = 0; j < log->parts->len; j++) {
            const LogFile *other = part_of(log, j)->file;

            if (other->device == file->device && other->inode == file->inode)
                return TRUE;
        }
    }
    return FALSE;
}

static void add_file(Logs *logs, Log *log, const char *path)
{
    char *flaw = NULL;
    Part part = {.file = log_file_open(path, &flaw)};

    if (part.file && is_known(logs, part.file)) {
        g_clear_pointer(&part.file, log_file_free);
        flaw = g_strdup("the same file as another");
    }
    if (part.file) {
        g_array_prepend_val(log->parts, part);
        logs->n_files++;
    } else {
        manifest_missing(logs->collector, path, flaw);
        g_free(flaw);
    }
}

/* The newest is opened first: a file that is rotated meanwhile is then met twice, and not
 * missed. */
static void open_log(Logs *logs, const char *base)
{
    g_autofree char *folder = g_path_get_dirname(base);
    g_autofree char *raw = g_strconcat("logs", base, NULL);
    g_autofree char *path = manifest_clean(logs->collector, raw);
    guint max = COLLECTOR_MAX_FILES - logs->n_files;
    g_autoptr(GPtrArray) names = files_ancestors(base, max);
    Log *log = log_new(path, base);

    if (names->len == 0)
        manifest_missing(logs->collector, base, "there is no such file");
    g_ptr_array_add(logs->logs, log);
    for (guint i = names->len; i-- > 0;) {
        g_autofree char *name = g_build_filename(folder, names->pdata[i], NULL);

        /* while x.log.1.gz is made from x.log.1 */
        if (i + 1 < names->len && files_packed_of(names->pdata[i], names->pdata[i + 1]))
            manifest_missing(logs->collector, name, "the file it is made from is there");
        else
            add_file(logs, log, name);
    }
    if (log->parts->len == 0)
        g_ptr_array_remove(logs->logs, log);
}

static gboolean has_log(const Logs *logs, const char *base)
{
    for (guint i = 0; i < logs->logs->len; i++) {
        if (g_str_equal(((const Log *)logs->logs->pdata[i])->name, base))
            return TRUE;
    }
    return FALSE;
}

static void open_glob(Logs *logs, const char *glob)
{
    const char *flaw;
    g_autoptr(GPtrArray) bases = files_find(logs->collector, glob, COLLECTOR_MAX_FILES, &flaw);

    if (bases->len == 0 && !flaw)
        flaw = "there is no such file";
    for (guint i = 0; i < bases->len; i++) {
        if (logs->n_files >= COLLECTOR_MAX_FILES) {
            flaw = "more files than are taken";
            break;
        }
        if (!has_log(logs, bases->pdata[i]))
            open_log(logs, bases->pdata[i]);
    }
    if (flaw)
        manifest_missing(logs->collector, glob, flaw);
}

static void open_dmesg(Logs *logs)
{
    g_autofree char *path = g_build_filename(logs->collector->folder, DMESG, NULL);
    g_autofree char *flaw = system_dmesg(logs->collector, path);
    Log *log = log_new(DMESG_PATH, DMESG);

    if (flaw)
        remark(log, "%s", flaw);
    log->boot_ms = (g_get_real_time() - g_get_monotonic_time()) / 1000;
    g_ptr_array_add(logs->logs, log);
    add_file(logs, log, path);
    unlink(path);
}

/* --- The window --- */

static void take_stamped(Log *log, const WindowScan *scan)
{
    for (guint i = scan->first.file; i <= scan->last.file && i < log->parts->len; i++) {
        Part *part = part_of(log, i);
        gint64 start = i == scan->first.file ? scan->first.counted : part->before;
        gint64 end = i + 1 < log->parts->len ? part_of(log, i + 1)->before : scan->last.counted;

        part->from = i == scan->first.file ? scan->first.offset : 0;
        part->to = i == scan->last.file ? scan->last.offset : G_MAXINT64;
        part->counted = (i == scan->last.file ? scan->last.counted : end) - start;
    }
}

static void take_unstamped(Log *log, const WindowScan *scan)
{
    for (guint i = 0; i < log->parts->len; i++) {
        Part *part = part_of(log, i);
        gint64 end = i + 1 < log->parts->len ? part_of(log, i + 1)->before : scan->line.counted;

        if (part->file->written_ms < scan->from_ms || part->file->born_ms > scan->to_ms)
            continue;
        part->to = G_MAXINT64;
        part->counted = end - part->before;
    }
}

static void scan_log(const Collector *collector, Log *log)
{
    gint64 now_ms = g_get_real_time() / 1000;
    WindowScan scan;

    window_scan_begin(&scan, collector->config->from_ms, collector->config->to_ms);
    for (guint i = 0; i < log->parts->len; i++) {
        Part *part = part_of(log, i);
        g_autofree char *flaw = NULL;

        window_scan_file(&scan, part->file->written_ms, log->boot_ms);
        part->before = scan.line.counted;
        flaw = log_file_read(part->file, collector, (Sink){window_scan_take, &scan});
        if (flaw)
            remark(log, "%s: %s", part->file->path, flaw);
    }
    window_scan_file(&scan, now_ms, log->boot_ms);
    if (scan.found)
        take_stamped(log, &scan);
    else if (!scan.stamped)
        take_unstamped(log, &scan);
    for (guint i = 0; i < log->parts->len; i++)
        log->total += part_of(log, i)->counted;
}

/* --- Sharing out --- */

static int compare_totals(gconstpointer a, gconstpointer b)
{
    const Log *one = *(Log *const *)a, *other = *(Log *const *)b;

    return one->total < other->total ? -1 : one->total > other->total;
}

/* Returns what is left when `others` more are to have as much as any log. */
static gint64 share_out(Logs *logs, guint others)
{
    g_autoptr(GPtrArray) by_total = g_ptr_array_copy(logs->logs, NULL, NULL);
    gint64 left = logs->collector->left;

    /* the copy owns nothing */
    g_ptr_array_set_free_func(by_total, NULL);
    g_ptr_array_sort(by_total, compare_totals);
    for (guint i = 0; i < by_total->len; i++) {
        Log *log = by_total->pdata[i];

        log->share = MIN(log->total, left / (by_total->len - i + others));
        left -= log->share;
    }
    return left;
}

/* --- Copying --- */

static void copy_parts(Collector *collector, Log *log, WindowCopy *copy)
{
    for (guint i = 0; i < log->parts->len; i++) {
        const Part *part = part_of(log, i);
        g_autofree char *flaw = NULL;

        if (part->counted <= copy->skip) {
            copy->skip -= part->counted;
            continue;
        }
        window_copy_file(copy, part->from, part->to);
        flaw = log_file_read(part->file, collector, (Sink){window_copy_take, copy});
        window_copy_end(copy);
        if (flaw && !strstr(log->remark->str, flaw))
            remark(log, "%s: %s", part->file->path, flaw);
    }
}

static char *paths_of(const Log *log)
{
    GString *paths = g_string_new(NULL);

    for (guint i = 0; i < log->parts->len; i++) {
        if (part_of(log, i)->counted > 0)
            g_string_append_printf(paths, "%s%s", paths->len > 0 ? ", " : "",
                                   part_of(log, i)->file->path);
    }
    return g_string_free(paths, FALSE);
}

static void copy_log(Collector *collector, Log *log)
{
    g_autofree char *paths = log->boot_ms == G_MININT64 ? paths_of(log) : g_strdup(DMESG);
    LineCutter cutter = {.column = 0};
    WindowCopy copy = {.skip = log->total - log->share};
    Entry entry;

    if (log->total == 0) {
        remark(log, "nothing in the window");
        manifest_missing(collector, log->name, log->remark->str);
        return;
    }
    if (copy.skip > 0)
        remark(log, "cut: the newest of %" G_GINT64_FORMAT " bytes", log->total);
    if (entry_begin(&entry, collector, log->path, MIN(log->share, collector->left))) {
        cutter.sink = (Sink){entry_take, &entry};
        copy.sink = (Sink){redactor_take, collector->redactor};
        redactor_begin(collector->redactor, (Sink){line_cutter_take, &cutter});
        copy_parts(collector, log, &copy);
        redactor_end(collector->redactor, TRUE);
    }
    if (cutter.cut > 0)
        remark(log, "lines of more than %d bytes cut: %u", WINDOW_LINE_MAX, cutter.cut);
    entry_end(&entry, paths, log->remark->len > 0 ? log->remark->str : NULL, "no line of it fits");
}

void logs_collect(Collector *collector)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(log_free);
    Logs logs = {.collector = collector, .logs = list};
    gboolean with_journal = FALSE;

    collector_allow(collector, SCAN_LOGS_S);
    open_dmesg(&logs);
    for (guint i = 0; i < COLLECTOR_MAX_SOURCES && collector->config->sources[i]; i++) {
        CollectorKind kind;
        const char *rest;

        if (!collector_source_parse(collector->config->sources[i], &kind, &rest))
            continue;
        with_journal = with_journal || kind == COLLECTOR_JOURNAL;
        if (kind == COLLECTOR_FILES)
            open_glob(&logs, rest);
    }
    for (guint i = 0; i < list->len; i++)
        scan_log(collector, list->pdata[i]);
    collector_allow(collector, COPY_LOGS_S);
    if (with_journal)
        journal_collect(collector, share_out(&logs, 1));
    share_out(&logs, 0);
    for (guint i = 0; i < list->len; i++)
        copy_log(collector, list->pdata[i]);
}
