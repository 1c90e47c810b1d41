/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other end for tests of the WebSocket client: a server in a thread of its own that follows a
 * script, byte by byte, so that it can break every rule; and a recorder of what the client tells.
 *
 * A script must not use ck_assert (it is not in the test's thread): it notes what it saw in the
 * Peer, and the test asserts after peer_join().
 */
#pragma once

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <gio/gio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter/ws_client.h"
#include "src/adapter/clock_internal.h"

#define DEADLINE_S         120
#define CONNECT_TIMEOUT_MS ((gint64)WS_CONNECT_TIMEOUT_S * 1000)
#define RESOLVE_TIMEOUT_MS ((gint64)WS_RESOLVE_TIMEOUT_S * 1000)

enum { OP_CONTINUATION, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };

/* ---- the server ---- */

typedef struct _Peer Peer;
struct _Peer {
    int listener;
    guint16 port;
    SSL_CTX *tls; /* NULL: plain */
    GThread *thread;
    void (*script)(Peer *);
    gint stage; /* atomic; the script raises it, the test waits for it */

    int fd;
    SSL *ssl;
    char *request;           /* head of the last one */
    GString *payload;        /* of the last frame read */
    guint16 close_code;      /* of the last close frame read; 0: none */
    char *sni, *client_name; /* TLS */
    guint connections, texts, pings;
    gboolean in_order;
};

static inline void peer_stage(Peer *peer, int stage)
{
    g_atomic_int_set(&peer->stage, stage);
    g_main_context_wakeup(NULL);
}

static inline void peer_hang_up(Peer *peer)
{
    if (peer->ssl != NULL) {
        SSL_free(peer->ssl);
        peer->ssl = NULL;
    }
    if (peer->fd >= 0) {
        close(peer->fd);
        peer->fd = -1;
    }
}

/* TCP and, where wanted, TLS. */
static inline gboolean peer_accept(Peer *peer)
{
    struct timeval patience = {.tv_sec = DEADLINE_S};
    peer_hang_up(peer);
    peer->fd = accept(peer->listener, NULL, NULL);
    if (peer->fd < 0) {
        return FALSE;
    }
    peer->connections++;
    setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(peer->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (peer->tls == NULL) {
        return TRUE;
    }
    peer->ssl = SSL_new(peer->tls);
    SSL_set_fd(peer->ssl, peer->fd);
    gboolean ok = SSL_accept(peer->ssl) == 1;
    ERR_clear_error();
    if (!ok) {
        /* To close on unread data would reset the connection and lose the alert. */
        char c = 0;
        shutdown(peer->fd, SHUT_WR);
        while (recv(peer->fd, &c, 1, 0) > 0) {
        }
    }
    if (ok) {
        g_free(peer->sni);
        peer->sni = g_strdup(SSL_get_servername(peer->ssl, TLSEXT_NAMETYPE_host_name));
        X509 *certificate = SSL_get1_peer_certificate(peer->ssl);
        if (certificate != NULL) {
            char name[128] = "";
            X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                                      sizeof(name));
            g_free(peer->client_name);
            peer->client_name = g_strdup(name);
            X509_free(certificate);
        }
    }
    return ok;
}

static inline gssize peer_recv(Peer *peer, void *data, gsize size)
{
    return peer->ssl != NULL ? SSL_read(peer->ssl, data, (int)size) : recv(peer->fd, data, size, 0);
}

static inline gboolean peer_recv_all(Peer *peer, void *data, gsize size)
{
    for (gsize got = 0; got < size;) {
        gssize n = peer_recv(peer, (char *)data + got, size - got);
        if (n <= 0) {
            return FALSE;
        }
        got += (gsize)n;
    }
    return TRUE;
}

static inline gboolean peer_send(Peer *peer, const void *data, gsize size)
{
    for (gsize sent = 0; sent < size;) {
        const char *at = (const char *)data + sent;
        gssize n = peer->ssl != NULL ? SSL_write(peer->ssl, at, (int)(size - sent))
                                     : send(peer->fd, at, size - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            return FALSE;
        }
        sent += (gsize)n;
    }
    return TRUE;
}

static inline gboolean peer_say(Peer *peer, const char *text)
{
    return peer_send(peer, text, strlen(text));
}

static inline gboolean peer_read_request(Peer *peer)
{
    GString *head = g_string_new(NULL);
    char c = 0;
    while (!g_str_has_suffix(head->str, "\r\n\r\n") && peer_recv_all(peer, &c, 1)) {
        g_string_append_c(head, c);
    }
    g_free(peer->request);
    peer->request = g_string_free(head, FALSE);
    return g_str_has_suffix(peer->request, "\r\n\r\n");
}

/* Value of a header of the last request, to be freed; NULL: not there. */
static inline char *peer_header(const Peer *peer, const char *name)
{
    g_auto(GStrv) lines = g_strsplit(peer->request, "\r\n", -1);
    g_autofree char *prefix = g_strconcat(name, ":", NULL);
    for (char **line = lines; *line != NULL; line++) {
        if (g_ascii_strncasecmp(*line, prefix, strlen(prefix)) == 0) {
            return g_strstrip(g_strdup(*line + strlen(prefix)));
        }
    }
    return NULL;
}

/* The answer 101; `subprotocol` NULL: without that header. */
static inline char *peer_upgrade_text(const Peer *peer, const char *subprotocol)
{
    g_autofree char *key = peer_header(peer, "Sec-WebSocket-Key");
    g_autofree char *joined =
        g_strconcat(key != NULL ? key : "", "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", NULL);
    guint8 digest[20];
    gsize digest_size = sizeof(digest);
    GChecksum *sha1 = g_checksum_new(G_CHECKSUM_SHA1);
    g_checksum_update(sha1, (guchar *)joined, -1);
    g_checksum_get_digest(sha1, digest, &digest_size);
    g_checksum_free(sha1);
    g_autofree char *accept_key = g_base64_encode(digest, digest_size);
    return g_strdup_printf(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n%s%s%s\r\n",
        accept_key, subprotocol != NULL ? "Sec-WebSocket-Protocol: " : "",
        subprotocol != NULL ? subprotocol : "", subprotocol != NULL ? "\r\n" : "");
}

static inline gboolean peer_upgrade(Peer *peer, const char *subprotocol)
{
    g_autofree char *text = peer_upgrade_text(peer, subprotocol);
    return peer_say(peer, text);
}

/* Accepts a connection and upgrades it as a good CSMS does. */
static inline gboolean peer_open(Peer *peer)
{
    return peer_accept(peer) && peer_read_request(peer) && peer_upgrade(peer, WS_SUBPROTOCOL);
}

static inline gboolean peer_frame(Peer *peer, gboolean final, int opcode, const void *data,
                                  gsize size)
{
    guint8 head[10] = {(guint8)((final ? 0x80 : 0) | opcode)};
    gsize head_size = 2;
    if (size < 126) {
        head[1] = (guint8)size;
    } else if (size < 65536) {
        head[1] = 126;
        head[2] = (guint8)(size >> 8);
        head[3] = (guint8)size;
        head_size = 4;
    } else {
        head[1] = 127;
        for (int i = 0; i < 8; i++) {
            head[2 + i] = (guint8)((guint64)size >> (56 - 8 * i));
        }
        head_size = 10;
    }
    return peer_send(peer, head, head_size) && (size == 0 || peer_send(peer, data, size));
}

static inline gboolean peer_text(Peer *peer, const char *text)
{
    return peer_frame(peer, TRUE, OP_TEXT, text, strlen(text));
}

static inline gboolean peer_close(Peer *peer, guint16 code, const char *reason)
{
    GByteArray *body = g_byte_array_new();
    guint8 number[2] = {(guint8)(code >> 8), (guint8)code};
    g_byte_array_append(body, number, sizeof(number));
    g_byte_array_append(body, (const guint8 *)reason, (guint)strlen(reason));
    gboolean sent = peer_frame(peer, TRUE, OP_CLOSE, body->data, body->len);
    g_byte_array_free(body, TRUE);
    return sent;
}

/* The next frame's opcode, or -1 when the connection is gone. */
static inline int peer_read_frame(Peer *peer)
{
    guint8 head[2], extra[8], mask[4];
    if (!peer_recv_all(peer, head, 2)) {
        return -1;
    }
    guint64 size = head[1] & 0x7f;
    guint extra_size = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (!peer_recv_all(peer, extra, extra_size)) {
        return -1;
    }
    if (extra_size > 0) {
        size = 0;
        for (guint i = 0; i < extra_size; i++) {
            size = size << 8 | extra[i];
        }
    }
    if (!(head[1] & 0x80) || !peer_recv_all(peer, mask, 4)) {
        return -1;
    }
    g_string_set_size(peer->payload, size);
    if (!peer_recv_all(peer, peer->payload->str, size)) {
        return -1;
    }
    for (gsize i = 0; i < size; i++) {
        peer->payload->str[i] = (char)(peer->payload->str[i] ^ mask[i & 3]);
    }
    if ((head[0] & 0xf) == OP_CLOSE && size >= 2) {
        peer->close_code =
            (guint16)((guint8)peer->payload->str[0] << 8 | (guint8)peer->payload->str[1]);
    }
    return head[0] & 0xf;
}

/* Reads on until the client closes (then answers) or is gone. */
static inline void peer_read_until_closed(Peer *peer)
{
    int opcode = 0;
    while ((opcode = peer_read_frame(peer)) >= 0) {
        if (opcode == OP_CLOSE) {
            peer_close(peer, peer->close_code, "");
            break;
        }
        peer->texts += opcode == OP_TEXT;
        if (opcode == OP_PING) {
            peer->pings++;
            peer_frame(peer, TRUE, OP_PONG, peer->payload->str, peer->payload->len);
        }
    }
}

static inline gpointer peer_run(gpointer user_data)
{
    Peer *peer = user_data;
    peer->script(peer);
    peer_hang_up(peer);
    return NULL;
}

/* FALSE: this machine has no such address. */
static inline gboolean peer_listen(Peer *peer, const char *address)
{
    g_autoptr(GSocketAddress) any = g_inet_socket_address_new_from_string(address, 0);
    struct sockaddr_storage native;
    socklen_t size = (socklen_t)g_socket_address_get_native_size(any);
    g_socket_address_to_native(any, &native, sizeof(native), NULL);

    memset(peer, 0, sizeof(*peer));
    peer->fd = -1;
    peer->payload = g_string_new(NULL);
    peer->in_order = TRUE;
    peer->listener = socket(native.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer->listener < 0 || bind(peer->listener, (struct sockaddr *)&native, size) != 0) {
        return FALSE;
    }
    ck_assert_int_eq(listen(peer->listener, 16), 0);
    size = sizeof(native);
    getsockname(peer->listener, (struct sockaddr *)&native, &size);
    peer->port = ntohs(native.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&native)->sin6_port
                                                    : ((struct sockaddr_in *)&native)->sin_port);
    return TRUE;
}

