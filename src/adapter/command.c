/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Child processes on GSubprocess: own process group, no input, the end of the output kept, killed
 * when their time is over.
 *
 * The output is read without waiting, from a source and once more when the process has ended, and
 * never by an asynchronous read: what such a read has already taken would be missing from the words
 * on the end.
 */
#include "adapter/command.h"

#include <gio/gio.h>
#include <signal.h>
#include <unistd.h>

#define PIPE_BYTES 65536 /* what a pipe holds */

struct _Command {
    GSubprocess *process;
    pid_t group;                  /* 0: it had ended before we could look */
    GPollableInputStream *output; /* owned by the process */
    GSource *readable;            /* NULL after the end of the output */
    GString *kept;
    guint timeout_s;
    guint timer;
    gboolean timed_out;
    CommandDone done; /* NULL: cancelled */
    gpointer user_data;
};

static void command_free(Command *command)
{
    if (command->readable) {
        g_source_destroy(command->readable);
        g_source_unref(command->readable);
    }
    g_clear_handle_id(&command->timer, g_source_remove);
    g_object_unref(command->process);
    g_string_free(command->kept, TRUE);
    g_free(command);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Command, command_free)

/* Takes what is there; FALSE when that is nothing, with the end of the output in `*ret_over`. */
static gboolean take(Command *command, gboolean *ret_over)
{
    char chunk[COMMAND_MAX_OUTPUT];
    g_autoptr(GError) error = NULL;
    gssize length = g_pollable_input_stream_read_nonblocking(command->output, chunk, sizeof(chunk),
                                                             NULL, &error);

    *ret_over = length <= 0 && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
    if (length <= 0)
        return FALSE;
    g_string_append_len(command->kept, chunk, length);
    if (command->kept->len > COMMAND_MAX_OUTPUT)
        g_string_erase(command->kept, 0, (gssize)(command->kept->len - COMMAND_MAX_OUTPUT));
    return TRUE;
}

static gboolean on_readable(GObject *stream, gpointer user_data)
{
    Command *command = user_data;
    gboolean over;

    (void)stream;
    take(command, &over);
    if (!over)
        return G_SOURCE_CONTINUE;
    g_clear_pointer(&command->readable, g_source_unref);
    return G_SOURCE_REMOVE;
}

static char *ending(const Command *command)
{
    g_autofree char *output = g_utf8_make_valid(command->kept->str, (gssize)command->kept->len);
    g_autofree char *how = NULL;

    g_strstrip(output);
    if (command->timed_out)
        how = g_strdup_printf("killed after %u s", command->timeout_s);
    else if (g_subprocess_get_if_signaled(command->process))
        how = g_strdup_printf("killed by signal %d", g_subprocess_get_term_sig(command->process));
    else
        how = g_strdup_printf("exited with %d", g_subprocess_get_exit_status(command->process));
    return *output ? g_strdup_printf("%s: %s", how, output) : g_steal_pointer(&how);
}

/* Waits for the process, not for the end of its output: a child that it left behind may keep the
 * pipe open. */
static void process_ended(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(Command) command = user_data;
    g_autofree char *words = NULL;
    gboolean over = FALSE;

    g_subprocess_wait_finish(G_SUBPROCESS(source), result, NULL);
    if (!command->done)
        return;
    for (int i = 0; i < PIPE_BYTES / COMMAND_MAX_OUTPUT && command->readable; i++) {
        if (!take(command, &over))
            break;
    }
    words = ending(command);
    command->done(!command->timed_out && g_subprocess_get_successful(command->process), words,
                  command->user_data);
}

static void kill_group(const Command *command)
{
    /* 0 would be our own */
    if (command->group > 0)
        kill(-command->group, SIGKILL);
}

static gboolean time_is_over(gpointer user_data)
{
    Command *command = user_data;

    command->timer = 0;
    command->timed_out = TRUE;
    kill_group(command);
    return G_SOURCE_REMOVE;
}

static void own_group(G_GNUC_UNUSED gpointer user_data)
{
    setsid();
}

static Command *command_new(GSubprocess *process, guint timeout_s)
{
    Command *command = g_new0(Command, 1);
    const char *pid = g_subprocess_get_identifier(process);

    command->process = process;
    if (pid)
        command->group = (pid_t)g_ascii_strtoll(pid, NULL, 10);
    command->output = G_POLLABLE_INPUT_STREAM(g_subprocess_get_stdout_pipe(process));
    command->readable = g_pollable_input_stream_create_source(command->output, NULL);
    g_source_set_callback(command->readable, G_SOURCE_FUNC(on_readable), command, NULL);
    g_source_attach(command->readable, NULL);
    command->kept = g_string_new(NULL);
    command->timeout_s = timeout_s;
    command->timer = g_timeout_add_seconds(timeout_s, time_is_over, command);
    return command;
}

Command *command_start(const char *const *argv, guint timeout_s, CommandDone done,
                       gpointer user_data, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
    GSubprocess *process;
    Command *command;

    g_subprocess_launcher_set_child_setup(launcher, own_group, NULL, NULL);
    process = g_subprocess_launcher_spawnv(launcher, argv, error);
    if (!process)
        return NULL;
    command = command_new(process, timeout_s);
    command->done = done;
    command->user_data = user_data;
    g_subprocess_wait_async(process, NULL, process_ended, command);
    return command;
}

Command *command_start_line(const char *line, guint timeout_s, CommandDone done, gpointer user_data,
                            GError **error)
{
    g_auto(GStrv) argv = NULL;

    if (!g_shell_parse_argv(line, NULL, &argv, error))
        return NULL;
    return command_start((const char *const *)argv, timeout_s, done, user_data, error);
}

void command_cancel(Command *command)
{
    command->done = NULL;
    kill_group(command);
}
