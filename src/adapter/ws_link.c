/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One WebSocket connection at a time: how it begins and how it ends.  ws_link_events.c has what is
 * in between.
 */
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "ws_link.h"

#define MAX_FDS              64 /* of the context; saves memory over the process's limit */
#define HOUSEKEEPING_AFTER_S 10
#define BACKSTOP_EXTRA_S     5 /* our own timeouts come first, libwebsockets' after that */

/* The first reason is the cause, what follows it are its consequences.  Takes `why`. */
void ws_link_note_why(WsLink *link, char *why)
{
    if (link->why != NULL) {
        g_free(why);
        return;
    }
    link->why = why;
}

void ws_link_drop_connect_watch(WsLink *link)
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

/* Runs before libwebsockets sees the same event, since it takes SO_ERROR, which can be read once,
 * and tells nobody. */
static gboolean tcp_settled(int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user_data)
{
    WsLink *link = user_data;
    int number = 0;
    socklen_t size = sizeof(number);
    ws_link_drop_connect_watch(link);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0 || number == 0) {
        link->tcp_connected = TRUE;
        return G_SOURCE_REMOVE;
    }
    ws_link_note_why(link, cannot_connect(link, number));
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

/* Why connect() failed at once: a datagram socket's connect() asks the same routing table and sends
 * nothing. */
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
    link->tcp_connected = link->open = link->answered = link->refused = FALSE;
    link->closing = link->close_started = link->paused = FALSE;
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
        .local_protocol_name = WS_LINK_PROTOCOL,
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
    ws_link_note_why(
        link,
        g_strdup_printf(link->tcp_connected
                            ? "%s port %u took the connection, but did not answer the WebSocket "
                              "request in time"
                            : "no answer from %s port %u in time (timeout)",
                        link->address, link->endpoint->port));
    lws_set_timeout(link->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
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
    static const struct lws_protocols protocols[] = {
        {.name = WS_LINK_PROTOCOL, .callback = ws_link_event}, {.name = NULL}};
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

static void nothing(G_GNUC_UNUSED lws_sorted_usec_list_t *timer)
{
}

/* libwebsockets wakes the process every 30 s, to look whether network interfaces came that servers
 * want to listen on.  We have no such server, and a charger that sleeps is worth more.  In a new
 * context no other timer waits that long. */
static void stop_housekeeping(struct lws_context *context)
{
    lws_sorted_usec_list_t ours = {.us = 0};
    lws_usec_t soon = lws_now_usecs() + HOUSEKEEPING_AFTER_S * LWS_US_PER_SEC;
    lws_sul_schedule(context, 0, &ours, nothing, LWS_US_PER_SEC);
    lws_start_foreach_dll_safe(struct lws_dll2 *, at, next, ours.list.owner->head)
    {
        lws_sorted_usec_list_t *timer = lws_container_of(at, lws_sorted_usec_list_t, list);
        if (timer->us > soon) {
            lws_sul_cancel(timer);
        }
    }
    lws_end_foreach_dll_safe(at, next);
    lws_sul_cancel(&ours);
}

static void destroy(WsLink *link)
{
    ws_link_drop_connect_watch(link);
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

void ws_link_reap(WsLink *link, guint delay_ms)
{
    if (link->reaper != 0) {
        g_source_remove(link->reaper);
    }
    link->reaper = g_timeout_add(delay_ms, reap, link);
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
    stop_housekeeping(link->context);
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

/* Destroying the context without this looks like 1006 to the peer.  The main loop may have ended
 * for good, so that this socket is served here; bounded by WS_GOODBYE_MS. */
static void say_goodbye(WsLink *link)
{
    lws_usec_t until = lws_now_usecs() + WS_GOODBYE_MS * LWS_US_PER_MS;
    gboolean in_time = TRUE;
    lws_callback_on_writable(link->wsi);
    while (in_time && link->wsi != NULL && !link->close_started) {
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
        ws_link_reap(link, 0);
        return;
    }
    if (link->open) {
        lws_callback_on_writable(link->wsi);
    }
    ws_link_reap(link, WS_GOODBYE_MS);
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
    WsOutgoing *next = g_malloc(sizeof(WsOutgoing) + LWS_PRE + length);
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
