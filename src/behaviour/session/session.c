/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The session with the CSMS.  What goes out, in this order, one open CALL at a time:
 * BootNotification when it is due; then, once Accepted, the outbox, the queue, a heartbeat; while
 * Pending only what a TriggerMessage asked for.
 */
#include "src/behaviour/session/internal.h"

#include <string.h>

#include "db/outbox.h"
#include "ocpp/datetime.h"
#include "ocpp/message.h"

static gint64 now(const Session *session)
{
    return clock_boottime_ms(session->clock);
}

static void timer_fired(gpointer user_data)
{
    session_pump(user_data);
}

Session *session_new(const SessionConfig *config, Store *store, Clock *clock,
                     const SessionEvents *events, gpointer user_data)
{
    Session *session = g_new0(Session, 1);

    session->config = *config;
    session->config.vendor = g_strdup(config->vendor);
    session->config.model = g_strdup(config->model);
    session->config.serial_number = g_strdup(config->serial_number);
    session->config.firmware_version = g_strdup(config->firmware_version);
    session->config.connectors = MIN(config->connectors, SESSION_MAX_CONNECTORS);
    session->store = store;
    session->clock = clock;
    session->events = *events;
    session->user_data = user_data;
    session->registration = ocpp_registration_new(config->boot_notification_on_reconnect);
    session->calls = ocpp_calls_new(config->call_timeout_ms);
    session->configuration = ocpp_configuration_new();
    session->inoperative = g_new0(gboolean, session->config.connectors + 1);
    session_state_load(session);
    return session;
}

void session_free(Session *session)
{
    if (!session)
        return;
    clock_timer_clear(session->clock, &session->timer);
    ocpp_registration_free(session->registration);
    ocpp_calls_free(session->calls);
    ocpp_configuration_free(session->configuration);
    g_free((char *)session->config.vendor);
    g_free((char *)session->config.model);
    g_free((char *)session->config.serial_number);
    g_free((char *)session->config.firmware_version);
    g_free(session->inoperative);
    g_free(session);
}

/* -------------------------------------------------------------------------------- what goes out */

static gboolean send_text(Session *session, const char *text)
{
    if (!session->connected || !session->events.send(text, session->user_data))
        return FALSE;
    ocpp_registration_sent(session->registration, now(session));
    return TRUE;
}

/* A CALL that cannot be sent is lost with its connection: the end of that is told by
 * session_disconnected(). */
static void send_call(Session *session, char *text)
{
    if (!send_text(session, text))
        g_info(
            "a CALL could not be sent; it is open until the connection ends or its time is over");
    g_free(text);
}

static json_t *boot_notification(const Session *session)
{
    const SessionConfig *config = &session->config;
    json_t *payload = json_pack("{s:s, s:s}", "chargePointVendor", config->vendor,
                                "chargePointModel", config->model);

    if (config->serial_number)
        json_object_set_new(payload, "chargePointSerialNumber", json_string(config->serial_number));
    if (config->firmware_version)
        json_object_set_new(payload, "firmwareVersion", json_string(config->firmware_version));
    return payload;
}

static gboolean pump_boot(Session *session)
{
    if (!ocpp_registration_boot_due(session->registration, now(session)))
        return FALSE;
    ocpp_registration_boot_sent(session->registration);
    send_call(session, ocpp_calls_open(session->calls, "BootNotification",
                                       boot_notification(session), 0, now(session)));
    return TRUE;
}

/* One line for a store that cannot be read, however often it is asked. */
static void tell_unreadable(Session *session, const GError *error)
{
    if (!session->told_unreadable)
        g_warning("cannot read the outbox: %s; it is tried again", error->message);
    session->told_unreadable = TRUE;
}

static void count_outbox(Session *session)
{
    g_autoptr(GError) error = NULL;
    guint rows = 0;

    if (!outbox_count(session->store, &rows, &error)) {
        tell_unreadable(session, error);
        return;
    }
    session->told_unreadable = FALSE;
    if (rows == session->outbox_rows)
        return;
    session->outbox_rows = rows;
    session->events.outbox(rows, session->user_data);
}

