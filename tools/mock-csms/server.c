/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libwebsockets in the GLib loop: wires its callbacks to the parts that handle them. */
#include "server-private.h"

#include <gio/gio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* lws reads and hands over at most this much at once. */
#define READ_SIZE 32768
/* All request headers of one request together. */
#define HEADERS_MAX  8192
#define FD_TABLE_MAX (LINKS_MAX + 64)

typedef int (*Handler)(Link *link, void *in, size_t length);

/* The headers that the log shows and the upgrade is judged by. */
static const struct {
    enum lws_token_indexes token;
    const char *name;
} logged_headers[] = {
    {WSI_TOKEN_HOST, "host"},
    {WSI_TOKEN_HTTP_AUTHORIZATION, "authorization"},
    {WSI_TOKEN_PROTOCOL, "sec-websocket-protocol"},
    {WSI_TOKEN_VERSION, "sec-websocket-version"},
    {WSI_TOKEN_EXTENSIONS, "sec-websocket-extensions"},
    {WSI_TOKEN_HTTP_USER_AGENT, "user-agent"},
};

static json_t *collect_headers(struct lws *wsi)
{
    json_t *headers = json_object();
    union lws_tls_cert_info_results certificate;

    for (gsize i = 0; i < G_N_ELEMENTS(logged_headers); i++) {
        g_autofree char *value = http_header(wsi, logged_headers[i].token);
        g_autofree char *valid = value != NULL ? g_utf8_make_valid(value, -1) : NULL;

        if (valid != NULL)
            json_object_set_new(headers, logged_headers[i].name, json_string(valid));
    }
    if (lws_tls_peer_cert_info(wsi, LWS_TLS_CERT_INFO_COMMON_NAME, &certificate,
                               sizeof(certificate.ns.name)) == 0)
        json_object_set_new(headers, "client-certificate", json_string(certificate.ns.name));
    return headers;
}

/* The whole answer has gone out when the status is not 0: lws wants 1 then, and goes on with
 * HTTP. */
static int on_upgrade(Link *link, void *in, size_t length)
{
    g_autofree char *upgrade = http_header(link->wsi, WSI_TOKEN_UPGRADE);
    char *uri = NULL;
    int uri_length = 0;
    guint status = 400;

    (void)in;
    (void)length;
    if (lws_http_get_uri_and_method(link->wsi, &uri, &uri_length) == LWSHUMETH_GET &&
        upgrade != NULL && g_ascii_strcasecmp(upgrade, "websocket") == 0) {
        g_autofree char *path = g_strndup(uri, (gsize)uri_length);

        g_free(link->path);
        json_decref(link->headers);
        link->path = g_utf8_make_valid(path, -1);
        link->headers = collect_headers(link->wsi);
        status = link->server->handler.upgrade(link->server->user, link->path, link->headers);
    }
    if (status == 0)
        return 0;
    if (status == 401)
        return http_respond(link->wsi, status, "www-authenticate:", "Basic realm=\"csms\"") < 0 ? -1
                                                                                                : 1;
    return http_respond(link->wsi, status, NULL, NULL) < 0 ? -1 : 1;
}

/* lws always selects the sub-protocol that it knows; to leave it out its header is taken back here,
 * where lws lets a server add headers of its own. */
static int on_add_headers(Link *link, void *in, size_t length)
{
    static const char header[] = "\r\nSec-WebSocket-Protocol: " SUBPROTOCOL "\r\n";
    struct lws_process_html_args *args = in;
    gsize size = strlen(header);

    (void)length;
    if (link->server->no_subprotocol && memcmp(args->p - size, header, size) == 0)
        args->p -= size - strlen("\r\n");
    return 0;
}

static int on_established(Link *link, void *in, size_t length)
{
    (void)in;
    (void)length;
    return link_established(link);
}

static int on_receive(Link *link, void *in, size_t length)
{
    return link_receive(link, in, length);
}

static int on_writeable(Link *link, void *in, size_t length)
{
    (void)in;
    (void)length;
    return link_writeable(link);
}

static int on_peer_close(Link *link, void *in, size_t length)
{
    link_peer_closed(link, in, length);
    return 0;
}

static int on_closed(Link *link, void *in, size_t length)
{
    (void)in;
    (void)length;
    link_gone(link);
    return 0;
}

static int on_http(Link *link, void *in, size_t length)
{
    (void)in;
    (void)length;
    return http_request(link);
}

static int on_http_writeable(Link *link, void *in, size_t length)
{
    (void)in;
    (void)length;
    return http_writeable(link);
}

static int on_http_closed(Link *link, void *in, size_t length)
{
    (void)in;
    (void)length;
    http_abandon(link);
    return 0;
}

/* The one callback that always comes: a handshake that fails half way gives no CLOSED. */
static int on_destroy(Link *link, void *in, size_t length)
{
    (void)in;
    (void)length;
    lws_set_opaque_user_data(link->wsi, NULL);
    http_abandon(link);
    link_gone(link);
    link_free(link);
    return 0;
}

