/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queue of CALLs and the open one.
 */
#include "ocpp/calls.h"

typedef struct {
    OcppCallInfo info;
    json_t *payload;
} Queued;

struct _OcppCalls {
    gint64 timeout_ms;
    GQueue queue; /* of Queued */

    char *open_id; /* NULL: no CALL is open, and what follows means nothing */
    OcppCallInfo open;
    gint64 deadline_ms;
};

static void queued_free(Queued *queued)
{
    if (queued == NULL)
        return;
    ocpp_call_info_clear(&queued->info);
    json_decref(queued->payload);
    g_free(queued);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Queued, queued_free)

OcppCalls *ocpp_calls_new(gint64 timeout_ms)
{
    OcppCalls *calls = g_new0(OcppCalls, 1);

    calls->timeout_ms = timeout_ms;
    g_queue_init(&calls->queue);
    return calls;
}

void ocpp_calls_free(OcppCalls *calls)
{
    if (calls == NULL)
        return;
    ocpp_calls_clear_queue(calls);
    ocpp_call_info_clear(&calls->open);
    g_free(calls->open_id);
    g_free(calls);
}

gboolean ocpp_calls_enqueue(OcppCalls *calls, const char *action, json_t *payload, gint64 tag,
                            gboolean forced)
{
    Queued *queued;

    if (g_queue_get_length(&calls->queue) >= OCPP_CALLS_MAX_QUEUED) {
        json_decref(payload);
        return FALSE;
    }
    queued = g_new0(Queued, 1);
    queued->info.action = g_strdup(action);
    queued->info.tag = tag;
    queued->info.forced = forced;
    queued->payload = payload;
    g_queue_push_tail(&calls->queue, queued);
    return TRUE;
}

gboolean ocpp_calls_has(const OcppCalls *calls, const char *action)
{
    if (!ocpp_calls_idle(calls) && g_strcmp0(calls->open.action, action) == 0)
        return TRUE;
    for (const GList *link = calls->queue.head; link != NULL; link = link->next) {
        const Queued *queued = link->data;

        if (g_strcmp0(queued->info.action, action) == 0)
            return TRUE;
    }
    return FALSE;
}

gboolean ocpp_calls_idle(const OcppCalls *calls)
{
    return calls->open_id == NULL;
}

/* `info` is stolen, `payload` borrowed. */
static char *open_call(OcppCalls *calls, OcppCallInfo *info, const json_t *payload, gint64 now_ms)
{
    calls->open_id = ocpp_frame_new_id();
    calls->open = *info;
    *info = (OcppCallInfo){NULL, 0, FALSE};
    calls->deadline_ms = now_ms + calls->timeout_ms;
    return ocpp_frame_call(calls->open_id, calls->open.action, payload);
}

char *ocpp_calls_open(OcppCalls *calls, const char *action, json_t *payload, gint64 tag,
                      gint64 now_ms)
{
    json_auto_t *stolen = payload;
    OcppCallInfo info;

    if (!ocpp_calls_idle(calls))
        return NULL;
    info = (OcppCallInfo){g_strdup(action), tag, FALSE};
    return open_call(calls, &info, stolen, now_ms);
}

char *ocpp_calls_open_next(OcppCalls *calls, gboolean only_forced, gint64 now_ms)
{
    if (!ocpp_calls_idle(calls))
        return NULL;
    for (GList *link = calls->queue.head; link != NULL; link = link->next) {
        g_autoptr(Queued) queued = NULL;

        if (only_forced && !((const Queued *)link->data)->info.forced)
            continue;
        queued = link->data;
        g_queue_delete_link(&calls->queue, link);
        return open_call(calls, &queued->info, queued->payload, now_ms);
    }
    return NULL;
}

/* Closes the open CALL and hands its description over. */
static void close_call(OcppCalls *calls, OcppCallInfo *ret_info)
{
    g_clear_pointer(&calls->open_id, g_free);
    if (ret_info != NULL)
        *ret_info = calls->open;
    else
        g_free(calls->open.action);
    calls->open = (OcppCallInfo){NULL, 0, FALSE};
}

gboolean ocpp_calls_answered(OcppCalls *calls, const OcppFrame *frame, OcppCallInfo *ret_info)
{
    if (ocpp_calls_idle(calls) || frame->type == OCPP_CALL ||
        g_strcmp0(frame->id_text, calls->open_id) != 0)
        return FALSE;
    close_call(calls, ret_info);
    return TRUE;
}

gint64 ocpp_calls_deadline(const OcppCalls *calls)
{
    return ocpp_calls_idle(calls) ? -1 : calls->deadline_ms;
}

gboolean ocpp_calls_expire(OcppCalls *calls, gint64 now_ms, OcppCallInfo *ret_info)
{
    if (ocpp_calls_idle(calls) || now_ms < calls->deadline_ms)
        return FALSE;
    close_call(calls, ret_info);
    return TRUE;
}

gboolean ocpp_calls_abandon(OcppCalls *calls, OcppCallInfo *ret_info)
{
    if (ocpp_calls_idle(calls))
        return FALSE;
    close_call(calls, ret_info);
    return TRUE;
}

void ocpp_calls_clear_queue(OcppCalls *calls)
{
    g_queue_clear_full(&calls->queue, (GDestroyNotify)queued_free);
}

void ocpp_call_info_clear(OcppCallInfo *info)
{
    g_free(info->action);
    *info = (OcppCallInfo){NULL, 0, FALSE};
}
