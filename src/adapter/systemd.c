/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service side of systemd: two small protocols, not worth a library.
 */
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "adapter/systemd.h"

#define MAX_STATE_BYTES  2048 /* of a notification; what is longer is cut */
#define SEND_TIMEOUT_MS  1000 /* a service manager that does not read must not stop us for longer */
#define QUERY_TIMEOUT_MS 5000
#define MAX_NAMES_BYTES  512 /* of the inhibitors' names together */

/* --- sd_notify(3) --- */

/* FALSE without systemd, or with an address of a kind that we do not know (vsock). */
static gboolean notify_address(struct sockaddr_un *address, socklen_t *ret_length)
{
    const char *path = g_getenv("NOTIFY_SOCKET");
    gsize length = path ? strlen(path) : 0;

    if (length < 2 || length >= sizeof address->sun_path || (*path != '/' && *path != '@'))
        return FALSE;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length);
    if (*path == '@')
        address->sun_path[0] = '\0';
    /* an abstract name ends where the address ends, a file's name with its NUL */
    *ret_length = (socklen_t)(G_STRUCT_OFFSET(struct sockaddr_un, sun_path) + length +
                              (*path == '/' ? 1 : 0));
    return TRUE;
}

void systemd_notify(const char *state)
{
    const struct timeval patience = {.tv_usec = (suseconds_t)(SEND_TIMEOUT_MS % 1000) * 1000,
                                     .tv_sec = SEND_TIMEOUT_MS / 1000};
    struct sockaddr_un address;
    socklen_t length;
    int fd;

    if (!notify_address(&address, &length))
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sendto(fd, state, MIN(strlen(state), MAX_STATE_BYTES), MSG_NOSIGNAL,
           (const struct sockaddr *)&address, length);
    close(fd);
}

gint64 systemd_watchdog_interval_ms(void)
{
    const char *usec = g_getenv("WATCHDOG_USEC"), *pid = g_getenv("WATCHDOG_PID");
    guint64 interval, owner;

    if (!usec || !g_ascii_string_to_unsigned(usec, 10, 1, G_MAXINT64, &interval, NULL))
        return 0;
    /* set for a parent of ours that started us itself */
    if (pid && (!g_ascii_string_to_unsigned(pid, 10, 1, G_MAXINT32, &owner, NULL) ||
                owner != (guint64)getpid()))
        return 0;
    return (gint64)MAX(interval / 2000, 1);
}

/* --- logind --- */

typedef struct {
    GCancellable *caller;
    GCancellable *deadline;
    guint timer;
    GDBusConnection *bus;
    void (*done)(const char *who, gpointer user_data);
    gpointer user_data;
} Query;

/* Tells the caller and ends the query. */
static void query_end(Query *query, const char *who)
{
    if (!g_cancellable_is_cancelled(query->caller))
        query->done(who, query->user_data);
    if (query->timer)
        g_source_remove(query->timer);
    if (query->bus)
        g_dbus_connection_close(query->bus, NULL, NULL, NULL);
    g_clear_object(&query->bus);
    g_clear_object(&query->caller);
    g_object_unref(query->deadline);
    g_free(query);
}

/* The names of `block` inhibitors on shutdown in logind's list of (what, who, why, mode, uid, pid);
 * NULL for none. */
static char *blockers(GVariant *list)
{
    g_autoptr(GString) names = g_string_new(NULL);
    const char *what, *who, *mode;
    GVariantIter iter;

    g_variant_iter_init(&iter, list);
    while (g_variant_iter_next(&iter, "(&s&s&s&suu)", &what, &who, NULL, &mode, NULL, NULL)) {
        g_auto(GStrv) kinds = g_strsplit(what, ":", -1);

        if (!g_str_equal(mode, "block") || !g_strv_contains((const char *const *)kinds, "shutdown"))
            continue;
        if (names->len + strlen(who) + 2 > MAX_NAMES_BYTES) {
            g_string_append(names, names->len ? ", ..." : "...");
            break;
        }
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", *who ? who : "unknown");
    }
    return names->len ? g_string_free(g_steal_pointer(&names), FALSE) : NULL;
}

static void on_inhibitors(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, NULL);
    g_autoptr(GVariant) list = NULL;
    g_autofree char *who = NULL;

    if (reply) {
        list = g_variant_get_child_value(reply, 0);
        who = blockers(list);
    }
    query_end(data, who);
}

/* One list has all of it: logind's property BlockInhibited would be a second question and tells no
 * names. */
static void on_connected(GObject *source, GAsyncResult *result, gpointer data)
{
    Query *query = data;

    (void)source;
    query->bus = g_dbus_connection_new_for_address_finish(result, NULL);
    if (!query->bus) {
        query_end(query, NULL);
        return;
    }
    g_dbus_connection_call(query->bus, "org.freedesktop.login1", "/org/freedesktop/login1",
                           "org.freedesktop.login1.Manager", "ListInhibitors", NULL,
                           G_VARIANT_TYPE("(a(ssssuu))"), G_DBUS_CALL_FLAGS_NO_AUTO_START,
                           QUERY_TIMEOUT_MS, query->deadline, on_inhibitors, query);
}

static gboolean on_timeout(gpointer data)
{
    Query *query = data;

    query->timer = 0;
    g_cancellable_cancel(query->deadline);
    return G_SOURCE_REMOVE;
}

static gboolean on_no_address(gpointer data)
{
    query_end(data, NULL);
    return G_SOURCE_REMOVE;
}

void systemd_query_shutdown_inhibitors(GCancellable *cancellable,
                                       void (*done)(const char *who, gpointer user_data),
                                       gpointer user_data)
{
    Query *query = g_new0(Query, 1);
    g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, NULL);

    query->caller = cancellable ? g_object_ref(cancellable) : NULL;
    query->deadline = g_cancellable_new();
    query->done = done;
    query->user_data = user_data;
    if (!address) {
        g_idle_add(on_no_address, query);
        return;
    }
    query->timer = g_timeout_add(QUERY_TIMEOUT_MS, on_timeout, query);
    /* a connection of its own for a rare question: g_bus_get()'s would end the process with the
     * bus */
    g_dbus_connection_new_for_address(address,
                                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                          G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                      NULL, query->deadline, on_connected, query);
}
