/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One frame of the charge point: judged, logged, answered. */
#include "csms-private.h"

#include <string.h>

static json_t *frame_for_log(const Frame *frame, const char *data, gsize length)
{
    return json_is_array(frame->root) ? json_incref(frame->root) : log_text(data, (gssize)length);
}

static void log_received(ChargePoint *charge_point, const Frame *frame, const char *action,
                         const char *data, gsize length, const Findings *findings)
{
    Csms *csms = charge_point->csms;
    json_t *fields =
        json_pack("{s:s,s:o,s:o}", "identity", charge_point->identity, "frame",
                  frame_for_log(frame, data, length), "errors", findings_to_json(findings));

    if (action != NULL)
        json_object_set_new(fields, "action", json_string(action));
    log_event(csms->log, "received", fields);
    csms->frames++;
    csms->errors += findings->texts->len;
}

static void answer_call(ChargePoint *charge_point, const Frame *frame, const Findings *findings)
{
    Csms *csms = charge_point->csms;
    g_autofree char *code = NULL;
    const char *action = frame->action != NULL ? frame->action : "";

    switch (faults_take(csms->faults, action, &code)) {
    case FAULT_DROP:
        link_drop(charge_point->link);
        csms_tell(csms, action, frame->payload);
        break;
    case FAULT_MUTE:
        csms_tell(csms, action, frame->payload);
        break;
    case FAULT_ERROR:
        send_error(charge_point, frame, code, "as the mock was told");
        break;
    case FAULT_NONE:
        if (findings->code != NULL)
            send_error(charge_point, frame, findings->code, findings->reason);
        else
            send_answer(charge_point, frame, answers_make(csms->answers, action, frame->payload));
        break;
    }
}

static void take_call(ChargePoint *charge_point, const Frame *frame, const char *data, gsize length,
                      Findings *findings)
{
    if (frame->answerable)
        order_call(charge_point->order, frame, g_get_monotonic_time(), findings);
    validate_request(frame, findings);
    log_received(charge_point, frame, frame->action, data, length, findings);
    if (frame->answerable)
        answer_call(charge_point, frame, findings);
}

static void take_result(ChargePoint *charge_point, const Frame *frame, const Call *call)
{
    const char *status = json_string_value(json_object_get(frame->payload, "status"));
    gboolean extended = strcmp(call->action, "ExtendedTriggerMessage") == 0;

    if ((extended || strcmp(call->action, "TriggerMessage") == 0) &&
        g_strcmp0(status, "Accepted") == 0)
        order_triggered(charge_point->order, call->payload, extended);
}

static void tell_answer(Csms *csms, const Call *call, const Frame *frame)
{
    g_autofree char *what =
        g_strconcat(call->action, frame->type == FRAME_CALLRESULT ? ".conf" : ".error", NULL);

    csms_tell(csms, what, frame->payload);
}

static void take_answer(ChargePoint *charge_point, const Frame *frame, const char *data,
                        gsize length, Findings *findings)
{
    Csms *csms = charge_point->csms;
    g_autoptr(Call) call = calls_take(csms->calls, charge_point->link, frame->id);

    order_answer(charge_point->order, findings);
    if (call == NULL && (frame->id == NULL || !calls_is_late(csms->calls, frame->id)))
        findings_add(findings, NULL, "an answer to no open CALL");
    if (call != NULL && frame->type == FRAME_CALLRESULT)
        validate_result(call->action, frame->payload, findings);
    log_received(charge_point, frame, call != NULL ? call->action : NULL, data, length, findings);
    if (call == NULL)
        return;
    if (frame->type == FRAME_CALLRESULT)
        take_result(charge_point, frame, call);
    tell_answer(csms, call, frame);
    send_next_call(csms);
}

void receive_message(gpointer user, Link *link, const char *data, gsize length, gboolean binary)
{
    ChargePoint *charge_point = link_get_data(link);
    g_auto(Findings) findings;
    g_auto(Frame) frame;

    (void)user;
    findings_init(&findings);
    frame_parse(&frame, data, length, binary, &findings);
    switch (frame.type) {
    case FRAME_CALL:
        take_call(charge_point, &frame, data, length, &findings);
        break;
    case FRAME_CALLRESULT:
    case FRAME_CALLERROR:
        take_answer(charge_point, &frame, data, length, &findings);
        break;
    case FRAME_UNREADABLE:
        log_received(charge_point, &frame, NULL, data, length, &findings);
        break;
    }
}

void receive_overflow(gpointer user, Link *link)
{
    ChargePoint *charge_point = link_get_data(link);
    g_auto(Findings) findings;
    g_auto(Frame) frame = {.type = FRAME_UNREADABLE};

    (void)user;
    findings_init(&findings);
    findings_add(&findings, NULL, "a message of more than %d bytes", MESSAGE_MAX);
    log_received(charge_point, &frame, NULL, "", 0, &findings);
}
