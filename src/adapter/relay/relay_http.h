/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The HTTP server of the relay, on 127.0.0.1: connections, heads of requests, answers.  What is
 * asked for is its owner's business.
 *
 * Not with libwebsockets: while a request is held or an answer waits for its socket, version 4.1.6
 * keeps asking poll() for what comes in without reading it, so that whoever says more or hangs up
 * then keeps the process busy (seen: 30 s of processor in 30 s); it waits with a buffer of its own
 * for a socket that takes nothing after it was told to close it; and it copies.
 *
 * A request may stay unanswered for as long as its owner likes.  A connection that asks for nothing
 * is closed: soon when it never asked for anything right, because any local user can open one, else
 * after minutes.  When there are RELAY_MAX_CONNECTIONS, a new one takes the place of one that never
 * asked for anything right, or is refused.
 */
#pragma once

#include "adapter/clock.h"
#include "adapter/relay.h"

#define RELAY_STRANGER_IDLE_MS 10000  /* nothing right was asked yet */
#define RELAY_IDLE_MS          600000 /* RAUC's connections wait for each other for minutes */
#define RELAY_SEND_MS          60000  /* the other side takes nothing of an answer */
#define RELAY_GOODBYE_MS       2000   /* until the other side has taken a refusal */
#define RELAY_MAX_HEAD         4096   /* bytes of a request */

typedef struct _RelayHttp RelayHttp;
typedef struct _RelayCall RelayCall;

typedef struct {
    gboolean head; /* HEAD, else GET */
    const char *path;
    const char *range; /* header; NULL: none */
} RelayRequest;

typedef struct {
    /* A request came: relay_call_answer() once, now or later.  Not relay_http_free(). */
    void (*asked)(RelayCall *call, const RelayRequest *request, gpointer user_data);
    /* The call is over: its answer is out (`sent` bytes of a body), or the connection is gone.  The
     * call must not be used any more. */
    void (*ended)(RelayCall *call, gint64 sent, gpointer user_data);
} RelayHttpEvents;

typedef struct {
    guint status;
    gint64 size;   /* of the whole, for Content-Range; -1: none is sent */
    gint64 offset; /* of the body in the whole */
    gint64 length; /* of the body; with HEAD only told */
    /* The next bytes of the body: at least one, at most `*length`, which becomes how many they are;
     * valid until the next call.  NULL: cannot be had, the connection is cut, since nothing else
     * would tell that the answer is not whole. */
    const guint8 *(*body)(gint64 offset, gsize *length, gpointer body_data);
    gpointer body_data;
} RelayAnswer;

/* `port` 0: any.  RELAY_ERROR_PORT. */
RelayHttp *relay_http_new(guint16 port, Clock *clock, const RelayHttpEvents *events,
                          gpointer user_data, GError **error);
/* Cuts all connections, with ended() for what was not answered.  Not from within asked() and
 * ended(). */
void relay_http_free(RelayHttp *http);
guint16 relay_http_port(const RelayHttp *http);
/* Whether there is something to read on a connection that has nothing else to wait for. */
gboolean relay_http_is_asked(const RelayHttp *http);

/* `answer` is copied.  Outside of asked() the connection gets what it takes at once; ended() comes
 * later. */
void relay_call_answer(RelayCall *call, const RelayAnswer *answer);
/* The request was a right one: its connection is RAUC's. */
void relay_call_trust(RelayCall *call);
/* For the owner. */
void relay_call_set_data(RelayCall *call, gpointer data);
gpointer relay_call_data(const RelayCall *call);
