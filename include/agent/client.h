/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other side of the control interface: what the sub-commands ask of the agent that runs.  All
 * of it waits for the answer, CLIENT_TIMEOUT_S at most.  The messages of the errors are for people.
 */
#pragma once

#include <gio/gio.h>

#define CLIENT_TIMEOUT_S 25

#define CLIENT_ERROR (client_error_quark())
GQuark client_error_quark(void);

typedef enum {
    CLIENT_ERROR_BUS,         /* the system bus cannot be reached */
    CLIENT_ERROR_NOT_RUNNING, /* nobody owns the agent's name */
    CLIENT_ERROR_DENIED,      /* the bus policy forbids it to this user */
    CLIENT_ERROR_REFUSED,     /* the agent says no, in its own words */
    CLIENT_ERROR_ANSWER,      /* no answer, or not one of ours */
} ClientError;

typedef struct _Client Client;

/* A connection to the system bus (DBUS_SYSTEM_BUS_ADDRESS is honoured). */
Client *client_new(GError **error);
void client_free(Client *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_free)

GVariant *client_status(Client *client, GError **error);               /* a{sv} */
GVariant *client_history(Client *client, guint limit, GError **error); /* aa{sv} */
GVariant *client_report(Client *client, GError **error);               /* a{ss} */
/* A URL or an absolute path. */
gboolean client_install(Client *client, const char *source, GError **error);
/* Cancel, Confirm or AllowReboot. */
gboolean client_act(Client *client, const char *method, GError **error);
/* The file descriptor (close-on-exec) that holds the reboot back while it is open; -1 with
 * `error`. */
int client_inhibit(Client *client, const char *who, const char *why, GError **error);
