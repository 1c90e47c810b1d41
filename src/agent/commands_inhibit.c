/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `inhibit -- COMMAND`: runs a command, and no update reboots until it ends.
 *
 * The file descriptor stays with us and is not inherited by the command, so that something which
 * the command leaves running in the background does not hold the reboot back for ever.  An agent
 * that is restarted forgets its inhibitors; we see its end of the pipe close and ask again.
 */
#include <gio/gio.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/client.h"
#include "agent/commands_parts.h"
#include "agent/control.h"
#include "agent/text.h"

#define RETAKE_S    1
#define SIGNAL_BASE 128 /* what shells add to the signal that ended a command */

typedef struct {
    char *who, *why;
    int fd; /* -1: not held */
    guint watch, retake;
    GSubprocess *child;
    GMainLoop *loop;
} Holding;

static gboolean on_agent_gone(gint fd, GIOCondition condition, gpointer user_data);

static gboolean take(Holding *holding, GError **error)
{
    g_autoptr(Client) client = client_new(error);
    if (!client)
        return FALSE;
    holding->fd = client_inhibit(client, holding->who, holding->why, error);
    if (holding->fd < 0)
        return FALSE;
    holding->watch = g_unix_fd_add(holding->fd, G_IO_ERR | G_IO_HUP, on_agent_gone, holding);
    return TRUE;
}

static void release(Holding *holding)
{
    g_clear_handle_id(&holding->watch, g_source_remove);
    g_clear_handle_id(&holding->retake, g_source_remove);
    if (holding->fd >= 0)
        close(holding->fd);
    holding->fd = -1;
}

static gboolean on_retake(gpointer user_data)
{
    Holding *holding = user_data;
    if (!take(holding, NULL))
        return G_SOURCE_CONTINUE;
    holding->retake = 0;
    fprintf(stderr, "rauc-ocpp-agent is back, the reboot is held back again\n");
    return G_SOURCE_REMOVE;
}

static gboolean on_agent_gone(gint fd, GIOCondition condition, gpointer user_data)
{
    (void)fd;
    (void)condition;
    Holding *holding = user_data;
    holding->watch = 0; /* removed by the answer below */
    release(holding);
    fprintf(stderr, "rauc-ocpp-agent is gone, the reboot is not held back until it is back\n");
    holding->retake = g_timeout_add_seconds(RETAKE_S, on_retake, holding);
    return G_SOURCE_REMOVE;
}

static void on_child_ended(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Holding *holding = user_data;
    g_subprocess_wait_finish(G_SUBPROCESS(source), result, NULL);
    g_main_loop_quit(holding->loop);
}

static gboolean on_terminate(gpointer user_data)
{
    Holding *holding = user_data;
    g_subprocess_send_signal(holding->child, SIGTERM);
    return G_SOURCE_CONTINUE;
}

static gboolean on_hang_up(gpointer user_data)
{
    Holding *holding = user_data;
    g_subprocess_send_signal(holding->child, SIGHUP);
    return G_SOURCE_CONTINUE;
}

/* A terminal sends it to the command as well, which decides what it means. */
static gboolean on_interrupt(gpointer user_data)
{
    (void)user_data;
    return G_SOURCE_CONTINUE;
}

/* In the child, between fork and exec: an ignored signal would be inherited. */
static void reset_signals(gpointer user_data)
{
    (void)user_data;
    signal(SIGPIPE, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
}

static int exit_code(GSubprocess *child)
{
    return g_subprocess_get_if_signaled(child) ? SIGNAL_BASE + g_subprocess_get_term_sig(child)
                                               : g_subprocess_get_exit_status(child);
}

static int run_child(Holding *holding, char **command)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_INHERIT);
    g_subprocess_launcher_set_child_setup(launcher, reset_signals, NULL, NULL);
    g_autoptr(GSubprocess) child =
        g_subprocess_launcher_spawnv(launcher, (const gchar *const *)command, &error);
    if (!child)
        return commands_fail(error);

    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    holding->child = child;
    holding->loop = loop;
    signal(SIGQUIT, SIG_IGN);
    guint sources[] = {g_unix_signal_add(SIGTERM, on_terminate, holding),
                       g_unix_signal_add(SIGHUP, on_hang_up, holding),
                       g_unix_signal_add(SIGINT, on_interrupt, holding)};
    g_subprocess_wait_async(child, NULL, on_child_ended, holding);
    g_main_loop_run(loop);
    for (guint i = 0; i < G_N_ELEMENTS(sources); i++)
        g_source_remove(sources[i]);
    return exit_code(child);
}

/* "runs NAME", within what the interface allows. */
static char *default_why(const char *command)
{
    g_autofree char *name = g_path_get_basename(command);
    g_autofree char *visible = text_visible(name);
    g_autofree char *why = g_strdup_printf("runs %s", visible);
    return g_utf8_substring(why, 0, MIN(g_utf8_strlen(why, -1), CONTROL_MAX_WHY));
}

int commands_inhibit(const CommandOptions *options)
{
    if (!options->arguments[0])
        return commands_usage("inhibit: no command to run");
    if ((options->who && !g_utf8_validate(options->who, -1, NULL)) ||
        (options->why && !g_utf8_validate(options->why, -1, NULL)))
        return commands_usage("inhibit: --who and --why are UTF-8");

    g_autoptr(GError) error = NULL;
    g_autofree char *who = g_strdup(options->who ? options->who : g_get_user_name());
    g_autofree char *why =
        options->why ? g_strdup(options->why) : default_why(options->arguments[0]);
    Holding holding = {.who = who, .why = why, .fd = -1};
    if (!take(&holding, &error))
        return commands_fail(error);
    int code = run_child(&holding, options->arguments);
    release(&holding);
    return code;
}
