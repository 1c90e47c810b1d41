/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libwebsockets tells about a connection, and the words for how it ended.
 */
#include <string.h>

#include "ws_link.h"

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
        ws_link_note_why(link, g_strdup("identity and password do not fit into the request"));
    }
    return failed ? -1 : 0;
}

static char *status_words(const WsLink *link, guint status)
{
    switch (status) {
    case 0:
        return g_strdup("the server's answer is not HTTP");
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
    ws_link_note_why(link,
                     g_strdup_printf("the server does not select the sub-protocol " WS_SUBPROTOCOL
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
        ws_link_note_why(link, status_words(link, status));
    }
    return 0;
}

/* Not by returning -1 while receiving: libwebsockets 4.1.6 then goes on with a full buffer, and a
 * peer that goes on sending writes over our heap.  From the writable callback it is safe; until
 * then, and in vain at most WS_LINK_CLOSE_WAIT, nothing else happens. */
static void close_soon(WsLink *link, enum lws_close_status code, const char *words)
{
    ws_link_note_why(link, g_strdup_printf("we closed the connection: %s", words));
    link->closing = TRUE;
    link->close_code = code;
    link->close_words = words;
    lws_set_timeout(link->wsi, PENDING_TIMEOUT_CLOSE_SEND, WS_LINK_CLOSE_WAIT);
    lws_callback_on_writable(link->wsi);
}

static void resume(WsLink *link)
{
    g_clear_handle_id(&link->pausing, g_source_remove);
    if (link->paused) {
        link->paused = FALSE;
        lws_rx_flow_control(link->wsi, 1);
    }
}

static gboolean pause_reading(gpointer user_data)
{
    WsLink *link = user_data;
    link->pausing = 0;
    if (ws_link_is_open(link)) {
        link->paused = TRUE;
        lws_rx_flow_control(link->wsi, 0);
    }
    return G_SOURCE_REMOVE;
}

static int close_now(WsLink *link)
{
    resume(link); /* for the peer's answer */
    link->close_started = TRUE;
    lws_close_reason(link->wsi, link->close_code, (unsigned char *)link->close_words,
                     strlen(link->close_words));
    return -1;
}

/* Whoever asks faster than it takes our answers has to wait: they are neither lost nor heaped up
 * here.  Not from within this callback: with TLS libwebsockets 4.1.6 then reads what it has put
 * back for ever. */
static void take_message(WsLink *link, const char *text, gsize length)
{
    guint waiting;
    link->events.message(text, length, link->owner);
    waiting = g_queue_get_length(&link->outbox);
    if (link->wsi == NULL || link->leaving || link->closing) {
        return;
    }
    if (waiting >= WS_MAX_SEND_QUEUE) {
        close_soon(link, LWS_CLOSE_STATUS_POLICY_VIOLATION, "too many messages came at once");
    } else if (waiting >= WS_LINK_PAUSE_AT && !link->paused && link->pausing == 0) {
        link->pausing = g_idle_add_full(G_PRIORITY_HIGH, pause_reading, link, NULL);
    }
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
        break;
    case WS_INBOX_COMPLETE:
        take_message(link, text, text_length);
        break;
    case WS_INBOX_BINARY:
        close_soon(link, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE,
                   "a binary message came, OCPP-J is text");
        break;
    case WS_INBOX_TOO_LARGE:
        close_soon(link, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "a message came that is too large");
        break;
    case WS_INBOX_NOT_UTF8:
        close_soon(link, LWS_CLOSE_STATUS_INVALID_PAYLOAD, "a message came that is not UTF-8");
        break;
    }
    return 0;
}

static int peer_closes(WsLink *link, const char *data, size_t length)
{
    link->closing = link->close_started = TRUE; /* libwebsockets answers */
    if (length < 2) {
        ws_link_note_why(link, g_strdup("the CSMS closed the connection without a code"));
        return 0;
    }
    guint code = (guint)((guint8)data[0] << 8 | (guint8)data[1]);
    g_autofree char *reason = ws_printable(data + 2, length - 2);
    ws_link_note_why(
        link, g_strdup_printf("the CSMS closed the connection with code %u %s", code, reason));
    return 0;
}

static int writable(WsLink *link, struct lws *wsi)
{
    if (link->closing) {
        return link->close_started ? 0 : close_now(link);
    }
    g_autofree WsOutgoing *next = g_queue_pop_head(&link->outbox);
    if (next == NULL) {
        if (link->leaving) {
            close_soon(link, LWS_CLOSE_STATUS_GOINGAWAY, "going away");
        }
        return 0;
    }
    /* What the socket does not take now libwebsockets keeps and sends first. */
    if (lws_write(wsi, next->bytes + LWS_PRE, next->length, LWS_WRITE_TEXT) < (int)next->length) {
        ws_link_note_why(link, g_strdup("the connection broke off while sending"));
        return -1;
    }
    if (g_queue_get_length(&link->outbox) <= WS_LINK_RESUME_AT) {
        resume(link);
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

static char *handshake_words(const WsLink *link, const char *hint)
{
    static const char *const hung_up[] = {
        "", "read failed", "Peer hung up", "Closed before conn", "closed before established", NULL};
    const char *tls_words = NULL;
    if (link->tls != NULL && tls_failure(link->tls, &tls_words) != TLS_FAILURE_NONE) {
        return g_strdup(tls_words);
    }
    if (g_strv_contains(hung_up, hint)) {
        return g_strdup("the server closed the connection during the WebSocket handshake");
    }
    return g_strdup_printf("the WebSocket handshake failed: %s", hint);
}

/* `text` is libwebsockets' own, sometimes with its NUL, and seldom more than a hint. */
static void connecting_failed(WsLink *link, const char *text, size_t length)
{
    g_autofree char *hint = ws_printable(text, strnlen(text, length));
    ws_link_note_why(link, handshake_words(link, hint));
}

static char *guess_why(const WsLink *link)
{
    if (!link->open) {
        return handshake_words(link, "");
    }
    guint silence_s = (guint)((lws_now_usecs() - link->alive_at) / LWS_USEC_PER_SEC);
    if (link->ping_policy.secs_since_valid_hangup != 0 &&
        silence_s + 1 >= link->ping_policy.secs_since_valid_hangup) {
        return g_strdup_printf("no pong from the CSMS for %u s", silence_s);
    }
    return g_strdup("the connection broke off without a close");
}

static int destroyed(WsLink *link)
{
    ws_link_drop_connect_watch(link);
    g_clear_handle_id(&link->pausing, g_source_remove);
    link->wsi = NULL;
    if (link->connecting) {
        return 0;
    }
    if (link->why == NULL) {
        ws_link_note_why(link, guess_why(link));
    }
    link->open = FALSE;
    g_queue_clear_full(&link->outbox, g_free);
    if (!link->leaving) {
        link->events.gone(link->why, link->answered, link->refused, link->owner);
    } else if (link->reaper != 0) {
        ws_link_reap(link, 0);
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
        connecting_failed(link, in != NULL ? in : "", in != NULL ? length : 0);
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

int ws_link_event(struct lws *wsi, enum lws_callback_reasons reason, G_GNUC_UNUSED void *user,
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
