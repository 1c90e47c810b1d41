/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RAUC as the agent sees it: its presence, its installs and its methods.
 *
 * When is RAUC busy?  Its property Operation cannot tell by itself: a refused InstallBundle sets it
 * to idle while the first install runs on.  So "busy" is a flag of ours.  It is set by Operation
 * becoming (or being found) `installing`, by our InstallBundle being accepted, and by any method
 * being refused because RAUC is at work; it is cleared by Completed and by the loss of RAUC, never
 * by Operation.  This is sound because RAUC sends all of these from one thread and a D-Bus
 * connection keeps their order: a refusal, a reply or a property read before a Completed arrives
 * before it.  For the same reason the signals are subscribed to before the properties are read, and
 * what the signals said up to that reply is kept.
 *
 * Everything belongs to a session: the time from the name's getting an owner to the loss of that
 * owner.  Its cancellable ends what is under way when RAUC is lost; every call goes to the owner's
 * unique name, so that no call made for one RAUC reaches the next.  A RAUC that owns its name but
 * answers nothing within the time-out is as good as absent: its state is asked for again every
 * RAUC_BUS_RETRY_S until it answers.
 */
#include "rauc_internal.h"

static void read_state(Rauc *rauc);

static void rauc_clear(gpointer data)
{
    Rauc *rauc = data;

    g_free(rauc->owner);
}

void rauc_unref(gpointer rauc)
{
    g_rc_box_release_full(rauc, rauc_clear);
}

void rauc_announce(Rauc *rauc)
{
    RaucPresence presence = RAUC_ABSENT;

    if (rauc->ready)
        presence = rauc->busy || rauc->completing ? RAUC_BUSY : RAUC_IDLE;
    if (presence == rauc->presence)
        return;
    rauc->presence = presence;
    if (rauc->events.presence)
        rauc->events.presence(presence, rauc->user_data);
}

void rauc_set_busy(Rauc *rauc)
{
    if (rauc->busy)
        return;
    rauc->busy = TRUE;
    rauc->percent = 0;
}

/* What is sent with a session ends with it, as RAUC_ERROR_GONE. */
static void session_renew(Rauc *rauc)
{
    g_cancellable_cancel(rauc->session);
    g_object_unref(rauc->session);
    rauc->session = g_cancellable_new();
    rauc->ready = rauc->completing = rauc->accepting = FALSE;
}

/* --- Waiting for RAUC's answers --- */

static gboolean on_reread(gpointer data)
{
    Rauc *rauc = data;

    rauc->reread = 0;
    read_state(rauc);
    return G_SOURCE_REMOVE;
}

void rauc_went_silent(Rauc *rauc, const GError *error)
{
    if (!rauc->silence_told)
        g_warning("%s; asking again every %u s", error->message, rauc->timing.bus_retry_ms / 1000);
    rauc->silence_told = TRUE;
    session_renew(rauc);
    if (!rauc->reread)
        rauc->reread = g_timeout_add(rauc->timing.bus_retry_ms, on_reread, rauc);
    rauc_announce(rauc);
}

void rauc_send(Rauc *rauc, const char *interface, const char *method, GVariant *arguments,
               const char *reply_type, GAsyncReadyCallback reply, gpointer data)
{
    g_dbus_connection_call(rauc->bus, rauc->owner, RAUC_OBJECT, interface, method, arguments,
                           G_VARIANT_TYPE(reply_type), G_DBUS_CALL_FLAGS_NO_AUTO_START,
                           (int)rauc->timing.call_timeout_ms, rauc->session, reply, data);
}

GVariant *rauc_receive(GObject *source, GAsyncResult *result, GError **ret_error)
{
    g_autoptr(GError) error = NULL;
    GVariant *reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

    if (!reply)
        *ret_error = rauc_error_from_call(error);
    return reply;
}

/* --- The state at the beginning of a session --- */

static void take_properties(Rauc *rauc, GVariant *properties, int *ret_percent, char **ret_message)
{
    const char *operation, *message;
    gint32 percent, depth;

    if (g_variant_lookup(properties, "Operation", "&s", &operation) &&
        g_str_equal(operation, "installing"))
        rauc_set_busy(rauc);
    if (g_variant_lookup(properties, "Progress", "(i&si)", &percent, &message, &depth)) {
        *ret_percent = CLAMP(percent, 0, 100);
        *ret_message = rauc_text_bounded(message, RAUC_MAX_FIELD);
    }
}

