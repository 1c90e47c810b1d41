/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relay's HTTP server with libwebsockets, in a context of its own in the main loop.
 *
 * What libwebsockets 4.1.6 leaves to us: it counts time only when its sockets have events (its plugin for GLib), so that all
 * limits of time are our clock's; it takes connections without a limit, so that we take them and give it the sockets; and it
 * keeps what a socket does not take in a copy, so that bytes may go away as soon as lws_write() returns.
 */
#include "relay_http.h"

#include <errno.h>
#include <glib-unix.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG          16
#define ACCEPTS_PER_TURN 16
#define MAX_FDS          64
#define ANSWER_HEAD_MAX  1024
/* A body of this size or less goes out together with the head of its answer. */
#define SMALL_BODY 8192
/* libwebsockets' own limits, far behind ours. */
#define BACKSTOP_S 86400

struct _RelayCall {
    RelayHttp *http;
    struct lws *wsi;
    gpointer data;
    guint timer;   /* the connection's limit of time */
    guint hang_up; /* source: the other side went away while it was held */
    gboolean trusted;
    gboolean asked; /* a request is under way */
    gboolean answered;
    gboolean head;
    gboolean head_sent;
    gboolean in_request; /* asked() is on the stack */
    gboolean close_after;
    RelayAnswer answer;
    gint64 sent; /* of the body */
};

struct _RelayHttp {
    struct lws_context *context;
    struct lws_vhost *vhost;
    GMainLoop *loop; /* never run; tells libwebsockets' plugin which main context */
    Clock *clock;
    RelayHttpEvents events;
    gpointer user_data;
    int listener;
    guint accepting;
    guint16 port;
    GPtrArray *calls; /* RelayCall*: one for each connection */
};

