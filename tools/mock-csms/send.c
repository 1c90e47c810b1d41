/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything that goes out: answers, at once or later, and the mock's own CALLs. */
#include "csms-private.h"

#include <gio/gio.h>
#include <string.h>

/* Answers that wait at once; the charge point has one open CALL, so more are its fault. */
#define DELAYED_MAX 256

/* Comes back when the message was written. */
typedef struct {
    Csms *csms;
    char *action;    /* for the log; NULL: none */
    char *id;        /* of the CALL that is answered; NULL: not an answer */
    json_t *request; /* its payload, until the observer was told of it; may be NULL */
    json_t *conf;    /* NULL: a CALLERROR */
    gboolean told;
} Tag;

typedef struct {
    ChargePoint *charge_point;
    GBytes *text;
    Tag *tag;
    guint timer;
} Delayed;

static Tag *tag_new(Csms *csms, const char *action)
{
    Tag *tag = g_new0(Tag, 1);

    tag->csms = csms;
    tag->action = g_strdup(action);
    tag->told = TRUE;
    return tag;
}

static Tag *tag_new_answer(Csms *csms, const Frame *frame, json_t *conf)
{
    Tag *tag = tag_new(csms, frame->action);

    tag->id = g_strdup(json_string_value(frame->id));
    tag->request = json_incref(frame->payload);
    tag->conf = json_incref(conf);
    tag->told = frame->action == NULL;
    return tag;
}

static void tag_tell(Tag *tag)
{
    if (!tag->told)
        csms_tell(tag->csms, tag->action, tag->request);
    tag->told = TRUE;
}

/* Also of an answer that could not go out any more the observer is told. */
static void tag_free(gpointer data)
{
    Tag *tag = data;

    if (tag == NULL)
        return;
    tag_tell(tag);
    g_free(tag->id);
    g_free(tag->action);
    json_decref(tag->request);
    json_decref(tag->conf);
    g_free(tag);
}

static void delayed_free(gpointer data)
{
    Delayed *delayed = data;

    g_clear_handle_id(&delayed->timer, g_source_remove);
    g_bytes_unref(delayed->text);
    tag_free(delayed->tag);
    g_free(delayed);
}

void send_forget_delayed(ChargePoint *charge_point)
{
    g_queue_clear_full(&charge_point->delayed, delayed_free);
}

static gboolean on_delay_over(gpointer data)
{
    Delayed *delayed = data;

    delayed->timer = 0;
    (void)link_send(delayed->charge_point->link, delayed->text, 1, g_steal_pointer(&delayed->tag),
                    tag_free);
    g_queue_remove(&delayed->charge_point->delayed, delayed);
    delayed_free(delayed);
    return G_SOURCE_REMOVE;
}

/* Takes frame and tag over. */
static void send_frame(ChargePoint *charge_point, json_t *frame, Tag *tag)
{
    char *text = json_dumps(frame, JSON_COMPACT);
    GBytes *bytes = g_bytes_new_with_free_func(text, strlen(text), free, text);
    guint delay = charge_point->csms->delay_ms;

    json_decref(frame);
    if (delay > 0 && g_queue_get_length(&charge_point->delayed) < DELAYED_MAX) {
        Delayed *delayed = g_new0(Delayed, 1);

        delayed->charge_point = charge_point;
        delayed->text = bytes;
        delayed->tag = tag;
        delayed->timer = g_timeout_add(delay, on_delay_over, delayed);
        g_queue_push_tail(&charge_point->delayed, delayed);
        tag_tell(tag);
        return;
    }
    (void)link_send(charge_point->link, bytes, 1, tag, tag_free);
    g_bytes_unref(bytes);
}

void send_answer(ChargePoint *charge_point, const Frame *frame, json_t *conf)
{
    json_t *payload = conf != NULL ? conf : json_object();
    Tag *tag = tag_new_answer(charge_point->csms, frame, payload);

    send_frame(charge_point, json_pack("[i,O,o]", 3, frame->id, payload), tag);
}

void send_error(ChargePoint *charge_point, const Frame *frame, const char *code,
                const char *description)
{
    send_frame(charge_point,
               json_pack("[i,O,s,o,{}]", 4, frame->id, code, log_text(description, -1)),
               tag_new_answer(charge_point->csms, frame, NULL));
}

