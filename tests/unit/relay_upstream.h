/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two ends of a relay under test: the server that it fetches from, in threads of its own, which
 * can be made to fail in many ways; and a client that asks as RAUC does, in the test's own main
 * loop.
 */
#pragma once

#include "loop_fixture.h"
#include "threaded_server.h"

#include <fcntl.h>

/* ---- the server ---- */

typedef enum {
    UPSTREAM_SERVES,
    UPSTREAM_IS_GONE,   /* every connection is cut at once */
    UPSTREAM_HANGS,     /* takes the request and says nothing */
    UPSTREAM_NO_RANGES, /* 200 and the whole */
    UPSTREAM_STATUS,    /* `status` to everything */
} UpstreamMode;

typedef struct {
    ThreadedServer server; /* its lock is of all that follows, too */
    UpstreamMode mode;
    guint status;
    const guint8 *bytes;
    gsize size;
    const char *etag;
    gint64 cut_after; /* bytes of a body until the connection is cut, once; -1: never */
    gboolean stopped; /* bodies wait for upstream_stop(FALSE) */
    GCond go_on;
    guint requests;
    gint64 sent;     /* of bodies */
    GString *ranges; /* of the requests, a line each */
    GString *paths;
    GHashTable *files; /* path -> GBytes*, besides the bundle */
} Upstream;

/* One head of a request, to be freed; NULL: the connection is gone. */
static inline char *upstream_read_head(int fd)
{
    g_autoptr(GString) head = g_string_new(NULL);
    char c = 0;

    while (!g_str_has_suffix(head->str, "\r\n\r\n")) {
        if (recv(fd, &c, 1, 0) != 1)
            return NULL;
        g_string_append_c(head, c);
    }
    return g_strdup(head->str);
}

typedef struct {
    gint64 first, last;
    gboolean ranged;
    UpstreamMode mode;
    guint status;
    GBytes *body; /* the whole file; NULL: there is none */
    char *etag;
    gint64 cut_after;
} UpstreamAnswer;

static inline void upstream_parse(const char *head, UpstreamAnswer *answer)
{
    const char *range = strcasestr(head, "\r\nRange: bytes=");
    gint64 size = answer->body != NULL ? (gint64)g_bytes_get_size(answer->body) : 0;

    answer->first = 0;
    answer->last = size - 1;
    if (range == NULL || answer->mode == UPSTREAM_NO_RANGES)
        return;
    char *rest = NULL;
    answer->first = g_ascii_strtoll(range + strlen("\r\nRange: bytes="), &rest, 10);
    answer->ranged = TRUE;
    if (g_ascii_isdigit(rest[1]))
        answer->last = MIN(answer->last, g_ascii_strtoll(rest + 1, NULL, 10));
}

/* What is to be answered, and notes what was asked. */
static inline UpstreamAnswer upstream_judge(Upstream *upstream, const char *head)
{
    g_auto(GStrv) words = g_strsplit(head, " ", 3);
    const char *path = words[0] != NULL && words[1] != NULL ? words[1] : "";
    const char *condition = strcasestr(head, "\r\nIf-Range: ");
    UpstreamAnswer answer = {0};

    g_mutex_lock(&upstream->server.lock);
    upstream->requests++;
    g_string_append_printf(upstream->paths, "%s\n", path);
    answer.mode = upstream->mode;
    answer.status = upstream->status;
    answer.etag = g_strdup(upstream->etag);
    answer.cut_after = upstream->cut_after;
    upstream->cut_after = -1;
    GBytes *file = g_hash_table_lookup(upstream->files, path);
    if (file != NULL)
        answer.body = g_bytes_ref(file);
    else if (g_str_has_prefix(path, "/bundle.raucb"))
        answer.body = g_bytes_new_static(upstream->bytes, upstream->size);
    upstream_parse(head, &answer);
    if (answer.ranged)
        g_string_append_printf(upstream->ranges, "%" G_GINT64_FORMAT "-%" G_GINT64_FORMAT "\n",
                               answer.first, answer.last);
    g_mutex_unlock(&upstream->server.lock);
    if (condition != NULL && answer.etag != NULL &&
        !g_str_has_prefix(condition + strlen("\r\nIf-Range: "), answer.etag)) {
        answer.ranged = FALSE;
        answer.first = 0;
        answer.last = (gint64)upstream->size - 1;
    }
    return answer;
}