typedef struct {
    Rauc *rauc;
    GCancellable *session;
} Reading;

static void reading_free(Reading *reading)
{
    g_object_unref(reading->session);
    rauc_unref(reading->rauc);
    g_free(reading);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Reading, reading_free)

static Reading *reading_new(Rauc *rauc)
{
    Reading *reading = g_new0(Reading, 1);

    reading->rauc = g_rc_box_acquire(rauc);
    reading->session = g_object_ref(rauc->session);
    return reading;
}

static void on_state(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(Reading) reading = data;
    g_autoptr(GError) error = NULL;
    g_autofree char *message = NULL;
    g_autoptr(GVariant) reply = rauc_receive(source, result, &error);
    g_autoptr(GVariant) properties = NULL;
    Rauc *rauc = reading->rauc;
    int percent = 0;

    if (g_cancellable_is_cancelled(reading->session))
        return;
    if (!reply) {
        rauc_went_silent(rauc, error);
        return;
    }
    properties = g_variant_get_child_value(reply, 0);
    take_properties(rauc, properties, &percent, &message);
    if (rauc->busy)
        rauc->percent = percent;
    rauc->ready = TRUE;
    rauc->silence_told = FALSE;
    rauc_announce(rauc);
}

static void read_state(Rauc *rauc)
{
    rauc_send(rauc, "org.freedesktop.DBus.Properties", "GetAll",
              g_variant_new("(s)", RAUC_INTERFACE), "(a{sv})", on_state, reading_new(rauc));
}

/* --- What RAUC tells by itself --- */

static void on_properties(GDBusConnection *bus, const char *sender, const char *path,
                          const char *interface, const char *signal, GVariant *arguments,
                          gpointer data)
{
    Rauc *rauc = data;
    g_autoptr(GVariant) properties = NULL;
    g_autofree char *message = NULL;
    const char *of;

    (void)bus, (void)sender, (void)path, (void)interface, (void)signal;
    if (rauc->freed || !g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sa{sv}as)")))
        return;
    g_variant_get(arguments, "(&s@a{sv}as)", &of, &properties, NULL);
    if (g_str_equal(of, RAUC_INTERFACE)) {
        int percent = 0;

        take_properties(rauc, properties, &percent, &message);
        rauc_announce(rauc);
        /* other methods move Progress, too: it counts only while an install runs */
        if (message && rauc->busy) {
            rauc->percent = percent;
            if (rauc->ready && rauc->events.progress)
                rauc->events.progress(percent, message, rauc->user_data);
        }
    }
}

static void finish_install(Rauc *rauc, const GError *error)
{
    /* somebody's next install may have begun while LastError was read */
    gboolean next = rauc->busy;

    rauc->busy = rauc->completing = FALSE;
    rauc_announce(rauc);
    if (rauc->events.completed)
        rauc->events.completed(error, rauc->user_data);
    rauc->busy = rauc->busy || next;
    rauc_announce(rauc);
}

static void on_last_error(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(Reading) reading = data;
    g_autoptr(GError) failure = NULL;
    g_autoptr(GError) reason = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GVariant) reply = rauc_receive(source, result, &failure);
    g_autoptr(GVariant) value = NULL;

    if (g_cancellable_is_cancelled(reading->session))
        return;
    if (!reply && g_error_matches(failure, RAUC_ERROR, RAUC_ERROR_GONE)) {
        rauc_went_silent(reading->rauc, failure);
        return;
    }
    if (reply)
        g_variant_get(reply, "(v)", &value);
    if (value && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
        text = rauc_text_bounded(g_variant_get_string(value, NULL), RAUC_MAX_ERROR_LENGTH);
    if (!text || !*text)
        reason = g_error_new(RAUC_ERROR, RAUC_ERROR_OTHER, "RAUC gave no reason");
    else
        reason = g_error_new_literal(RAUC_ERROR, (int)rauc_error_classify(text), text);
    finish_install(reading->rauc, reason);
}

