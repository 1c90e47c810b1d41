/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CALLs of this side: a bounded queue, and the one CALL that may be open (J 4.1.1, JE 3.4).
 * Pure: the caller passes the time in milliseconds of any monotonic clock, and does the sending.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "ocpp/frame.h"

#define OCPP_CALLS_MAX_QUEUED 64

typedef struct _OcppCalls OcppCalls;

/* What the caller knows a CALL by when it ends. */
typedef struct {
    char *action;
    gint64 tag;      /* the caller's own, e.g. a row of the outbox; 0 for none */
    gboolean forced; /* asked for by a TriggerMessage: may go out while registration is Pending */
} OcppCallInfo;

typedef enum {
    OCPP_CALL_RESULT,  /* answered with a CALLRESULT: `frame` has it */
    OCPP_CALL_ERROR,   /* answered with a CALLERROR: `frame` has it */
    OCPP_CALL_TIMEOUT, /* not answered in time */
    OCPP_CALL_LOST     /* the connection went away while it was open */
} OcppCallEnd;

/* `timeout_ms`: how long an answer is waited for. */
OcppCalls *ocpp_calls_new(gint64 timeout_ms);
void ocpp_calls_free(OcppCalls *calls);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OcppCalls, ocpp_calls_free)

/* Queues a CALL at the end.  `payload` is stolen in any case (NULL means {}).  FALSE when the queue
 * is full: nothing is queued. */
gboolean ocpp_calls_enqueue(OcppCalls *calls, const char *action, json_t *payload, gint64 tag,
                            gboolean forced);

/* Whether a CALL of that action waits in the queue or is open. */
gboolean ocpp_calls_has(const OcppCalls *calls, const char *action);

/* Whether no CALL is open. */
gboolean ocpp_calls_idle(const OcppCalls *calls);

/* Opens a CALL at once, bypassing the queue (BootNotification, outbox).  Only when idle, else NULL.
 * `payload` is stolen in any case.  Returns the text to send; free with g_free(). */
char *ocpp_calls_open(OcppCalls *calls, const char *action, json_t *payload, gint64 tag,
                      gint64 now_ms);

/* Opens the first queued CALL (the first forced one when `only_forced`).  NULL when none may go or
 * one is open. */
char *ocpp_calls_open_next(OcppCalls *calls, gboolean only_forced, gint64 now_ms);

/* An answer came.  TRUE when it belongs to the open CALL, which is then closed and described in
 * `ret_info` (may be NULL here and below; else strings owned by the caller:
 * ocpp_call_info_clear()).  FALSE for an answer to nothing: log it, ignore it. */
gboolean ocpp_calls_answered(OcppCalls *calls, const OcppFrame *frame, OcppCallInfo *ret_info);

/* When the open CALL times out, or -1. */
gint64 ocpp_calls_deadline(const OcppCalls *calls);

/* Closes the open CALL if its time is over / unconditionally (connection lost).  TRUE when there
 * was one. */
gboolean ocpp_calls_expire(OcppCalls *calls, gint64 now_ms, OcppCallInfo *ret_info);
gboolean ocpp_calls_abandon(OcppCalls *calls, OcppCallInfo *ret_info);

/* Empties the queue (not the open CALL). */
void ocpp_calls_clear_queue(OcppCalls *calls);

void ocpp_call_info_clear(OcppCallInfo *info);
