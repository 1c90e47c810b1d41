/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands: what they say goes into an entry each, the first bytes of it. */
#include "src/adapter/collector/internal.h"

#include <string.h>

gint64 command_deadline(const Collector *collector)
{
    return MIN(collector->deadline_us, g_get_monotonic_time() + COLLECTOR_COMMAND_S * SECOND_US);
}

void command_entry(Collector *collector, const char *path, const char *const *argv, gint64 limit)
{
    Child child = {.argv = argv, .input = -1, .errors_too = TRUE};
    g_autofree char *line = g_strjoinv(" ", (char **)argv);
    g_autofree char *words = NULL;
    Entry entry;

    /* one is not to take all */
    limit = MIN(limit, collector->left / 4);
    if (entry_begin(&entry, collector, path, limit)) {
        ChildEnd end;

        child.deadline_us = command_deadline(collector);
        redactor_begin(collector->redactor, (Sink){entry_take, &entry});
        end = child_run(&child, &collector->stops, (Sink){redactor_take, collector->redactor},
                        &words);
        redactor_end(collector->redactor, end == CHILD_OK || end == CHILD_FAILED);
    }
    entry_end(&entry, line, words, "it said nothing");
}

static char *entry_path(const char *program, guint number)
{
    g_autofree char *name = g_path_get_basename(program);

    g_strcanon(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS ".-", '_');
    return g_strdup_printf("commands/%02u-%.64s.txt", number, name);
}

void command_source(Collector *collector, const char *line, guint number)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    g_auto(GStrv) argv = NULL;

    if (!g_shell_parse_argv(line, NULL, &argv, &error)) {
        manifest_missing(collector, line, error->message);
        return;
    }
    path = entry_path(argv[0], number);
    command_entry(collector, path, (const char *const *)argv, COMMAND_MAX);
}
