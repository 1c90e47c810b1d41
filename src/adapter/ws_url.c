/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text work of the WebSocket client: URL, request path, Basic auth, text from the peer.
 */
#include <gio/gio.h>
#include <string.h>

#include "ws_internal.h"

/* libwebsockets writes "Host: %s\r\n" into 128 bytes and cuts what is longer, line end included. */
#define MAX_AUTHORITY 119

#define MAX_PRINTABLE 200

G_DEFINE_QUARK(ws_client_error, ws_client_error)

char *ws_client_request_path(const char *url_path, const char *identity)
{
    gsize length = strlen(url_path);
    while (length > 0 && url_path[length - 1] == '/') {
        length--;
    }
    /* The URL's path is kept as it is; only what cannot stand in a request line is escaped. */
    g_autofree char *base = g_strndup(url_path, length);
    g_autofree char *path =
        g_uri_escape_string(base, G_URI_RESERVED_CHARS_ALLOWED_IN_PATH "%", FALSE);
    g_autofree char *last = g_uri_escape_string(identity, NULL, FALSE);
    return g_strdup_printf("%s/%s", path, last);
}

char *ws_client_basic_auth(const char *identity, GBytes *key)
{
    gsize key_length = 0;
    const guint8 *key_data = g_bytes_get_data(key, &key_length);

    GByteArray *plain = g_byte_array_new();
    g_byte_array_append(plain, (const guint8 *)identity, (guint)strlen(identity));
    g_byte_array_append(plain, (const guint8 *)":", 1);
    g_byte_array_append(plain, key_data, (guint)key_length);
    char *encoded = g_base64_encode(plain->data, plain->len);
    char *header = g_strconcat("Basic ", encoded, NULL);

    explicit_bzero(encoded, strlen(encoded));
    g_free(encoded);
    explicit_bzero(plain->data, plain->len);
    g_byte_array_free(plain, TRUE);
    return header;
}

char *ws_printable(const char *text, gsize length)
{
    g_autofree char *valid = g_utf8_make_valid(text, (gssize)MIN(length, MAX_PRINTABLE));
    GString *line = g_string_new(NULL);
    for (const char *at = valid; *at != '\0'; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        g_string_append_unichar(line, g_unichar_isprint(c) ? c : '?');
    }
    return g_string_free(line, FALSE);
}

static gboolean is_literal(const char *host)
{
    g_autoptr(GInetAddress) address = g_inet_address_new_from_string(host);
    return address != NULL && strchr(host, '%') == NULL;
}

/* ASCII form of a literal address or a DNS name; NULL for anything else. */
static char *ascii_host(const char *host)
{
    if (is_literal(host)) {
        return g_strdup(host);
    }
    g_autofree char *ascii = g_hostname_to_ascii(host);
    if (ascii == NULL || *ascii == '\0' ||
        strspn(ascii, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-._") != strlen(ascii)) {
        return NULL;
    }
    return g_steal_pointer(&ascii);
}

static gboolean check_identity(const char *identity, GError **error)
{
    if (identity == NULL || *identity == '\0') {
        g_set_error_literal(error, WS_CLIENT_ERROR, WS_CLIENT_ERROR_URL,
                            "the identity of the charge point is empty");
        return FALSE;
    }
    if (strlen(identity) > WS_MAX_IDENTITY || !g_utf8_validate(identity, -1, NULL)) {
        g_set_error(error, WS_CLIENT_ERROR, WS_CLIENT_ERROR_URL,
                    "the identity must be UTF-8 of at most %d bytes", WS_MAX_IDENTITY);
        return FALSE;
    }
    for (const char *at = identity; *at != '\0'; at = g_utf8_next_char(at)) {
        if (g_unichar_iscntrl(g_utf8_get_char(at))) {
            g_set_error_literal(error, WS_CLIENT_ERROR, WS_CLIENT_ERROR_URL,
                                "the identity contains a control character");
            return FALSE;
        }
    }
    return TRUE;
}

/* The URL may hold a password, so that no message repeats it. */
static GUri *parse_url(const char *url, GError **error)
{
    if (url == NULL || strlen(url) > WS_MAX_URL) {
        g_set_error(error, WS_CLIENT_ERROR, WS_CLIENT_ERROR_URL,
                    "the CSMS's URL is missing or longer than %d bytes", WS_MAX_URL);
        return NULL;
    }
    g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_ENCODED, NULL);
    if (uri == NULL) {
        g_set_error_literal(error, WS_CLIENT_ERROR, WS_CLIENT_ERROR_URL,
                            "the CSMS's URL is no URL: wss://host[:port]/path is expected");
        return NULL;
    }
    const char *problem = NULL;
    if (strcmp(g_uri_get_scheme(uri), "ws") != 0 && strcmp(g_uri_get_scheme(uri), "wss") != 0) {
        problem = "must begin with ws:// or wss://";
    } else if (g_uri_get_userinfo(uri) != NULL) {
        problem = "must hold no user and password: they have settings of their own";
    } else if (g_uri_get_query(uri) != NULL || g_uri_get_fragment(uri) != NULL) {
        problem = "must hold no ? and no #: the identity is appended to it";
    } else if (g_uri_get_port(uri) == 0) {
        problem = "must not name port 0";
    }
    if (problem != NULL) {
        g_set_error(error, WS_CLIENT_ERROR, WS_CLIENT_ERROR_URL, "the CSMS's URL %s", problem);
        return NULL;
    }
    return g_steal_pointer(&uri);
}

gboolean ws_endpoint_parse(WsEndpoint *ret_endpoint, const char *url, const char *identity,
                           GError **error)
{
    if (!check_identity(identity, error)) {
        return FALSE;
    }
    g_autoptr(GUri) uri = parse_url(url, error);
    if (uri == NULL) {
        return FALSE;
    }
    g_autofree char *host = ascii_host(g_uri_get_host(uri) != NULL ? g_uri_get_host(uri) : "");
    if (host == NULL) {
        g_set_error_literal(error, WS_CLIENT_ERROR, WS_CLIENT_ERROR_URL,
                            "the CSMS's URL holds no valid host name or address");
        return FALSE;
    }

    gboolean tls = strcmp(g_uri_get_scheme(uri), "wss") == 0;
    int usual_port = tls ? 443 : 80;
    int port = g_uri_get_port(uri) == -1 ? usual_port : g_uri_get_port(uri);
    gboolean ipv6 = strchr(host, ':') != NULL;
    g_autofree char *name = ipv6 ? g_strdup_printf("[%s]", host) : g_strdup(host);
    g_autofree char *authority =
        port == usual_port ? g_strdup(name) : g_strdup_printf("%s:%d", name, port);
    if (strlen(authority) > MAX_AUTHORITY) {
        g_set_error(error, WS_CLIENT_ERROR, WS_CLIENT_ERROR_URL,
                    "the host name of the CSMS's URL is longer than %d bytes", MAX_AUTHORITY);
        return FALSE;
    }

    ret_endpoint->tls = tls;
    ret_endpoint->host = g_steal_pointer(&host);
    ret_endpoint->port = (guint16)port;
    ret_endpoint->authority = g_steal_pointer(&authority);
    ret_endpoint->path = ws_client_request_path(g_uri_get_path(uri), identity);
    return TRUE;
}

void ws_endpoint_clear(WsEndpoint *endpoint)
{
    g_clear_pointer(&endpoint->host, g_free);
    g_clear_pointer(&endpoint->authority, g_free);
    g_clear_pointer(&endpoint->path, g_free);
}