static void on_completed(GDBusConnection *bus, const char *sender, const char *path,
                         const char *interface, const char *signal, GVariant *arguments,
                         gpointer data)
{
    Rauc *rauc = data;
    gint32 code;

    (void)bus, (void)sender, (void)path, (void)interface, (void)signal;
    if (rauc->freed || !g_variant_is_of_type(arguments, G_VARIANT_TYPE("(i)")))
        return;
    rauc->busy = FALSE;
    /* Nobody was told of the install that this ends: the state is just being read; or our own
     * InstallBundle has not been answered yet, so it cannot be the one that ended; or LastError of
     * the one before is being read. */
    if (!rauc->ready || rauc->accepting || rauc->completing) {
        rauc_announce(rauc);
        return;
    }
    g_variant_get(arguments, "(i)", &code);
    if (code == 0) {
        finish_install(rauc, NULL);
        return;
    }
    rauc->completing = TRUE;
    rauc_send(rauc, "org.freedesktop.DBus.Properties", "Get",
              g_variant_new("(ss)", RAUC_INTERFACE, "LastError"), "(v)", on_last_error,
              reading_new(rauc));
    rauc_announce(rauc);
}

/* --- Sessions --- */

static void on_up(GDBusConnection *bus, const char *owner, gpointer data)
{
    Rauc *rauc = data;

    rauc->bus = g_object_ref(bus);
    rauc->owner = g_strdup(owner);
    rauc->session = g_cancellable_new();
    rauc->completed_signal = g_dbus_connection_signal_subscribe(
        bus, owner, RAUC_INTERFACE, "Completed", RAUC_OBJECT, NULL, G_DBUS_SIGNAL_FLAGS_NONE,
        on_completed, g_rc_box_acquire(rauc), rauc_unref);
    rauc->properties_signal = g_dbus_connection_signal_subscribe(
        bus, owner, "org.freedesktop.DBus.Properties", "PropertiesChanged", RAUC_OBJECT,
        RAUC_INTERFACE, G_DBUS_SIGNAL_FLAGS_NONE, on_properties, g_rc_box_acquire(rauc),
        rauc_unref);
    read_state(rauc);
}

static void session_end(Rauc *rauc)
{
    if (!rauc->bus)
        return;
    g_dbus_connection_signal_unsubscribe(rauc->bus, rauc->completed_signal);
    g_dbus_connection_signal_unsubscribe(rauc->bus, rauc->properties_signal);
    g_clear_handle_id(&rauc->reread, g_source_remove);
    g_cancellable_cancel(rauc->session);
    g_clear_object(&rauc->session);
    g_clear_object(&rauc->bus);
    g_clear_pointer(&rauc->owner, g_free);
    rauc->ready = rauc->busy = rauc->completing = rauc->accepting = rauc->silence_told = FALSE;
    rauc->percent = 0;
}

static void on_down(gpointer data)
{
    session_end(data);
    rauc_announce(data);
}

Rauc *rauc_new_with_timing(const RaucEvents *events, gpointer user_data, const RaucTiming *timing)
{
    static const RaucLinkEvents link_events = {on_up, on_down};
    Rauc *rauc = g_rc_box_new0(Rauc);

    rauc->events = *events;
    rauc->user_data = user_data;
    rauc->timing = *timing;
    rauc->link = rauc_link_new(&link_events, rauc, timing);
    return rauc;
}

Rauc *rauc_new(const RaucEvents *events, gpointer user_data)
{
    static const RaucTiming timing = {RAUC_BUS_RETRY_S * 1000, RAUC_CALL_TIMEOUT_S * 1000,
                                      RAUC_ACTIVATE_MAX_S * 1000};

    return rauc_new_with_timing(events, user_data, &timing);
}

void rauc_free(Rauc *rauc)
{
    static const RaucEvents nobody = {0};

    if (!rauc)
        return;
    /* what is under way keeps the memory until its callback has come and found this */
    rauc->freed = TRUE;
    rauc->events = nobody;
    session_end(rauc);
    rauc_link_free(rauc->link);
    rauc_unref(rauc);
}

RaucPresence rauc_presence(const Rauc *rauc)
{
    return rauc->presence;
}

int rauc_percent(const Rauc *rauc)
{
    return rauc->percent;
}
