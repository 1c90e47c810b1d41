/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of what one charge point has sent, and what follows from it. */
#include "order.h"

#include <string.h>

#include "statuses.h"

/* Ids are remembered so far back; an older one used again would go unseen. */
#define IDS_MAX 65536
/* A trigger without connectorId may be answered once per connector; more than this is no charge
 * point. */
#define TRIGGER_EVERY_CONNECTOR 64
/* The charge point's timers start before ours (call timeout) or fire early (interval): allow for
 * it. */
#define SLACK_DIVISOR     10
#define INTERVAL_SLACK_US (300 * G_TIME_SPAN_MILLISECOND)

struct Order {
    gint64 call_timeout;
    GHashTable *ids; /* set of char *, owned by id_order's elements */
    GQueue id_order; /* char *, oldest first */

    char *open_id; /* the charge point's CALL that is not answered yet */
    char *open_action;
    gint64 open_since;
    gboolean thawed;

    Registration registration;
    gint64 interval; /* of the last BootNotification.conf, microseconds */
    gint64 boot_answered;
    gboolean booted_here; /* that conf went out on this connection */

    GHashTable *triggered;   /* action -> how many are still to come */
    StatusOrder statuses[2]; /* firmware, diagnostics */
};

Order *order_new(gint64 call_timeout)
{
    Order *order = g_new0(Order, 1);

    order->call_timeout = call_timeout;
    order->ids = g_hash_table_new(g_str_hash, g_str_equal);
    g_queue_init(&order->id_order);
    order->statuses[0].rules = &STATUSES_FIRMWARE;
    order->statuses[1].rules = &STATUSES_DIAGNOSTICS;
    order->triggered = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return order;
}

void order_free(Order *order)
{
    if (order == NULL)
        return;
    g_hash_table_unref(order->ids);
    g_queue_clear_full(&order->id_order, g_free);
    g_hash_table_unref(order->triggered);
    g_free(order->open_id);
    g_free(order->open_action);
    for (gsize i = 0; i < G_N_ELEMENTS(order->statuses); i++)
        status_order_clear(&order->statuses[i]);
    g_free(order);
}

static void forget_open(Order *order)
{
    g_clear_pointer(&order->open_id, g_free);
    g_clear_pointer(&order->open_action, g_free);
    order->thawed = FALSE;
}

void order_connected(Order *order)
{
    order->booted_here = FALSE;
}

void order_disconnected(Order *order)
{
    forget_open(order);
    for (gsize i = 0; i < G_N_ELEMENTS(order->statuses); i++)
        status_order_disconnected(&order->statuses[i]);
}

static void check_id(Order *order, const char *id, Findings *findings)
{
    char *copy;

    if (g_hash_table_contains(order->ids, id)) {
        findings_add(findings, "ProtocolError", "message id '%s' was used before", id);
        return;
    }
    if (g_queue_get_length(&order->id_order) >= IDS_MAX) {
        char *oldest = g_queue_pop_head(&order->id_order);

        g_hash_table_remove(order->ids, oldest);
        g_free(oldest);
    }
    copy = g_strdup(id);
    g_queue_push_tail(&order->id_order, copy);
    g_hash_table_add(order->ids, copy);
}

static void check_open(Order *order, const Frame *frame, gint64 now, Findings *findings)
{
    gint64 limit = order->call_timeout - order->call_timeout / SLACK_DIVISOR;

    if (order->open_id != NULL && !order->thawed && now - order->open_since < limit)
        findings_add(findings, NULL,
                     "%s: a second CALL while %s (id %s) is not answered and not timed out",
                     frame->action, order->open_action, order->open_id);
    g_free(order->open_id);
    g_free(order->open_action);
    order->open_id = g_strdup(json_string_value(frame->id));
    order->open_action = g_strdup(frame->action);
    order->open_since = now;
}

static gboolean trigger_open(const Order *order, const char *action)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(order->triggered, action)) > 0;
}

static void trigger_take(Order *order, const char *action)
{
    guint left = GPOINTER_TO_UINT(g_hash_table_lookup(order->triggered, action));

    if (left > 0)
        g_hash_table_insert(order->triggered, g_strdup(action), GUINT_TO_POINTER(left - 1));
}

static void check_boot_interval(const Order *order, gint64 now, Findings *findings)
{
    gint64 slack = MAX(order->interval / SLACK_DIVISOR, INTERVAL_SLACK_US);

    if (order->registration != REGISTRATION_PENDING && order->registration != REGISTRATION_REJECTED)
        return;
    if (order->booted_here && now - order->boot_answered < order->interval - slack)
        findings_add(findings, NULL,
                     "BootNotification: before the interval of %" G_GINT64_FORMAT " s was over",
                     order->interval / G_TIME_SPAN_SECOND);
}