static const struct {
    enum lws_callback_reasons reason;
    Handler handle;
} handlers[] = {
    {LWS_CALLBACK_HTTP_CONFIRM_UPGRADE, on_upgrade},
    {LWS_CALLBACK_ADD_HEADERS, on_add_headers},
    {LWS_CALLBACK_ESTABLISHED, on_established},
    {LWS_CALLBACK_RECEIVE, on_receive},
    {LWS_CALLBACK_SERVER_WRITEABLE, on_writeable},
    {LWS_CALLBACK_WS_PEER_INITIATED_CLOSE, on_peer_close},
    {LWS_CALLBACK_CLOSED, on_closed},
    {LWS_CALLBACK_HTTP, on_http},
    {LWS_CALLBACK_HTTP_WRITEABLE, on_http_writeable},
    {LWS_CALLBACK_CLOSED_HTTP, on_http_closed},
    {LWS_CALLBACK_WSI_DESTROY, on_destroy},
};

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *session, void *in,
                  size_t length)
{
    (void)session;
    /* OpenSSL's verdict comes as the length, and lws takes only ours. */
    if (reason == LWS_CALLBACK_OPENSSL_PERFORM_CLIENT_CERT_VERIFICATION)
        return length == 1 ? 0 : 1;
    for (gsize i = 0; i < G_N_ELEMENTS(handlers); i++) {
        Link *link;

        if (handlers[i].reason != reason)
            continue;
        link = lws_get_opaque_user_data(wsi);
        return link != NULL ? handlers[i].handle(link, in, length) : 0;
    }
    return 0;
}

/* The first one has no name that a client could ask for: plain HTTP. */
static const struct lws_protocols protocols[] = {
    {"", on_lws, 0, READ_SIZE, 0, NULL, 0},
    {SUBPROTOCOL, on_lws, 0, READ_SIZE, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

/* No pings and no idle limit of lws's own: what the mock does on the wire is what it was told to
 * do. */
static const lws_retry_bo_t no_pings;

static void on_accepted(gpointer user, int fd)
{
    Server *server = user;
    struct lws *wsi;
    int on = 1;

    if (g_hash_table_size(server->links) >= LINKS_MAX) {
        close(fd);
        return;
    }
    /* lws does this for sockets that it accepts itself only; without it an answer may wait 40
     * ms. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    wsi = lws_adopt_socket_vhost(server->vhost, fd);
    if (wsi != NULL)
        lws_set_opaque_user_data(wsi, link_new(server, wsi));
}

static void on_lws_log(int level, const char *line)
{
    (void)level;
    g_printerr("mock-csms: %s", line);
}

static gboolean create_context(Server *server, const ServerOptions *options, GError **error)
{
    struct lws_context_creation_info info;
    void *loop = server->loop;

    lws_set_log_level(LLL_ERR, on_lws_log);
    memset(&info, 0, sizeof(info));
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.options = LWS_SERVER_OPTION_GLIB | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    info.foreign_loops = &loop;
    info.protocols = protocols;
    info.pt_serv_buf_size = READ_SIZE;
    info.max_http_header_data = HEADERS_MAX;
    info.fd_limit_per_thread = FD_TABLE_MAX;
    info.retry_and_idle_policy = &no_pings;
    info.alpn = "http/1.1";
    info.gid = (gid_t)-1;
    info.uid = (uid_t)-1;
    if (options->tls_cert != NULL) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = options->tls_cert;
        info.ssl_private_key_filepath = options->tls_key;
        info.ssl_ca_filepath = options->tls_ca;
    }
    if (options->tls_ca != NULL)
        info.options |= LWS_SERVER_OPTION_REQUIRE_VALID_OPENSSL_CLIENT_CERT;
    server->context = lws_create_context(&info);
    if (server->context != NULL)
        server->vhost = lws_create_vhost(server->context, &info);
    if (server->vhost == NULL) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                    "cannot start the WebSocket server; libwebsockets-evlib-glib installed, "
                    "certificate and key readable?");
        return FALSE;
    }
    return TRUE;
}

Server *server_new(const ServerOptions *options, const ServerHandler *handler, gpointer user,
                   GError **error)
{
    g_autoptr(Server) server = g_new0(Server, 1);

    server->handler = *handler;
    server->user = user;
    server->no_subprotocol = options->no_subprotocol;
    server->links = g_hash_table_new(NULL, NULL);
    server->loop = g_main_loop_new(NULL, FALSE);
    if (options->bundles != NULL) {
        server->bundles = realpath(options->bundles, NULL);
        if (server->bundles == NULL) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "no folder %s", options->bundles);
            return NULL;
        }
    }
    if (!create_context(server, options, error))
        return NULL;
    server->listener =
        listener_new(options->bind_address, options->port, on_accepted, server, error);
    if (server->listener == NULL)
        return NULL;
    return g_steal_pointer(&server);
}

void server_free(Server *server)
{
    if (server == NULL)
        return;
    listener_free(server->listener);
    if (server->context != NULL)
        lws_context_destroy(server->context);
    g_main_loop_unref(server->loop);
    g_hash_table_unref(server->links);
    free(server->bundles);
    g_free(server);
}

guint16 server_port(const Server *server)
{
    return listener_port(server->listener);
}

gboolean server_listen(Server *server, gboolean on, GError **error)
{
    return listener_set_open(server->listener, on, error);
}

void server_freeze(Server *server, gboolean on)
{
    GHashTableIter iter;
    gpointer key;

    server->frozen = on;
    listener_set_paused(server->listener, on);
    g_hash_table_iter_init(&iter, server->links);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        Link *link = key;

        /* Flow control of an HTTP socket that waits to write makes lws spin; a transfer stops by
         * itself in http_writeable(). */
        if (!on || link->transfer == NULL)
            lws_rx_flow_control(link->wsi, on ? 0 : 1);
        if (!on)
            lws_callback_on_writable(link->wsi);
    }
}
