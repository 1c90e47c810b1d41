/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting looks back as well as forward: what came between two lines of a script is not lost. */
#include "wait.h"

#include <string.h>

#include "commands.h"

typedef struct {
    char *what;
    json_t *payload;
} Event;

static void event_free(gpointer data)
{
    Event *event = data;

    g_free(event->what);
    json_decref(event->payload);
    g_free(event);
}

static gboolean parse_words(Wait *wait, GPtrArray *fields, const char *text, GError **error)
{
    char *word;

    while ((word = command_word(&text)) != NULL) {
        gint64 seconds;

        if (strchr(word, '=') != NULL) {
            g_ptr_array_add(fields, word);
            continue;
        }
        if (strcmp(word, "timeout") != 0) {
            command_fail(error, "'%s' is neither FIELD=VALUE nor timeout", word);
            g_free(word);
            return FALSE;
        }
        g_free(word);
        word = command_need_word(&text, "SECONDS", error);
        if (word == NULL || !command_number(word, 1, WAIT_MAX_SECONDS, &seconds, error)) {
            g_free(word);
            return FALSE;
        }
        g_free(word);
        wait->seconds = (guint)seconds;
    }
    return TRUE;
}

Wait *wait_parse(const char *text, GError **error)
{
    g_autoptr(Wait) wait = g_new0(Wait, 1);
    g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);

    wait->seconds = WAIT_DEFAULT_SECONDS;
    wait->what = command_need_word(&text, "what to wait for", error);
    if (wait->what == NULL || !parse_words(wait, fields, text, error))
        return NULL;
    g_ptr_array_add(fields, NULL);
    wait->fields = (char **)g_ptr_array_steal(fields, NULL);
    return g_steal_pointer(&wait);
}

void wait_free(Wait *wait)
{
    if (wait == NULL)
        return;
    g_free(wait->what);
    g_strfreev(wait->fields);
    g_free(wait);
}

void history_init(History *history)
{
    g_queue_init(&history->events);
}

void history_clear(History *history)
{
    g_queue_clear_full(&history->events, event_free);
}

void history_add(History *history, const char *what, const json_t *payload)
{
    Event *event = g_new0(Event, 1);

    event->what = g_strdup(what);
    event->payload = json_incref((json_t *)payload);
    if (g_queue_get_length(&history->events) >= HISTORY_MAX)
        event_free(g_queue_pop_head(&history->events));
    g_queue_push_tail(&history->events, event);
}

/* Strings by their text, everything else by its JSON. */
static gboolean field_fits(const json_t *payload, const char *field)
{
    const char *equals = strchr(field, '=');
    g_autofree char *name = g_strndup(field, (gsize)(equals - field));
    const json_t *value = json_object_get(payload, name);
    char *text;
    gboolean fits;

    if (value == NULL)
        return FALSE;
    if (json_is_string(value))
        return strcmp(json_string_value(value), equals + 1) == 0;
    text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    fits = g_strcmp0(text, equals + 1) == 0;
    free(text);
    return fits;
}

static gboolean event_fits(const Event *event, const Wait *wait)
{
    if (strcmp(event->what, wait->what) != 0)
        return FALSE;
    for (guint i = 0; wait->fields[i] != NULL; i++)
        if (!field_fits(event->payload, wait->fields[i]))
            return FALSE;
    return TRUE;
}

gboolean history_find(History *history, const Wait *wait)
{
    const GList *item = history->events.head;
    guint older = 1;

    while (item != NULL && !event_fits(item->data, wait)) {
        item = item->next;
        older++;
    }
    if (item == NULL)
        return FALSE;
    while (older-- > 0)
        event_free(g_queue_pop_head(&history->events));
    return TRUE;
}