static gboolean send_call(Csms *csms, Call *call)
{
    g_autoptr(GBytes) text = call_to_text(call);
    ChargePoint *charge_point = csms->current;

    if (!link_send(charge_point->link, text, 1, tag_new(csms, call->action), tag_free)) {
        call_free(call);
        return FALSE;
    }
    order_sent(charge_point->order, call->action);
    calls_open(csms->calls, call, charge_point->link);
    return TRUE;
}

void send_next_call(Csms *csms)
{
    Registration registration;
    Call *call;

    if (csms->current == NULL || csms->current->link == NULL)
        return;
    registration = order_registration(csms->current->order);
    if (registration != REGISTRATION_ACCEPTED && registration != REGISTRATION_PENDING)
        return;
    call = calls_next(csms->calls);
    if (call != NULL)
        (void)send_call(csms, call);
}

static gboolean need_connection(const Csms *csms, GError **error)
{
    if (csms->current != NULL && csms->current->link != NULL)
        return TRUE;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED, "no charge point is connected");
    return FALSE;
}

static gboolean queue_call(Csms *csms, Call *call, gboolean now, GError **error)
{
    if (now) {
        if (!need_connection(csms, error)) {
            call_free(call);
            return FALSE;
        }
        if (send_call(csms, call))
            return TRUE;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY, "the connection takes no more messages");
        return FALSE;
    }
    if (!calls_push(csms->calls, call, error))
        return FALSE;
    send_next_call(csms);
    return TRUE;
}

gboolean csms_call(Csms *csms, const char *action, json_t *payload, gboolean now, GError **error)
{
    return queue_call(csms, call_new(csms->calls, action, payload), now, error);
}

gboolean csms_call_of_size(Csms *csms, gsize size, gboolean now, GError **error)
{
    Call *call = call_new(csms->calls, "DataTransfer",
                          json_pack("{s:s,s:s}", "vendorId", "mock-csms", "data", ""));
    g_autoptr(GBytes) text = call_to_text(call);
    gsize least = g_bytes_get_size(text);
    g_autofree char *padding = NULL;

    if (size < least || size > MESSAGE_MAX) {
        call_free(call);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "a CALL can have %zu to %d bytes", least, MESSAGE_MAX);
        return FALSE;
    }
    padding = g_strnfill(size - least, 'x');
    json_object_set_new(call->payload, "data", json_string(padding));
    return queue_call(csms, call, now, error);
}

gboolean csms_raw(Csms *csms, GBytes *text, guint fragments, GError **error)
{
    gsize length;
    const char *data = g_bytes_get_data(text, &length);
    Call *call;

    if (!need_connection(csms, error))
        return FALSE;
    if (!link_send(csms->current->link, text, fragments, NULL, NULL)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY, "the connection takes no more messages");
        return FALSE;
    }
    call = call_new_raw(data, length);
    if (call == NULL)
        return TRUE;
    order_sent(csms->current->order, call->action);
    calls_open(csms->calls, call, csms->current->link);
    return TRUE;
}

void send_written(gpointer user, Link *link, GBytes *text, guint fragments, gpointer data)
{
    Csms *csms = user;
    ChargePoint *charge_point = link_get_data(link);
    const Tag *tag = data;
    gsize length;
    const char *bytes = g_bytes_get_data(text, &length);
    json_t *frame = json_loadb(bytes, length, 0, NULL);
    json_t *fields = json_pack("{s:s,s:o}", "identity", charge_point->identity, "frame",
                               frame != NULL ? frame : log_text(bytes, (gssize)length));

    if (tag != NULL && tag->action != NULL)
        json_object_set_new(fields, "action", log_text(tag->action, -1));
    if (fragments > 1)
        json_object_set_new(fields, "fragments", json_integer(fragments));
    log_event(csms->log, "sent", fields);
    if (tag == NULL || tag->id == NULL)
        return;
    if (charge_point->link == link)
        order_answered(charge_point->order, tag->id, tag->action, tag->conf,
                       g_get_monotonic_time());
    send_next_call(csms);
}
