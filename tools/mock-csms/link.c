/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The WebSocket side of one connection: gathers fragments, queues messages, closes. */
#include "server-private.h"

#include <string.h>
#include <sys/socket.h>

typedef struct {
    GBytes *text;
    guint fragments;
    guint next; /* the fragment to write next */
    gpointer tag;
    GDestroyNotify free_tag;
} Outgoing;

static void outgoing_free(gpointer data)
{
    Outgoing *outgoing = data;

    g_bytes_unref(outgoing->text);
    if (outgoing->free_tag != NULL)
        outgoing->free_tag(outgoing->tag);
    g_free(outgoing);
}

Link *link_new(Server *server, struct lws *wsi)
{
    Link *link = g_new0(Link, 1);

    link->server = server;
    link->wsi = wsi;
    link->message = g_byte_array_new();
    link->closed_code = 1006;
    link->closed_by = "nobody";
    g_queue_init(&link->out);
    g_hash_table_add(server->links, link);
    return link;
}

void link_free(Link *link)
{
    if (link == NULL)
        return;
    g_hash_table_remove(link->server->links, link);
    g_queue_clear_full(&link->out, outgoing_free);
    g_byte_array_unref(link->message);
    json_decref(link->headers);
    g_free(link->path);
    g_free(link);
}

void link_set_data(Link *link, gpointer data)
{
    link->data = data;
}

gpointer link_get_data(const Link *link)
{
    return link->data;
}

int link_established(Link *link)
{
    link->open = TRUE;
    link->server->handler.connected(link->server->user, link, link->path, link->headers);
    return link->dropped ? -1 : 0;
}

static int overflow(Link *link)
{
    static const char reason[] = "message too big";

    link->closing = TRUE;
    link->closed_code = 1009;
    link->closed_by = "csms";
    link->server->handler.overflow(link->server->user, link);
    lws_close_reason(link->wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, (unsigned char *)reason,
                     strlen(reason));
    return -1;
}

/* A message comes in pieces of any size; lws says when the last one is there. */
int link_receive(Link *link, const char *data, gsize length)
{
    if (link->dropped)
        return -1;
    if (link->closing)
        return 0;
    if (link->message->len + length > MESSAGE_MAX)
        return overflow(link);
    g_byte_array_append(link->message, (const guint8 *)data, (guint)length);
    if (!lws_is_final_fragment(link->wsi) || lws_remaining_packet_payload(link->wsi) != 0)
        return 0;
    link->server->handler.received(link->server->user, link, (const char *)link->message->data,
                                   link->message->len, lws_frame_is_binary(link->wsi) != 0);
    g_byte_array_set_size(link->message, 0);
    return link->dropped ? -1 : 0;
}

gboolean link_send(Link *link, GBytes *text, guint fragments, gpointer tag, GDestroyNotify free_tag)
{
    Outgoing *outgoing = g_new0(Outgoing, 1);

    outgoing->text = g_bytes_ref(text);
    outgoing->fragments = MAX(fragments, 1);
    outgoing->tag = tag;
    outgoing->free_tag = free_tag;
    if (link->closing || link->close_code != 0 || g_queue_get_length(&link->out) >= OUT_QUEUE_MAX ||
        link->out_bytes + g_bytes_get_size(text) > OUT_BYTES_MAX) {
        outgoing_free(outgoing);
        return FALSE;
    }
    link->out_bytes += g_bytes_get_size(text);
    g_queue_push_tail(&link->out, outgoing);
    lws_callback_on_writable(link->wsi);
    return TRUE;
}

static int write_fragment(const Link *link, Outgoing *outgoing)
{
    gsize size = g_bytes_get_size(outgoing->text);
    gsize each = size / outgoing->fragments;
    gboolean last = outgoing->next + 1 == outgoing->fragments;
    gsize start = outgoing->next * each;
    gsize length = last ? size - start : each;
    int flags = outgoing->next == 0 ? LWS_WRITE_TEXT : LWS_WRITE_CONTINUATION;
    g_autofree unsigned char *buffer = g_malloc(LWS_PRE + length + 1);

    if (length > 0)
        memcpy(buffer + LWS_PRE, (const char *)g_bytes_get_data(outgoing->text, NULL) + start,
               length);
    outgoing->next++;
    if (!last)
        flags |= LWS_WRITE_NO_FIN;
    return lws_write(link->wsi, buffer + LWS_PRE, length, (enum lws_write_protocol)flags);
}

static int send_close(Link *link)
{
    link->closing = TRUE;
    link->closed_code = link->close_code;
    link->closed_by = "csms";
    lws_close_reason(link->wsi, (enum lws_close_status)link->close_code, NULL, 0);
    return -1;
}

int link_writeable(Link *link)
{
    Outgoing *outgoing = g_queue_peek_head(&link->out);

    if (link->dropped)
        return -1;
    if (link->server->frozen || link->closing)
        return 0;
    if (outgoing == NULL)
        return link->close_code != 0 ? send_close(link) : 0;
    if (write_fragment(link, outgoing) < 0)
        return -1;
    lws_callback_on_writable(link->wsi);
    if (outgoing->next < outgoing->fragments)
        return 0;
    g_queue_pop_head(&link->out);
    link->out_bytes -= g_bytes_get_size(outgoing->text);
    link->server->handler.written(link->server->user, link, outgoing->text, outgoing->fragments,
                                  outgoing->tag);
    outgoing_free(outgoing);
    return link->dropped ? -1 : 0;
}

void link_close(Link *link, guint16 code)
{
    if (link->closing || link->close_code != 0)
        return;
    link->close_code = code;
    lws_callback_on_writable(link->wsi);
}

/* Both ways are shut at once, so that not even a close frame can follow. */
void link_drop(Link *link)
{
    if (link->dropped)
        return;
    link->dropped = TRUE;
    link->closing = TRUE;
    link->closed_by = "csms";
    shutdown(lws_get_socket_fd(link->wsi), SHUT_RDWR);
    lws_set_timeout(link->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

void link_peer_closed(Link *link, const unsigned char *reason, gsize length)
{
    if (link->closing)
        return;
    link->closing = TRUE;
    link->closed_by = "charge point";
    link->closed_code = length >= 2 ? reason[0] << 8 | reason[1] : 1005;
}

void link_gone(Link *link)
{
    if (!link->open)
        return;
    link->open = FALSE;
    link->closing = TRUE;
    link->server->handler.disconnected(link->server->user, link, link->closed_code,
                                       link->closed_by);
}
