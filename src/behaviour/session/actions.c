/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CALLs of the CSMS.  One row an action: its name and the function that answers it.  A payload
 * reaches its function only after the field table of ocpp/message.h has passed it.
 */
#include "src/behaviour/session/internal.h"

#include <string.h>

#include "ocpp/action.h"
#include "ocpp/datetime.h"
#include "ocpp/message.h"

/* Returns the payload of the CALLRESULT (new reference), or NULL with `*ret_code` and `*ret_words`
 * for a CALLERROR. */
typedef json_t *(*Handler)(Session *session, const json_t *payload, OcppErrorCode *ret_code,
                           char **ret_words);

static json_t *status_conf(const char *status)
{
    return json_pack("{s:s}", "status", status);
}

/* ------------------------------------------------------------------------------------- firmware */

/* C 5.19: the conf is empty, whatever becomes of the update.  Only a store that cannot keep the job
 * is an error. */
static json_t *update_firmware(Session *session, const json_t *payload, OcppErrorCode *ret_code,
                               char **ret_words)
{
    SessionUpdateFirmware request = {
        .location = ocpp_string(payload, "location"),
        .retries = ocpp_integer(payload, "retries", -1),
        .retry_interval_s = ocpp_integer(payload, "retryInterval", -1),
    };
    g_autoptr(GError) error = NULL;

    request.has_retrieve_date = ocpp_has(payload, "retrieveDate");
    if (request.has_retrieve_date)
        ocpp_datetime_parse(ocpp_string(payload, "retrieveDate"), &request.retrieve_date_ms);
    if (session->events.update_firmware(&request, session->user_data, &error))
        return json_object();
    *ret_code = OCPP_INTERNAL_ERROR;
    *ret_words = g_strdup(error->message);
    return NULL;
}

/* C 5.9: without a fileName there is nothing to upload. */
static json_t *get_diagnostics(Session *session, const json_t *payload, OcppErrorCode *ret_code,
                               char **ret_words)
{
    SessionGetDiagnostics request = {
        .location = ocpp_string(payload, "location"),
        .start_ms = G_MININT64,
        .stop_ms = G_MAXINT64,
        .retries = ocpp_integer(payload, "retries", -1),
        .retry_interval_s = ocpp_integer(payload, "retryInterval", -1),
    };
    g_autofree char *file_name = NULL;
    g_autoptr(GError) error = NULL;

    if (ocpp_has(payload, "startTime"))
        ocpp_datetime_parse(ocpp_string(payload, "startTime"), &request.start_ms);
    if (ocpp_has(payload, "stopTime"))
        ocpp_datetime_parse(ocpp_string(payload, "stopTime"), &request.stop_ms);
    if (session->events.get_diagnostics(&request, &file_name, session->user_data, &error))
        return file_name != NULL ? json_pack("{s:s}", "fileName", file_name) : json_object();
    *ret_code = OCPP_INTERNAL_ERROR;
    *ret_words = g_strdup(error->message);
    return NULL;
}

/* ------------------------------------------------------------------------------------- triggers */

static const char *trigger_boot(Session *session, G_GNUC_UNUSED const json_t *payload)
{
    return ocpp_registration_boot_triggered(session->registration,
                                            clock_boottime_ms(session->clock))
               ? "Accepted"
               : "Rejected";
}

static const char *trigger_heartbeat(Session *session, G_GNUC_UNUSED const json_t *payload)
{
    return session_queue(session, "Heartbeat", json_object(), TRUE) ? "Accepted" : "Rejected";
}

static const char *trigger_firmware_status(Session *session, G_GNUC_UNUSED const json_t *payload)
{
    session->firmware_status_wanted = TRUE;
    return "Accepted";
}

static const char *trigger_diagnostics_status(Session *session, G_GNUC_UNUSED const json_t *payload)
{
    session->diagnostics_status_wanted = TRUE;
    return "Accepted";
}

