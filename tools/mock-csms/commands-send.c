/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands that send something to the charge point. */
#include <string.h>

#include "commands.h"

/* A retrieveDate no further ahead than this, in seconds. */
#define AHEAD_MAX (10LL * 366 * 24 * 3600)

/* Sends {"field":word} and so on; every builder below ends here. */
static gboolean send_call(const CommandContext *context, const char *action, json_t *payload,
                          GError **error)
{
    return csms_call(context->csms, action, payload, context->now, error);
}

/* A word as JSON text; commands are UTF-8 by the time they get here. */
static json_t *json_word(const char *word)
{
    return log_text(word, -1);
}

/* now, +SECONDS, -SECONDS, or any text at all: wrong dates are part of what is tested. */
static gboolean set_date(const CommandContext *context, json_t *payload, const char *field,
                         const char *word, GError **error)
{
    const Clock *clock = answers_clock(csms_answers(context->csms));
    gboolean relative = (*word == '+' || *word == '-') && g_ascii_isdigit(word[1]);
    g_autofree char *date = NULL;
    gint64 ahead = 0;

    if (strcmp(word, "absent") == 0)
        return TRUE;
    if ((*word == '+' || relative) && !command_number(word + 1, 0, AHEAD_MAX, &ahead, error))
        return FALSE;
    date = relative || strcmp(word, "now") == 0 ? clock_text(clock, *word == '-' ? -ahead : ahead)
                                                : g_strdup(word);
    json_object_set_new(payload, field, json_word(date));
    return TRUE;
}

/* retries=N or interval=S; `*ret_done`: it was one of them. */
static gboolean set_number(json_t *payload, const char *word, gboolean *ret_done, GError **error)
{
    static const struct {
        const char *prefix, *field;
    } NUMBERS[] = {{"retries=", "retries"}, {"interval=", "retryInterval"}};
    gint64 number;

    *ret_done = FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(NUMBERS); i++) {
        if (!g_str_has_prefix(word, NUMBERS[i].prefix))
            continue;
        if (!command_number(strchr(word, '=') + 1, G_MININT32, G_MAXINT32, &number, error))
            return FALSE;
        json_object_set_new(payload, NUMBERS[i].field, json_integer(number));
        *ret_done = TRUE;
    }
    return TRUE;
}

static gboolean set_update_option(const CommandContext *context, json_t *payload, const char *word,
                                  gboolean *ret_dated, GError **error)
{
    gboolean done;

    if (!set_number(payload, word, &done, error))
        return FALSE;
    if (done)
        return TRUE;
    if (*ret_dated)
        return command_fail(error, "'%s' is not understood", word);
    *ret_dated = TRUE;
    return set_date(context, payload, "retrieveDate", word, error);
}

static gboolean set_diagnostics_option(const CommandContext *context, json_t *payload,
                                       const char *word, GError **error)
{
    gboolean done;

    if (!set_number(payload, word, &done, error))
        return FALSE;
    if (done)
        return TRUE;
    if (g_str_has_prefix(word, "start="))
        return set_date(context, payload, "startTime", strchr(word, '=') + 1, error);
    if (g_str_has_prefix(word, "stop="))
        return set_date(context, payload, "stopTime", strchr(word, '=') + 1, error);
    return command_fail(error, "'%s' is not understood", word);
}

gboolean command_update(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *url = command_need_word(rest, "URL", error);
    json_auto_t *payload = json_object();
    gboolean dated = FALSE;
    char *word;

    if (url == NULL)
        return FALSE;
    json_object_set_new(payload, "location", json_word(url));
    while ((word = command_word(rest)) != NULL) {
        gboolean done = set_update_option(context, payload, word, &dated, error);

        g_free(word);
        if (!done)
            return FALSE;
    }
    if (!dated && !set_date(context, payload, "retrieveDate", "now", error))
        return FALSE;
    return send_call(context, "UpdateFirmware", json_incref(payload), error);
}

gboolean command_diagnostics(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *url = command_need_word(rest, "URL", error);
    json_auto_t *payload = json_object();
    char *word;

    if (url == NULL)
        return FALSE;
    json_object_set_new(payload, "location", json_word(url));
    while ((word = command_word(rest)) != NULL) {
        gboolean done = set_diagnostics_option(context, payload, word, error);

        g_free(word);
        if (!done)
            return FALSE;
    }
    return send_call(context, "GetDiagnostics", json_incref(payload), error);
}

