/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gathers the pieces of a WebSocket message.  libwebsockets hands out a message of 100 KB in two
 * dozen pieces and neither bounds nor (unless asked) checks it.
 */
#include "ws_internal.h"

/* An unusually long message must not cost its memory for ever. */
#define KEEP_BYTES 16384

struct _WsInbox {
    GByteArray *bytes;
    gsize max_bytes;
    gboolean delivered; /* `bytes` holds a message that was handed out */
};

WsInbox *ws_inbox_new(gsize max_message_bytes)
{
    WsInbox *inbox = g_new0(WsInbox, 1);
    inbox->bytes = g_byte_array_new();
    inbox->max_bytes = max_message_bytes;
    return inbox;
}

void ws_inbox_free(WsInbox *inbox)
{
    if (inbox == NULL) {
        return;
    }
    g_byte_array_free(inbox->bytes, TRUE);
    g_free(inbox);
}

static void start_anew(WsInbox *inbox)
{
    if (inbox->bytes->len > KEEP_BYTES) {
        g_byte_array_free(inbox->bytes, TRUE);
        inbox->bytes = g_byte_array_new();
    }
    g_byte_array_set_size(inbox->bytes, 0);
    inbox->delivered = FALSE;
}

/* g_utf8_validate_len() calls a NUL invalid; in WebSocket text it is a character like any other
 * (RFC 3629), and whoever reads the text answers for it. */
static gboolean is_utf8(const char *text, gsize length)
{
    const char *end = NULL;
    while (!g_utf8_validate_len(text, length, &end)) {
        if (*end != '\0') {
            return FALSE;
        }
        length -= (gsize)(end + 1 - text);
        text = end + 1;
    }
    return TRUE;
}

WsInboxResult ws_inbox_add(WsInbox *inbox, const WsPiece *piece, const char **ret_text,
                           gsize *ret_length)
{
    if (piece->binary) {
        return WS_INBOX_BINARY;
    }
    if (piece->first || inbox->delivered) {
        start_anew(inbox);
    }
    /* Judged by the frame's announced length: a message that will be too large is not gathered
     * first. */
    gsize room = inbox->max_bytes - inbox->bytes->len;
    if (piece->length > room || piece->rest > room - piece->length) {
        return WS_INBOX_TOO_LARGE;
    }
    g_byte_array_append(inbox->bytes, (const guint8 *)piece->data, (guint)piece->length);
    if (!piece->last) {
        return WS_INBOX_MORE;
    }

    /* Never NULL for the reader, not even for an empty message. */
    gsize length = inbox->bytes->len;
    g_byte_array_append(inbox->bytes, (const guint8 *)"", 1);
    const char *text = (const char *)inbox->bytes->data;
    inbox->delivered = TRUE;
    if (!is_utf8(text, length)) {
        return WS_INBOX_NOT_UTF8;
    }
    *ret_text = text;
    *ret_length = length;
    return WS_INBOX_COMPLETE;
}