/* FALSE: the row is in the store still.  The CSMS has it, so it is not sent again, and what comes
 * behind it waits. */
static gboolean remove_delivered(Session *session, GError **error)
{
    if (session->delivered == 0)
        return TRUE;
    if (outbox_remove(session->store, session->delivered, error)) {
        session->delivered = 0;
        count_outbox(session);
        return TRUE;
    }
    session->outbox_not_before_ms = now(session) + SESSION_STORE_RETRY_MS;
    return FALSE;
}

static gboolean pump_outbox(Session *session)
{
    g_autoptr(OutboxRow) row = NULL;
    g_autoptr(GError) error = NULL;
    json_t *payload;

    if (session->outbox_rows == 0 || now(session) < session->outbox_not_before_ms ||
        !remove_delivered(session, NULL))
        return FALSE;
    if (!outbox_head(session->store, &row, &error)) {
        tell_unreadable(session, error);
        session->outbox_not_before_ms = now(session) + SESSION_STORE_RETRY_MS;
        return FALSE;
    }
    if (!row)
        return FALSE;
    payload = json_loads(row->payload, 0, NULL);
    if (row->job_id > 0)
        g_message("job=%" G_GINT64_FORMAT " %s %s", row->job_id, row->action, row->payload);
    else
        g_message("%s %s", row->action, row->payload);
    send_call(session, ocpp_calls_open(session->calls, row->action,
                                       payload ? payload : json_object(), row->id, now(session)));
    return TRUE;
}

static gboolean pump_status(Session *session, gboolean *wanted, const char *action,
                            const char *(*status)(gpointer user_data))
{
    if (!*wanted)
        return FALSE;
    *wanted = FALSE;
    send_call(session, ocpp_calls_open(session->calls, action,
                                       json_pack("{s:s}", "status", status(session->user_data)), 0,
                                       now(session)));
    return TRUE;
}

/* A triggered status comes behind the outbox, so that the wire does not go backward. */
static gboolean pump_triggered(Session *session)
{
    if (session->outbox_rows > 0)
        return FALSE;
    return pump_status(session, &session->firmware_status_wanted, "FirmwareStatusNotification",
                       session->events.firmware_status) ||
           pump_status(session, &session->diagnostics_status_wanted,
                       "DiagnosticsStatusNotification", session->events.diagnostics_status);
}

static gboolean pump_queue(Session *session, gboolean only_forced)
{
    char *text = ocpp_calls_open_next(session->calls, only_forced, now(session));

    if (!text)
        return FALSE;
    send_call(session, text);
    return TRUE;
}

static gboolean pump_heartbeat(Session *session)
{
    if (!ocpp_registration_heartbeat_due(session->registration, now(session)))
        return FALSE;
    send_call(session,
              ocpp_calls_open(session->calls, "Heartbeat", json_object(), 0, now(session)));
    return TRUE;
}

/* A heartbeat that is due comes first: whatever is sent puts it off, and it is what keeps the time
 * right. */
static void pump_accepted(Session *session)
{
    if (pump_heartbeat(session))
        return;
    if (ocpp_calls_has(session->calls, "StatusNotification")) { /* CE 3.22: before the outbox */
        pump_queue(session, FALSE);
        return;
    }
    if (!pump_outbox(session) && !pump_triggered(session))
        pump_queue(session, FALSE);
}

static void pump_pending(Session *session)
{
    if (!pump_triggered(session))
        pump_queue(session, TRUE);
}

static void pump_calls(Session *session)
{
    if (!session->connected || !ocpp_calls_idle(session->calls) || pump_boot(session))
        return;
    if (ocpp_registration_may_call(session->registration))
        pump_accepted(session);
    else if (ocpp_registration_status(session->registration) == OCPP_REGISTRATION_PENDING)
        pump_pending(session);
}

static void sooner(gint64 *next, gint64 at)
{
    if (at >= 0 && (*next < 0 || at < *next))
        *next = at;
}

