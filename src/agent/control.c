/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control interface on D-Bus.
 *
 * The connection is our own and not GIO's shared one: that one would end the process with the bus,
 * and could not be opened anew at the same address.  The name is asked for with a plain call and
 * not with g_bus_own_name_on_connection(), because that does not tell why a name was not got:
 * another agent, or a bus policy that is not installed.
 */
#include "agent/control.h"

#include <gio/gunixfdlist.h>
#include <string.h>

#include "agent/inhibitors.h"

#define CONTROL_ERROR_FAILED CONTROL_NAME ".Error.Failed"
#define BUS_NAME             "org.freedesktop.DBus"
#define BUS_OBJECT           "/org/freedesktop/DBus"
#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

/* RequestName of the D-Bus specification. */
#define NAME_FLAG_DO_NOT_QUEUE 4
#define NAME_IS_OURS           1
#define NAME_WAS_OURS          4

static const char INTROSPECTION[] =
    "<node>"
    "  <interface name='" CONTROL_INTERFACE "'>"
    "    <property name='Status' type='a{sv}' access='read'>"
    "      <annotation name='org.freedesktop.DBus.Property.EmitsChangedSignal'"
    "                  value='invalidates'/>"
    "    </property>"
    "    <method name='GetHistory'>"
    "      <arg name='limit' type='u' direction='in'/>"
    "      <arg name='entries' type='aa{sv}' direction='out'/>"
    "    </method>"
    "    <method name='GetReport'>"
    "      <arg name='texts' type='a{ss}' direction='out'/>"
    "    </method>"
    "    <method name='Install'>"
    "      <arg name='source' type='s' direction='in'/>"
    "    </method>"
    "    <method name='Cancel'/>"
    "    <method name='Confirm'/>"
    "    <method name='AllowReboot'/>"
    "    <method name='Inhibit'>"
    "      <arg name='who' type='s' direction='in'/>"
    "      <arg name='why' type='s' direction='in'/>"
    "      <arg name='fd' type='h' direction='out'/>"
    "    </method>"
    "  </interface>"
    "</node>";

struct _Control {
    ControlHandlers handlers;
    gpointer user_data;
    Inhibitors *inhibitors;
    GDBusNodeInfo *introspection;
    GCancellable *cancellable; /* of whatever call is under way */
    GDBusConnection *connection;
    gulong closed_handler;
    guint registration;
    gboolean owned;   /* we have the name */
    gboolean warned;  /* about this outage */
    guint retry;      /* timer */
    guint announcing; /* idle source that emits PropertiesChanged */
};

static void connect_to_bus(Control *control);
static void request_name(Control *control);

static gboolean on_retry(gpointer user_data)
{
    Control *control = user_data;
    control->retry = 0;
    if (control->connection)
        request_name(control);
    else
        connect_to_bus(control);
    return G_SOURCE_REMOVE;
}

/* One warning for an outage, however often it is tried again. */
static void retry_later(Control *control, const char *why)
{
    if (!control->warned)
        g_warning("control interface is not available: %s; trying again every %d s", why,
                  CONTROL_BUS_RETRY_S);
    control->warned = TRUE;
    control->owned = FALSE;
    if (!control->retry)
        control->retry = g_timeout_add_seconds(CONTROL_BUS_RETRY_S, on_retry, control);
}

static void drop_connection(Control *control)
{
    if (!control->connection)
        return;
    g_signal_handler_disconnect(control->connection, control->closed_handler);
    if (control->registration)
        g_dbus_connection_unregister_object(control->connection, control->registration);
    control->registration = 0;
    g_dbus_connection_close(control->connection, NULL, NULL, NULL);
    g_object_unref(control->connection);
    control->connection = NULL;
    control->owned = FALSE;
}

static void on_closed(GDBusConnection *connection, gboolean remote_peer_vanished, GError *error,
                      gpointer user_data)
{
    (void)connection;
    (void)remote_peer_vanished;
    Control *control = user_data;
    drop_connection(control);
    retry_later(control, error ? error->message : "the bus closed the connection");
}

