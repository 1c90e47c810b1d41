/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Charge points that come and go, and what the commands may set. */
#include "csms-private.h"

#include <gio/gio.h>

static void charge_point_free(gpointer data)
{
    ChargePoint *charge_point = data;

    send_forget_delayed(charge_point);
    order_free(charge_point->order);
    g_free(charge_point->identity);
    g_free(charge_point);
}

static ChargePoint *find_charge_point(Csms *csms, const char *identity)
{
    ChargePoint *charge_point = g_hash_table_lookup(csms->charge_points, identity);

    if (charge_point != NULL)
        return charge_point;
    charge_point = g_new0(ChargePoint, 1);
    charge_point->csms = csms;
    charge_point->identity = g_strdup(identity);
    charge_point->order = order_new(csms->call_timeout);
    g_queue_init(&charge_point->delayed);
    g_hash_table_insert(csms->charge_points, charge_point->identity, charge_point);
    return charge_point;
}

void csms_tell(Csms *csms, const char *what, const json_t *payload)
{
    if (csms->observer != NULL)
        csms->observer(csms->observer_user, what, payload);
}

/* Nothing of the old connection counts any more. */
static void detach(ChargePoint *charge_point)
{
    Link *link = g_steal_pointer(&charge_point->link);

    send_forget_delayed(charge_point);
    order_disconnected(charge_point->order);
    calls_disconnected(charge_point->csms->calls, link);
}

static void on_connected(gpointer user, Link *link, const char *path, json_t *headers)
{
    Csms *csms = user;
    g_autofree char *identity = upgrade_identity(path);
    ChargePoint *charge_point = find_charge_point(csms, identity);
    Link *old = charge_point->link;

    link_set_data(link, charge_point);
    log_event(csms->log, "connected",
              json_pack("{s:s,s:s,s:O}", "identity", identity, "path", path, "headers", headers));
    /* The same identity once more: a charge point that lost its connection before we noticed. */
    if (old != NULL) {
        detach(charge_point);
        link_drop(old);
    }
    charge_point->link = link;
    csms->current = charge_point;
    order_connected(charge_point->order);
    csms_tell(csms, "connected", NULL);
    send_next_call(csms);
}

static void on_disconnected(gpointer user, Link *link, int code, const char *by)
{
    Csms *csms = user;
    ChargePoint *charge_point = link_get_data(link);

    log_event(
        csms->log, "disconnected",
        json_pack("{s:s,s:i,s:s}", "identity", charge_point->identity, "code", code, "by", by));
    if (charge_point->link != link)
        return;
    detach(charge_point);
    csms_tell(csms, "disconnected", NULL);
}

static void on_served(gpointer user, json_t *fields)
{
    Csms *csms = user;

    log_event(csms->log, "http", fields);
}

static void on_unanswered(gpointer user, gconstpointer connection, const Call *call,
                          const char *why)
{
    Csms *csms = user;

    (void)connection;
    log_event(csms->log, "unanswered",
              json_pack("{s:O,s:o,s:s}", "id", call->id, "action", log_text(call->action, -1),
                        "why", why));
    send_next_call(csms);
}

/* `Basic base64(user:password)` over bytes: a password may hold a NUL (J 6.2.2). */
static char *expected_authorization(const CsmsOptions *options)
{
    g_autoptr(GByteArray) plain = g_byte_array_new();
    g_autofree char *encoded = NULL;
    const char *user = options->basic_user;
    gsize length;
    const guint8 *password;

    if (user == NULL)
        return NULL;
    password = g_bytes_get_data(options->basic_password, &length);
    g_byte_array_append(plain, (const guint8 *)user, (guint)strlen(user));
    g_byte_array_append(plain, (const guint8 *)":", 1);
    if (length > 0)
        g_byte_array_append(plain, password, (guint)length);
    encoded = g_base64_encode(plain->data, plain->len);
    return g_strconcat("Basic ", encoded, NULL);
}

Csms *csms_new(const CsmsOptions *csms_options, const ServerOptions *server_options, Log *log,
               GError **error)
{
    static const ServerHandler handler = {
        .upgrade = upgrade_judge,
        .connected = on_connected,
        .received = receive_message,
        .overflow = receive_overflow,
        .written = send_written,
        .disconnected = on_disconnected,
        .served = on_served,
    };
    g_autoptr(Csms) csms = g_new0(Csms, 1);

    csms->log = log;
    csms->call_timeout = (gint64)(csms_options->call_timeout * G_TIME_SPAN_SECOND);
    csms->identity = g_strdup(csms_options->identity);
    csms->authorization = expected_authorization(csms_options);
    csms->answers = answers_new();
    csms->faults = faults_new();
    csms->charge_points = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, charge_point_free);
    csms->calls = calls_new(csms->call_timeout, on_unanswered, csms);
    csms->server = server_new(server_options, &handler, csms, error);
    if (csms->server == NULL)
        return NULL;
    log_event(log, "listening", json_pack("{s:i}", "port", (int)server_port(csms->server)));
    return g_steal_pointer(&csms);
}

void csms_stop(Csms *csms)
{
    csms->observer = NULL;
    /* Still reports every disconnect. */
    g_clear_pointer(&csms->server, server_free);
}

void csms_free(Csms *csms)
{
    if (csms == NULL)
        return;
    csms_stop(csms);
    calls_free(csms->calls);
    g_hash_table_unref(csms->charge_points);
    faults_free(csms->faults);
    answers_free(csms->answers);
    g_free(csms->identity);
    g_free(csms->authorization);
    g_free(csms);
}

void csms_observe(Csms *csms, CsmsObserver observer, gpointer user)
{
    csms->observer = observer;
    csms->observer_user = user;
}

Answers *csms_answers(Csms *csms)
{
    return csms->answers;
}

Faults *csms_faults(Csms *csms)
{
    return csms->faults;
}

Server *csms_server(Csms *csms)
{
    return csms->server;
}

Log *csms_log(Csms *csms)
{
    return csms->log;
}

void csms_set_delay(Csms *csms, guint delay_ms)
{
    csms->delay_ms = delay_ms;
}

void csms_set_refusal(Csms *csms, guint status)
{
    csms->refusal = status;
}

static Link *current_link(const Csms *csms, GError **error)
{
    if (csms->current != NULL && csms->current->link != NULL)
        return csms->current->link;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED, "no charge point is connected");
    return NULL;
}

gboolean csms_close(Csms *csms, guint16 code, GError **error)
{
    Link *link = current_link(csms, error);

    if (link == NULL)
        return FALSE;
    link_close(link, code);
    return TRUE;
}

gboolean csms_drop(Csms *csms, GError **error)
{
    Link *link = current_link(csms, error);

    if (link == NULL)
        return FALSE;
    link_drop(link);
    return TRUE;
}

void csms_freeze(Csms *csms, gboolean on)
{
    GHashTableIter iter;
    gpointer value;

    if (!on) {
        g_hash_table_iter_init(&iter, csms->charge_points);
        while (g_hash_table_iter_next(&iter, NULL, &value))
            order_thawed(((ChargePoint *)value)->order);
    }
    server_freeze(csms->server, on);
}

guint64 csms_frames(const Csms *csms)
{
    return csms->frames;
}

guint64 csms_errors(const Csms *csms)
{
    return csms->errors;
}
