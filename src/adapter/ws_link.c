/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One WebSocket connection: all that includes libwebsockets.h on the client side.
 *
 * What libwebsockets 4.1.6 leaves to us: WSI_DESTROY is its only sure sign that a connection is gone; it says that connecting failed
 * but not why; it does not insist on the sub-protocol; it follows redirects (password and all) unless told not to; and its GLib
 * plugin looks at its timers only after an event on a socket, so that a timer set from elsewhere needs a push.
 */
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <libwebsockets.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "ws_internal.h"

#define MAX_FDS          64 /* of the context; saves memory over the process's limit */
#define PROTOCOL_NAME    "ocpp"
#define BACKSTOP_EXTRA_S 5 /* our own timeouts come first, libwebsockets' after that */

typedef struct {
    gsize length;
    unsigned char bytes[]; /* LWS_PRE, then the text */
} Outgoing;

struct _WsLink {
    struct lws_context *context;
    GMainLoop *loop; /* never run; tells libwebsockets' plugin which main context */
    struct lws *wsi;
    lws_retry_bo_t ping_policy; /* read by libwebsockets whenever it sets its timer */

    const WsEndpoint *endpoint;
    char *identity;
    GBytes *authorization_key;
    Tls *tls;
    WsLinkEvents events;
    gpointer owner;

    char *address; /* that is being tried, for words */
    GSource *connect_watch;
    gboolean connecting; /* in libwebsockets' connect call */
    gboolean tcp_connected, open, closing, answered, refused;
    char *why;
    lws_usec_t alive_at; /* last pong */

    WsInbox *inbox;
    GQueue outbox;

    guint busy;       /* depth of libwebsockets' callbacks that we are in */
    gboolean leaving; /* ws_link_free() was called */
    guint reaper;
};

/* The first reason is the cause, what follows it are its consequences.  Takes `why`. */
static void note_why(WsLink *link, char *why)
{
    if (link->why != NULL) {
        g_free(why);
        return;
    }
    link->why = why;
}

static void drop_connect_watch(WsLink *link)
{
    if (link->connect_watch != NULL) {
        g_source_destroy(link->connect_watch);
        g_clear_pointer(&link->connect_watch, g_source_unref);
    }
}

static char *cannot_connect(const WsLink *link, int number)
{
    return g_strdup_printf("cannot connect to %s port %u: %s", link->address, link->endpoint->port,
                           g_strerror(number));
}

/* Runs before libwebsockets sees the same event, since it takes SO_ERROR, which can be read once, and tells nobody. */
static gboolean tcp_settled(int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user_data)
{
    WsLink *link = user_data;
    int number = 0;
    socklen_t size = sizeof(number);
    drop_connect_watch(link);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0 || number == 0) {
        link->tcp_connected = TRUE;
        return G_SOURCE_REMOVE;
    }
    note_why(link, cannot_connect(link, number));
    lws_set_timeout(link->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
    return G_SOURCE_REMOVE;
}

static void watch_connect(WsLink *link)
{
    link->connect_watch =
        g_unix_fd_source_new(lws_get_socket_fd(link->wsi), G_IO_OUT | G_IO_ERR | G_IO_HUP);
    g_source_set_priority(link->connect_watch, G_PRIORITY_HIGH);
    g_source_set_callback(link->connect_watch, G_SOURCE_FUNC(tcp_settled), link, NULL);
    g_source_attach(link->connect_watch, NULL);
}

/* Why connect() failed at once: a datagram socket's connect() asks the same routing table and sends nothing. */
static int routing_error(const char *address, guint16 port)
{
    g_autoptr(GSocketAddress) target = g_inet_socket_address_new_from_string(address, port);
    g_autoptr(GSocket) probe = g_socket_new(g_socket_address_get_family(target),
                                            G_SOCKET_TYPE_DATAGRAM, G_SOCKET_PROTOCOL_UDP, NULL);
    struct sockaddr_storage native;
    if (probe == NULL || !g_socket_address_to_native(target, &native, sizeof(native), NULL)) {
        return EAFNOSUPPORT;
    }
    gssize size = g_socket_address_get_native_size(target);
    if (connect(g_socket_get_fd(probe), (struct sockaddr *)&native, (socklen_t)size) != 0) {
        return errno;
    }
    return ECONNABORTED;
}

