/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A scripted stand-in for RAUC on a private bus, for what the real one cannot be made to do at a
 * chosen moment: answer late or not at all, lie in its properties, send other types than it should,
 * vanish between two messages.  What the real one does is tested with the real one, in
 * tests/component.
 */
#pragma once

#include "loop_fixture.h"

#include "src/adapter/rauc_internal.h"

typedef struct {
    GDBusConnection *bus;
    guint objects[2];
    /* the properties */
    const char *operation, *message, *last_error;
    int percent;
    /* methods whose calls are kept in `held` instead of being answered, separated by spaces */
    const char *hold;
    GPtrArray *held; /* GDBusMethodInvocation */
    /* methods that are refused, and how */
    const char *refuse, *refusal;
    /* replies of a method, in GVariant's text form, instead of the usual ones */
    GHashTable *replies;
    GString *calls; /* "Method " for each that came */
} Peer;

#define PEER_BUSY "Already processing a different method"

static const char peer_interfaces[] =
    "<node><interface name='" RAUC_INTERFACE "'>"
    "<method name='InstallBundle'><arg type='s' direction='in'/><arg type='a{sv}' direction='in'/>"
    "</method><method name='Mark'><arg type='s' direction='in'/><arg type='s' direction='in'/>"
    "</method><method name='GetSlotStatus'/><method name='GetPrimary'/></interface>"
    "<interface name='org.freedesktop.DBus.Properties'><method name='Get'>"
    "<arg type='s' direction='in'/><arg type='s' direction='in'/></method><method name='GetAll'>"
    "<arg type='s' direction='in'/></method></interface></node>";

/* By hand: GDBus would check the reply against the interface. */
static void peer_reply(Peer *peer, GDBusMethodInvocation *invocation, GVariant *body)
{
    g_autoptr(GDBusMessage) reply =
        g_dbus_message_new_method_reply(g_dbus_method_invocation_get_message(invocation));

    if (body)
        g_dbus_message_set_body(reply, body);
    g_dbus_connection_send_message(peer->bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
    g_object_unref(invocation);
}

static void peer_refuse(GDBusMethodInvocation *invocation, const char *text)
{
    g_dbus_method_invocation_return_dbus_error(
        invocation, "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code30", text);
}

static GVariant *peer_usual_reply(const Peer *peer, const char *method)
{
    if (g_str_equal(method, "GetAll"))
        return g_variant_new_parsed("({'Operation': <%s>, 'LastError': <%s>,"
                                    " 'Progress': <(%i, %s, 1)>, 'BootSlot': <'A'>},)",
                                    peer->operation, peer->last_error, peer->percent,
                                    peer->message);
    if (g_str_equal(method, "Get"))
        return g_variant_new_parsed("(<%s>,)", peer->last_error);
    if (g_str_equal(method, "GetSlotStatus"))
        return g_variant_new_parsed("([('rootfs.0', {'class': <'rootfs'>, 'state': <'booted'>,"
                                    " 'bootname': <'A'>}), ('rootfs.1', {'class': <'rootfs'>,"
                                    " 'state': <'inactive'>, 'bootname': <'B'>})],)");
    if (g_str_equal(method, "GetPrimary"))
        return g_variant_new_parsed("('rootfs.0',)");
    if (g_str_equal(method, "Mark"))
        return g_variant_new_parsed("('rootfs.1', 'marked slot rootfs.1')");
    return NULL; /* InstallBundle */
}

static gboolean listed(const char *methods, const char *method)
{
    g_auto(GStrv) list = g_strsplit(methods ? methods : "", " ", -1);

    return g_strv_contains((const char *const *)list, method);
}

static void peer_on_call(GDBusConnection *connection, const char *sender, const char *path,
                         const char *interface, const char *method, GVariant *arguments,
                         GDBusMethodInvocation *invocation, gpointer data)
{
    Peer *peer = data;
    const char *text = g_hash_table_lookup(peer->replies, method);

    (void)connection, (void)sender, (void)path, (void)interface, (void)arguments;
    g_string_append_printf(peer->calls, "%s ", method);
    if (listed(peer->hold, method))
        g_ptr_array_add(peer->held, invocation);
    else if (listed(peer->refuse, method))
        peer_refuse(invocation, peer->refusal);
    else if (text)
        peer_reply(peer, invocation, g_variant_parse(NULL, text, NULL, NULL, NULL));
    else
        peer_reply(peer, invocation, peer_usual_reply(peer, method));
}

/* On the bus, without the name. */
static Peer *peer_new(void)
{
    static const GDBusInterfaceVTable calls = {.method_call = peer_on_call};
    g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(peer_interfaces, NULL);
    Peer *peer = g_new0(Peer, 1);

    peer->bus = private_bus_connect();
    peer->operation = "idle";
    peer->message = peer->last_error = "";
    peer->held = g_ptr_array_new();
    peer->replies = g_hash_table_new(g_str_hash, g_str_equal);
    peer->calls = g_string_new(NULL);
    for (int i = 0; i < 2; i++) {
        peer->objects[i] = g_dbus_connection_register_object(
            peer->bus, RAUC_OBJECT, node->interfaces[i], &calls, peer, NULL, NULL);
        ck_assert_uint_gt(peer->objects[i], 0);
    }
    return peer;
}

static Peer *peer_start(void)
{
    Peer *peer = peer_new();

    private_bus_own(peer->bus, RAUC_BUS_NAME);
    return peer;
}

/* Its process is gone. */
static void peer_vanish(Peer *peer)
{
    for (int i = 0; i < 2; i++)
        g_dbus_connection_unregister_object(peer->bus, peer->objects[i]);
    g_dbus_connection_close_sync(peer->bus, NULL, NULL);
    g_object_unref(peer->bus);
    for (guint i = 0; i < peer->held->len; i++)
        g_object_unref(g_ptr_array_index(peer->held, i));
    g_ptr_array_unref(peer->held);
    g_hash_table_unref(peer->replies);
    g_string_free(peer->calls, TRUE);
    g_free(peer);
}

static void peer_signal(Peer *peer, const char *interface, const char *name, const char *body)
{
    g_autoptr(GError) error = NULL;
    GVariant *arguments = g_variant_parse(NULL, body, NULL, NULL, &error);

    ck_assert_msg(arguments != NULL, "%s: %s", body, error ? error->message : "");
    ck_assert(g_dbus_connection_emit_signal(peer->bus, NULL, RAUC_OBJECT, interface, name,
                                            arguments, NULL));
}

/* `changes`: the dictionary in text form. */
static void peer_properties(Peer *peer, const char *changes)
{
    g_autofree char *body = g_strdup_printf("('" RAUC_INTERFACE "', @a{sv} %s, @as [])", changes);

    peer_signal(peer, "org.freedesktop.DBus.Properties", "PropertiesChanged", body);
}

static void peer_completed(Peer *peer, int code)
{
    g_autofree char *body = g_strdup_printf("(%d,)", code);

    peer_signal(peer, RAUC_INTERFACE, "Completed", body);
}
