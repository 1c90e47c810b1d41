/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's connection to the CSMS: makes it, passes its messages on, and keeps why there is
 * none. */
#include "src/agent/agent_internal.h"

#include <string.h>

gboolean agent_send(const char *text, gpointer user_data)
{
    Agent *agent = user_data;

    if (!agent->ws || !ws_client_send(agent->ws, text))
        return FALSE;
    if (agent->frames)
        frames_add(agent->frames, TRUE, text, strlen(text));
    return TRUE;
}

void agent_set_ping_interval(guint seconds, gpointer user_data)
{
    Agent *agent = user_data;

    if (agent->ws)
        ws_client_set_ping_interval(agent->ws, seconds);
}

static void on_connected(gpointer user_data)
{
    Agent *agent = user_data;

    g_clear_pointer(&agent->link_trouble, g_free);
    g_message("connected to %s as %s", agent->settings->url, agent->settings->identity);
    session_connected(agent->session);
    agent_show(agent);
}

static void on_message(const char *text, gsize length, gpointer user_data)
{
    Agent *agent = user_data;

    if (agent->frames)
        frames_add(agent->frames, FALSE, text, length);
    session_message(agent->session, text, length);
}

static void keep_trouble(Agent *agent, const char *why)
{
    g_free(agent->link_trouble);
    agent->link_trouble = g_strdup(why);
}

static void on_disconnected(const char *why, gpointer user_data)
{
    Agent *agent = user_data;

    keep_trouble(agent, why);
    g_message("connection to the CSMS ended: %s", why);
    session_disconnected(agent->session);
    agent_show(agent);
}

static void on_failed(const char *why, gint64 retry_ms, gpointer user_data)
{
    Agent *agent = user_data;

    keep_trouble(agent, why);
    g_warning("cannot connect to %s: %s; next try in %.1f s", agent->settings->url, why,
              (double)retry_ms / 1000.0);
}

static gboolean make_connection(Agent *agent, GError **error)
{
    static const WsClientEvents EVENTS = {.connected = on_connected,
                                          .message = on_message,
                                          .disconnected = on_disconnected,
                                          .failed = on_failed};
    const Settings *settings = agent->settings;
    TlsConfig tls = {.ca_file = settings->ca_file,
                     .client_cert_file = settings->client_cert_file,
                     .client_key_file = settings->client_key_file};
    WsClientConfig config = {.url = settings->url,
                             .identity = settings->identity,
                             .authorization_key =
                                 settings->security_profile == 1 || settings->security_profile == 2
                                     ? settings->authorization_key
                                     : NULL,
                             .ping_interval_s = session_ping_interval(agent->session),
                             .max_message_bytes = (gsize)settings->max_message_bytes};

    g_clear_pointer(&agent->tls, tls_free);
    if (settings->security_profile >= 2) {
        agent->tls = tls_new(&tls, error);
        if (!agent->tls)
            return FALSE;
        tls_set_not_before(agent->tls, agent->kept_csms_ms);
    }
    agent->ws = ws_client_new(&config, agent->tls, agent->clock, &EVENTS, agent, error);
    return agent->ws != NULL;
}

/* Certificates that a new firmware broke must not keep the agent from giving that firmware up:
 * without a connection its health check fails, and the old slot comes back. */
void agent_connect(gpointer user_data)
{
    Agent *agent = user_data;
    g_autoptr(GError) error = NULL;

    if (make_connection(agent, &error)) {
        ws_client_start(agent->ws);
        return;
    }
    keep_trouble(agent, error->message);
    g_critical("no connection to the CSMS is possible: %s; it is tried again in %d s",
               error->message, AGENT_CONNECT_RETRY_MS / 1000);
    clock_timer_set(agent->clock, &agent->connect, AGENT_CONNECT_RETRY_MS, agent_connect, agent);
}
