/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads commands from standard input and from the script, and lets the script wait. */
#include "input.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

#include "script.h"
#include "wait.h"

#define READ_SIZE 65536

struct Input {
    Csms *csms;
    CommandContext context;
    void (*finished)(gpointer user);
    gpointer user;

    GString *line; /* the unfinished line of standard input */
    gboolean line_too_long;
    guint source;
    gboolean stdin_ended;

    char **script; /* its lines, NULL: there is none */
    guint next;
    gboolean failed;
    gboolean quit;
    guint resume_source;
    Wait *waiting;
    guint wait_timer;
    History history;
};

static void run_script(Input *input);

static gboolean script_over(const Input *input)
{
    return input->script == NULL || input->failed || input->quit ||
           input->script[input->next] == NULL;
}

static void check_finished(Input *input)
{
    if (input->stdin_ended && script_over(input) && input->waiting == NULL)
        input->finished(input->user);
}

static void run_line(Input *input)
{
    if (input->line_too_long)
        script_log(csms_log(input->csms), "", "the line is too long");
    else
        (void)script_run(&input->context, input->line->str);
    g_string_truncate(input->line, 0);
    input->line_too_long = FALSE;
}

static void take_bytes(Input *input, const char *bytes, gsize length)
{
    for (gsize i = 0; i < length; i++) {
        if (bytes[i] == '\n')
            run_line(input);
        else if (input->line->len >= LINE_MAX_BYTES)
            input->line_too_long = TRUE;
        else if (bytes[i] != '\r' && bytes[i] != '\0')
            g_string_append_c(input->line, bytes[i]);
    }
}

static gboolean on_stdin(int fd, GIOCondition condition, gpointer data)
{
    Input *input = data;
    g_autofree char *buffer = g_malloc(READ_SIZE);
    ssize_t length = read(fd, buffer, READ_SIZE);

    (void)condition;
    if (length > 0) {
        take_bytes(input, buffer, (gsize)length);
        return G_SOURCE_CONTINUE;
    }
    if (length < 0 && (errno == EINTR || errno == EAGAIN))
        return G_SOURCE_CONTINUE;
    input->source = 0;
    input->stdin_ended = TRUE;
    if (input->line->len > 0 || input->line_too_long)
        run_line(input);
    check_finished(input);
    return G_SOURCE_REMOVE;
}

/* The wait at the present line is over; problem NULL: fulfilled. */
static void end_wait(Input *input, const char *problem)
{
    const char *line = input->script[input->next];

    g_clear_pointer(&input->waiting, wait_free);
    g_clear_handle_id(&input->wait_timer, g_source_remove);
    script_log(csms_log(input->csms), g_strstrip((char *)line), problem);
    input->failed = problem != NULL;
    input->next++;
}

static gboolean on_wait_timeout(gpointer data)
{
    Input *input = data;
    g_autofree char *problem = g_strdup_printf("did not come within %u s", input->waiting->seconds);

    input->wait_timer = 0;
    end_wait(input, problem);
    check_finished(input);
    return G_SOURCE_REMOVE;
}

static gboolean on_resume(gpointer data)
{
    Input *input = data;

    input->resume_source = 0;
    run_script(input);
    check_finished(input);
    return G_SOURCE_REMOVE;
}

/* Not at once: whoever tells of the event is not done with its connection. */
static void resume_later(Input *input)
{
    if (input->resume_source == 0)
        input->resume_source = g_idle_add_full(G_PRIORITY_DEFAULT, on_resume, input, NULL);
}

static void on_event(gpointer user, const char *what, const json_t *payload)
{
    Input *input = user;

    if (input->script == NULL)
        return;
    history_add(&input->history, what, payload);
    if (input->waiting != NULL && history_find(&input->history, input->waiting)) {
        end_wait(input, NULL);
        resume_later(input);
    }
}

static void start_wait(Input *input, const char *text)
{
    g_autoptr(GError) error = NULL;

    input->waiting = wait_parse(text, &error);
    if (input->waiting == NULL) {
        end_wait(input, error->message);
        return;
    }
    if (history_find(&input->history, input->waiting)) {
        end_wait(input, NULL);
        return;
    }
    input->wait_timer = g_timeout_add_seconds(input->waiting->seconds, on_wait_timeout, input);
}

static void run_script(Input *input)
{
    while (input->waiting == NULL && !script_over(input)) {
        const char *rest = g_strstrip(input->script[input->next]);
        g_autofree char *name = command_word(&rest);

        if (g_strcmp0(name, "wait") == 0) {
            start_wait(input, rest);
            continue;
        }
        input->failed = !script_run(&input->context, input->script[input->next]);
        input->next++;
    }
}

static void on_quit(gpointer user)
{
    Input *input = user;

    input->quit = TRUE;
    input->finished(input->user);
}

static gboolean load_script(Input *input, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    gsize length;

    if (!g_file_get_contents(path, &text, &length, error))
        return FALSE;
    if (length > SCRIPT_MAX_BYTES) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s: too long for a script",
                    path);
        return FALSE;
    }
    input->script = g_strsplit(text, "\n", -1);
    return TRUE;
}

Input *input_new(Csms *csms, const char *script, void (*finished)(gpointer user), gpointer user,
                 GError **error)
{
    g_autoptr(Input) input = g_new0(Input, 1);

    input->csms = csms;
    input->finished = finished;
    input->user = user;
    input->line = g_string_new(NULL);
    input->context.csms = csms;
    input->context.quit = on_quit;
    input->context.user = input;
    history_init(&input->history);
    if (script != NULL && !load_script(input, script, error))
        return NULL;
    csms_observe(csms, on_event, input);
    return g_steal_pointer(&input);
}

void input_free(Input *input)
{
    if (input == NULL)
        return;
    csms_observe(input->csms, NULL, NULL);
    g_clear_handle_id(&input->source, g_source_remove);
    g_clear_handle_id(&input->wait_timer, g_source_remove);
    g_clear_handle_id(&input->resume_source, g_source_remove);
    wait_free(input->waiting);
    history_clear(&input->history);
    g_strfreev(input->script);
    g_string_free(input->line, TRUE);
    g_free(input);
}

void input_start(Input *input)
{
    resume_later(input);
    input->source = g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR, on_stdin, input);
}

gboolean input_script_failed(const Input *input)
{
    return input->failed;
}
