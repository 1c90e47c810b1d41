/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the server (server.c, http.c, link.c) share; nobody else includes it. */
#pragma once

#include <libwebsockets.h>

#include "listener.h"
#include "server.h"

typedef struct Transfer Transfer;

struct Server {
    ServerHandler handler;
    gpointer user;
    char *bundles; /* absolute path, or NULL */
    gboolean no_subprotocol;
    gboolean frozen;
    GHashTable *links; /* set of Link * */
    Listener *listener;
    GMainLoop *loop; /* only to tell lws the context */
    struct lws_context *context;
    struct lws_vhost *vhost;
};

struct Link {
    Server *server;
    struct lws *wsi;
    gpointer data;

    gboolean open; /* upgraded, and connected() was told */
    char *path;
    json_t *headers;

    GByteArray *message; /* the fragments that came so far */
    GQueue out;          /* Outgoing * */
    gsize out_bytes;
    guint16 close_code; /* close when out is empty; 0: no */
    gboolean closing;   /* nothing is read or sent any more */
    gboolean dropped;
    int closed_code; /* what ended the connection */
    const char *closed_by;

    Transfer *transfer; /* the bundle being sent over plain HTTP, or NULL */
};

/* link.c: the WebSocket part of one connection. Results are lws's: 0 go on, -1 end the
 * connection. */
Link *link_new(Server *server, struct lws *wsi);
void link_free(Link *link);
int link_established(Link *link);
int link_receive(Link *link, const char *data, gsize length);
int link_writeable(Link *link);
void link_peer_closed(Link *link, const unsigned char *reason, gsize length);
void link_gone(Link *link);

/* http.c: plain requests. */
int http_request(Link *link);
int http_writeable(Link *link);
void http_abandon(Link *link);
/* Sends a whole answer without a body; header name NULL: none. -1: the connection is broken. */
int http_respond(struct lws *wsi, guint status, const char *name, const char *value);
/* One request header, or NULL. */
char *http_header(struct lws *wsi, enum lws_token_indexes token);