static GVariant *get_property(GDBusConnection *connection, const char *sender, const char *object,
                              const char *interface, const char *property, GError **error,
                              gpointer user_data)
{
    (void)connection;
    (void)sender;
    (void)object;
    (void)interface;
    (void)property; /* GDBus lets only Status through */
    (void)error;
    Control *control = user_data;
    return control->handlers.status(control->user_data);
}

static void return_error(GDBusMethodInvocation *invocation, const GError *error)
{
    if (error->domain == G_DBUS_ERROR)
        g_dbus_method_invocation_return_gerror(invocation, error);
    else
        g_dbus_method_invocation_return_dbus_error(invocation, CONTROL_ERROR_FAILED,
                                                   error->message);
}

static void get_history(Control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
    guint limit;
    g_variant_get(parameters, "(u)", &limit);
    if (limit == 0 || limit > CONTROL_MAX_HISTORY)
        limit = CONTROL_MAX_HISTORY;
    GVariant *entries = control->handlers.history(limit, control->user_data);
    g_dbus_method_invocation_return_value(invocation, g_variant_new_tuple(&entries, 1));
}

static void get_report(Control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
    (void)parameters;
    GVariant *texts = control->handlers.report(control->user_data);
    g_dbus_method_invocation_return_value(invocation, g_variant_new_tuple(&texts, 1));
}

static void act(Control *control, gboolean (*handler)(gpointer, GError **),
                GDBusMethodInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    if (handler(control->user_data, &error))
        g_dbus_method_invocation_return_value(invocation, NULL);
    else
        return_error(invocation, error);
}

static void install(Control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    const char *source;
    g_variant_get(parameters, "(&s)", &source);
    if (strlen(source) > CONTROL_MAX_SOURCE) {
        g_dbus_method_invocation_return_dbus_error(invocation, CONTROL_ERROR_FAILED,
                                                   "the source is too long");
        return;
    }
    if (control->handlers.install(source, control->user_data, &error))
        g_dbus_method_invocation_return_value(invocation, NULL);
    else
        return_error(invocation, error);
}

static void cancel(Control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
    (void)parameters;
    act(control, control->handlers.cancel, invocation);
}

static void confirm(Control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
    (void)parameters;
    act(control, control->handlers.confirm, invocation);
}

static void allow_reboot(Control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
    (void)parameters;
    act(control, control->handlers.allow_reboot, invocation);
}

static void inhibit(Control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    const char *who, *why;
    g_variant_get(parameters, "(&s&s)", &who, &why);
    int fd = inhibitors_add(control->inhibitors, who, why, &error);
    if (fd < 0) {
        return_error(invocation, error);
        return;
    }
    g_autoptr(GUnixFDList) fds = g_unix_fd_list_new_from_array(&fd, 1); /* takes fd */
    g_dbus_method_invocation_return_value_with_unix_fd_list(invocation, g_variant_new("(h)", 0),
                                                            fds);
}

static void method_call(GDBusConnection *connection, const char *sender, const char *object,
                        const char *interface, const char *method, GVariant *parameters,
                        GDBusMethodInvocation *invocation, gpointer user_data)
{
    static const struct {
        const char *name;
        void (*function)(Control *, GVariant *, GDBusMethodInvocation *);
    } METHODS[] = {
        {"GetHistory", get_history}, {"GetReport", get_report}, {"Install", install},
        {"Cancel", cancel},          {"Confirm", confirm},      {"AllowReboot", allow_reboot},
        {"Inhibit", inhibit},
    };
    (void)connection;
    (void)object;
    (void)interface;
    g_debug("control: %s by %s", method, sender);
    /* GDBus lets only what INTROSPECTION names through, with the right types. */
    for (guint i = 0; i < G_N_ELEMENTS(METHODS); i++) {
        if (g_str_equal(METHODS[i].name, method)) {
            METHODS[i].function(user_data, parameters, invocation);
            return;
        }
    }
}

