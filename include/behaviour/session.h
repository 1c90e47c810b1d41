/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The session with the CSMS: registration, the one open CALL, the outbox, heartbeats, and the
 * answers to what the CSMS asks (src/behaviour/session/actions.c has the table).  It knows no
 * socket: text goes out through an event and comes in through session_message().
 */
#pragma once

#include <glib.h>

#include "adapter/clock.h"
#include "db/store.h"
#include "ocpp/registration.h"

#define SESSION_OUTBOX_RETRY_FIRST_MS 10000 /* a status that was not answered: doubled each time */
#define SESSION_OUTBOX_RETRY_MAX_MS   300000
#define SESSION_STORE_RETRY_MS        5000 /* the store said no */
#define SESSION_MAX_CONNECTORS        100

typedef struct {
    const char *vendor, *model;                   /* required */
    const char *serial_number, *firmware_version; /* may be NULL */
    guint connectors;
    gint64 call_timeout_ms;
    gboolean boot_notification_on_reconnect;
    guint security_profile;
    guint ping_interval_s;
} SessionConfig;

typedef struct {
    const char *location;
    gboolean has_retrieve_date;
    gint64 retrieve_date_ms;
    gint64 retries, retry_interval_s; /* -1: absent */
} SessionUpdateFirmware;

typedef struct {
    const char *location;
    gint64 start_ms, stop_ms;         /* G_MININT64, G_MAXINT64: absent */
    gint64 retries, retry_interval_s; /* -1: absent */
} SessionGetDiagnostics;

/* What the session needs of the rest; called from the main loop. */
typedef struct {
    /* Sends one text message; FALSE when it cannot. */
    gboolean (*send)(const char *text, gpointer user_data);
    void (*registration)(OcppRegistrationStatus status, gpointer user_data);
    void (*csms_time)(gint64 csms_ms, gpointer user_data);
    /* UpdateFirmware.req.  FALSE with `error`: answered with InternalError. */
    gboolean (*update_firmware)(const SessionUpdateFirmware *request, gpointer user_data,
                                GError **error);
    /* GetDiagnostics.req; `*ret_file_name` (g_free()): NULL when there is nothing to upload.  FALSE
     * as above. */
    gboolean (*get_diagnostics)(const SessionGetDiagnostics *request, char **ret_file_name,
                                gpointer user_data, GError **error);
    /* The status that TriggerMessage FirmwareStatusNotification, DiagnosticsStatusNotification asks
     * for; borrowed. */
    const char *(*firmware_status)(gpointer user_data);
    const char *(*diagnostics_status)(gpointer user_data);
    /* Reset.req: FALSE answers Rejected. */
    gboolean (*reset)(gboolean hard, gpointer user_data);
    /* How many rows the outbox has now. */
    void (*outbox)(guint rows, gpointer user_data);
    /* WebSocketPingInterval was changed. */
    void (*ping_interval)(guint seconds, gpointer user_data);
} SessionEvents;

typedef struct _Session Session;

/* `config` and its strings are copied; the rest is borrowed. */
Session *session_new(const SessionConfig *config, Store *store, Clock *clock,
                     const SessionEvents *events, gpointer user_data);
void session_free(Session *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Session, session_free)

void session_connected(Session *session);
void session_disconnected(Session *session);
void session_message(Session *session, const char *text, gsize length);

/* Something was put into the outbox. */
void session_outbox_changed(Session *session);

OcppRegistrationStatus session_registration(const Session *session);
gboolean session_is_connected(const Session *session);
guint session_bad_frames(
    const Session *session); /* messages that could not be answered, since the start */
guint session_ping_interval(const Session *session);