static void forget_attempt(WsLink *link)
{
    g_clear_pointer(&link->why, g_free);
    link->tcp_connected = link->open = link->closing = link->answered = link->refused = FALSE;
}

gboolean ws_link_connect(WsLink *link, const char *address, char **ret_why)
{
    forget_attempt(link);
    g_free(link->address);
    link->address = g_strdup(address);
    if (link->tls != NULL) {
        tls_prepare(link->tls, link->endpoint->host);
    }
    struct lws_client_connect_info info = {
        .context = link->context,
        .address = address,
        .port = link->endpoint->port,
        .host = link->endpoint->authority,
        .path = link->endpoint->path,
        .protocol = WS_SUBPROTOCOL,
        .local_protocol_name = PROTOCOL_NAME,
        /* Else a server or proxy may choose HTTP/2, which has no such upgrade. */
        .alpn = "http/1.1",
        .ietf_version_or_minus_one = -1,
        .ssl_connection =
            LCCSCF_HTTP_NO_FOLLOW_REDIRECT | (link->endpoint->tls ? LCCSCF_USE_SSL : 0),
        .retry_and_idle_policy = &link->ping_policy,
        .pwsi = &link->wsi,
    };
    link->connecting = TRUE; /* what fails in here is told by the return value, not by gone() */
    struct lws *wsi = lws_client_connect_via_info(&info);
    link->connecting = FALSE;
    if (wsi == NULL || link->wsi == NULL) {
        link->wsi = NULL;
        *ret_why = cannot_connect(link, routing_error(address, link->endpoint->port));
        return FALSE;
    }
    watch_connect(link);
    return TRUE;
}

