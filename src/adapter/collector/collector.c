/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One run: what is small and always asked for first, then the logs in what is left, then the
 * MANIFEST, which knows of all, then the archive.
 */
#include <string.h>

#include "src/adapter/collector/internal.h"

#define COMMAND_PREFIX "command:"

G_STATIC_ASSERT(COMMANDS_S + SCAN_LOGS_S + COPY_LOGS_S + PACK_S < COLLECTOR_TOTAL_S);

G_DEFINE_QUARK(collector_error, collector_error)

gboolean collector_source_parse(const char *text, CollectorKind *ret_kind, const char **ret_rest)
{
    g_auto(GStrv) argv = NULL;

    if (g_str_equal(text, "journal")) {
        *ret_kind = COLLECTOR_JOURNAL;
        *ret_rest = NULL;
    } else if (g_path_is_absolute(text)) {
        *ret_kind = COLLECTOR_FILES;
        *ret_rest = text;
    } else if (g_str_has_prefix(text, COMMAND_PREFIX) &&
               g_shell_parse_argv(text + strlen(COMMAND_PREFIX), NULL, &argv, NULL)) {
        *ret_kind = COLLECTOR_COMMAND;
        *ret_rest = text + strlen(COMMAND_PREFIX);
    } else {
        return FALSE;
    }
    return TRUE;
}

const char *collector_over(const Collector *collector)
{
    if (stops_waiting(&collector->stops))
        return "the collector was stopped";
    return g_get_monotonic_time() > collector->deadline_us ? "no more time" : NULL;
}

void collector_allow(Collector *collector, int seconds)
{
    collector->deadline_us = g_get_monotonic_time() + seconds * SECOND_US;
}

static void collect_texts(Collector *collector)
{
    const CollectorConfig *config = collector->config;

    for (guint i = 0; i < config->n_texts; i++) {
        const CollectorText *text = &config->texts[i];

        if (text->text)
            entry_text(collector, text->name, text->text, "the agent", G_MAXINT64);
        else
            manifest_missing(collector, text->name, text->missing ? text->missing : "not there");
    }
}

static void collect_commands(Collector *collector)
{
    const char *const *sources = collector->config->sources;
    guint number = 0;

    for (guint i = 0; sources[i]; i++) {
        CollectorKind kind;
        const char *rest;

        if (i == COLLECTOR_MAX_SOURCES) {
            manifest_missing(collector, sources[i], "this source and all after it: too many");
            break;
        }
        if (!collector_source_parse(sources[i], &kind, &rest))
            manifest_missing(collector, sources[i], "not a source");
        else if (kind == COLLECTOR_COMMAND)
            command_source(collector, rest, ++number);
    }
}

static gboolean check(const Collector *collector, GError **error)
{
    const char *name = collector->config->name;

    if (stops_waiting(&collector->stops)) {
        g_set_error_literal(error, COLLECTOR_ERROR, COLLECTOR_ERROR_LOCAL, "stopped by a signal");
        return FALSE;
    }
    if (*name && !strchr(name, '/') && !g_str_equal(name, ".") && !g_str_equal(name, ".."))
        return TRUE;
    g_set_error(error, COLLECTOR_ERROR, COLLECTOR_ERROR_LOCAL, "\"%s\" cannot name a folder", name);
    return FALSE;
}

static gboolean run(Collector *collector, GError **error)
{
    if (!check(collector, error) || !folder_make(collector, error))
        return FALSE;
    collector_allow(collector, COMMANDS_S);
    manifest_begin(collector);
    collect_texts(collector);
    system_collect(collector);
    collect_commands(collector);
    logs_collect(collector);
    return check(collector, error) && manifest_write(collector, error) &&
           archive_pack(collector, error);
}

gboolean collector_run(const CollectorConfig *config, GError **error)
{
    Collector collector = {.config = config, .folder_fd = -1, .left = config->size_limit};
    gboolean ok;

    stops_begin(&collector.stops);
    collector.redactor = redactor_new(config->secrets);
    ok = run(&collector, error);
    folder_remove(&collector);
    if (collector.manifest)
        g_string_free(collector.manifest, TRUE);
    redactor_free(collector.redactor);
    stops_end(&collector.stops);
    return ok;
}
