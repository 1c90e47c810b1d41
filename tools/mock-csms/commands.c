/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands that change how the mock behaves, and the words all commands are read with. */
#include "commands.h"

#include <gio/gio.h>
#include <string.h>

#include "tables.h"

/* BootNotification.conf carries an int. */
#define INTERVAL_MAX G_MAXINT32

gboolean command_fail(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error != NULL)
        *error = g_error_new_valist(G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, format, args);
    va_end(args);
    return FALSE;
}

const char *command_rest(const char **rest)
{
    *rest += strspn(*rest, " \t");
    return *rest;
}

char *command_word(const char **rest)
{
    const char *start = command_rest(rest);
    gsize length = strcspn(start, " \t");

    *rest += length;
    return length > 0 ? g_strndup(start, length) : NULL;
}

char *command_need_word(const char **rest, const char *what, GError **error)
{
    char *word = command_word(rest);

    if (word == NULL)
        command_fail(error, "%s is missing", what);
    return word;
}

gboolean command_number(const char *word, gint64 least, gint64 most, gint64 *ret_number,
                        GError **error)
{
    if (g_ascii_string_to_signed(word, 10, least, most, ret_number, NULL))
        return TRUE;
    return command_fail(error, "'%s' is no number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                        word, least, most);
}

gboolean command_on_off(const char *word, gboolean *ret_on, GError **error)
{
    gboolean on = strcmp(word, "on") == 0;

    if (!on && strcmp(word, "off") != 0)
        return command_fail(error, "'%s' is neither on nor off", word);
    if (ret_on != NULL)
        *ret_on = on;
    return TRUE;
}

/* Faults are for what a charge point may send; a typing error would otherwise just do nothing. */
static gboolean known_request(const char *action, GError **error)
{
    const Action *known = action_find(action);

    if (known != NULL && known->request != NULL)
        return TRUE;
    return command_fail(error, "'%s' is no request of a charge point", action);
}

static char *need_request(const char **rest, GError **error)
{
    g_autofree char *action = command_need_word(rest, "ACTION", error);

    if (action == NULL || !known_request(action, error))
        return NULL;
    return g_steal_pointer(&action);
}

static gboolean one_number(const char **rest, const char *what, gint64 least, gint64 most,
                           gint64 *ret_number, GError **error)
{
    g_autofree char *word = command_need_word(rest, what, error);

    return word != NULL && command_number(word, least, most, ret_number, error);
}

gboolean command_boot(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *list = command_need_word(rest, "STATUS", error);

    return list != NULL && answers_set_boot(csms_answers(context->csms), list, error);
}

gboolean command_interval(const CommandContext *context, const char **rest, GError **error)
{
    gint64 seconds;

    if (!one_number(rest, "SECONDS", 0, INTERVAL_MAX, &seconds, error))
        return FALSE;
    answers_set_interval(csms_answers(context->csms), (guint)seconds);
    return TRUE;
}

gboolean command_time(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *text = command_need_word(rest, "TIME", error);

    return text != NULL && clock_set(answers_clock(csms_answers(context->csms)), text, error);
}

gboolean command_delay(const CommandContext *context, const char **rest, GError **error)
{
    gint64 ms;

    if (!one_number(rest, "MS", 0, DELAY_MAX_MS, &ms, error))
        return FALSE;
    csms_set_delay(context->csms, (guint)ms);
    return TRUE;
}

/* `mute`, `mute off`, `mute Heartbeat`, `mute Heartbeat off`. */
gboolean command_mute(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *first = command_word(rest);
    g_autofree char *second = command_word(rest);
    gboolean for_all = first == NULL || command_on_off(first, NULL, NULL);
    const char *action = for_all ? NULL : first;
    const char *word = for_all ? first : second;
    gboolean on = TRUE;

    if (action != NULL && !known_request(action, error))
        return FALSE;
    if (word != NULL && !command_on_off(word, &on, error))
        return FALSE;
    faults_mute(csms_faults(context->csms), action, on);
    return TRUE;
}

gboolean command_error(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *action = need_request(rest, error);
    g_autofree char *code = NULL;
    g_autofree char *word = NULL;
    gint64 count = G_MAXUINT;

    if (action == NULL)
        return FALSE;
    code = command_need_word(rest, "CODE", error);
    if (code == NULL)
        return FALSE;
    word = command_word(rest);
    if (word != NULL && !command_number(word, 0, G_MAXUINT - 1, &count, error))
        return FALSE;
    faults_error(csms_faults(context->csms), action, code, (guint)count);
    return TRUE;
}

gboolean command_drop(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *action = command_word(rest);

    if (action == NULL)
        return csms_drop(context->csms, error);
    if (!known_request(action, error))
        return FALSE;
    faults_drop(csms_faults(context->csms), action);
    return TRUE;
}

gboolean command_close(const CommandContext *context, const char **rest, GError **error)
{
    gint64 code;

    if (!one_number(rest, "CODE", 1000, 4999, &code, error))
        return FALSE;
    /* RFC 6455, 7.4.1: these never stand in a close frame. */
    if (code == 1005 || code == 1006 || code == 1015)
        return command_fail(error, "%d is never sent", (int)code);
    return csms_close(context->csms, (guint16)code, error);
}

gboolean command_refuse(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *word = command_need_word(rest, "on, off or an HTTP status", error);
    gint64 status = 503;

    if (word == NULL)
        return FALSE;
    if (strcmp(word, "off") == 0)
        status = 0;
    else if (strcmp(word, "on") != 0 && !command_number(word, 400, 599, &status, error))
        return FALSE;
    csms_set_refusal(context->csms, (guint)status);
    return TRUE;
}

gboolean command_freeze(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *word = command_need_word(rest, "on or off", error);
    gboolean on = FALSE;

    if (word == NULL || !command_on_off(word, &on, error))
        return FALSE;
    csms_freeze(context->csms, on);
    return TRUE;
}

gboolean command_stop_listening(const CommandContext *context, const char **rest, GError **error)
{
    (void)rest;
    return server_listen(csms_server(context->csms), FALSE, error);
}

gboolean command_listen(const CommandContext *context, const char **rest, GError **error)
{
    (void)rest;
    return server_listen(csms_server(context->csms), TRUE, error);
}

gboolean command_quit(const CommandContext *context, const char **rest, GError **error)
{
    (void)rest;
    (void)error;
    context->quit(context->user);
    return TRUE;
}
