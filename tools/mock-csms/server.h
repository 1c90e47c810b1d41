/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sockets: one port that speaks HTTP, upgrades to WebSocket, and serves /bundles/. Knows
 * nothing of OCPP but the name of the sub-protocol. Runs in the GLib main loop; every callback
 * comes from it.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

/* The largest WebSocket message that is read (else close 1009) or sent. */
#define MESSAGE_MAX 1048576
/* Sockets open at once, messages and bytes that wait to be written to one of them. */
#define LINKS_MAX      256
#define OUT_QUEUE_MAX  1024
#define OUT_BYTES_MAX  8388608
#define BIND_ANY_PORT  0
#define SUBPROTOCOL    "ocpp1.6"
#define BUNDLES_PREFIX "/bundles/"

typedef struct Server Server;
typedef struct Link Link; /* one connection of a client */

typedef struct {
    const char *bind_address;
    guint16 port;        /* BIND_ANY_PORT: the kernel chooses */
    const char *bundles; /* folder behind /bundles/, or NULL */
    const char *tls_cert;
    const char *tls_key;
    const char *tls_ca;      /* client certificates signed by it are required */
    gboolean no_subprotocol; /* complete the handshake without selecting one */
} ServerOptions;

typedef struct {
    /* A client asks for a WebSocket: 0 lets it in, else the HTTP status to refuse it with. */
    guint (*upgrade)(gpointer user, const char *path, const json_t *headers);
    void (*connected)(gpointer user, Link *link, const char *path, json_t *headers);
    void (*received)(gpointer user, Link *link, const char *data, gsize length, gboolean binary);
    /* More than MESSAGE_MAX came; the connection is being closed with 1009. */
    void (*overflow)(gpointer user, Link *link);
    /* A message has been handed to the kernel. */
    void (*written)(gpointer user, Link *link, GBytes *text, guint fragments, gpointer tag);
    /* by: "charge point", "csms" or "nobody" (the socket just ended; code 1006). Link is gone
     * afterwards. */
    void (*disconnected)(gpointer user, Link *link, int code, const char *by);
    /* A plain HTTP request was served. Takes fields over. */
    void (*served)(gpointer user, json_t *fields);
} ServerHandler;

Server *server_new(const ServerOptions *options, const ServerHandler *handler, gpointer user,
                   GError **error);
void server_free(Server *server);

guint16 server_port(const Server *server);
/* Closes or opens the listening port, always of the same number. Open connections stay. */
gboolean server_listen(Server *server, gboolean on, GError **error);
/* Neither reads nor writes nor accepts any more, but keeps every TCP connection open. */
void server_freeze(Server *server, gboolean on);

/* Queues one text message, split in so many WebSocket fragments. tag comes back in written() and is
 * freed with free_tag in any case. FALSE: the queue is full or the link is closing. */
gboolean link_send(Link *link, GBytes *text, guint fragments, gpointer tag,
                   GDestroyNotify free_tag);
/* Closing handshake with this code, after what is queued. */
void link_close(Link *link, guint16 code);
/* Ends the TCP connection without a word. */
void link_drop(Link *link);

void link_set_data(Link *link, gpointer data);
gpointer link_get_data(const Link *link);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Server, server_free)
