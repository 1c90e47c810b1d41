/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The link to RAUC: a connection to the system bus and the watch for RAUC's name.
 *
 * The connection is our own and not the process-wide one of g_bus_get(): that one ends the process
 * when the bus closes it and cannot be made again.
 *
 * Starting RAUC.  Its unit is started by D-Bus activation (Debian's and upstream's have no
 * [Install] and no Restart=), so somebody must ask for it, after a crash, too.  We do not rely on a
 * method call's doing so by itself, since all calls go to the owner that was seen, never to whoever
 * comes next.  Instead the bus is asked to start RAUC at once when the connection is new, and
 * otherwise after a pause: bus_retry_ms after RAUC was lost, which leaves a Restart= of its unit or
 * a restart-command their time, then at twice the distance each time up to activate_max_ms.  The
 * pause becomes short again only when RAUC lived for longer than activate_max_ms: one that dies
 * right after its start is not hammered.  Where RAUC cannot be activated the request fails and
 * harms nobody; the watch sees a RAUC that is started by hand.
 */
#include "rauc_internal.h"

struct _RaucLink {
    RaucLinkEvents events;
    gpointer user_data;
    RaucTiming timing;
    GDBusConnection *bus; /* NULL: not connected */
    GCancellable *connecting;
    gulong closed_handler;
    guint watch;
    guint timer; /* the end of the attempt to connect, or the next one, or the next request to start
                    RAUC */
    guint activate_ms; /* pause before the next request to start RAUC */
    gint64 up_since;
    gboolean up, freed;
    gboolean bus_told, start_told; /* a failure is logged once, not at each retry */
};

static void link_connect(RaucLink *link);

static void link_clear(gpointer data)
{
    RaucLink *link = data;

    g_clear_object(&link->connecting);
}

static void link_unref(gpointer link)
{
    g_rc_box_release_full(link, link_clear);
}

static void link_timer_stop(RaucLink *link)
{
    if (link->timer)
        g_source_remove(link->timer);
    link->timer = 0;
}

static void link_timer_start(RaucLink *link, guint delay_ms, GSourceFunc fire)
{
    link_timer_stop(link);
    link->timer = g_timeout_add(delay_ms, fire, link);
}

/* The last thing that a caller does: `down` may free the link. */
static void link_down(RaucLink *link)
{
    if (!link->up)
        return;
    link->up = FALSE;
    link->events.down(link->user_data);
}

static void on_started(GObject *source, GAsyncResult *result, gpointer data)
{
    RaucLink *link = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

    if (!reply && !link->freed && !link->start_told) {
        g_dbus_error_strip_remote_error(error);
        g_info("RAUC is not on the bus and the bus cannot start it: %s", error->message);
        link->start_told = TRUE;
    }
    link_unref(link);
}

static gboolean on_activate(gpointer data)
{
    RaucLink *link = data;
    guint next = MAX(link->activate_ms * 2, link->timing.bus_retry_ms);

    link->timer = 0;
    g_dbus_connection_call(link->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                           "org.freedesktop.DBus", "StartServiceByName",
                           g_variant_new("(su)", RAUC_BUS_NAME, 0), G_VARIANT_TYPE("(u)"),
                           G_DBUS_CALL_FLAGS_NO_AUTO_START, (int)link->timing.call_timeout_ms, NULL,
                           on_started, g_rc_box_acquire(link));
    link->activate_ms = MIN(next, link->timing.activate_max_ms);
    link_timer_start(link, link->activate_ms, on_activate);
    return G_SOURCE_REMOVE;
}

static void on_appeared(GDBusConnection *bus, const char *name, const char *owner, gpointer data)
{
    RaucLink *link = data;

    (void)name;
    if (link->freed || link->up)
        return;
    g_info("RAUC is on the bus as %s", owner);
    link_timer_stop(link);
    link->up = TRUE;
    link->start_told = FALSE;
    link->up_since = g_get_monotonic_time();
    link->events.up(bus, owner, link->user_data);
}