static inline void peer_start(Peer *peer, void (*script)(Peer *))
{
    if (peer->payload == NULL) {
        ck_assert(peer_listen(peer, "127.0.0.1"));
    }
    peer->script = script;
    peer->thread = g_thread_new("peer", peer_run, peer);
}

/* Waits for the script's end. */
static inline void peer_join(Peer *peer)
{
    if (peer->thread != NULL) {
        g_thread_join(peer->thread);
        peer->thread = NULL;
    }
}

static inline void peer_end(Peer *peer)
{
    shutdown(peer->listener, SHUT_RDWR);
    peer_join(peer);
    close(peer->listener);
    g_free(peer->request);
    g_free(peer->sni);
    g_free(peer->client_name);
    g_string_free(peer->payload, TRUE);
    if (peer->tls != NULL) {
        SSL_CTX_free(peer->tls);
    }
}

/* ---- the client under test ---- */

typedef struct {
    Clock *clock;
    WsClient *client;
    guint connected, disconnected, failed, messages;
    GPtrArray *texts; /* of GString: the messages */
    char *why;
    gint64 retry_ms;
    const char *free_in; /* name of the callback that frees the client */
} Rig;

static inline void rig_called(Rig *rig, const char *callback)
{
    if (rig->free_in != NULL && strcmp(rig->free_in, callback) == 0) {
        g_clear_pointer(&rig->client, ws_client_free);
    }
}

