/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Child processes on GSubprocess: own process group, no input, the end of the output kept, killed when their time is over.
 */
#include "adapter/command.h"

#include <errno.h>
#include <gio/gio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct _Command {
    GSubprocess *process;
    pid_t group;
    GInputStream *output; /* owned by the process */
    GCancellable *cancellable;
    char chunk[512];
    GString *kept;
    guint timeout_s;
    guint timer;
    gboolean timed_out;
    CommandDone done;
    gpointer user_data;
    guint pending; /* async calls that still hold us */
    gboolean over; /* ended or cancelled: nothing is told any more */
};

static void command_release(Command *command)
{
    if (--command->pending > 0)
        return;
    g_clear_handle_id(&command->timer, g_source_remove);
    g_clear_object(&command->process);
    g_clear_object(&command->cancellable);
    g_string_free(command->kept, TRUE);
    g_free(command);
}

static void keep(Command *command, gsize length)
{
    g_string_append_len(command->kept, command->chunk, (gssize)length);
    if (command->kept->len > COMMAND_MAX_OUTPUT)
        g_string_erase(command->kept, 0, (gssize)(command->kept->len - COMMAND_MAX_OUTPUT));
}

static void read_more(Command *command);

static void chunk_read(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Command *command = user_data;
    gssize length = g_input_stream_read_finish(G_INPUT_STREAM(source), result, NULL);

    if (length > 0) {
        keep(command, (gsize)length);
        read_more(command);
    }
    command_release(command);
}

static void read_more(Command *command)
{
    command->pending++;
    g_input_stream_read_async(command->output, command->chunk, sizeof(command->chunk),
                              G_PRIORITY_DEFAULT, command->cancellable, chunk_read, command);
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

/* Waits for the process, not for the end of its output: a child that it left behind may keep the pipe open. */
static void process_ended(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Command *command = user_data;

    g_subprocess_wait_finish(G_SUBPROCESS(source), result, NULL);
    g_clear_handle_id(&command->timer, g_source_remove);
    if (!command->over) {
        g_autofree char *words = ending(command);
        gboolean ok = !command->timed_out && g_subprocess_get_successful(command->process);

        command->over = TRUE;
        command->done(ok, words, command->user_data);
    }
    g_cancellable_cancel(command->cancellable);
    command_release(command);
}

static gboolean time_is_over(gpointer user_data)
{
    Command *command = user_data;

    command->timer = 0;
    command->timed_out = TRUE;
    kill(-command->group, SIGKILL);
    return G_SOURCE_REMOVE;
}

static void own_group(G_GNUC_UNUSED gpointer user_data)
{
    setsid();
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
    command = g_new0(Command, 1);
    command->process = process;
    command->group = (pid_t)g_ascii_strtoll(g_subprocess_get_identifier(process), NULL, 10);
    command->output = g_subprocess_get_stdout_pipe(process);
    command->cancellable = g_cancellable_new();
    command->kept = g_string_new(NULL);
    command->timeout_s = timeout_s;
    command->timer = g_timeout_add_seconds(timeout_s, time_is_over, command);
    command->done = done;
    command->user_data = user_data;
    command->pending = 1;
    g_subprocess_wait_async(process, NULL, process_ended, command);
    read_more(command);
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
    command->over = TRUE;
    kill(-command->group, SIGKILL);
}