static void check_registration(const Order *order, const char *action, gboolean triggered,
                               gint64 now, Findings *findings)
{
    if (strcmp(action, "BootNotification") == 0) {
        if (!triggered || order->registration == REGISTRATION_REJECTED)
            check_boot_interval(order, now, findings);
        return;
    }
    switch (order->registration) {
    case REGISTRATION_ACCEPTED:
        break;
    case REGISTRATION_NONE:
        findings_add(findings, "SecurityError", "%s: before BootNotification was Accepted", action);
        break;
    case REGISTRATION_PENDING:
        if (!triggered)
            findings_add(findings, "SecurityError",
                         "%s: while Pending only triggered messages may be sent", action);
        break;
    case REGISTRATION_REJECTED:
        findings_add(findings, "SecurityError", "%s: while Rejected nothing may be sent", action);
        break;
    }
}

void order_call(Order *order, const Frame *frame, gint64 now, Findings *findings)
{
    const char *action = frame->action;
    const char *id = json_string_value(frame->id);
    const char *status = json_string_value(json_object_get(frame->payload, "status"));
    gboolean triggered;
    gboolean used;

    check_id(order, id, findings);
    if (action == NULL)
        return;
    triggered = trigger_open(order, action);
    used = triggered;
    check_open(order, frame, now, findings);
    check_registration(order, action, triggered, now, findings);
    for (gsize i = 0; i < G_N_ELEMENTS(order->statuses); i++) {
        StatusOrder *statuses = &order->statuses[i];

        if (strcmp(action, status_order_action(statuses)) != 0)
            status_order_settle(statuses);
        else if (status != NULL)
            used = status_order_status(statuses, id, status, triggered, findings) ||
                   (triggered && order->registration == REGISTRATION_PENDING);
    }
    if (used)
        trigger_take(order, action);
    if (strcmp(action, "BootNotification") == 0)
        order->registration = REGISTRATION_NONE;
}

void order_answer(Order *order, Findings *findings)
{
    if (order->registration == REGISTRATION_REJECTED)
        findings_add(findings, NULL, "an answer while Rejected, when nothing may be sent");
}

static void take_boot_conf(Order *order, const json_t *conf, gint64 now)
{
    const char *status = json_string_value(json_object_get(conf, "status"));

    if (g_strcmp0(status, "Accepted") == 0)
        order->registration = REGISTRATION_ACCEPTED;
    else if (g_strcmp0(status, "Pending") == 0)
        order->registration = REGISTRATION_PENDING;
    else
        order->registration = REGISTRATION_REJECTED;
    order->interval = json_integer_value(json_object_get(conf, "interval")) * G_TIME_SPAN_SECOND;
    order->boot_answered = now;
    order->booted_here = TRUE;
}

void order_answered(Order *order, const char *id, const char *action, const json_t *conf,
                    gint64 now)
{
    if (g_strcmp0(order->open_id, id) == 0)
        forget_open(order);
    for (gsize i = 0; i < G_N_ELEMENTS(order->statuses); i++)
        status_order_answered(&order->statuses[i], id);
    if (conf != NULL && g_strcmp0(action, "BootNotification") == 0)
        take_boot_conf(order, conf, now);
}

void order_thawed(Order *order)
{
    order->thawed = TRUE;
}

void order_sent(Order *order, const char *action)
{
    if (strcmp(action, "UpdateFirmware") == 0)
        status_order_request(&order->statuses[0]);
    else if (strcmp(action, "GetDiagnostics") == 0)
        status_order_request(&order->statuses[1]);
}

void order_triggered(Order *order, const json_t *request, gboolean extended)
{
    const char *message = json_string_value(json_object_get(request, "requestedMessage"));
    const char *action = message;
    guint count = 1;

    if (message == NULL)
        return;
    if (strcmp(message, "SignChargePointCertificate") == 0)
        action = "SignCertificate";
    else if (extended && strcmp(message, "FirmwareStatusNotification") == 0)
        action = "SignedFirmwareStatusNotification";
    if ((strcmp(message, "StatusNotification") == 0 || strcmp(message, "MeterValues") == 0) &&
        json_object_get(request, "connectorId") == NULL)
        count = TRIGGER_EVERY_CONNECTOR;
    count += GPOINTER_TO_UINT(g_hash_table_lookup(order->triggered, action));
    g_hash_table_insert(order->triggered, g_strdup(action),
                        GUINT_TO_POINTER(MIN(count, TRIGGER_EVERY_CONNECTOR)));
}

Registration order_registration(const Order *order)
{
    return order->registration;
}