#define UPSTREAM_PIECE ((gsize)16384)

static inline gboolean upstream_send_body(Upstream *upstream, int fd, const char *bytes,
                                          gsize length)
{
    g_mutex_lock(&upstream->server.lock);
    while (upstream->stopped)
        g_cond_wait(&upstream->go_on, &upstream->server.lock);
    g_mutex_unlock(&upstream->server.lock);
    for (gsize sent = 0; sent < length;) {
        gsize piece = MIN(length - sent, UPSTREAM_PIECE);

        if (!threaded_server_send(fd, bytes + sent, piece))
            return FALSE;
        sent += piece;
        g_mutex_lock(&upstream->server.lock);
        upstream->sent += (gint64)piece;
        g_mutex_unlock(&upstream->server.lock);
    }
    return TRUE;
}

static inline gboolean upstream_answer(Upstream *upstream, int fd, const UpstreamAnswer *answer)
{
    guint status = answer->mode == UPSTREAM_STATUS ? answer->status
                   : answer->body == NULL          ? 404
                   : answer->ranged                ? 206
                                                   : 200;
    gint64 length = status < 300 ? answer->last - answer->first + 1 : 0;
    g_autoptr(GString) head = g_string_new(NULL);
    gint64 send_length = answer->cut_after >= 0 ? MIN(answer->cut_after, length) : length;

    g_string_printf(head, "HTTP/1.1 %u X\r\nContent-Length: %" G_GINT64_FORMAT "\r\n", status,
                    length);
    if (answer->etag != NULL)
        g_string_append_printf(head, "ETag: %s\r\n", answer->etag);
    if (status == 206)
        g_string_append_printf(head,
                               "Content-Range: bytes %" G_GINT64_FORMAT "-%" G_GINT64_FORMAT
                               "/%" G_GSIZE_FORMAT "\r\n",
                               answer->first, answer->last, g_bytes_get_size(answer->body));
    g_string_append(head, "\r\n");
    if (!threaded_server_send(fd, head->str, head->len))
        return FALSE;
    if (length > 0 &&
        !upstream_send_body(upstream, fd,
                            (const char *)g_bytes_get_data(answer->body, NULL) + answer->first,
                            (gsize)send_length))
        return FALSE;
    return send_length == length;
}

static inline void upstream_serve(int fd, gpointer user_data)
{
    Upstream *upstream = user_data;
    gboolean more = TRUE;

    while (more) {
        g_autofree char *head = upstream_read_head(fd);

        if (head == NULL)
            break;
        UpstreamAnswer answer = upstream_judge(upstream, head);
        if (answer.mode == UPSTREAM_HANGS) {
            char c = 0;

            while (recv(fd, &c, 1, 0) == 1)
                ;
        }
        more = answer.mode != UPSTREAM_IS_GONE && answer.mode != UPSTREAM_HANGS &&
               upstream_answer(upstream, fd, &answer);
        g_clear_pointer(&answer.body, g_bytes_unref);
        g_free(answer.etag);
    }
}

static inline void upstream_start(Upstream *upstream, const guint8 *bytes, gsize size)
{
    *upstream = (Upstream){.bytes = bytes, .size = size, .etag = "\"one\"", .cut_after = -1};
    upstream->ranges = g_string_new(NULL);
    upstream->paths = g_string_new(NULL);
    g_cond_init(&upstream->go_on);
    upstream->files =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_bytes_unref);
    threaded_server_start(&upstream->server, upstream_serve, upstream);
}

/* Cuts what is open, too. */
static inline void upstream_become(Upstream *upstream, UpstreamMode mode, guint status)
{
    g_mutex_lock(&upstream->server.lock);
    upstream->mode = mode;
    upstream->status = status;
    g_mutex_unlock(&upstream->server.lock);
    if (mode == UPSTREAM_IS_GONE)
        threaded_server_cut(&upstream->server);
}

static inline guint upstream_requests(Upstream *upstream)
{
    g_mutex_lock(&upstream->server.lock);
    guint requests = upstream->requests;
    g_mutex_unlock(&upstream->server.lock);
    return requests;
}

