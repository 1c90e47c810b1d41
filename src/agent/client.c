/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls to the agent that runs. */
#include "agent/client.h"

#include <gio/gunixfdlist.h>

#include "agent/control.h"

#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

G_DEFINE_QUARK(client_error, client_error)

struct _Client {
    GDBusConnection *connection;
};

Client *client_new(GError **error)
{
    g_autoptr(GError) bus_error = NULL;
    g_autoptr(GDBusConnection) connection = NULL;
    g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, &bus_error);
    if (address)
        connection = g_dbus_connection_new_for_address_sync(
            address,
            G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
            NULL, NULL, &bus_error);
    if (!connection) {
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_BUS, "the system bus cannot be reached: %s",
                    bus_error->message);
        return NULL;
    }
    Client *client = g_new0(Client, 1);
    client->connection = g_steal_pointer(&connection);
    return client;
}

void client_free(Client *client)
{
    if (!client)
        return;
    g_dbus_connection_close_sync(client->connection, NULL, NULL);
    g_object_unref(client->connection);
    g_free(client);
}

/* Puts the bus's error into words for people. */
static void explain(GError *bus_error, GError **error)
{
    static const struct {
        int code; /* of G_DBUS_ERROR */
        ClientError ours;
        const char *words;
    } KNOWN[] = {
        {G_DBUS_ERROR_SERVICE_UNKNOWN, CLIENT_ERROR_NOT_RUNNING, NULL},
        {G_DBUS_ERROR_NAME_HAS_NO_OWNER, CLIENT_ERROR_NOT_RUNNING, NULL},
        {G_DBUS_ERROR_ACCESS_DENIED, CLIENT_ERROR_DENIED,
         "not allowed: this needs root or a member of the group rauc-ocpp"},
        {G_DBUS_ERROR_NO_REPLY, CLIENT_ERROR_ANSWER, "rauc-ocpp-agent went away without an answer"},
        {G_DBUS_ERROR_UNKNOWN_METHOD, CLIENT_ERROR_ANSWER,
         "the rauc-ocpp-agent that runs does not know this command, it has another version"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(KNOWN); i++) {
        if (!g_error_matches(bus_error, G_DBUS_ERROR, KNOWN[i].code))
            continue;
        g_set_error_literal(error, CLIENT_ERROR, KNOWN[i].ours,
                            KNOWN[i].words
                                ? KNOWN[i].words
                                : "rauc-ocpp-agent is not running (nobody owns " CONTROL_NAME
                                  " on the system bus)");
        return;
    }
    if (g_error_matches(bus_error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_ANSWER,
                    "rauc-ocpp-agent did not answer within %d s", CLIENT_TIMEOUT_S);
        return;
    }
    gboolean remote = g_dbus_error_is_remote_error(bus_error);
    g_dbus_error_strip_remote_error(bus_error);
    g_set_error_literal(error, CLIENT_ERROR, remote ? CLIENT_ERROR_REFUSED : CLIENT_ERROR_ANSWER,
                        bus_error->message);
}

static GVariant *call(Client *client, const char *interface, const char *method,
                      GVariant *arguments, const char *answer_type, GUnixFDList **ret_fds,
                      GError **error)
{
    g_autoptr(GError) bus_error = NULL;
    GVariant *answer = g_dbus_connection_call_with_unix_fd_list_sync(
        client->connection, CONTROL_NAME, CONTROL_OBJECT, interface, method, arguments,
        G_VARIANT_TYPE(answer_type), G_DBUS_CALL_FLAGS_NO_AUTO_START, CLIENT_TIMEOUT_S * 1000, NULL,
        ret_fds, NULL, &bus_error);
    if (!answer)
        explain(bus_error, error);
    return answer;
}

GVariant *client_status(Client *client, GError **error)
{
    g_autoptr(GVariant) answer =
        call(client, PROPERTIES_INTERFACE, "Get",
             g_variant_new("(ss)", CONTROL_INTERFACE, "Status"), "(v)", NULL, error);
    if (!answer)
        return NULL;
    g_autoptr(GVariant) status = NULL;
    g_variant_get(answer, "(v)", &status);
    if (g_variant_is_of_type(status, G_VARIANT_TYPE_VARDICT))
        return g_steal_pointer(&status);
    g_set_error_literal(error, CLIENT_ERROR, CLIENT_ERROR_ANSWER,
                        "rauc-ocpp-agent answered with a status of another type");
    return NULL;
}

GVariant *client_history(Client *client, guint limit, GError **error)
{
    g_autoptr(GVariant) answer = call(client, CONTROL_INTERFACE, "GetHistory",
                                      g_variant_new("(u)", limit), "(aa{sv})", NULL, error);
    return answer ? g_variant_get_child_value(answer, 0) : NULL;
}

GVariant *client_report(Client *client, GError **error)
{
    g_autoptr(GVariant) answer =
        call(client, CONTROL_INTERFACE, "GetReport", NULL, "(a{ss})", NULL, error);
    return answer ? g_variant_get_child_value(answer, 0) : NULL;
}

gboolean client_install(Client *client, const char *source, GError **error)
{
    g_autoptr(GVariant) answer =
        call(client, CONTROL_INTERFACE, "Install", g_variant_new("(s)", source), "()", NULL, error);
    return answer != NULL;
}

gboolean client_act(Client *client, const char *method, GError **error)
{
    g_autoptr(GVariant) answer = call(client, CONTROL_INTERFACE, method, NULL, "()", NULL, error);
    return answer != NULL;
}

int client_inhibit(Client *client, const char *who, const char *why, GError **error)
{
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GError) fd_error = NULL;
    g_autoptr(GVariant) answer = call(client, CONTROL_INTERFACE, "Inhibit",
                                      g_variant_new("(ss)", who, why), "(h)", &fds, error);
    if (!answer)
        return -1;
    gint32 index;
    g_variant_get(answer, "(h)", &index);
    int fd = -1;
    if (fds && index >= 0 && index < g_unix_fd_list_get_length(fds))
        fd = g_unix_fd_list_get(fds, index, &fd_error);
    if (fd < 0)
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_ANSWER,
                    "rauc-ocpp-agent answered without a file descriptor%s%s", fd_error ? ": " : "",
                    fd_error ? fd_error->message : "");
    return fd;
}
