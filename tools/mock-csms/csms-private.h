/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the CSMS (csms.c, receive.c, send.c, upgrade.c) share; nobody else includes
 * it. */
#pragma once

#include "calls.h"
#include "csms.h"
#include "order.h"

typedef struct ChargePoint ChargePoint;

struct Csms {
    Server *server;
    Log *log;
    Answers *answers;
    Faults *faults;
    Calls *calls;
    GHashTable *charge_points; /* identity -> ChargePoint */
    ChargePoint *current;      /* connected last; commands act on it */
    CsmsObserver observer;
    gpointer observer_user;

    char *identity;
    char *authorization; /* the header that is demanded, or NULL */
    gint64 call_timeout; /* microseconds */
    guint delay_ms;
    guint refusal;
    guint64 frames;
    guint64 errors;
};

struct ChargePoint {
    Csms *csms;
    char *identity;
    Link *link; /* NULL while not connected */
    Order *order;
    GQueue delayed; /* answers that wait; they die with the connection */
};

/* upgrade.c */
char *upgrade_identity(const char *path);
guint upgrade_judge(gpointer user, const char *path, const json_t *headers);

/* receive.c */
void receive_message(gpointer user, Link *link, const char *data, gsize length, gboolean binary);
void receive_overflow(gpointer user, Link *link);

/* send.c */
/* Answers a CALL, and tells the observer of the CALL when the answer is out (at once when it is
 * delayed). */
void send_answer(ChargePoint *charge_point, const Frame *frame, json_t *conf);
void send_error(ChargePoint *charge_point, const Frame *frame, const char *code,
                const char *description);
/* Sends the next waiting CALL when it may go out now. */
void send_next_call(Csms *csms);
void send_forget_delayed(ChargePoint *charge_point);
void send_written(gpointer user, Link *link, GBytes *text, guint fragments, gpointer tag);

/* csms.c */
void csms_tell(Csms *csms, const char *what, const json_t *payload);
