/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The MANIFEST: what the archive is of, and a line for everything that is in it or should be: path,
 * bytes, from where, and what was cut or why it is missing, with tabs between them.  Names come
 * from outside: nothing in them can look like another line.
 */
#include "src/adapter/collector/internal.h"

#include <string.h>
#include <sys/utsname.h>

#include "ocpp/datetime.h"

#define LAST_LINE   "more lines were left out\n"
#define VERSION_MAX 128
#define FIELD_MAX   1024 /* bytes of one field of a line */

char *manifest_clean(Collector *collector, const char *text)
{
    g_autofree char *shown = redactor_text(collector->redactor, text);
    g_autofree char *part =
        strlen(shown) > FIELD_MAX ? g_strdup_printf("%.*s...", FIELD_MAX, shown) : NULL;
    char *valid = g_utf8_make_valid(part ? part : shown, -1);

    for (char *c = valid; *c; c++) {
        if (g_ascii_iscntrl(*c))
            *c = ' ';
    }
    return valid;
}

static void add(Collector *collector, const char *line)
{
    gint64 length = (gint64)strlen(line), needed = length + (gint64)strlen(LAST_LINE);

    if (collector->manifest_left < 0)
        return;
    if (needed <= collector->manifest_left) {
        g_string_append(collector->manifest, line);
        collector->manifest_left -= length;
    } else {
        g_string_append(collector->manifest, LAST_LINE);
        collector->manifest_left = -1;
    }
}

void manifest_entry(Collector *collector, const char *path, gint64 bytes, const char *from,
                    const char *remark)
{
    g_autofree char *clean_path = manifest_clean(collector, path);
    g_autofree char *clean_from = manifest_clean(collector, from);
    g_autofree char *clean_remark = manifest_clean(collector, remark ? remark : "");
    g_autofree char *line = g_strdup_printf("%s\t%" G_GINT64_FORMAT "\t%s\t%s\n", clean_path, bytes,
                                            clean_from, clean_remark);

    add(collector, line);
}

void manifest_missing(Collector *collector, const char *what, const char *why)
{
    g_autofree char *clean_what = manifest_clean(collector, what);
    g_autofree char *clean_why = manifest_clean(collector, why);
    g_autofree char *line = g_strdup_printf("-\t-\t%s\t%s\n", clean_what, clean_why);

    add(collector, line);
}

/* --- The head --- */

static void head(Collector *collector, const char *name, const char *value)
{
    g_autofree char *clean_value = manifest_clean(collector, value);
    g_autofree char *line = g_strdup_printf("%s: %s\n", name, clean_value);

    add(collector, line);
}

static gboolean take_version(gpointer to, const char *data, gsize length)
{
    GString *version = to;

    g_string_append_len(version, data, (gssize)MIN(length, VERSION_MAX - version->len));
    return version->len < VERSION_MAX;
}

static void head_rauc(Collector *collector)
{
    static const char *const argv[] = {"rauc", "--version", NULL};
    Child child = {.argv = argv, .input = -1, .deadline_us = collector->deadline_us};
    g_autoptr(GString) version = g_string_new(NULL);
    g_autofree char *words = NULL;
    ChildEnd end;

    child.deadline_us =
        MIN(child.deadline_us, g_get_monotonic_time() + COLLECTOR_COMMAND_S * SECOND_US);
    end = child_run(&child, &collector->stops, (Sink){take_version, version}, &words);
    g_strchomp(version->str);
    head(collector, "rauc", end == CHILD_OK ? version->str : words ? words : "no version");
}

static char *format_edge(gint64 ms)
{
    return ms == G_MININT64 || ms == G_MAXINT64 ? g_strdup("open") : ocpp_datetime_format(ms);
}

void manifest_begin(Collector *collector)
{
    const CollectorConfig *config = collector->config;
    g_autofree char *made = ocpp_datetime_format(g_get_real_time() / 1000);
    g_autofree char *from = format_edge(config->from_ms);
    g_autofree char *to = format_edge(config->to_ms);
    g_autofree char *window = g_strdup_printf("from %s to %s, both included", from, to);
    g_autofree char *limit =
        g_strdup_printf("%" G_GINT64_FORMAT " bytes%s", collector->left,
                        collector->left < config->size_limit ? ", as the disk is nearly full" : "");
    struct utsname name = {.sysname = ""};

    collector->manifest = g_string_new(NULL);
    collector->manifest_left = CLAMP(collector->left / 4, MANIFEST_MIN, MANIFEST_MAX);
    collector->left = MAX(collector->left - collector->manifest_left, 0);
    uname(&name);
    head(collector, "diagnostics", config->name);
    head(collector, "made", made);
    head(collector, "window", window);
    head(collector, "limit", limit);
    head(collector, "rauc-ocpp-agent", VERSION);
    head(collector, "kernel", name.release);
    head_rauc(collector);
    add(collector, "\npath\tbytes\tfrom\tremark\n");
}

gboolean manifest_write(Collector *collector, GError **error)
{
    g_autofree char *path = g_build_filename(collector->root, "MANIFEST", NULL);
    g_autoptr(GError) flaw = NULL;

    if (g_file_set_contents_full(path, collector->manifest->str, (gssize)collector->manifest->len,
                                 G_FILE_SET_CONTENTS_NONE, 0600, &flaw))
        return TRUE;
    g_set_error_literal(error, COLLECTOR_ERROR, COLLECTOR_ERROR_LOCAL, flaw->message);
    return FALSE;
}
