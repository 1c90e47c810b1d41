/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server on loopback for the other ends of unit tests: a thread that accepts, and one for each
 * connection.  What is open can be cut at any time.
 *
 * serve() runs in the connection's thread: no ck_assert there.
 */
#pragma once

#include <arpa/inet.h>
#include <check.h>
#include <glib.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    int listener;
    guint16 port;
    GMutex lock;        /* of what follows, and of what the owner shares with its threads */
    GArray *open;       /* int; shut down by a cut, and closed at the end only */
    GPtrArray *workers; /* GThread* */

    void (*serve)(int fd, gpointer user_data);
    gpointer user_data;
    GThread *thread;
} ThreadedServer;

typedef struct {
    ThreadedServer *server;
    int fd;
} ThreadedServerLink;

/* On any port; -1: cannot. */
static inline int threaded_server_listen(guint16 *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 16) < 0)
        return -1;
    getsockname(fd, (struct sockaddr *)&address, &length);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* FALSE: the other side went away. */
static inline gboolean threaded_server_send(int fd, const void *data, gsize size)
{
    for (gsize sent = 0; sent < size;) {
        gssize n = send(fd, (const char *)data + sent, size - sent, MSG_NOSIGNAL);

        if (n <= 0)
            return FALSE;
        sent += (gsize)n;
    }
    return TRUE;
}

/* Takes a descriptor that the owner has opened. */
static inline void threaded_server_keep(ThreadedServer *server, int fd)
{
    g_mutex_lock(&server->lock);
    g_array_append_val(server->open, fd);
    g_mutex_unlock(&server->lock);
}

static inline gpointer threaded_server_work(gpointer user_data)
{
    g_autofree ThreadedServerLink *link = user_data;

    link->server->serve(link->fd, link->server->user_data);
    shutdown(link->fd, SHUT_RDWR);
    return NULL;
}

static inline gpointer threaded_server_accept(gpointer user_data)
{
    ThreadedServer *server = user_data;
    int fd;

    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        ThreadedServerLink *link = g_new(ThreadedServerLink, 1);
        int on = 1;

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        *link = (ThreadedServerLink){server, fd};
        threaded_server_keep(server, fd);
        g_mutex_lock(&server->lock);
        g_ptr_array_add(server->workers, g_thread_new("server", threaded_server_work, link));
        g_mutex_unlock(&server->lock);
    }
    return NULL;
}

static inline void threaded_server_start(ThreadedServer *server,
                                         void (*serve)(int fd, gpointer user_data),
                                         gpointer user_data)
{
    *server = (ThreadedServer){.serve = serve, .user_data = user_data};
    g_mutex_init(&server->lock);
    server->open = g_array_new(FALSE, FALSE, sizeof(int));
    server->workers = g_ptr_array_new();
    server->listener = threaded_server_listen(&server->port);
    ck_assert_int_ge(server->listener, 0);
    server->thread = g_thread_new("server", threaded_server_accept, server);
}

static inline void threaded_server_cut(ThreadedServer *server)
{
    g_mutex_lock(&server->lock);
    for (guint i = 0; i < server->open->len; i++)
        shutdown(g_array_index(server->open, int, i), SHUT_RDWR);
    g_mutex_unlock(&server->lock);
}

static inline void threaded_server_end(ThreadedServer *server)
{
    shutdown(server->listener, SHUT_RDWR);
    g_thread_join(server->thread);
    threaded_server_cut(server);
    for (guint i = 0; i < server->workers->len; i++)
        g_thread_join(g_ptr_array_index(server->workers, i));
    for (guint i = 0; i < server->open->len; i++)
        close(g_array_index(server->open, int, i));
    close(server->listener);
    g_ptr_array_unref(server->workers);
    g_array_unref(server->open);
    g_mutex_clear(&server->lock);
}
