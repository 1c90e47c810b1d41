/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The WebSocket client to the CSMS (J 3, 6): libwebsockets in the GLib main loop.  It connects,
 * keeps connecting with back-off and jitter, checks the sub-protocol `ocpp1.6`, reassembles
 * fragments, pings, and closes properly. Names are resolved with GResolver, so that a silent
 * resolver blocks nothing.  Callbacks come from the main loop.
 */
#pragma once

#include <glib.h>

#include "adapter/clock.h"
#include "adapter/tls.h"

#define WS_SUBPROTOCOL "ocpp1.6"

#define WS_MAX_URL      1024
#define WS_MAX_IDENTITY 255 /* bytes */

/* Connecting: the addresses of the name are tried one after the other. */
#define WS_RESOLVE_TIMEOUT_S 10
#define WS_MAX_ADDRESSES     8
#define WS_CONNECT_TIMEOUT_S 30 /* each address: from TCP connect to the end of the upgrade */

/* Back-off with full jitter; a connection that lived WS_STABLE_MS resets it.  The long cap applies
 * WS_BACKOFF_LONG_AFTER_MS into an outage; for 401 and 404 after WS_REFUSED_QUICK_TRIES tries. */
#define WS_BACKOFF_FLOOR_MS      100
#define WS_BACKOFF_FIRST_MS      1000
#define WS_BACKOFF_CAP_MS        30000
#define WS_BACKOFF_LONG_CAP_MS   300000
#define WS_BACKOFF_LONG_AFTER_MS 300000
#define WS_REFUSED_QUICK_TRIES   3
#define WS_STABLE_MS             10000

/* A pong may take as long as the ping interval, within these bounds; then the link is dead. */
#define WS_PONG_WAIT_MIN_S     2
#define WS_PONG_WAIT_MAX_S     30
#define WS_PING_INTERVAL_MAX_S 65000 /* longer ones count as this */

#define WS_MAX_SEND_QUEUE 1024 /* messages; a peer that makes it overflow is disconnected */
#define WS_GOODBYE_MS     1000 /* ws_client_free(): rest of the queue, close, peer's answer */

#define WS_CLIENT_ERROR (ws_client_error_quark())
GQuark ws_client_error_quark(void);
typedef enum {
    WS_CLIENT_ERROR_URL,     /* URL or identity cannot be used */
    WS_CLIENT_ERROR_LIBRARY, /* libwebsockets or its GLib plugin does not start */
} WsClientErrorCode;

typedef struct {
    char *url;                 /* ws:// or wss://, without the identity */
    char *identity;            /* appended percent-encoded */
    GBytes *authorization_key; /* the decoded password of Basic auth (user = identity); NULL: none;
                                  may hold NUL bytes */
    guint ping_interval_s;     /* WebSocketPingInterval; 0 = off */
    gsize max_message_bytes;   /* a longer message closes the connection with 1009 */
    guint connect_timeout_s;   /* 0: WS_CONNECT_TIMEOUT_S; bounds resolving the name, too */
} WsClientConfig;

/* Each callback may call every function below, ws_client_free() included. */
typedef struct {
    void (*connected)(gpointer user_data);
    /* A whole text message; not NUL-terminated, valid during the call. */
    void (*message)(const char *text, gsize length, gpointer user_data);
    /* Was connected and is not any more.  `why` in words, for people. */
    void (*disconnected)(const char *why, gpointer user_data);
    /* An attempt failed: `why` in words that a technician understands, `retry_ms` until the next
     * one. */
    void (*failed)(const char *why, gint64 retry_ms, gpointer user_data);
} WsClientEvents;

typedef struct _WsClient WsClient;

/* Copies `config`.  `tls` (for wss; NULL otherwise) and `clock` are borrowed and must live longer.
 * NULL with WS_CLIENT_ERROR.  Does not connect yet. */
WsClient *ws_client_new(const WsClientConfig *config, Tls *tls, Clock *clock,
                        const WsClientEvents *events, gpointer user_data, GError **error);
/* Sends what is queued, closes with 1001, waits for the peer's answer, all within WS_GOODBYE_MS and
 * on this one socket only (the main loop does not turn meanwhile), and frees; no callback is called
 * any more, and `tls` and `clock` may be freed after it.  Called from a callback it returns at once
 * and the main loop does the same in the background. */
void ws_client_free(WsClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WsClient, ws_client_free)

void ws_client_start(WsClient *client);
gboolean ws_client_is_connected(const WsClient *client);
/* Queues one text message (valid UTF-8).  FALSE when not connected or WS_MAX_SEND_QUEUE is reached:
 * nothing is queued. */
gboolean ws_client_send(WsClient *client, const char *text);
/* Changes the ping interval of this and later connections (ChangeConfiguration
 * WebSocketPingInterval).  libwebsockets cannot stop pings on an open connection: 0 makes them
 * WS_PING_INTERVAL_MAX_S apart there, and stops them on the next one. */
void ws_client_set_ping_interval(WsClient *client, guint seconds);

/* Pure helpers, for tests.  `attempt` counts from 0; `random` is uniform over its 32 bits. */
char *ws_client_request_path(const char *url_path, const char *identity);
char *ws_client_basic_auth(const char *identity, GBytes *key); /* "Basic QUwx..." */
gint64 ws_client_backoff_ms(guint attempt, gint64 outage_ms, gboolean refused, guint32 random);
