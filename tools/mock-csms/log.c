/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON lines for tests, short lines for people. */
#include "log.h"

#include <errno.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#include "human.h"

struct Log {
    FILE *file;
    gboolean own_file;
    gboolean human;
};

Log *log_new(const char *path, gboolean human, GError **error)
{
    FILE *file = stdout;
    Log *log;

    if (path != NULL) {
        file = fopen(path, "we");
        if (file == NULL) {
            g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(errno),
                        "cannot write the log %s: %s", path, g_strerror(errno));
            return NULL;
        }
    }
    log = g_new0(Log, 1);
    log->file = file;
    log->own_file = path != NULL;
    log->human = human;
    return log;
}

void log_free(Log *log)
{
    if (log == NULL)
        return;
    if (log->own_file)
        fclose(log->file);
    g_free(log);
}

void log_event(Log *log, const char *event, json_t *fields)
{
    json_auto_t *line = json_object();
    char *text;

    json_object_set_new(line, "time", json_integer(g_get_monotonic_time() / 1000));
    json_object_set_new(line, "event", json_string(event));
    if (fields != NULL) {
        json_object_update(line, fields);
        json_decref(fields);
    }
    text = json_dumps(line, JSON_COMPACT);
    if (text == NULL)
        return;
    fprintf(log->file, "%s\n", text);
    fflush(log->file);
    free(text);
    if (log->human)
        human_print(stderr, event, line);
}

json_t *log_text(const char *text, gssize length)
{
    g_autofree char *valid = NULL;

    if (text == NULL)
        return json_null();
    valid = g_utf8_make_valid(text, length);
    /* g_utf8_make_valid keeps a NUL byte only when a length was given, and counts it as invalid
     * then. */
    return json_string(valid);
}
