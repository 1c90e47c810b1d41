/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the CSMS may change and what must outlive a restart: configuration keys (C 5.3) and
 * availability (C 5.2).
 */
#include "src/behaviour/session/internal.h"

#include "db/values.h"

static void load_key(const char *name, const char *value, gpointer user_data)
{
    Session *session = user_data;

    if (!ocpp_configuration_set(session->configuration, name, value))
        g_warning("the stored configuration key %s=%s is not known or not allowed any more", name,
                  value);
}

static void load_availability(Session *session)
{
    for (guint i = 0; i <= session->config.connectors; i++) {
        g_autofree char *name = g_strdup_printf("inoperative.%u", i);
        g_autofree char *value = NULL;
        g_autoptr(GError) error = NULL;

        if (!values_get(session->store, VALUES_AGENT, name, &value, &error))
            g_warning("cannot read %s: %s", name, error->message);
        session->inoperative[i] = g_strcmp0(value, "true") == 0;
    }
}

static void set_own(Session *session, const char *key, guint value)
{
    g_autofree char *text = g_strdup_printf("%u", value);

    ocpp_configuration_set(session->configuration, key, text);
}

void session_state_load(Session *session)
{
    g_autoptr(GError) error = NULL;

    set_own(session, "WebSocketPingInterval", session->config.ping_interval_s);
    if (!values_each(session->store, VALUES_CONFIGURATION, load_key, session, &error))
        g_warning("cannot read the configuration keys: %s", error->message);
    set_own(session, "NumberOfConnectors", session->config.connectors);
    set_own(session, "SecurityProfile", session->config.security_profile);
    load_availability(session);
}

void session_state_take_interval(Session *session, gint64 interval_s)
{
    if (interval_s > 0)
        set_own(session, "HeartbeatInterval",
                (guint)ocpp_registration_heartbeat_interval(session->registration));
    ocpp_registration_set_heartbeat_interval(
        session->registration,
        ocpp_configuration_integer(session->configuration, "HeartbeatInterval"));
}

/* Only what outlives a restart is kept. */
static gboolean keep(Session *session, ValuesTable table, const char *name, const char *value,
                     GError **error)
{
    if (store_is_durable(session->store))
        return values_set(session->store, table, name, value, error);
    g_set_error_literal(error, STORE_ERROR, STORE_ERROR_WRITE,
                        "the agent has no store that outlives a restart");
    return FALSE;
}

gboolean session_state_keep_key(Session *session, const char *key, const char *value)
{
    g_autoptr(GError) error = NULL;

    if (keep(session, VALUES_CONFIGURATION, key, value, &error))
        return TRUE;
    g_warning("cannot keep the configuration key %s: %s", key, error->message);
    return FALSE;
}

gboolean session_state_keep_availability(Session *session, guint connector, gboolean inoperative)
{
    g_autofree char *name = g_strdup_printf("inoperative.%u", connector);
    g_autoptr(GError) error = NULL;

    if (!keep(session, VALUES_AGENT, name, inoperative ? "true" : "false", &error)) {
        g_warning("cannot keep the availability of connector %u: %s", connector, error->message);
        return FALSE;
    }
    session->inoperative[connector] = inoperative;
    return TRUE;
}