static inline void rig_connected(gpointer user_data)
{
    Rig *rig = user_data;
    rig->connected++;
    rig_called(rig, "connected");
}

static inline void rig_message(const char *text, gsize length, gpointer user_data)
{
    Rig *rig = user_data;
    rig->messages++;
    g_ptr_array_add(rig->texts, g_string_new_len(text, (gssize)length));
    rig_called(rig, "message");
}

static inline void rig_disconnected(const char *why, gpointer user_data)
{
    Rig *rig = user_data;
    rig->disconnected++;
    g_free(rig->why);
    rig->why = g_strdup(why);
    rig_called(rig, "disconnected");
}

static inline void rig_failed(const char *why, gint64 retry_ms, gpointer user_data)
{
    Rig *rig = user_data;
    rig->failed++;
    g_free(rig->why);
    rig->why = g_strdup(why);
    rig->retry_ms = retry_ms;
    rig_called(rig, "failed");
}

static const WsClientEvents rig_events = {rig_connected, rig_message, rig_disconnected, rig_failed};

static inline void rig_config_clear(WsClientConfig *config)
{
    g_free(config->url);
    g_free(config->identity);
    g_clear_pointer(&config->authorization_key, g_bytes_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(WsClientConfig, rig_config_clear)

static inline WsClientConfig rig_config(const char *scheme, const char *host, guint16 port)
{
    WsClientConfig config = {
        .url = g_strdup_printf("%s://%s:%u/ocpp", scheme, host, port),
        .identity = g_strdup("CP001"),
        .max_message_bytes = 262144,
    };
    return config;
}

static inline void rig_free_text(gpointer text)
{
    g_string_free(text, TRUE);
}

static inline const GString *rig_text(const Rig *rig, guint number)
{
    return g_ptr_array_index(rig->texts, number);
}

static inline void rig_start(Rig *rig, const WsClientConfig *config, Tls *tls)
{
    g_autoptr(GError) error = NULL;
    rig->clock = clock_new_virtual(g_get_real_time() / 1000);
    rig->texts = g_ptr_array_new_with_free_func(rig_free_text);
    rig->client = ws_client_new(config, tls, rig->clock, &rig_events, rig, &error);
    ck_assert_msg(rig->client != NULL, "%s", error != NULL ? error->message : "?");
    ws_client_start(rig->client);
}

static inline void rig_start_plain(Rig *rig, const Peer *peer)
{
    g_auto(WsClientConfig) config = rig_config("ws", "127.0.0.1", peer->port);
    rig_start(rig, &config, NULL);
}

static inline void rig_end(Rig *rig)
{
    ws_client_free(rig->client);
    clock_free(rig->clock);
    g_ptr_array_free(rig->texts, TRUE);
    g_free(rig->why);
}

/* Milliseconds of the standing clock until its next timer; -1: there is none. */
static inline gint64 rig_next_ms(const Rig *rig)
{
    gint64 due_ms = clock_next_due(rig->clock);
    return due_ms == G_MAXINT64 ? -1 : due_ms - clock_boottime_ms(rig->clock);
}

static inline void rig_advance(Rig *rig, gint64 ms)
{
    clock_virtual_advance(rig->clock, ms);
}

static inline gboolean deadline_passed(gpointer user_data)
{
    *(gboolean *)user_data = TRUE;
    return G_SOURCE_CONTINUE;
}

/* Turns the main loop of the Rig `rig` until `condition`; fails at the deadline.  Time stands
 * still. */
#define WAIT(condition)                                                                            \
    do {                                                                                           \
        gboolean too_late = FALSE;                                                                 \
        guint guard = g_timeout_add_seconds(DEADLINE_S, deadline_passed, &too_late);               \
        rig_advance(&rig, 0);                                                                      \
        while (!(condition) && !too_late) {                                                        \
            g_main_context_iteration(NULL, TRUE);                                                  \
            rig_advance(&rig, 0);                                                                  \
        }                                                                                          \
        g_source_remove(guard);                                                                    \
        ck_assert_msg(!too_late, "waited in vain for: %s", #condition);                            \
    } while (0)

#define WAIT_STAGE(peer, number) WAIT(g_atomic_int_get(&(peer)->stage) >= (number))

#define ck_assert_has(text, part)                                                                  \
    ck_assert_msg((text) != NULL && strstr((text), (part)) != NULL, "\"%s\" does not say \"%s\"",  \
                  (text), (part))

/* Turns what is ready, so that what ends in the background ends before the test does. */
static inline void turn_idle(void)
{
    while (g_main_context_iteration(NULL, FALSE)) {
    }
}
