/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For the tests of downloads: an HTTP server on loopback, in a thread of its own, that has one file
 * and breaks off when it is told to.  One connection at a time, one request each.
 */
#pragma once

#include <arpa/inet.h>
#include <check.h>
#include <glib.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_MAX_HEAD     8192
#define PEER_MAX_REQUESTS 256
#define PEER_PIECE        16384

typedef struct {
    gint64 start; /* -1: no range was asked for */
    char if_range[128];
} PeerRequest;

typedef struct {
    /* The file; changed by the test under the lock. */
    GMutex lock;
    const guint8 *body;
    gint64 length;
    const char *etag; /* NULL: none */
    gboolean ranges, sized;
    gint64 announced;   /* the Content-Length of a whole answer; -1: the true one */
    gint64 cut_after;   /* so many bytes of each answer come; -1: all */
    const char *status; /* NULL: as it should be; else e.g. "503 Busy\r\nRetry-After: 7" */
    PeerRequest requests[PEER_MAX_REQUESTS];
    guint n_requests;

    int listener;
    char *url;
    GThread *thread;
} Peer;

/* The value of a header in `ret_value`, empty when it is not there. */
static inline void peer_header(const char *head, const char *name, char *ret_value, gsize size)
{
    g_autofree char *start = g_strdup_printf("\r\n%s: ", name);
    const char *found = strcasestr(head, start);
    const char *value = found ? found + strlen(start) : "";
    gsize length = strcspn(value, "\r");

    g_strlcpy(ret_value, value, MIN(size, length + 1));
}

static inline gboolean peer_send(int fd, const void *bytes, gsize length)
{
    const guint8 *next = bytes;

    while (length > 0) {
        ssize_t sent = send(fd, next, MIN(length, PEER_PIECE), MSG_NOSIGNAL);

        if (sent <= 0)
            return FALSE;
        next += sent;
        length -= (gsize)sent;
    }
    return TRUE;
}

static inline gboolean peer_read_head(int fd, char *head)
{
    gsize length = 0;

    while (length < PEER_MAX_HEAD - 1) {
        ssize_t got = recv(fd, head + length, PEER_MAX_HEAD - 1 - length, 0);

        if (got <= 0)
            return FALSE;
        length += (gsize)got;
        head[length] = '\0';
        if (strstr(head, "\r\n\r\n"))
            return TRUE;
    }
    return FALSE;
}

/* Where the answer starts; -1: a whole one. */
static inline gint64 peer_judge(Peer *peer, const char *head)
{
    PeerRequest *request = &peer->requests[peer->n_requests++ % PEER_MAX_REQUESTS];
    char range[64];

    peer_header(head, "Range", range, sizeof range);
    peer_header(head, "If-Range", request->if_range, sizeof request->if_range);
    request->start = -1;
    if (g_str_has_prefix(range, "bytes="))
        request->start = g_ascii_strtoll(range + strlen("bytes="), NULL, 10);
    if (!peer->ranges || (*request->if_range && g_strcmp0(request->if_range, peer->etag) != 0))
        return -1;
    return request->start;
}

static inline char *peer_answer_head(const Peer *peer, gint64 start)
{
    GString *text = g_string_new("HTTP/1.1 ");

    g_string_append(text, peer->status ? peer->status : start < 0 ? "200 OK" : "206 Partial");
    g_string_append(text, "\r\nConnection: close\r\n");
    if (peer->status) {
        g_string_append(text, "Content-Length: 0\r\n\r\n");
        return g_string_free(text, FALSE);
    }
    if (peer->etag)
        g_string_append_printf(text, "ETag: %s\r\n", peer->etag);
    if (peer->ranges)
        g_string_append(text, "Accept-Ranges: bytes\r\n");
    if (start >= 0)
        g_string_append_printf(text,
                               "Content-Range: bytes %" G_GINT64_FORMAT "-%" G_GINT64_FORMAT
                               "/%" G_GINT64_FORMAT "\r\n",
                               start, peer->length - 1, peer->length);
    if (peer->sized)
        g_string_append_printf(text, "Content-Length: %" G_GINT64_FORMAT "\r\n",
                               start < 0 && peer->announced >= 0 ? peer->announced
                                                                 : peer->length - MAX(start, 0));
    g_string_append(text, "\r\n");
    return g_string_free(text, FALSE);
}

static inline void peer_serve(Peer *peer, int fd)
{
    char head[PEER_MAX_HEAD];
    g_autofree char *answer = NULL;
    const guint8 *from;
    gint64 start, count;

    if (!peer_read_head(fd, head))
        return;
    g_mutex_lock(&peer->lock);
    start = peer_judge(peer, head);
    answer = peer_answer_head(peer, start);
    from = peer->body + MAX(start, 0);
    count = peer->status ? 0 : peer->length - MAX(start, 0);
    if (peer->cut_after >= 0)
        count = MIN(count, peer->cut_after);
    g_mutex_unlock(&peer->lock);
    if (peer_send(fd, answer, strlen(answer)) && g_str_has_prefix(head, "GET "))
        peer_send(fd, from, (gsize)count);
}

static inline gpointer peer_run(gpointer data)
{
    Peer *peer = data;

    for (;;) {
        int fd = accept(peer->listener, NULL, NULL);

        if (fd < 0)
            return NULL;
        peer_serve(peer, fd);
        close(fd);
    }
}

static inline void peer_start(Peer *peer, const guint8 *body, gint64 length)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    *peer = (Peer){.body = body,
                   .length = length,
                   .etag = "\"one\"",
                   .ranges = TRUE,
                   .sized = TRUE,
                   .announced = -1,
                   .cut_after = -1};
    g_mutex_init(&peer->lock);
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(peer->listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(peer->listener, 16), 0);
    ck_assert_int_eq(getsockname(peer->listener, (struct sockaddr *)&address, &size), 0);
    peer->url = g_strdup_printf("http://127.0.0.1:%u/bundle.raucb", ntohs(address.sin_port));
    peer->thread = g_thread_new("peer", peer_run, peer);
}

/* Every connection has to be closed by then. */
static inline void peer_stop(Peer *peer)
{
    shutdown(peer->listener, SHUT_RDWR);
    g_thread_join(peer->thread);
    close(peer->listener);
    g_free(peer->url);
    g_mutex_clear(&peer->lock);
}

/* What the peer does from the next request on. */
#define peer_set(peer, field, value)                                                               \
    do {                                                                                           \
        g_mutex_lock(&(peer)->lock);                                                               \
        (peer)->field = (value);                                                                   \
        g_mutex_unlock(&(peer)->lock);                                                             \
    } while (0)

static inline guint peer_requests(Peer *peer)
{
    guint count;

    g_mutex_lock(&peer->lock);
    count = peer->n_requests;
    g_mutex_unlock(&peer->lock);
    return count;
}