static void on_name_answer(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    guint code = 0;
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* control_free() */
    Control *control = user_data;
    if (control->connection != G_DBUS_CONNECTION(source))
        return; /* on_closed() was quicker */
    if (answer)
        g_variant_get(answer, "(u)", &code);
    if (code != NAME_IS_OURS && code != NAME_WAS_OURS) {
        if (error)
            g_dbus_error_strip_remote_error(error);
        retry_later(control,
                    error ? error->message : "another process owns the name " CONTROL_NAME);
        return;
    }
    control->owned = TRUE;
    control->warned = FALSE;
    g_info("control interface is available as " CONTROL_NAME);
}

static void request_name(Control *control)
{
    g_dbus_connection_call(control->connection, BUS_NAME, BUS_OBJECT, BUS_NAME, "RequestName",
                           g_variant_new("(su)", CONTROL_NAME, NAME_FLAG_DO_NOT_QUEUE),
                           G_VARIANT_TYPE("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, control->cancellable,
                           on_name_answer, control);
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer user_data)
{
    static const GDBusInterfaceVTable VTABLE = {.method_call = method_call,
                                                .get_property = get_property};
    (void)source;
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusConnection) connection =
        g_dbus_connection_new_for_address_finish(result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* control_free() */
    Control *control = user_data;
    if (!connection) {
        retry_later(control, error->message);
        return;
    }
    control->connection = g_steal_pointer(&connection);
    control->closed_handler =
        g_signal_connect(control->connection, "closed", G_CALLBACK(on_closed), control);
    /* Before the name, so that nobody finds the name without the object. */
    control->registration = g_dbus_connection_register_object(control->connection, CONTROL_OBJECT,
                                                              control->introspection->interfaces[0],
                                                              &VTABLE, control, NULL, &error);
    if (!control->registration) {
        drop_connection(control);
        retry_later(control, error->message);
        return;
    }
    request_name(control);
}

static void connect_to_bus(Control *control)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, &error);
    if (!address) {
        retry_later(control, error->message);
        return;
    }
    g_dbus_connection_new_for_address(address,
                                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                          G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                      NULL, control->cancellable, on_connected, control);
}

static gboolean announce(gpointer user_data)
{
    static const char *const invalidated[] = {"Status", NULL};
    Control *control = user_data;
    control->announcing = 0;
    if (control->owned)
        g_dbus_connection_emit_signal(
            control->connection, NULL, CONTROL_OBJECT, PROPERTIES_INTERFACE, "PropertiesChanged",
            g_variant_new("(sa{sv}^as)", CONTROL_INTERFACE, NULL, invalidated), NULL);
    return G_SOURCE_REMOVE;
}

void control_changed(Control *control)
{
    if (!control->announcing)
        control->announcing = g_idle_add(announce, control);
}

static void on_inhibitors_changed(gpointer user_data)
{
    Control *control = user_data;
    control_changed(control);
    control->handlers.inhibitors_changed(control->user_data);
}

char *control_inhibitors(const Control *control)
{
    return inhibitors_describe(control->inhibitors);
}

Control *control_new(const ControlHandlers *handlers, gpointer user_data)
{
    Control *control = g_new0(Control, 1);
    control->handlers = *handlers;
    control->user_data = user_data;
    control->inhibitors = inhibitors_new(on_inhibitors_changed, control);
    control->introspection = g_dbus_node_info_new_for_xml(INTROSPECTION, NULL);
    control->cancellable = g_cancellable_new();
    connect_to_bus(control);
    return control;
}

void control_free(Control *control)
{
    if (!control)
        return;
    g_cancellable_cancel(control->cancellable);
    g_object_unref(control->cancellable);
    g_clear_handle_id(&control->retry, g_source_remove);
    g_clear_handle_id(&control->announcing, g_source_remove);
    drop_connection(control);
    inhibitors_free(control->inhibitors);
    g_dbus_node_info_unref(control->introspection);
    g_free(control);
}