/* C 5.17: without a connectorId all of them are meant. */
static const char *trigger_status(Session *session, const json_t *payload)
{
    gint64 connector = ocpp_integer(payload, "connectorId", -1);
    gboolean all = !ocpp_has(payload, "connectorId");

    if (!all && (connector < 0 || connector > session->config.connectors))
        return "Rejected";
    for (guint i = all ? 0 : (guint)connector;
         i <= (all ? session->config.connectors : (guint)connector); i++)
        if (!session_queue_status(session, i, TRUE))
            return "Rejected";
    return "Accepted";
}

static json_t *trigger_message(Session *session, const json_t *payload,
                               G_GNUC_UNUSED OcppErrorCode *ret_code,
                               G_GNUC_UNUSED char **ret_words)
{
    static const struct {
        const char *name;
        const char *(*trigger)(Session *session, const json_t *payload);
    } TRIGGERS[] = {
        {"BootNotification", trigger_boot},
        {"Heartbeat", trigger_heartbeat},
        {"FirmwareStatusNotification", trigger_firmware_status},
        {"DiagnosticsStatusNotification", trigger_diagnostics_status},
        {"StatusNotification", trigger_status},
    };
    const char *wanted = ocpp_string(payload, "requestedMessage");

    for (guint i = 0; i < G_N_ELEMENTS(TRIGGERS); i++)
        if (g_strcmp0(TRIGGERS[i].name, wanted) == 0)
            return status_conf(TRIGGERS[i].trigger(session, payload));
    return status_conf("NotImplemented");
}

/* ----------------------------------------------------------------------------------------- core */

static json_t *reset(Session *session, const json_t *payload, G_GNUC_UNUSED OcppErrorCode *ret_code,
                     G_GNUC_UNUSED char **ret_words)
{
    gboolean hard = strcmp(ocpp_string(payload, "type"), "Hard") == 0;

    return status_conf(session->events.reset(hard, session->user_data) ? "Accepted" : "Rejected");
}

static json_t *get_configuration(Session *session, const json_t *payload,
                                 G_GNUC_UNUSED OcppErrorCode *ret_code,
                                 G_GNUC_UNUSED char **ret_words)
{
    return ocpp_configuration_report(session->configuration, json_object_get(payload, "key"));
}

static void key_changed(Session *session, const char *key)
{
    gint64 value = ocpp_configuration_integer(session->configuration, key);

    if (strcmp(key, "HeartbeatInterval") == 0)
        ocpp_registration_set_heartbeat_interval(session->registration, value);
    else if (strcmp(key, "WebSocketPingInterval") == 0)
        session->events.ping_interval((guint)value, session->user_data);
}

/* Accepted only once it is in the store: a key that is forgotten at the next restart was not
 * changed. */
static json_t *change_configuration(Session *session, const json_t *payload,
                                    G_GNUC_UNUSED OcppErrorCode *ret_code,
                                    G_GNUC_UNUSED char **ret_words)
{
    const char *key =
        ocpp_configuration_canonical(session->configuration, ocpp_string(payload, "key"));
    g_autofree char *old =
        key ? g_strdup(ocpp_configuration_get(session->configuration, key)) : NULL;
    OcppChange change = ocpp_configuration_change(
        session->configuration, ocpp_string(payload, "key"), ocpp_string(payload, "value"));

    if (key && change == OCPP_CHANGE_ACCEPTED) {
        if (session_state_keep_key(session, key,
                                   ocpp_configuration_get(session->configuration, key))) {
            key_changed(session, key);
        } else {
            ocpp_configuration_set(session->configuration, key, old);
            change = OCPP_CHANGE_REJECTED;
        }
    }
    return status_conf(ocpp_change_name(change));
}