void ws_link_time_out(WsLink *link)
{
    if (link->wsi == NULL || link->open) {
        return;
    }
    note_why(link, g_strdup_printf(
                       link->tcp_connected
                           ? "%s port %u took the connection, but did not answer the WebSocket "
                             "request in time"
                           : "no answer from %s port %u in time (timeout)",
                       link->address, link->endpoint->port));
    lws_set_timeout(link->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

static int send_credentials(WsLink *link, struct lws *wsi, unsigned char **at, size_t room)
{
    if (link->authorization_key == NULL) {
        return 0;
    }
    char *value = ws_client_basic_auth(link->identity, link->authorization_key);
    int failed =
        lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, (unsigned char *)value,
                                     (int)strlen(value), at, *at + room);
    explicit_bzero(value, strlen(value));
    g_free(value);
    if (failed) {
        note_why(link, g_strdup("identity and password do not fit into the request"));
    }
    return failed ? -1 : 0;
}

static char *status_words(const WsLink *link, guint status)
{
    switch (status) {
    case 401:
        return g_strdup("the CSMS refused identity or password (HTTP 401)");
    case 404:
        return g_strdup_printf("the CSMS does not know the identity %s (HTTP 404)", link->identity);
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return g_strdup_printf(
            "the server redirects to another URL (HTTP %u), which is not followed", status);
    default:
        return g_strdup_printf("the server refused the WebSocket with HTTP status %u", status);
    }
}

/* The headers are gone when the connection is established. */
static gboolean subprotocol_is_right(WsLink *link, struct lws *wsi)
{
    char selected[64] = "";
    int length = lws_hdr_copy(wsi, selected, sizeof(selected), WSI_TOKEN_PROTOCOL);
    if (length > 0 && strcmp(selected, WS_SUBPROTOCOL) == 0) {
        return TRUE;
    }
    const char *other = length == 0 ? "none" : length < 0 ? "a long one" : selected;
    g_autofree char *name = ws_printable(other, strlen(other));
    note_why(link, g_strdup_printf("the server does not select the sub-protocol " WS_SUBPROTOCOL
                                   ", but %s: is it an OCPP 1.6 CSMS?",
                                   name));
    return FALSE;
}

/* What follows an answer that is not right libwebsockets does, all but the words. */
static int http_answered(WsLink *link, struct lws *wsi)
{
    guint status = lws_http_client_http_response(wsi);
    link->answered = TRUE;
    if (status == 101) {
        subprotocol_is_right(link, wsi);
    } else {
        link->refused = status == 401 || status == 404;
        note_why(link, status_words(link, status));
    }
    return 0;
}

/* Closes with a code of ours; to be returned by the callback. */
static int close_with(WsLink *link, struct lws *wsi, enum lws_close_status code, const char *words)
{
    link->closing = TRUE;
    note_why(link, g_strdup_printf("we closed the connection: %s", words));
    lws_close_reason(wsi, code, (unsigned char *)words, strlen(words));
    return -1;
}

static int received(WsLink *link, struct lws *wsi, const char *data, size_t length)
{
    WsPiece piece = {
        .data = data,
        .length = length,
        .rest = lws_remaining_packet_payload(wsi),
        .first = lws_is_first_fragment(wsi) != 0,
        .last = lws_is_final_fragment(wsi) != 0,
        .binary = lws_frame_is_binary(wsi) != 0,
    };
    const char *text = NULL;
    gsize text_length = 0;
    if (link->closing || link->leaving) {
        return 0;
    }
    switch (ws_inbox_add(link->inbox, &piece, &text, &text_length)) {
    case WS_INBOX_MORE:
        return 0;
    case WS_INBOX_COMPLETE:
        link->events.message(text, text_length, link->owner);
        return 0;
    case WS_INBOX_BINARY:
        return close_with(link, wsi, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE,
                          "a binary message came, OCPP-J is text");
    case WS_INBOX_TOO_LARGE:
        return close_with(link, wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE,
                          "a message came that is too large");
    case WS_INBOX_NOT_UTF8:
        return close_with(link, wsi, LWS_CLOSE_STATUS_INVALID_PAYLOAD,
                          "a message came that is not UTF-8");
    }
    return 0;
}

static int peer_closes(WsLink *link, const char *data, size_t length)
{
    link->closing = TRUE;
    if (length < 2) {
        note_why(link, g_strdup("the CSMS closed the connection without a code"));
        return 0;
    }
    guint code = (guint)((guint8)data[0] << 8 | (guint8)data[1]);
    g_autofree char *reason = ws_printable(data + 2, length - 2);
    note_why(link, g_strdup_printf("the CSMS closed the connection with code %u %s", code, reason));
    return 0;
}

static int writable(WsLink *link, struct lws *wsi)
{
    if (link->closing) {
        return 0;
    }
    g_autofree Outgoing *next = g_queue_pop_head(&link->outbox);
    if (next == NULL) {
        return link->leaving ? close_with(link, wsi, LWS_CLOSE_STATUS_GOINGAWAY, "going away") : 0;
    }
    /* What the socket does not take now libwebsockets keeps and sends first. */
    if (lws_write(wsi, next->bytes + LWS_PRE, next->length, LWS_WRITE_TEXT) < (int)next->length) {
        note_why(link, g_strdup("the connection broke off while sending"));
        return -1;
    }
    if (!g_queue_is_empty(&link->outbox) || link->leaving) {
        lws_callback_on_writable(wsi);
    }
    return 0;
}

static int established(WsLink *link)
{
    link->open = TRUE;
    link->alive_at = lws_now_usecs();
    link->events.open(link->owner);
    return 0;
}

/* `text` is libwebsockets' own and seldom more than a hint. */
static void connecting_failed(WsLink *link, const char *text, size_t length)
{
    static const char *const hung_up[] = {"read failed", "Peer hung up", "closed before established", NULL};
    const char *tls_words = NULL;
    if (link->tls != NULL && tls_failure(link->tls, &tls_words) != TLS_FAILURE_NONE) {
        note_why(link, g_strdup(tls_words));
        return;
    }
    g_autofree char *hint = ws_printable(text, length);
    if (!g_strv_contains(hung_up, hint)) {
        note_why(link, g_strdup_printf("the WebSocket handshake failed: %s", hint));
    }
}

static char *guess_why(const WsLink *link)
{
    if (!link->open) {
        return g_strdup("the server closed the connection during the WebSocket handshake");
    }
    guint silence_s = (guint)((lws_now_usecs() - link->alive_at) / LWS_USEC_PER_SEC);
    if (link->ping_policy.secs_since_valid_hangup != 0 &&
        silence_s + 1 >= link->ping_policy.secs_since_valid_hangup) {
        return g_strdup_printf("no pong from the CSMS for %u s", silence_s);
    }
    return g_strdup("the connection broke off without a close");
}

static gboolean reap(gpointer user_data);

static int destroyed(WsLink *link)
{
    drop_connect_watch(link);
    link->wsi = NULL;
    if (link->connecting) {
        return 0;
    }
    if (link->why == NULL) {
        note_why(link, guess_why(link));
    }
    link->open = FALSE;
    g_queue_clear_full(&link->outbox, g_free);
    if (!link->leaving) {
        link->events.gone(link->why, link->answered, link->refused, link->owner);
    } else if (link->reaper != 0) {
        g_source_remove(link->reaper);
        link->reaper = g_idle_add(reap, link);
    }
    return 0;
}

static int dispatch(WsLink *link, struct lws *wsi, enum lws_callback_reasons reason, void *in,
                    size_t length)
{
    switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return send_credentials(link, wsi, in, length);
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
        return http_answered(link, wsi);
    case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH:
        return subprotocol_is_right(link, wsi) ? 0 : -1;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        connecting_failed(link, in, length);
        return 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        return established(link);
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return received(link, wsi, in, length);
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        link->alive_at = lws_now_usecs();
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return writable(link, wsi);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return peer_closes(link, in, length);
    case LWS_CALLBACK_WSI_DESTROY:
        return destroyed(link);
    default:
        return 0;
    }
}

