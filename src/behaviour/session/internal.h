/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the session share.
 *
 *   session.c   the connection, the order of what goes out, answers to our CALLs, timers
 *   actions.c   the CSMS's CALLs: a table of actions and a function each
 *   state.c     what the CSMS may change and what must outlive a restart: configuration keys, availability
 */
#pragma once

#include "behaviour/session.h"
#include "ocpp/calls.h"
#include "ocpp/configuration.h"
#include "ocpp/error.h"
#include "ocpp/frame.h"

struct _Session {
    SessionConfig config; /* with strings of its own */
    Store *store;
    Clock *clock;
    SessionEvents events;
    gpointer user_data;

    OcppRegistration *registration;
    OcppCalls *calls;
    OcppConfiguration *configuration;
    gboolean *inoperative; /* connectors + 1 entries, as ChangeAvailability left them */

    gboolean connected;
    gboolean answering; /* a CALL of the CSMS: what it causes goes out after its answer */
    gboolean firmware_status_wanted,
        diagnostics_status_wanted; /* TriggerMessage: behind the outbox */
    guint outbox_rows;
    gint64 delivered;         /* row that the CSMS has answered and the store still has; 0: none */
    gboolean told_unreadable; /* the log knows that the outbox cannot be read */
    gint64 outbox_not_before_ms;
    guint outbox_tries;
    guint bad_frames;
    guint timer;
};

/* session.c: sends what may go out now. */
void session_pump(Session *session);
/* Queues a CALL of our own; `payload` is stolen.  `forced`: asked for by a TriggerMessage. */
gboolean session_queue(Session *session, const char *action, json_t *payload, gboolean forced);

/* actions.c: the answer to a CALL, as text; never NULL. */
char *session_answer(Session *session, const OcppFrame *call);
/* Queues the StatusNotification of one connector. */
gboolean session_queue_status(Session *session, guint connector, gboolean forced);

/* state.c */
void session_state_load(Session *session);
/* C 4.2: the interval of an Accepted becomes HeartbeatInterval; with 0 the CSMS leaves it to us,
 * and the key's value counts. */
void session_state_take_interval(Session *session, gint64 interval_s);
gboolean session_state_keep_key(Session *session, const char *key, const char *value);
gboolean session_state_keep_availability(Session *session, guint connector, gboolean inoperative);
