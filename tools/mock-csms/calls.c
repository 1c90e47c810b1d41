/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue of the mock's own CALLs and the list of the open ones. */
#include "calls.h"

#include <gio/gio.h>
#include <string.h>

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

typedef struct {
    Calls *calls;
    Call *call;
    gconstpointer connection;
    guint timer;
} Open;

struct Calls {
    gint64 timeout;
    CallUnanswered unanswered;
    gpointer user;
    guint64 last_id;
    GQueue waiting; /* Call * */
    GQueue open;    /* Open * */
    GQueue late;    /* json_t *, oldest first */
};

Call *call_new(Calls *calls, const char *action, json_t *payload)
{
    Call *call = g_new0(Call, 1);

    call->id = json_sprintf("mock-%" G_GUINT64_FORMAT, ++calls->last_id);
    call->action = g_strdup(action);
    call->payload = payload;
    return call;
}

/* What a charge point should take for a CALL: a byte order mark and a type of 2.0 are no reason not
 * to. */
Call *call_new_raw(const char *text, gsize length)
{
    gsize mark = strlen(BYTE_ORDER_MARK);
    gsize skip = length >= mark && memcmp(text, BYTE_ORDER_MARK, mark) == 0 ? mark : 0;
    json_auto_t *root = json_loadb(text + skip, length - skip, 0, NULL);
    const char *action;
    Call *call;

    if (json_number_value(json_array_get(root, 0)) != 2 || json_array_size(root) < 2)
        return NULL;
    action = json_string_value(json_array_get(root, 2));
    call = g_new0(Call, 1);
    call->id = json_incref(json_array_get(root, 1));
    call->action = g_strdup(action != NULL ? action : "");
    call->payload = json_incref(json_array_get(root, 3));
    call->raw = TRUE;
    return call;
}

void call_free(Call *call)
{
    if (call == NULL)
        return;
    json_decref(call->id);
    json_decref(call->payload);
    g_free(call->action);
    g_free(call);
}

GBytes *call_to_text(const Call *call)
{
    json_auto_t *frame = json_pack("[i,O,s,O]", 2, call->id, call->action, call->payload);
    char *text = json_dumps(frame, JSON_COMPACT);

    return g_bytes_new_with_free_func(text, strlen(text), free, text);
}

static void open_free(gpointer data)
{
    Open *open = data;

    g_clear_handle_id(&open->timer, g_source_remove);
    call_free(open->call);
    g_free(open);
}

Calls *calls_new(gint64 timeout, CallUnanswered unanswered, gpointer user)
{
    Calls *calls = g_new0(Calls, 1);

    calls->timeout = timeout;
    calls->unanswered = unanswered;
    calls->user = user;
    g_queue_init(&calls->waiting);
    g_queue_init(&calls->open);
    g_queue_init(&calls->late);
    return calls;
}

void calls_free(Calls *calls)
{
    if (calls == NULL)
        return;
    g_queue_clear_full(&calls->waiting, (GDestroyNotify)call_free);
    g_queue_clear_full(&calls->open, open_free);
    g_queue_clear_full(&calls->late, (GDestroyNotify)json_decref);
    g_free(calls);
}

gboolean calls_push(Calls *calls, Call *call, GError **error)
{
    if (g_queue_get_length(&calls->waiting) >= CALLS_WAITING_MAX) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "%d CALLs are waiting already",
                    CALLS_WAITING_MAX);
        call_free(call);
        return FALSE;
    }
    g_queue_push_tail(&calls->waiting, call);
    return TRUE;
}

Call *calls_next(Calls *calls)
{
    for (const GList *item = calls->open.head; item != NULL; item = item->next)
        if (!((const Open *)item->data)->call->raw)
            return NULL;
    return g_queue_pop_head(&calls->waiting);
}

/* Takes an Open out of the list; its id is remembered, because the answer may still come. */
static void give_up(Calls *calls, Open *open, const char *why)
{
    g_queue_remove(&calls->open, open);
    if (g_queue_get_length(&calls->late) >= CALLS_LATE_MAX)
        json_decref(g_queue_pop_head(&calls->late));
    g_queue_push_tail(&calls->late, json_incref(open->call->id));
    calls->unanswered(calls->user, open->connection, open->call, why);
    open_free(open);
}

static gboolean on_timeout(gpointer data)
{
    Open *open = data;

    open->timer = 0;
    give_up(open->calls, open, "timeout");
    return G_SOURCE_REMOVE;
}

void calls_open(Calls *calls, Call *call, gconstpointer connection)
{
    Open *open = g_new0(Open, 1);

    if (g_queue_get_length(&calls->open) >= CALLS_OPEN_MAX)
        give_up(calls, g_queue_peek_head(&calls->open), "too many open CALLs");
    open->calls = calls;
    open->call = call;
    open->connection = connection;
    open->timer = g_timeout_add((guint)(calls->timeout / 1000), on_timeout, open);
    g_queue_push_tail(&calls->open, open);
}

Call *calls_take(Calls *calls, gconstpointer connection, const json_t *id)
{
    for (GList *item = calls->open.head; item != NULL; item = item->next) {
        Open *open = item->data;
        Call *call;

        if (open->connection != connection || !json_equal(open->call->id, id))
            continue;
        call = g_steal_pointer(&open->call);
        g_queue_delete_link(&calls->open, item);
        open_free(open);
        return call;
    }
    return NULL;
}

gboolean calls_is_late(const Calls *calls, const json_t *id)
{
    for (const GList *item = calls->late.head; item != NULL; item = item->next)
        if (json_equal(item->data, id))
            return TRUE;
    return FALSE;
}

void calls_disconnected(Calls *calls, gconstpointer connection)
{
    GList *item = calls->open.head;

    while (item != NULL) {
        Open *open = item->data;

        item = item->next;
        if (open->connection == connection)
            give_up(calls, open, "disconnected");
    }
}