static const struct {
    guint status;
    const char *words;
} reasons[] = {
    {200, "OK"},
    {204, "No Content"},
    {206, "Partial Content"},
    {400, "Bad Request"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {416, "Range Not Satisfiable"},
};

static const char *reason_of(guint status)
{
    for (gsize i = 0; i < G_N_ELEMENTS(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].words;
    }
    return "";
}

/* ---- limits of time ---- */

static void too_late(gpointer user_data)
{
    RelayCall *call = user_data;

    /* The call is freed in here. */
    lws_set_timeout(call->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

static void limit(RelayCall *call, gint64 ms)
{
    clock_timer_set(call->http->clock, &call->timer, ms, too_late, call);
}

static void limit_idle(RelayCall *call)
{
    limit(call, call->trusted ? RELAY_IDLE_MS : RELAY_STRANGER_IDLE_MS);
}

/* ---- holding ---- */

static gboolean on_hang_up(G_GNUC_UNUSED int fd, G_GNUC_UNUSED GIOCondition condition,
                           gpointer user_data)
{
    RelayCall *call = user_data;

    call->hang_up = 0;
    too_late(call);
    return G_SOURCE_REMOVE;
}

/* Libwebsockets asks poll() for what has come in and does not read it, for as long as a request is not answered: one that says
 * more, or hangs up, would keep us busy all the time.  So nothing is read, and the hanging up seen here. */
static void hold(RelayCall *call)
{
    if (call->hang_up != 0)
        return;
    lws_rx_flow_control(call->wsi, 0);
    call->hang_up = g_unix_fd_add(lws_get_socket_fd(call->wsi), (GIOCondition)POLLRDHUP | G_IO_HUP,
                                  on_hang_up, call);
}

static void release(RelayCall *call)
{
    if (call->hang_up == 0)
        return;
    g_clear_handle_id(&call->hang_up, g_source_remove);
    lws_rx_flow_control(call->wsi, 1);
}

/* ---- one request and its answer ---- */

static void end_call(RelayCall *call)
{
    if (!call->asked)
        return;
    call->asked = FALSE;
    call->http->events.ended(call, call->sent, call->http->user_data);
}

static int write_some(RelayCall *call, const guint8 *bytes, gsize length, gboolean last)
{
    /* lws_write() takes no const, but does not write to what is sent as plain HTTP/1 */
    int sent = lws_write(call->wsi, (unsigned char *)(guintptr)bytes, length,
                         last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP);

    return sent < (int)length ? -1 : 0;
}

/* Whole, or the connection ends: -1. */
static int finish(RelayCall *call)
{
    gboolean close_after = call->close_after;

    release(call);
    clock_timer_clear(call->http->clock, &call->timer);
    end_call(call);
    if (close_after)
        return -1;
    limit_idle(call);
    return lws_http_transaction_completed(call->wsi) ? -1 : 0;
}

static gsize format_head(const RelayCall *call, char *head, gsize size)
{
    const RelayAnswer *answer = &call->answer;
    gsize at = (gsize)g_snprintf(head, size, "HTTP/1.1 %u %s\r\n", answer->status,
                                 reason_of(answer->status));

    if (answer->status == 206)
        at += (gsize)g_snprintf(head + at, size - at,
                                "Content-Range: bytes %" G_GINT64_FORMAT "-%" G_GINT64_FORMAT
                                "/%" G_GINT64_FORMAT "\r\n",
                                answer->offset, answer->offset + answer->length - 1, answer->size);
    else if (answer->status == 416 && answer->size >= 0)
        at += (gsize)g_snprintf(head + at, size - at,
                                "Content-Range: bytes */%" G_GINT64_FORMAT "\r\n", answer->size);
    if (answer->status == 200 || answer->status == 206)
        at +=
            (gsize)g_snprintf(head + at, size - at,
                              "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n");
    if (answer->status == 405)
        at += (gsize)g_snprintf(head + at, size - at, "Allow: GET, HEAD\r\n");
    if (answer->status != 204)
        at += (gsize)g_snprintf(head + at, size - at, "Content-Length: %" G_GINT64_FORMAT "\r\n",
                                answer->length);
    at += (gsize)g_snprintf(head + at, size - at, "%s\r\n",
                            call->close_after ? "Connection: close\r\n" : "");
    return at;
}

static gint64 body_left(const RelayCall *call)
{
    return call->head || call->answer.body == NULL ? 0 : call->answer.length - call->sent;
}

/* The next bytes of the body, without copying them.  -1: they cannot be had. */
static int send_body(RelayCall *call)
{
    gsize length = (gsize)MIN(body_left(call), RELAY_SEND_BYTES);
    const guint8 *bytes =
        call->answer.body(call->answer.offset + call->sent, &length, call->answer.body_data);

    if (bytes == NULL)
        return -1;
    call->sent += (gint64)length;
    return write_some(call, bytes, length, body_left(call) == 0);
}

/* The head, and a small body with it: one packet, one wake-up of RAUC. */
static int send_head(RelayCall *call)
{
    guint8 packet[LWS_PRE + ANSWER_HEAD_MAX + SMALL_BODY];
    guint8 *start = packet + LWS_PRE;
    gsize length = format_head(call, (char *)start, ANSWER_HEAD_MAX);

    call->head_sent = TRUE;
    while (body_left(call) > 0 && call->answer.length <= SMALL_BODY) {
        gsize part = (gsize)body_left(call);
        const guint8 *bytes =
            call->answer.body(call->answer.offset + call->sent, &part, call->answer.body_data);

        if (bytes == NULL)
            return -1;
        memcpy(start + length, bytes, part);
        length += part;
        call->sent += (gint64)part;
    }
    return write_some(call, start, length, body_left(call) == 0);
}

/* Sends what the socket takes, or finishes. */
static int go_on(RelayCall *call)
{
    if (!call->head_sent && send_head(call) < 0)
        return -1;
    while (body_left(call) > 0) {
        if (send_body(call) < 0)
            return -1;
        if (body_left(call) > 0 && lws_send_pipe_choked(call->wsi)) {
            limit(call, RELAY_SEND_MS);
            hold(call);
            lws_callback_on_writable(call->wsi);
            return 0;
        }
    }
    return finish(call);
}

void relay_call_answer(RelayCall *call, const RelayAnswer *answer)
{
    g_return_if_fail(call->asked && !call->answered);
    call->answer = *answer;
    call->answered = TRUE;
    if (call->in_request)
        return;
    lws_callback_on_writable(call->wsi);
}

void relay_call_trust(RelayCall *call)
{
    call->trusted = TRUE;
}

void relay_call_set_data(RelayCall *call, gpointer data)
{
    call->data = data;
}

gpointer relay_call_data(const RelayCall *call)
{
    return call->data;
}

/* ---- what libwebsockets tells ---- */

/* To be freed; NULL: not there.  `*ret_bad`: there, but it cannot be read. */
static char *header(struct lws *wsi, enum lws_token_indexes token, gboolean *ret_bad)
{
    int length = lws_hdr_total_length(wsi, token);

    if (length <= 0)
        return NULL;
    g_autofree char *value = g_malloc0((gsize)length + 1);
    if (lws_hdr_copy(wsi, value, length + 1, token) < 0 || strlen(value) != (gsize)length) {
        *ret_bad = TRUE;
        return NULL;
    }
    return g_steal_pointer(&value);
}

/* An answer of the server itself. */
static void refuse(RelayCall *call, guint status)
{
    RelayAnswer answer = {.status = status, .size = -1};

    call->close_after = TRUE;
    relay_call_answer(call, &answer);
}

static int on_request(RelayCall *call)
{
    gboolean bad = FALSE;
    char *uri = NULL;
    int length = 0;
    int method = lws_http_get_uri_and_method(call->wsi, &uri, &length);
    g_autofree char *path = uri != NULL ? g_strndup(uri, (gsize)MAX(length, 0)) : NULL;
    g_autofree char *range = header(call->wsi, WSI_TOKEN_HTTP_RANGE, &bad);
    gboolean arguments = lws_hdr_total_length(call->wsi, WSI_TOKEN_HTTP_URI_ARGS) > 0;
    gboolean body = lws_hdr_total_length(call->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 ||
                    lws_hdr_total_length(call->wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;

    if (call->asked || method < 0 || path == NULL)
        return -1;
    lws_set_timeout(call->wsi, NO_PENDING_TIMEOUT, 0);
    clock_timer_clear(call->http->clock, &call->timer);
    call->asked = TRUE;
    call->answered = call->head_sent = call->close_after = FALSE;
    call->head = method == LWSHUMETH_HEAD;
    call->sent = 0;
    call->data = NULL;
    call->in_request = TRUE;
    if (method != LWSHUMETH_GET && method != LWSHUMETH_HEAD) {
        refuse(call, 405);
    } else if (bad || body) {
        refuse(call, 400);
    } else {
        RelayRequest request = {call->head, arguments ? NULL : path, range};

        call->http->events.asked(call, &request, call->http->user_data);
    }
    call->in_request = FALSE;
    if (call->answered)
        return go_on(call);
    hold(call);
    return 0;
}

static void on_destroy(RelayCall *call)
{
    RelayHttp *http = call->http;

    lws_set_opaque_user_data(call->wsi, NULL);
    g_clear_handle_id(&call->hang_up, g_source_remove);
    clock_timer_clear(http->clock, &call->timer);
    end_call(call);
    g_ptr_array_remove_fast(http->calls, call);
    g_free(call);
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *session, void *in,
                  size_t length)
{
    RelayCall *call = wsi != NULL ? lws_get_opaque_user_data(wsi) : NULL;

    (void)session;
    (void)in;
    (void)length;
    if (call == NULL)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return on_request(call);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return call->asked && call->answered ? go_on(call) : 0;
    case LWS_CALLBACK_WSI_DESTROY: /* the only one that always comes */
        on_destroy(call);
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
    case LWS_CALLBACK_HTTP_BODY:
        return -1;
    default:
        return 0;
    }
}

/* ---- connections ---- */

static RelayCall *oldest_stranger(const RelayHttp *http)
{
    for (guint i = 0; i < http->calls->len; i++) {
        RelayCall *call = g_ptr_array_index(http->calls, i);

        if (!call->trusted)
            return call;
    }
    return NULL;
}

static void take_connection(RelayHttp *http, int fd)
{
    int on = 1;

    if (http->calls->len >= RELAY_MAX_CONNECTIONS) {
        RelayCall *stranger = oldest_stranger(http);

        if (stranger == NULL) {
            close(fd);
            return;
        }
        too_late(stranger);
    }
    /* An answer's last packet waits for nothing. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct lws *wsi = lws_adopt_socket_vhost(http->vhost, fd);
    if (wsi == NULL) /* has closed it */
        return;
    RelayCall *call = g_new0(RelayCall, 1);
    call->http = http;
    call->wsi = wsi;
    lws_set_opaque_user_data(wsi, call);
    g_ptr_array_add(http->calls, call);
    limit_idle(call);
}

static gboolean on_connection(int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user_data)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (peer < 0)
            break;
        take_connection(user_data, peer);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean listen_on(RelayHttp *http, guint16 port, GError **error)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int on = 1;

    http->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Connections of before that have not ended yet do not keep the port from us. */
    if (http->listener < 0 ||
        setsockopt(http->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(http->listener, (struct sockaddr *)&address, size) < 0 ||
        listen(http->listener, BACKLOG) < 0 ||
        getsockname(http->listener, (struct sockaddr *)&address, &size) < 0) {
        g_set_error(error, RELAY_ERROR, RELAY_ERROR_PORT,
                    "the relay cannot listen on port %u of 127.0.0.1: %s", port, g_strerror(errno));
        return FALSE;
    }
    http->port = ntohs(address.sin_port);
    http->accepting = g_unix_fd_add(http->listener, G_IO_IN, on_connection, http);
    return TRUE;
}

static void lws_log(G_GNUC_UNUSED int level, const char *line)
{
    g_debug("libwebsockets: %s", line);
}

static gboolean create_context(RelayHttp *http, GError **error)
{
    static const struct lws_protocols protocols[] = {
        {.name = "", .callback = on_lws, .tx_packet_size = RELAY_SEND_BYTES}, {.name = NULL}};
    static const lws_retry_bo_t no_limits;
    void *loops[] = {http->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_GLIB | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME,
        .foreign_loops = loops,
        .fd_limit_per_thread = MAX_FDS,
        .max_http_header_data = RELAY_MAX_HEAD,
        .max_http_header_pool = RELAY_MAX_CONNECTIONS + 1,
        .keepalive_timeout = BACKSTOP_S,
        .timeout_secs = BACKSTOP_S,
        .retry_and_idle_policy = &no_limits,
        .alpn = "http/1.1",
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
    };

    lws_set_log_level(LLL_ERR, lws_log);
    http->context = lws_create_context(&info);
    if (http->context != NULL)
        http->vhost = lws_create_vhost(http->context, &info);
    if (http->vhost == NULL) {
        g_set_error_literal(error, RELAY_ERROR, RELAY_ERROR_PORT,
                            "the relay does not start: is libwebsockets' plugin for GLib "
                            "(libwebsockets-evlib-glib) installed?");
        return FALSE;
    }
    return TRUE;
}

RelayHttp *relay_http_new(guint16 port, Clock *clock, const RelayHttpEvents *events,
                          gpointer user_data, GError **error)
{
    RelayHttp *http = g_new0(RelayHttp, 1);

    http->loop = g_main_loop_new(NULL, FALSE);
    http->clock = clock;
    http->events = *events;
    http->user_data = user_data;
    http->listener = -1;
    http->calls = g_ptr_array_new();
    if (!create_context(http, error) || !listen_on(http, port, error)) {
        relay_http_free(http);
        return NULL;
    }
    return http;
}

void relay_http_free(RelayHttp *http)
{
    if (http == NULL)
        return;
    g_clear_handle_id(&http->accepting, g_source_remove);
    if (http->listener >= 0)
        close(http->listener);
    if (http->context != NULL)
        lws_context_destroy(http->context);
    g_ptr_array_unref(http->calls);
    g_main_loop_unref(http->loop);
    g_free(http);
}

guint16 relay_http_port(const RelayHttp *http)
{
    return http->port;
}
