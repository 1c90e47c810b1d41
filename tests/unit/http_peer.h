/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other end for tests of transfers: a server of HTTP in a thread of its own that answers, byte
 * by byte, as the test says, so that it can break every rule.  One connection at a time, as the
 * client under test has one.
 *
 * What it answers with runs in its thread: no ck_assert there.
 */
#pragma once

#include <arpa/inet.h>
#include <check.h>
#include <glib.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef enum {
    PEER_KEEP,  /* the connection stays */
    PEER_CLOSE, /* after the answer */
    PEER_RESET, /* the same, with RST */
    PEER_STALL, /* no byte more, until the client goes away */
} PeerEnd;

typedef struct {
    GString *bytes;
    PeerEnd end;
} PeerAnswer;

typedef struct _HttpPeer HttpPeer;
struct _HttpPeer {
    int listener;
    guint16 port;
    SSL_CTX *tls;      /* NULL: plain; set before http_peer_start() */
    gboolean greets;   /* speaks first, and ends */
    gboolean hangs_up; /* after the first byte */
    GThread *thread;
    /* Called for each request in the peer's thread; NULL: the queue of http_peer_say(). */
    PeerAnswer (*answer)(HttpPeer *peer, const char *request, guint number);
    gpointer data;

    GMutex lock;
    GQueue answers;      /* PeerAnswer* */
    GPtrArray *requests; /* char*: the heads */
    guint connections;
    int fd; /* -1: none */
    gboolean over;
};

static inline gssize http_peer_recv(SSL *ssl, int fd, char *data, gsize size)
{
    return ssl ? SSL_read(ssl, data, (int)size) : recv(fd, data, size, 0);
}

/* FALSE: the client went away. */
static inline gboolean http_peer_send(SSL *ssl, int fd, const GString *bytes)
{
    for (gsize sent = 0; sent < bytes->len;) {
        gssize n = ssl ? SSL_write(ssl, bytes->str + sent, (int)(bytes->len - sent))
                       : send(fd, bytes->str + sent, bytes->len - sent, MSG_NOSIGNAL);

        if (n <= 0)
            return FALSE;
        sent += (gsize)n;
    }
    return TRUE;
}

/* The head of a request; NULL: the client went away. */
static inline char *http_peer_read(SSL *ssl, int fd)
{
    GString *head = g_string_new(NULL);
    char c;

    while (!g_str_has_suffix(head->str, "\r\n\r\n")) {
        if (http_peer_recv(ssl, fd, &c, 1) != 1) {
            g_string_free(head, TRUE);
            return NULL;
        }
        g_string_append_c(head, c);
    }
    return g_string_free(head, FALSE);
}

static inline PeerAnswer http_peer_next(HttpPeer *peer, const char *request)
{
    PeerAnswer answer = {NULL, PEER_CLOSE};
    PeerAnswer *queued = NULL;
    guint number;

    g_mutex_lock(&peer->lock);
    number = peer->requests->len;
    g_ptr_array_add(peer->requests, g_strdup(request));
    if (!peer->answer)
        queued = g_queue_pop_head(&peer->answers);
    g_mutex_unlock(&peer->lock);
    g_main_context_wakeup(NULL);
    if (peer->answer)
        return peer->answer(peer, request, number);
    if (queued) {
        answer = *queued;
        g_free(queued);
    } else {
        answer.bytes = g_string_new("HTTP/1.1 599 Nothing more is to be said\r\n\r\n");
    }
    return answer;
}