static void on_vanished(GDBusConnection *bus, const char *name, gpointer data)
{
    RaucLink *link = data;

    (void)bus;
    (void)name;
    if (link->freed || !link->bus || g_dbus_connection_is_closed(link->bus))
        return;
    if (link->up) {
        gint64 lived_ms = (g_get_monotonic_time() - link->up_since) / 1000;

        g_info("RAUC left the bus");
        if (lived_ms > link->timing.activate_max_ms)
            link->activate_ms = 0;
        link->activate_ms = MAX(link->activate_ms, link->timing.bus_retry_ms);
    }
    link_timer_start(link, link->activate_ms, on_activate);
    link_down(link);
}

static gboolean on_retry(gpointer data)
{
    RaucLink *link = data;

    link->timer = 0;
    link_connect(link);
    return G_SOURCE_REMOVE;
}

static void link_disconnect(RaucLink *link)
{
    link_timer_stop(link);
    if (!link->bus)
        return;
    g_bus_unwatch_name(link->watch);
    g_signal_handler_disconnect(link->bus, link->closed_handler);
    g_dbus_connection_close(link->bus, NULL, NULL, NULL);
    g_clear_object(&link->bus);
}

static void on_closed(GDBusConnection *bus, gboolean vanished, GError *error, gpointer data)
{
    RaucLink *link = data;

    (void)bus;
    (void)vanished;
    g_warning("lost the system bus (%s), trying again every %u s",
              error ? error->message : "closed", link->timing.bus_retry_ms / 1000);
    link->bus_told = TRUE;
    link_disconnect(link);
    link_timer_start(link, link->timing.bus_retry_ms, on_retry);
    link_down(link);
}

static void link_failed(RaucLink *link, const GError *error)
{
    if (!link->bus_told)
        g_warning("no system bus (%s), trying again every %u s", error->message,
                  link->timing.bus_retry_ms / 1000);
    link->bus_told = TRUE;
    link_timer_start(link, link->timing.bus_retry_ms, on_retry);
}

static void link_use(RaucLink *link, GDBusConnection *bus)
{
    if (link->bus_told)
        g_message("connected to the system bus");
    link->bus_told = FALSE;
    link->bus = g_object_ref(bus);
    link->activate_ms = 0;
    link->closed_handler = g_signal_connect(bus, "closed", G_CALLBACK(on_closed), link);
    link->watch = g_bus_watch_name_on_connection(bus, RAUC_BUS_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                                 on_appeared, on_vanished, g_rc_box_acquire(link),
                                                 link_unref);
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer data)
{
    RaucLink *link = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusConnection) bus = g_dbus_connection_new_for_address_finish(result, &error);

    (void)source;
    if (link->freed) {
        if (bus)
            g_dbus_connection_close(bus, NULL, NULL, NULL);
    } else {
        link_timer_stop(link);
        g_clear_object(&link->connecting);
        /* one that was closed meanwhile may have emitted "closed" before anybody listened */
        if (bus && g_dbus_connection_is_closed(bus))
            g_set_error_literal(&error, G_IO_ERROR, G_IO_ERROR_CLOSED, "closed at once");
        if (error)
            link_failed(link, error);
        else
            link_use(link, bus);
    }
    link_unref(link);
}

/* A bus that takes the connection and then says nothing; on_connected() hears of the cancelling. */
static gboolean on_connect_timeout(gpointer data)
{
    RaucLink *link = data;

    link->timer = 0;
    g_cancellable_cancel(link->connecting);
    return G_SOURCE_REMOVE;
}

static void link_connect(RaucLink *link)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, &error);

    if (!address) {
        link_failed(link, error);
        return;
    }
    link->connecting = g_cancellable_new();
    g_dbus_connection_new_for_address(address,
                                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                          G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                      NULL, link->connecting, on_connected, g_rc_box_acquire(link));
    link_timer_start(link, link->timing.call_timeout_ms, on_connect_timeout);
}

RaucLink *rauc_link_new(const RaucLinkEvents *events, gpointer user_data, const RaucTiming *timing)
{
    RaucLink *link = g_rc_box_new0(RaucLink);

    link->events = *events;
    link->user_data = user_data;
    link->timing = *timing;
    link_connect(link);
    return link;
}

void rauc_link_free(RaucLink *link)
{
    if (!link)
        return;
    link->freed = TRUE;
    link_disconnect(link);
    if (link->connecting)
        g_cancellable_cancel(link->connecting);
    link_unref(link);
}