gboolean command_trigger(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *message = command_need_word(rest, "MESSAGE", error);
    g_autofree char *connector = command_word(rest);
    gint64 id;
    json_t *payload;

    if (message == NULL)
        return FALSE;
    if (connector != NULL && !command_number(connector, G_MININT32, G_MAXINT32, &id, error))
        return FALSE;
    payload = json_pack("{s:o}", "requestedMessage", json_word(message));
    if (connector != NULL)
        json_object_set_new(payload, "connectorId", json_integer(id));
    return send_call(context, "TriggerMessage", payload, error);
}

gboolean command_reset(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *type = command_need_word(rest, "Soft or Hard", error);

    return type != NULL &&
           send_call(context, "Reset", json_pack("{s:o}", "type", json_word(type)), error);
}

gboolean command_get_configuration(const CommandContext *context, const char **rest, GError **error)
{
    json_t *payload = json_object();
    json_t *keys = json_array();
    char *word;

    while ((word = command_word(rest)) != NULL) {
        json_array_append_new(keys, json_word(word));
        g_free(word);
    }
    if (json_array_size(keys) > 0)
        json_object_set(payload, "key", keys);
    json_decref(keys);
    return send_call(context, "GetConfiguration", payload, error);
}

gboolean command_change_configuration(const CommandContext *context, const char **rest,
                                      GError **error)
{
    g_autofree char *key = command_need_word(rest, "KEY", error);

    if (key == NULL)
        return FALSE;
    return send_call(
        context, "ChangeConfiguration",
        json_pack("{s:o,s:o}", "key", json_word(key), "value", json_word(command_rest(rest))),
        error);
}

gboolean command_change_availability(const CommandContext *context, const char **rest,
                                     GError **error)
{
    g_autofree char *id = command_need_word(rest, "ID", error);
    g_autofree char *type = NULL;
    gint64 number;

    if (id == NULL || !command_number(id, G_MININT32, G_MAXINT32, &number, error))
        return FALSE;
    type = command_need_word(rest, "Operative or Inoperative", error);
    if (type == NULL)
        return FALSE;
    return send_call(
        context, "ChangeAvailability",
        json_pack("{s:I,s:o}", "connectorId", (json_int_t)number, "type", json_word(type)), error);
}

gboolean command_call(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *action = command_need_word(rest, "ACTION", error);
    const char *text;
    json_error_t json_error;
    json_t *payload;

    if (action == NULL)
        return FALSE;
    text = command_rest(rest);
    payload = json_loads(*text != '\0' ? text : "{}", JSON_DECODE_ANY, &json_error);
    if (payload == NULL)
        return command_fail(error, "not JSON: %s", json_error.text);
    if (!g_utf8_validate(action, -1, NULL)) {
        json_decref(payload);
        return command_fail(error, "the action is not UTF-8");
    }
    return send_call(context, action, payload, error);
}

gboolean command_big(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *word = command_need_word(rest, "N", error);
    gint64 size;

    return word != NULL && command_number(word, 1, MESSAGE_MAX, &size, error) &&
           csms_call_of_size(context->csms, (gsize)size, context->now, error);
}

gboolean command_raw(const CommandContext *context, const char **rest, GError **error)
{
    const char *text = command_rest(rest);
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));

    return csms_raw(context->csms, bytes, 1, error);
}

gboolean command_raw_hex(const CommandContext *context, const char **rest, GError **error)
{
    const char *text = command_rest(rest);
    gsize length = strlen(text);
    g_autoptr(GByteArray) data = g_byte_array_new();
    g_autoptr(GBytes) bytes = NULL;

    for (gsize i = 0; i < length; i += 2) {
        int high = g_ascii_xdigit_value(text[i]);
        int low = i + 1 < length ? g_ascii_xdigit_value(text[i + 1]) : -1;
        guint8 byte = (guint8)(high * 16 + low);

        if (high < 0 || low < 0)
            return command_fail(error, "'%s' is not pairs of hex digits", text);
        g_byte_array_append(data, &byte, 1);
    }
    bytes = g_bytes_new(data->data, data->len);
    return csms_raw(context->csms, bytes, 1, error);
}

gboolean command_fragmented(const CommandContext *context, const char **rest, GError **error)
{
    g_autofree char *word = command_need_word(rest, "N", error);
    g_autoptr(GBytes) bytes = NULL;
    const char *text;
    gint64 fragments;

    if (word == NULL || !command_number(word, 1, OUT_QUEUE_MAX, &fragments, error))
        return FALSE;
    text = command_rest(rest);
    bytes = g_bytes_new(text, strlen(text));
    return csms_raw(context->csms, bytes, (guint)fragments, error);
}
