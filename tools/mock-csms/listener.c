/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One bound socket that only reserves the number, and one that listens while the port is open. */
#include "listener.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 64
/* Connections taken in one turn of the loop. */
#define ACCEPTS_PER_TURN 16

struct Listener {
    ListenerAccepted accepted;
    gpointer user;
    struct sockaddr_storage address;
    socklen_t address_length;
    guint16 port;
    int reserved_fd;
    int fd; /* -1: closed */
    guint source;
    gboolean paused;
};

static gboolean on_connection(int fd, GIOCondition condition, gpointer data)
{
    Listener *listener = data;

    (void)condition;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (peer < 0)
            break;
        listener->accepted(listener->user, peer);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean fail(GError **error, const char *what)
{
    int saved = errno;

    g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(saved), "cannot %s: %s", what,
                g_strerror(saved));
    return FALSE;
}

static gboolean bind_socket(const Listener *listener, int *ret_fd, GError **error)
{
    const struct sockaddr *address = (const struct sockaddr *)&listener->address;
    int on = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return fail(error, "open a socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, address, listener->address_length) < 0) {
        fail(error, "bind the listening address");
        close(fd);
        return FALSE;
    }
    *ret_fd = fd;
    return TRUE;
}

/* The kernel's choice of port becomes ours for good: the second socket binds the same number. */
static gboolean reserve(Listener *listener, GError **error)
{
    g_autoptr(GSocketAddress) bound = NULL;

    if (!bind_socket(listener, &listener->reserved_fd, error))
        return FALSE;
    listener->address_length = sizeof(listener->address);
    if (getsockname(listener->reserved_fd, (struct sockaddr *)&listener->address,
                    &listener->address_length) < 0)
        return fail(error, "read the port number");
    bound = g_socket_address_new_from_native(&listener->address, listener->address_length);
    listener->port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(bound));
    return TRUE;
}

Listener *listener_new(const char *address, guint16 port, ListenerAccepted accepted, gpointer user,
                       GError **error)
{
    g_autoptr(GSocketAddress) wanted = g_inet_socket_address_new_from_string(address, port);
    g_autoptr(Listener) listener = NULL;

    if (wanted == NULL) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "'%s' is no IP address",
                    address);
        return NULL;
    }
    listener = g_new0(Listener, 1);
    listener->accepted = accepted;
    listener->user = user;
    listener->fd = -1;
    listener->reserved_fd = -1;
    listener->address_length = (socklen_t)g_socket_address_get_native_size(wanted);
    if (!g_socket_address_to_native(wanted, &listener->address, sizeof(listener->address), error) ||
        !reserve(listener, error) || !listener_set_open(listener, TRUE, error))
        return NULL;
    return g_steal_pointer(&listener);
}

void listener_free(Listener *listener)
{
    if (listener == NULL)
        return;
    (void)listener_set_open(listener, FALSE, NULL);
    if (listener->reserved_fd >= 0)
        close(listener->reserved_fd);
    g_free(listener);
}

guint16 listener_port(const Listener *listener)
{
    return listener->port;
}

static void update_source(Listener *listener)
{
    gboolean wanted = listener->fd >= 0 && !listener->paused;

    if (wanted && listener->source == 0)
        listener->source = g_unix_fd_add(listener->fd, G_IO_IN, on_connection, listener);
    else if (!wanted)
        g_clear_handle_id(&listener->source, g_source_remove);
}

gboolean listener_set_open(Listener *listener, gboolean open, GError **error)
{
    if (open && listener->fd < 0) {
        int fd;

        if (!bind_socket(listener, &fd, error))
            return FALSE;
        if (listen(fd, BACKLOG) < 0) {
            fail(error, "listen");
            close(fd);
            return FALSE;
        }
        listener->fd = fd;
    } else if (!open && listener->fd >= 0) {
        g_clear_handle_id(&listener->source, g_source_remove);
        close(listener->fd);
        listener->fd = -1;
    }
    update_source(listener);
    return TRUE;
}

void listener_set_paused(Listener *listener, gboolean paused)
{
    listener->paused = paused;
    update_source(listener);
}
