/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of a WsLink, for ws_link.c (begin and end of connections) and ws_link_events.c (what
 * libwebsockets tells).
 *
 * What libwebsockets 4.1.6 leaves to us: WSI_DESTROY is its only sure sign that a connection is
 * gone; it says that connecting failed but not why; it does not insist on the sub-protocol; it
 * follows redirects (password and all) unless told not to; and its GLib plugin looks at its timers
 * only after an event on a socket, so that a timer set from elsewhere needs a push.
 */
#pragma once

#include <libwebsockets.h>

#include "ws_internal.h"

#define WS_LINK_PROTOCOL   "ocpp" /* libwebsockets' name for our callback; never on the wire */
#define WS_LINK_CLOSE_WAIT 5      /* seconds for our close to get onto the wire */

/* Messages in our queue: nothing is read from the first number on until it has come down to the
 * second.  What libwebsockets has read until then may hold some hundred more. */
#define WS_LINK_PAUSE_AT  32
#define WS_LINK_RESUME_AT 8

typedef struct {
    gsize length;
    unsigned char bytes[]; /* LWS_PRE, then the text */
} WsOutgoing;

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
    gboolean tcp_connected, open, answered, refused;
    gboolean closing;       /* by us or by the peer: nothing is sent or received any more */
    gboolean close_started; /* the rest is libwebsockets' work */
    gboolean paused;        /* nothing is read */
    guint pausing;          /* source that will pause it */
    enum lws_close_status close_code;
    const char *close_words;
    char *why;
    lws_usec_t alive_at; /* last pong */

    WsInbox *inbox;
    GQueue outbox;

    guint busy;       /* depth of libwebsockets' callbacks that we are in */
    gboolean leaving; /* ws_link_free() was called */
    guint reaper;
};

/* The first reason is the cause, what follows it are its consequences.  Takes `why`. */
void ws_link_note_why(WsLink *link, char *why);
void ws_link_drop_connect_watch(WsLink *link);
/* Destroys it from the main loop, `delay_ms` from now. */
void ws_link_reap(WsLink *link, guint delay_ms);

/* libwebsockets' callback of the context whose user is a WsLink. */
int ws_link_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t length);