static void set_timer(Session *session)
{
    gint64 next = ocpp_calls_deadline(session->calls);

    if (ocpp_calls_idle(session->calls)) {
        sooner(&next, ocpp_registration_next_ms(session->registration));
        if (session->outbox_rows > 0 && ocpp_registration_may_call(session->registration))
            sooner(&next, session->outbox_not_before_ms);
    }
    if (next < 0 || !session->connected)
        clock_timer_clear(session->clock, &session->timer);
    else
        clock_timer_set(session->clock, &session->timer, next - now(session), timer_fired, session);
}

gboolean session_queue(Session *session, const char *action, json_t *payload, gboolean forced)
{
    if (ocpp_calls_enqueue(session->calls, action, payload, 0, forced))
        return TRUE;
    g_warning("the queue of CALLs is full, %s is not sent", action);
    return FALSE;
}

/* ------------------------------------------------------------------------ the ends of our CALLs */

static void csms_time(Session *session, const json_t *payload)
{
    gint64 ms;

    if (ocpp_datetime_parse(ocpp_string(payload, "currentTime"), &ms))
        session->events.csms_time(ms, session->user_data);
}

static gboolean conf_is_good(const char *action, const OcppFrame *frame)
{
    OcppErrorCode code;
    g_autofree char *words = NULL;

    if (ocpp_message_check(action, OCPP_CONFIRMATION, frame->payload, &code, &words))
        return TRUE;
    g_warning("the CSMS's answer to %s is not usable: %s", action, words);
    return FALSE;
}

static void registered(Session *session, gint64 interval_s)
{
    OcppRegistrationStatus status = ocpp_registration_status(session->registration);

    g_message("registration %s, interval %" G_GINT64_FORMAT " s",
              ocpp_registration_status_name(status), interval_s);
    if (status == OCPP_REGISTRATION_ACCEPTED) {
        session_state_take_interval(session, interval_s);
        for (guint i = 0; i <= session->config.connectors; i++) /* CE 3.22 */
            session_queue_status(session, i, FALSE);
    }
    session->events.registration(status, session->user_data);
}

static void boot_ended(Session *session, OcppCallEnd end, const OcppFrame *frame)
{
    gint64 interval_s;

    if (end != OCPP_CALL_RESULT || !conf_is_good("BootNotification", frame)) {
        g_warning("BootNotification failed; it is tried again");
        ocpp_registration_boot_failed(session->registration, now(session));
        return;
    }
    csms_time(session, frame->payload);
    interval_s = ocpp_integer(frame->payload, "interval", 0);
    ocpp_registration_boot_answered(session->registration, ocpp_string(frame->payload, "status"),
                                    interval_s, now(session));
    registered(session, interval_s);
}

static void heartbeat_ended(Session *session, OcppCallEnd end, const OcppFrame *frame)
{
    if (end == OCPP_CALL_RESULT && conf_is_good("Heartbeat", frame))
        csms_time(session, frame->payload);
}

/* Delivered means answered; a CALLERROR is an answer (CSMSs exist that do not implement the
 * message). */
static void outbox_ended(Session *session, OcppCallEnd end, const OcppCallInfo *info)
{
    g_autoptr(GError) error = NULL;

    if (end == OCPP_CALL_RESULT || end == OCPP_CALL_ERROR) {
        session->outbox_tries = 0;
        session->outbox_not_before_ms = 0;
        session->delivered = info->tag;
        if (!remove_delivered(session, &error))
            g_warning("a delivered report stays in the outbox: %s; it is tried again",
                      error->message);
    } else if (end == OCPP_CALL_TIMEOUT) {
        gint64 delay = (gint64)SESSION_OUTBOX_RETRY_FIRST_MS << MIN(session->outbox_tries, 10);

        session->outbox_tries++;
        session->outbox_not_before_ms = now(session) + MIN(delay, SESSION_OUTBOX_RETRY_MAX_MS);
        g_warning("%s was not answered; it is sent again", info->action);
    }
}

