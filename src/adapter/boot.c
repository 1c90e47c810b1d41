/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The id of this boot, and the commands that ask for the next one.
 */
#include <gio/gio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot_internal.h"

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

/* Lives until the process has ended. */
typedef struct {
    char *name;
    GSubprocess *process;
    GPollableInputStream *output;
    GSource *readable; /* NULL after the end of the output */
    GString *text;
    guint timeout_ms;
    guint timer;
    gboolean killed;
} Command;

static void command_free(Command *command)
{
    if (command->readable) {
        g_source_destroy(command->readable);
        g_source_unref(command->readable);
    }
    if (command->timer)
        g_source_remove(command->timer);
    g_object_unref(command->process);
    g_string_free(command->text, TRUE);
    g_free(command->name);
    g_free(command);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Command, command_free)

/* Takes what is there without waiting; FALSE at the end of the output. */
static gboolean command_read(Command *command)
{
    char buffer[1024];
    gssize length;
    g_autoptr(GError) error = NULL;

    length = g_pollable_input_stream_read_nonblocking(command->output, buffer, sizeof buffer, NULL,
                                                      &error);
    if (length < 0)
        return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
    g_string_append_len(command->text, buffer,
                        (gssize)MIN((gsize)length, BOOT_MAX_OUTPUT_BYTES - command->text->len));
    return length > 0;
}

static gboolean on_readable(GObject *stream, gpointer data)
{
    Command *command = data;

    (void)stream;
    if (command_read(command))
        return G_SOURCE_CONTINUE;
    g_clear_pointer(&command->readable, g_source_unref);
    return G_SOURCE_REMOVE;
}

static void command_log(const Command *command)
{
    g_autofree char *text = g_utf8_make_valid(command->text->str, (gssize)command->text->len);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        if (*g_strchomp(*line))
            g_message("%s: %s", command->name, *line);
    }
    if (command->killed)
        g_warning("%s: still running after %u s, killed", command->name,
                  command->timeout_ms / 1000);
    else if (g_subprocess_get_if_signaled(command->process))
        g_warning("%s: ended by signal %d", command->name,
                  g_subprocess_get_term_sig(command->process));
    else if (g_subprocess_get_exit_status(command->process) != 0)
        g_warning("%s: ended with exit status %d", command->name,
                  g_subprocess_get_exit_status(command->process));
    else
        g_message("%s: done", command->name);
}

static void on_exited(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(Command) command = data;

    g_subprocess_wait_finish(G_SUBPROCESS(source), result, NULL);
    /* What it printed last; a child that it left behind may hold the pipe open, so not until the end. */
    for (gsize i = 0; command->readable && i < BOOT_MAX_OUTPUT_BYTES / 1024; i++) {
        if (!g_pollable_input_stream_is_readable(command->output) || !command_read(command))
            break;
    }
    command_log(command);
}

/* With all that it has started and that stayed in its process group. */
static gboolean on_timeout(gpointer data)
{
    Command *command = data;
    const char *pid = g_subprocess_get_identifier(command->process);

    command->timer = 0;
    command->killed = TRUE;
    if (pid)
        kill(-(pid_t)strtol(pid, NULL, 10), SIGKILL);
    g_subprocess_force_exit(command->process);
    return G_SOURCE_REMOVE;
}

static void lead_process_group(gpointer unused)
{
    (void)unused;
    setpgid(0, 0);
}

gboolean command_run_within(const char *command_line, guint timeout_ms, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher = NULL;
    g_auto(GStrv) arguments = NULL;
    GSubprocess *process;
    Command *command;

    if (!g_shell_parse_argv(command_line, NULL, &arguments, error)) {
        g_prefix_error(error, "cannot run `%s`: ", command_line);
        return FALSE;
    }
    launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
    g_subprocess_launcher_set_child_setup(launcher, lead_process_group, NULL, NULL);
    process = g_subprocess_launcher_spawnv(launcher, (const char *const *)arguments, error);
    if (!process) {
        g_prefix_error(error, "cannot run `%s`: ", command_line);
        return FALSE;
    }
    command = g_new0(Command, 1);
    command->name = g_strdup(arguments[0]);
    command->process = process;
    command->text = g_string_new(NULL);
    command->timeout_ms = timeout_ms;
    command->timer = g_timeout_add(timeout_ms, on_timeout, command);
    command->output = G_POLLABLE_INPUT_STREAM(g_subprocess_get_stdout_pipe(process));
    command->readable = g_pollable_input_stream_create_source(command->output, NULL);
    g_source_set_callback(command->readable, G_SOURCE_FUNC(on_readable), command, NULL);
    g_source_attach(command->readable, NULL);
    g_subprocess_wait_async(process, NULL, on_exited, command);
    return TRUE;
}

gboolean command_run(const char *command_line, GError **error)
{
    return command_run_within(command_line, BOOT_COMMAND_TIMEOUT_S * 1000, error);
}
