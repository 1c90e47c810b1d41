/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The id of this boot, and the commands that ask for the next one.
 */
#include <gio/gio.h>
#include <string.h>

#include "adapter/boot.h"
#include "adapter/command.h"

#define BOOT_MAX_ID_BYTES 128 /* the kernel's has 37 */

/* --- Boot id --- */

/* Not g_file_get_contents(): the file's name is a setting and may be that of something endless. */
static gboolean read_start(const char *name, char *buffer, gsize size, gsize *ret_length,
                           GError **error)
{
    g_autoptr(GFile) file = g_file_new_for_path(name);
    g_autoptr(GFileInputStream) stream = g_file_read(file, NULL, error);

    if (stream &&
        g_input_stream_read_all(G_INPUT_STREAM(stream), buffer, size, ret_length, NULL, error))
        return TRUE;
    g_prefix_error(error, "no boot id in %s: ", name);
    return FALSE;
}

static const char *boot_id_flaw(const char *id, gsize length)
{
    if (length > BOOT_MAX_ID_BYTES)
        return "too long";
    if (!*id)
        return "empty";
    for (const char *c = id; *c; c++) {
        if (!g_ascii_isgraph(*c))
            return "not one word of ASCII";
    }
    return NULL;
}

char *boot_id_read(const char *file, GError **error)
{
    char buffer[BOOT_MAX_ID_BYTES + 2] = {0};
    gsize length;
    const char *flaw;

    if (!read_start(file, buffer, sizeof buffer - 1, &length, error))
        return NULL;
    flaw = strlen(buffer) < length ? "binary" : boot_id_flaw(g_strstrip(buffer), length);
    if (flaw) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "no boot id in %s: %s", file, flaw);
        return NULL;
    }
    return g_strdup(buffer);
}

/* --- Commands --- */

static void on_ended(gboolean ok, const char *words, gpointer data)
{
    g_autofree char *line = data;

    if (ok)
        g_message("`%s` %s", line, words);
    else
        g_warning("`%s` %s", line, words);
}

gboolean command_run(const char *command_line, GError **error)
{
    g_autofree char *line = g_strdup(command_line);

    if (!command_start_line(command_line, BOOT_COMMAND_TIMEOUT_S, on_ended, line, error)) {
        g_prefix_error(error, "cannot run `%s`: ", command_line);
        return FALSE;
    }
    g_steal_pointer(&line);
    return TRUE;
}