static void call_ended(Session *session, OcppCallEnd end, const OcppCallInfo *info,
                       const OcppFrame *frame)
{
    if (end == OCPP_CALL_ERROR)
        g_warning("the CSMS answers %s with %s: %s", info->action, frame->error_code,
                  frame->description);
    if (info->tag != 0)
        outbox_ended(session, end, info);
    else if (strcmp(info->action, "BootNotification") == 0)
        boot_ended(session, end, frame);
    else if (strcmp(info->action, "Heartbeat") == 0)
        heartbeat_ended(session, end, frame);
}

void session_pump(Session *session)
{
    OcppCallInfo info = {0};

    if (session->answering)
        return;
    if (ocpp_calls_expire(session->calls, now(session), &info)) {
        call_ended(session, OCPP_CALL_TIMEOUT, &info, NULL);
        ocpp_call_info_clear(&info);
    }
    pump_calls(session);
    set_timer(session);
}

/* -------------------------------------------------------------------------------- what comes in */

static void call_came(Session *session, const OcppFrame *call)
{
    g_autofree char *text = NULL;

    if (!ocpp_registration_may_answer(session->registration)) { /* C 4.2: Rejected */
        g_info("%s is not answered: this charge point is Rejected", call->action);
        return;
    }
    session->answering = TRUE;
    text = session_answer(session, call);
    session->answering = FALSE;
    if (!send_text(session, text))
        g_warning("the answer to %s could not be sent", call->action);
}

static void answer_came(Session *session, const OcppFrame *frame)
{
    OcppCallInfo info = {0};

    if (!ocpp_calls_answered(session->calls, frame, &info)) {
        g_info("an answer to no open CALL, id %.36s, is ignored", frame->id_text);
        return;
    }
    call_ended(session, frame->type == OCPP_CALLRESULT ? OCPP_CALL_RESULT : OCPP_CALL_ERROR, &info,
               frame);
    ocpp_call_info_clear(&info);
}

static void bad_frame_came(Session *session, json_t *id, const GError *error)
{
    session->bad_frames++;
    if (error->code == OCPP_FRAME_ERROR_BAD_CALL &&
        ocpp_registration_may_answer(session->registration)) {
        g_autofree char *text = ocpp_frame_error(id, OCPP_FORMATION_VIOLATION, error->message);

        send_text(session, text);
    } else {
        g_warning("a message of the CSMS is ignored: %s", error->message);
    }
}

void session_message(Session *session, const char *text, gsize length)
{
    json_t *id = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(OcppFrame) frame = ocpp_frame_parse(text, length, &id, &error);

    if (!frame)
        bad_frame_came(session, id, error);
    else if (frame->type == OCPP_CALL)
        call_came(session, frame);
    else
        answer_came(session, frame);
    json_decref(id);
    session_pump(session);
}

void session_connected(Session *session)
{
    session->connected = TRUE;
    session->outbox_not_before_ms = 0; /* a new connection is a new chance */
    count_outbox(session);
    ocpp_registration_connected(session->registration, now(session));
    session_pump(session);
}

void session_disconnected(Session *session)
{
    OcppCallInfo info = {0};

    session->connected = FALSE;
    ocpp_registration_disconnected(session->registration);
    if (ocpp_calls_abandon(session->calls, &info)) {
        call_ended(session, OCPP_CALL_LOST, &info, NULL);
        ocpp_call_info_clear(&info);
    }
    set_timer(session);
}

void session_outbox_changed(Session *session)
{
    count_outbox(session);
    session_pump(session);
}

OcppRegistrationStatus session_registration(const Session *session)
{
    return ocpp_registration_status(session->registration);
}

gboolean session_is_connected(const Session *session)
{
    return session->connected;
}

guint session_bad_frames(const Session *session)
{
    return session->bad_frames;
}

guint session_ping_interval(const Session *session)
{
    return (guint)ocpp_configuration_integer(session->configuration, "WebSocketPingInterval");
}