static inline gint64 upstream_sent(Upstream *upstream)
{
    g_mutex_lock(&upstream->server.lock);
    gint64 sent = upstream->sent;
    g_mutex_unlock(&upstream->server.lock);
    return sent;
}

static inline void upstream_stop(Upstream *upstream, gboolean stopped)
{
    g_mutex_lock(&upstream->server.lock);
    upstream->stopped = stopped;
    g_cond_broadcast(&upstream->go_on);
    g_mutex_unlock(&upstream->server.lock);
}

static inline void upstream_end(Upstream *upstream)
{
    upstream_stop(upstream, FALSE);
    threaded_server_end(&upstream->server);
    g_cond_clear(&upstream->go_on);
    g_hash_table_unref(upstream->files);
    g_string_free(upstream->ranges, TRUE);
    g_string_free(upstream->paths, TRUE);
}

/* ---- the client ---- */

typedef struct {
    int fd;
    GByteArray *in;
    gboolean closed;
    gboolean head_only; /* the answer has no body */
    guint status;
    gint64 length; /* -1: the head is not there yet */
    gsize body;    /* where it begins */
} Client;

static inline void client_open(Client *client, guint16 port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    *client = (Client){.in = g_byte_array_new(), .length = -1};
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(fcntl(client->fd, F_SETFL, O_NONBLOCK), 0);
}

static inline void client_close(Client *client)
{
    if (client->in == NULL)
        return;
    close(client->fd);
    g_byte_array_unref(client->in);
    client->in = NULL;
}

static inline void client_say(Client *client, const char *text)
{
    ck_assert(threaded_server_send(client->fd, text, strlen(text)) || client->closed);
}

/* `path` begins with '/'; `range` NULL: none. */
static inline void client_ask(Client *client, const char *method, const char *path,
                              const char *range)
{
    g_autofree char *line = range != NULL ? g_strdup_printf("Range: bytes=%s\r\n", range) : NULL;
    g_autofree char *text = g_strdup_printf("%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", method,
                                            path, line != NULL ? line : "");

    g_byte_array_set_size(client->in, 0);
    client->length = -1;
    client->head_only = strcmp(method, "HEAD") == 0;
    client_say(client, text);
}

static inline void client_parse_head(Client *client)
{
    const char *text = (const char *)client->in->data;
    const char *end = client->in->len > 0 ? g_strstr_len(text, client->in->len, "\r\n\r\n") : NULL;

    if (end == NULL)
        return;
    g_autofree char *head = g_strndup(text, (gsize)(end - text + 2));
    const char *length = strcasestr(head, "\r\nContent-Length: ");
    ck_assert_msg(g_str_has_prefix(head, "HTTP/1."), "%s", head);
    client->status = (guint)g_ascii_strtoull(head + 9, NULL, 10);
    client->length =
        length != NULL ? g_ascii_strtoll(length + strlen("\r\nContent-Length: "), NULL, 10) : 0;
    client->body = (gsize)(end - text) + 4;
}

/* Reads what is there.  Whether the answer is whole, or the connection closed. */
static inline gboolean client_done(Client *client)
{
    guint8 buffer[65536];
    gssize n = 0;

    while ((n = recv(client->fd, buffer, sizeof(buffer), 0)) > 0)
        g_byte_array_append(client->in, buffer, (guint)n);
    if (n == 0 || errno != EAGAIN)
        client->closed = TRUE;
    if (client->length < 0)
        client_parse_head(client);
    return client->closed ||
           (client->length >= 0 &&
            (client->head_only || (gint64)(client->in->len - client->body) >= client->length));
}

static inline const guint8 *client_body(const Client *client, gsize *ret_length)
{
    *ret_length = client->in->len - client->body;
    return client->in->data + client->body;
}

static inline char *client_header(const Client *client, const char *name)
{
    g_autofree char *head = g_strndup((const char *)client->in->data, client->body);
    g_autofree char *line = g_strdup_printf("\r\n%s: ", name);
    const char *at = strcasestr(head, line);

    return at != NULL ? g_strndup(at + strlen(line), strcspn(at + strlen(line), "\r")) : NULL;
}