/* C 5.2: connector 0 is the whole charge point. */
static json_t *change_availability(Session *session, const json_t *payload,
                                   G_GNUC_UNUSED OcppErrorCode *ret_code,
                                   G_GNUC_UNUSED char **ret_words)
{
    gint64 connector = ocpp_integer(payload, "connectorId", -1);
    gboolean inoperative = strcmp(ocpp_string(payload, "type"), "Inoperative") == 0;
    guint first = (guint)connector,
          last = connector == 0 ? session->config.connectors : (guint)connector;

    if (connector < 0 || connector > session->config.connectors)
        return status_conf("Rejected");
    for (guint i = first; i <= last; i++) {
        gboolean changed = session->inoperative[i] != inoperative;

        if (changed && !session_state_keep_availability(session, i, inoperative))
            return status_conf("Rejected");
        if (changed)
            session_queue_status(session, i, FALSE);
    }
    return status_conf("Accepted");
}

static json_t *data_transfer(G_GNUC_UNUSED Session *session, G_GNUC_UNUSED const json_t *payload,
                             G_GNUC_UNUSED OcppErrorCode *ret_code, G_GNUC_UNUSED char **ret_words)
{
    return status_conf("UnknownVendorId");
}

/* ------------------------------------------------------------------------------------ the table */

static const struct {
    const char *name;
    Handler handle;
} ACTIONS[] = {
    {"ChangeAvailability", change_availability},
    {"ChangeConfiguration", change_configuration},
    {"DataTransfer", data_transfer},
    {"GetConfiguration", get_configuration},
    {"GetDiagnostics", get_diagnostics},
    {"Reset", reset},
    {"TriggerMessage", trigger_message},
    {"UpdateFirmware", update_firmware},
};

gboolean session_queue_status(Session *session, guint connector, gboolean forced)
{
    json_t *payload =
        json_pack("{s:i, s:s, s:s}", "connectorId", (int)connector, "errorCode", "NoError",
                  "status", session->inoperative[connector] ? "Unavailable" : "Available");
    gint64 ms;

    if (clock_csms_ms(session->clock, &ms)) {
        g_autofree char *timestamp = ocpp_datetime_format(ms);

        json_object_set_new(payload, "timestamp", json_string(timestamp));
    }
    return session_queue(session, "StatusNotification", payload, forced);
}

static char *refuse(const OcppFrame *call)
{
    const OcppAction *action = ocpp_action_find(call->action);
    g_autofree char *words = NULL;

    if (!action) {
        words = g_strdup_printf("%.50s is not an action of OCPP 1.6", call->action);
        return ocpp_frame_error(call->id, OCPP_NOT_IMPLEMENTED, words);
    }
    words = g_strdup_printf("this charge point does not serve %s", action->name);
    return ocpp_frame_error(call->id, OCPP_NOT_SUPPORTED, words);
}

static void log_unknown_field(const OcppFrame *call)
{
    const char *field = ocpp_message_unknown_field(call->action, OCPP_REQUEST, call->payload);

    if (field)
        g_info("%s has a field that OCPP 1.6 does not know: %.50s", call->action, field);
}

char *session_answer(Session *session, const OcppFrame *call)
{
    OcppErrorCode code = OCPP_GENERIC_ERROR;
    g_autofree char *words = NULL;
    json_t *payload;
    char *text;
    guint i = 0;

    while (i < G_N_ELEMENTS(ACTIONS) && strcmp(ACTIONS[i].name, call->action) != 0)
        i++;
    if (i == G_N_ELEMENTS(ACTIONS))
        return refuse(call);
    if (!ocpp_message_check(call->action, OCPP_REQUEST, call->payload, &code, &words))
        return ocpp_frame_error(call->id, code, words);
    log_unknown_field(call);
    payload = ACTIONS[i].handle(session, call->payload, &code, &words);
    if (!payload) {
        g_warning("%s is refused: %s", call->action, words);
        return ocpp_frame_error(call->id, code, words);
    }
    text = ocpp_frame_result(call->id, payload);
    json_decref(payload);
    return text;
}
