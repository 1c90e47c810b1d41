/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between the parts of the WebSocket client: ws_client.c (states, back-off) uses ws_url.c,
 * ws_resolve.c and ws_link.c and ws_link_events.c (one connection, libwebsockets), which use
 * ws_inbox.c.
 */
#pragma once

#include "adapter/ws_client.h"

/* ws_url.c: where to connect to and what to ask for. */
typedef struct {
    gboolean tls;
    char *host; /* ASCII name or literal address, without brackets */
    guint16 port;
    char *authority; /* for the Host header: brackets round IPv6, port unless it is the scheme's */
    char *path;      /* of the request, with the identity */
} WsEndpoint;

gboolean ws_endpoint_parse(WsEndpoint *ret_endpoint, const char *url, const char *identity,
                           GError **error);
void ws_endpoint_clear(WsEndpoint *endpoint);

/* `text` from the peer, made fit for one line of a log: valid UTF-8, no control characters, not
 * long. */
char *ws_printable(const char *text, gsize length);

/* ws_inbox.c: fragments to messages. */
typedef struct _WsInbox WsInbox;

typedef enum {
    WS_INBOX_MORE,
    WS_INBOX_COMPLETE,
    WS_INBOX_BINARY,
    WS_INBOX_TOO_LARGE,
    WS_INBOX_NOT_UTF8,
} WsInboxResult;

typedef struct {
    const char *data;
    gsize length;
    gsize rest; /* of the frame that this is a piece of, still to come */
    gboolean first;
    gboolean last; /* of the message */
    gboolean binary;
} WsPiece;

WsInbox *ws_inbox_new(gsize max_message_bytes);
void ws_inbox_free(WsInbox *inbox);
/* For WS_INBOX_COMPLETE: the message, valid until the next call. */
WsInboxResult ws_inbox_add(WsInbox *inbox, const WsPiece *piece, const char **ret_text,
                           gsize *ret_length);

/* ws_resolve.c: a name to addresses, without blocking. */
typedef struct _WsResolve WsResolve;

/* `addresses`: NULL-terminated, numeric, best first, owned by the callee; or NULL and `why`. */
typedef void (*WsResolved)(char **addresses, const char *why, gpointer user_data);

/* Calls back exactly once, later, unless cancelled; either ends the object. */
WsResolve *ws_resolve_start(const char *host, guint timeout_s, Clock *clock, WsResolved resolved,
                            gpointer user_data);
void ws_resolve_cancel(WsResolve *resolve); /* takes NULL */

/* ws_link.c: one connection at a time. */
typedef struct _WsLink WsLink;

typedef struct {
    void (*open)(gpointer owner);
    void (*message)(const char *text, gsize length, gpointer owner);
    /* Once for each ws_link_connect() that was TRUE.  `refused`: identity or password (401, 404);
     * `answered`: the server gave an HTTP answer, its other addresses will not give a better
     * one. */
    void (*gone)(const char *why, gboolean answered, gboolean refused, gpointer owner);
} WsLinkEvents;

typedef struct {
    const WsEndpoint *endpoint; /* borrowed until ws_link_free() */
    const char *identity;
    GBytes *authorization_key;
    guint ping_interval_s;
    gsize max_message_bytes;
    guint connect_timeout_s;
    Tls *tls;
} WsLinkConfig;

WsLink *ws_link_new(const WsLinkConfig *config, const WsLinkEvents *events, gpointer owner,
                    GError **error);
void ws_link_free(WsLink *link); /* as ws_client_free() */
/* To a numeric address.  FALSE: no callback will come; `*ret_why` is to be freed. */
gboolean ws_link_connect(WsLink *link, const char *address, char **ret_why);
/* Gives up the attempt because its time is over; gone() is called before this returns. */
void ws_link_time_out(WsLink *link);
gboolean ws_link_is_open(const WsLink *link);
gboolean ws_link_send(WsLink *link, const char *text);
void ws_link_set_ping_interval(WsLink *link, guint seconds);
