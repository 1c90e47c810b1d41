/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The listening socket, kept apart from libwebsockets so that it can be closed, opened again with
 * the same number, and paused.
 */
#pragma once

#include <glib.h>

typedef struct Listener Listener;

/* A connection came in; the function owns fd. */
typedef void (*ListenerAccepted)(gpointer user, int fd);

/* Opens the port (0: the kernel chooses) and reserves it until listener_free(). */
Listener *listener_new(const char *address, guint16 port, ListenerAccepted accepted, gpointer user,
                       GError **error);
void listener_free(Listener *listener);

guint16 listener_port(const Listener *listener);
/* Off: the port refuses connections. */
gboolean listener_set_open(Listener *listener, gboolean open, GError **error);
/* Paused: the kernel completes connections, nobody takes them. */
void listener_set_paused(Listener *listener, gboolean paused);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Listener, listener_free)
