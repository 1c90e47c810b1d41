/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mock CSMS itself: judges each frame of each charge point, answers it, and sends what it is
 * told to send. Commands act on the charge point that connected last.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "answers.h"
#include "faults.h"
#include "log.h"
#include "server.h"

/* Identities known at once; more are refused with 503. */
#define CHARGE_POINTS_MAX 256
/* The longest answer delay. */
#define DELAY_MAX_MS 3600000

typedef struct Csms Csms;

typedef struct {
    const char *identity;   /* the only one let in, or NULL */
    const char *basic_user; /* NULL: no Basic authentication */
    GBytes *basic_password; /* may hold any byte */
    double call_timeout;    /* seconds, for the CALLs of both sides */
} CsmsOptions;

/* Something of note came from a charge point: a request's action, "ACTION.conf", "ACTION.error",
 * "connected" or "disconnected"; payload may be NULL. */
typedef void (*CsmsObserver)(gpointer user, const char *what, const json_t *payload);

Csms *csms_new(const CsmsOptions *csms_options, const ServerOptions *server_options, Log *log,
               GError **error);
void csms_free(Csms *csms);

void csms_observe(Csms *csms, CsmsObserver observer, gpointer user);

Answers *csms_answers(Csms *csms);
Faults *csms_faults(Csms *csms);
Server *csms_server(Csms *csms);
Log *csms_log(Csms *csms);

/* Sends a CALL when a registered charge point is there and no other CALL is open. now: at once,
 * whatever is open, whatever the registration; an error when nobody is connected. Takes payload
 * over. */
gboolean csms_call(Csms *csms, const char *action, json_t *payload, gboolean now, GError **error);
/* A DataTransfer CALL whose frame has exactly so many bytes. */
gboolean csms_call_of_size(Csms *csms, gsize size, gboolean now, GError **error);
/* Any bytes as one text message, in so many fragments, at once. */
gboolean csms_raw(Csms *csms, GBytes *text, guint fragments, GError **error);

/* Milliseconds that every later answer waits. */
void csms_set_delay(Csms *csms, guint delay_ms);
/* HTTP status for every later upgrade, 0: let them in. */
void csms_set_refusal(Csms *csms, guint status);
gboolean csms_close(Csms *csms, guint16 code, GError **error);
gboolean csms_drop(Csms *csms, GError **error);
void csms_freeze(Csms *csms, gboolean on);

/* Ends every connection and the listening port; nothing comes in any more. */
void csms_stop(Csms *csms);

/* Frames that came in so far, and how many faults were found in them. */
guint64 csms_frames(const Csms *csms);
guint64 csms_errors(const Csms *csms);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Csms, csms_free)