static int lws_event(struct lws *wsi, enum lws_callback_reasons reason, G_GNUC_UNUSED void *user,
                     void *in, size_t length)
{
    WsLink *link = lws_context_user(lws_get_context(wsi));
    if (link == NULL || wsi != link->wsi) {
        return 0;
    }
    link->busy++;
    int result = dispatch(link, wsi, reason, in, length);
    link->busy--;
    return result;
}

static void lws_log(G_GNUC_UNUSED int level, const char *line)
{
    g_debug("libwebsockets: %s", line);
}

static void set_ping_policy(WsLink *link, guint seconds)
{
    guint ping = MIN(seconds, WS_PING_INTERVAL_MAX_S);
    guint wait = CLAMP(ping, WS_PONG_WAIT_MIN_S, WS_PONG_WAIT_MAX_S);
    link->ping_policy.secs_since_valid_ping = (uint16_t)ping;
    link->ping_policy.secs_since_valid_hangup = (uint16_t)(ping != 0 ? ping + wait : 0);
}

static struct lws_context *create_context(WsLink *link, guint connect_timeout_s)
{
    static const struct lws_protocols protocols[] = {{.name = PROTOCOL_NAME, .callback = lws_event},
                                                     {.name = NULL}};
    void *loops[] = {link->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_GLIB | LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME |
                   (link->tls != NULL ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
        .foreign_loops = loops,
        .fd_limit_per_thread = MAX_FDS,
        .timeout_secs = connect_timeout_s + BACKSTOP_EXTRA_S,
        .connect_timeout_secs = connect_timeout_s + BACKSTOP_EXTRA_S,
        /* Else http_proxy of the environment counts, which lets a proxy's name block us. */
        .http_proxy_address = "",
        .provided_client_ssl_ctx = link->tls != NULL ? tls_context(link->tls) : NULL,
        .user = link,
    };
    lws_set_log_level(LLL_ERR, lws_log);
    return lws_create_context(&info);
}

static void destroy(WsLink *link)
{
    drop_connect_watch(link);
    if (link->context != NULL) {
        lws_context_destroy(link->context);
    }
    g_main_loop_unref(link->loop);
    ws_inbox_free(link->inbox);
    g_queue_clear_full(&link->outbox, g_free);
    g_clear_pointer(&link->authorization_key, g_bytes_unref);
    g_free(link->identity);
    g_free(link->address);
    g_free(link->why);
    g_free(link);
}

static gboolean reap(gpointer user_data)
{
    WsLink *link = user_data;
    link->reaper = 0;
    destroy(link);
    return G_SOURCE_REMOVE;
}

WsLink *ws_link_new(const WsLinkConfig *config, const WsLinkEvents *events, gpointer owner,
                    GError **error)
{
    WsLink *link = g_new0(WsLink, 1);
    link->loop = g_main_loop_new(NULL, FALSE);
    link->endpoint = config->endpoint;
    link->identity = g_strdup(config->identity);
    link->authorization_key =
        config->authorization_key != NULL ? g_bytes_ref(config->authorization_key) : NULL;
    link->tls = config->tls;
    link->events = *events;
    link->owner = owner;
    link->inbox = ws_inbox_new(config->max_message_bytes);
    g_queue_init(&link->outbox);
    set_ping_policy(link, config->ping_interval_s);
    link->context = create_context(link, config->connect_timeout_s);
    if (link->context == NULL) {
        g_set_error_literal(error, WS_CLIENT_ERROR, WS_CLIENT_ERROR_LIBRARY,
                            "libwebsockets does not start: is its plugin for GLib "
                            "(libwebsockets-evlib-glib) installed?");
        destroy(link);
        return NULL;
    }
    return link;
}

/* One turn of the socket; FALSE when the time is over. */
static gboolean turn(WsLink *link, short events, lws_usec_t until)
{
    lws_usec_t left = until - lws_now_usecs();
    struct lws_pollfd fd = {.fd = lws_get_socket_fd(link->wsi), .events = events};
    if (left <= 0 || poll(&fd, 1, (int)(left / LWS_US_PER_MS) + 1) <= 0) {
        return FALSE;
    }
    lws_service_fd(link->context, &fd);
    return TRUE;
}

/* Destroying the context without this looks like 1006 to the peer.  The main loop may have ended for good, so that this socket
 * is served here; bounded by WS_GOODBYE_MS. */
static void say_goodbye(WsLink *link)
{
    lws_usec_t until = lws_now_usecs() + WS_GOODBYE_MS * LWS_US_PER_MS;
    gboolean in_time = TRUE;
    if (!link->closing) {
        lws_callback_on_writable(link->wsi);
    }
    while (in_time && link->wsi != NULL && !link->closing) {
        in_time = turn(link, POLLIN | POLLOUT, until);
    }
    /* Once more, for the close itself; then what is left is the answer. */
    if (in_time && link->wsi != NULL) {
        in_time = turn(link, POLLOUT, until);
    }
    while (in_time && link->wsi != NULL) {
        in_time = turn(link, POLLIN, until);
    }
}

void ws_link_free(WsLink *link)
{
    if (link == NULL) {
        return;
    }
    link->leaving = TRUE;
    if (link->busy == 0) {
        if (link->open) {
            say_goodbye(link);
        }
        destroy(link);
        return;
    }
    /* libwebsockets is still at work with the connection that we are called from. */
    if (link->wsi == NULL) {
        link->reaper = g_idle_add(reap, link);
        return;
    }
    if (link->open) {
        lws_callback_on_writable(link->wsi);
    }
    link->reaper = g_timeout_add(WS_GOODBYE_MS, reap, link);
}

gboolean ws_link_is_open(const WsLink *link)
{
    return link->open && !link->closing;
}

gboolean ws_link_send(WsLink *link, const char *text)
{
    if (!ws_link_is_open(link) || g_queue_get_length(&link->outbox) >= WS_MAX_SEND_QUEUE) {
        return FALSE;
    }
    gsize length = strlen(text);
    Outgoing *next = g_malloc(sizeof(Outgoing) + LWS_PRE + length);
    next->length = length;
    memcpy(next->bytes + LWS_PRE, text, length);
    g_queue_push_tail(&link->outbox, next);
    lws_callback_on_writable(link->wsi);
    return TRUE;
}

void ws_link_set_ping_interval(WsLink *link, guint seconds)
{
    if (!ws_link_is_open(link)) {
        set_ping_policy(link, seconds);
        return;
    }
    /* libwebsockets takes 0 for "hang up now" once its timer runs. */
    set_ping_policy(link, seconds != 0 ? seconds : WS_PING_INTERVAL_MAX_S);
    lws_validity_confirmed(link->wsi);
    lws_cancel_service(link->context);
}
