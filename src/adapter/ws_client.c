/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The WebSocket client's states: resolve, try the addresses, open, back off, again.  ws_link.c has
 * the connection itself.
 *
 *   start -> resolving -> connecting (address after address) -> open -> waiting -> resolving ...
 *
 * A callback of the user may free the client: it is always the last thing that a function here
 * does.
 */
#include <gio/gio.h>
#include <string.h>

#include "ws_internal.h"

struct _WsClient {
    WsEndpoint endpoint;
    WsClientEvents events;
    gpointer user_data;
    Clock *clock;
    WsLink *link;
    guint connect_timeout_s;
    gboolean started;

    /* The attempt under way. */
    WsResolve *resolve;
    char **addresses;
    guint next_address;
    GString *whys; /* of the addresses that failed */
    gboolean refused;
    guint connect_timer; /* of the address under way */

    /* The outage. */
    guint retry_timer;
    guint attempt;
    gint64 outage_since_ms;
    gint64 open_since_ms;
};

static void begin_attempt(gpointer user_data);
static void try_next_address(gpointer user_data);

gint64 ws_client_backoff_ms(guint attempt, gint64 outage_ms, gboolean refused, guint32 random)
{
    gboolean patient =
        outage_ms >= WS_BACKOFF_LONG_AFTER_MS || (refused && attempt >= WS_REFUSED_QUICK_TRIES);
    gint64 cap = patient ? WS_BACKOFF_LONG_CAP_MS : WS_BACKOFF_CAP_MS;
    gint64 ceiling = WS_BACKOFF_FIRST_MS;
    for (guint i = 0; i < attempt && ceiling < cap; i++) {
        ceiling *= 2;
    }
    ceiling = MIN(ceiling, cap);
    gint64 jittered = (gint64)(((guint64)random * (guint64)(ceiling + 1)) >> 32);
    return MAX(jittered, WS_BACKOFF_FLOOR_MS);
}

static gint64 schedule_retry(WsClient *client)
{
    gint64 outage_ms = clock_boottime_ms(client->clock) - client->outage_since_ms;
    gint64 delay_ms =
        ws_client_backoff_ms(client->attempt, outage_ms, client->refused, g_random_int());
    client->attempt++;
    clock_timer_set(client->clock, &client->retry_timer, delay_ms, begin_attempt, client);
    return delay_ms;
}

static void add_why(WsClient *client, const char *why)
{
    if (client->whys->len > 0) {
        g_string_append(client->whys, "; ");
    }
    g_string_append(client->whys, why);
}

static void attempt_failed(WsClient *client)
{
    g_clear_pointer(&client->addresses, g_strfreev);
    g_autofree char *why = g_strdup(client->whys->str);
    gint64 delay_ms = schedule_retry(client);
    client->events.failed(why, delay_ms, client->user_data);
}

static void connect_time_is_over(gpointer user_data)
{
    WsClient *client = user_data;
    ws_link_time_out(client->link);
}

static void try_next_address(gpointer user_data)
{
    WsClient *client = user_data;
    const char *address = NULL;
    while ((address = client->addresses[client->next_address]) != NULL) {
        client->next_address++;
        g_autofree char *why = NULL;
        if (ws_link_connect(client->link, address, &why)) {
            clock_timer_set(client->clock, &client->connect_timer,
                            (gint64)client->connect_timeout_s * 1000, connect_time_is_over, client);
            return;
        }
        add_why(client, why);
    }
    attempt_failed(client);
}

static void resolved(char **addresses, const char *why, gpointer user_data)
{
    WsClient *client = user_data;
    client->resolve = NULL;
    if (addresses == NULL) {
        add_why(client, why);
        attempt_failed(client);
        return;
    }
    client->addresses = addresses;
    try_next_address(client);
}

static void begin_attempt(gpointer user_data)
{
    WsClient *client = user_data;
    g_string_truncate(client->whys, 0);
    client->refused = FALSE;
    client->next_address = 0;

    g_autoptr(GInetAddress) literal = g_inet_address_new_from_string(client->endpoint.host);
    if (literal != NULL) {
        char *only[] = {client->endpoint.host, NULL};
        client->addresses = g_strdupv(only);
        try_next_address(client);
        return;
    }
    guint timeout_s = MIN(client->connect_timeout_s, WS_RESOLVE_TIMEOUT_S);
    client->resolve =
        ws_resolve_start(client->endpoint.host, timeout_s, client->clock, resolved, client);
}