static inline void http_peer_serve(HttpPeer *peer, SSL *ssl, int fd)
{
    PeerEnd end = PEER_KEEP;
    char *request;
    char c;

    if (peer->greets || peer->hangs_up) {
        /* a close on unread data would reset the connection */
        if (peer->greets && send(fd, "HTTP/1.1 400 Plain\r\n\r\n", 22, MSG_NOSIGNAL) > 0)
            shutdown(fd, SHUT_WR);
        http_peer_recv(ssl, fd, &c, 1);
        return;
    }

    while (end == PEER_KEEP && (request = http_peer_read(ssl, fd))) {
        PeerAnswer answer = http_peer_next(peer, request);

        g_free(request);
        end = http_peer_send(ssl, fd, answer.bytes) ? answer.end : PEER_CLOSE;
        g_string_free(answer.bytes, TRUE);
    }
    if (end == PEER_RESET) {
        struct linger at_once = {.l_onoff = 1};

        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    while (end == PEER_STALL && http_peer_recv(ssl, fd, &c, 1) > 0)
        ;
}

/* To close on unread data would reset the connection and lose the alert. */
static inline void http_peer_drain(int fd)
{
    char c;

    shutdown(fd, SHUT_WR);
    while (recv(fd, &c, 1, 0) > 0)
        ;
}

static inline gpointer http_peer_run(gpointer data)
{
    HttpPeer *peer = data;
    int fd;

    while ((fd = accept(peer->listener, NULL, NULL)) >= 0) {
        SSL *ssl = NULL;
        gboolean ok = TRUE;

        g_mutex_lock(&peer->lock);
        peer->connections++;
        peer->fd = fd;
        if (peer->over)
            shutdown(fd, SHUT_RDWR);
        g_mutex_unlock(&peer->lock);
        if (peer->tls) {
            ssl = SSL_new(peer->tls);
            SSL_set_fd(ssl, fd);
            ok = SSL_accept(ssl) == 1;
        }
        if (ok)
            http_peer_serve(peer, ssl, fd);
        else
            http_peer_drain(fd);
        g_mutex_lock(&peer->lock);
        peer->fd = -1;
        g_mutex_unlock(&peer->lock);
        SSL_free(ssl);
        ERR_clear_error();
        close(fd);
    }
    return NULL;
}

static inline void http_peer_init(HttpPeer *peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    memset(peer, 0, sizeof(*peer));
    peer->fd = -1;
    g_mutex_init(&peer->lock);
    g_queue_init(&peer->answers);
    peer->requests = g_ptr_array_new_with_free_func(g_free);
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(peer->listener, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(listen(peer->listener, 8), 0);
    ck_assert_int_eq(getsockname(peer->listener, (struct sockaddr *)&address, &length), 0);
    peer->port = ntohs(address.sin_port);
}

static inline void http_peer_start(HttpPeer *peer)
{
    peer->thread = g_thread_new("peer", http_peer_run, peer);
}

/* Needs no http_peer_start() before. */
static inline void http_peer_stop(HttpPeer *peer)
{
    PeerAnswer *answer;

    g_mutex_lock(&peer->lock);
    peer->over = TRUE;
    if (peer->fd >= 0)
        shutdown(peer->fd, SHUT_RDWR);
    g_mutex_unlock(&peer->lock);
    shutdown(peer->listener, SHUT_RDWR);
    if (peer->thread)
        g_thread_join(peer->thread);
    close(peer->listener);
    while ((answer = g_queue_pop_head(&peer->answers))) {
        g_string_free(answer->bytes, TRUE);
        g_free(answer);
    }
    g_ptr_array_unref(peer->requests);
    SSL_CTX_free(peer->tls);
    g_mutex_clear(&peer->lock);
}

/* The next answer that has none yet. */
static inline void http_peer_say(HttpPeer *peer, PeerEnd end, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
static inline void http_peer_say(HttpPeer *peer, PeerEnd end, const char *format, ...)
{
    PeerAnswer *answer = g_new0(PeerAnswer, 1);
    va_list list;

    answer->bytes = g_string_new(NULL);
    answer->end = end;
    va_start(list, format);
    g_string_append_vprintf(answer->bytes, format, list);
    va_end(list);
    g_mutex_lock(&peer->lock);
    g_queue_push_tail(&peer->answers, answer);
    g_mutex_unlock(&peer->lock);
}

static inline guint http_peer_count(HttpPeer *peer)
{
    guint count;

    g_mutex_lock(&peer->lock);
    count = peer->requests->len;
    g_mutex_unlock(&peer->lock);
    return count;
}

static inline guint http_peer_connections(HttpPeer *peer)
{
    guint count;

    g_mutex_lock(&peer->lock);
    count = peer->connections;
    g_mutex_unlock(&peer->lock);
    return count;
}

/* Value of a field in the head of a request; NULL: not there. */
static inline char *http_peer_field_of(const char *request, const char *name)
{
    g_auto(GStrv) lines = g_strsplit(request, "\r\n", -1);
    g_autofree char *prefix = g_strconcat(name, ":", NULL);

    for (char **line = lines; *line; line++) {
        if (g_ascii_strncasecmp(*line, prefix, strlen(prefix)) == 0)
            return g_strstrip(g_strdup(*line + strlen(prefix)));
    }
    return NULL;
}

static inline char *http_peer_request(HttpPeer *peer, guint number)
{
    char *request;

    g_mutex_lock(&peer->lock);
    ck_assert_uint_lt(number, peer->requests->len);
    request = g_strdup(g_ptr_array_index(peer->requests, number));
    g_mutex_unlock(&peer->lock);
    return request;
}

static inline char *http_peer_field(HttpPeer *peer, guint number, const char *name)
{
    g_autofree char *request = http_peer_request(peer, number);

    return http_peer_field_of(request, name);
}

/* TLS with a certificate of test_pki.h. */
static inline void http_peer_use_tls(HttpPeer *peer, const char *certificate, const char *key,
                                     int max_version)
{
    peer->tls = SSL_CTX_new(TLS_server_method());
    ck_assert_int_eq(SSL_CTX_use_certificate_chain_file(peer->tls, certificate), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(peer->tls, key, SSL_FILETYPE_PEM), 1);
    if (max_version) {
        SSL_CTX_set_security_level(peer->tls, 0);
        SSL_CTX_set_min_proto_version(peer->tls, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(peer->tls, max_version);
    }
}