static void link_open(gpointer owner)
{
    WsClient *client = owner;
    clock_timer_clear(client->clock, &client->connect_timer);
    g_clear_pointer(&client->addresses, g_strfreev);
    client->open_since_ms = clock_boottime_ms(client->clock);
    client->events.connected(client->user_data);
}

static void link_message(const char *text, gsize length, gpointer owner)
{
    WsClient *client = owner;
    client->events.message(text, length, client->user_data);
}

static void connection_ended(WsClient *client, const char *why)
{
    gint64 now_ms = clock_boottime_ms(client->clock);
    /* Open is not enough: a server that takes us and drops us at once is out of order, too. */
    if (now_ms - client->open_since_ms >= WS_STABLE_MS) {
        client->attempt = 0;
        client->outage_since_ms = now_ms;
    }
    client->open_since_ms = 0;
    schedule_retry(client);
    client->events.disconnected(why, client->user_data);
}

static void link_gone(const char *why, gboolean answered, gboolean refused, gpointer owner)
{
    WsClient *client = owner;
    clock_timer_clear(client->clock, &client->connect_timer);
    if (client->addresses == NULL) {
        connection_ended(client, why);
        return;
    }
    add_why(client, why);
    client->refused = refused;
    if (answered || client->addresses[client->next_address] == NULL) {
        attempt_failed(client);
        return;
    }
    /* Not from within libwebsockets' own callback. */
    clock_timer_set(client->clock, &client->retry_timer, 0, try_next_address, client);
}

WsClient *ws_client_new(const WsClientConfig *config, Tls *tls, Clock *clock,
                        const WsClientEvents *events, gpointer user_data, GError **error)
{
    static const WsLinkEvents link_events = {link_open, link_message, link_gone};

    g_autoptr(WsClient) client = g_new0(WsClient, 1);
    client->events = *events;
    client->user_data = user_data;
    client->clock = clock;
    client->whys = g_string_new(NULL);
    client->connect_timeout_s =
        config->connect_timeout_s != 0 ? config->connect_timeout_s : WS_CONNECT_TIMEOUT_S;
    if (!ws_endpoint_parse(&client->endpoint, config->url, config->identity, error)) {
        return NULL;
    }
    if (client->endpoint.tls && tls == NULL) {
        g_set_error_literal(error, WS_CLIENT_ERROR, WS_CLIENT_ERROR_URL,
                            "a wss:// URL needs TLS settings");
        return NULL;
    }

    WsLinkConfig link_config = {
        .endpoint = &client->endpoint,
        .identity = config->identity,
        .authorization_key = config->authorization_key,
        .ping_interval_s = config->ping_interval_s,
        .max_message_bytes = config->max_message_bytes,
        .connect_timeout_s = client->connect_timeout_s,
        .tls = client->endpoint.tls ? tls : NULL,
    };
    client->link = ws_link_new(&link_config, &link_events, client, error);
    return client->link != NULL ? g_steal_pointer(&client) : NULL;
}

void ws_client_free(WsClient *client)
{
    if (client == NULL) {
        return;
    }
    clock_timer_clear(client->clock, &client->retry_timer);
    clock_timer_clear(client->clock, &client->connect_timer);
    ws_resolve_cancel(client->resolve);
    ws_link_free(client->link);
    g_strfreev(client->addresses);
    g_string_free(client->whys, TRUE);
    ws_endpoint_clear(&client->endpoint);
    g_free(client);
}

void ws_client_start(WsClient *client)
{
    if (client->started) {
        return;
    }
    client->started = TRUE;
    client->outage_since_ms = clock_boottime_ms(client->clock);
    /* From the main loop, so that no callback comes before this returns. */
    clock_timer_set(client->clock, &client->retry_timer, 0, begin_attempt, client);
}

gboolean ws_client_is_connected(const WsClient *client)
{
    return ws_link_is_open(client->link);
}

gboolean ws_client_send(WsClient *client, const char *text)
{
    return ws_link_send(client->link, text);
}

void ws_client_set_ping_interval(WsClient *client, guint seconds)
{
    ws_link_set_ping_interval(client->link, seconds);
}
