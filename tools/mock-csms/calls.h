/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mock's own CALLs: those that wait (first in, first out) and those that are open on a
 * connection. A connection is an opaque pointer here.
 *
 * An answer that comes after the timeout is late, not wrong: the ids of timed-out CALLs are kept.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

/* CALLs that wait for a charge point, and CALLs that are open at once. */
#define CALLS_WAITING_MAX 1024
#define CALLS_OPEN_MAX    256
/* Timed-out CALLs whose late answer is still recognised. */
#define CALLS_LATE_MAX 256

typedef struct Calls Calls;

typedef struct {
    json_t *id;      /* a string; anything at all when the CALL was a raw frame */
    char *action;    /* "" when a raw frame had none */
    json_t *payload; /* NULL when a raw frame had none */
    gboolean raw;    /* does not count as the one open CALL */
} Call;

/* An open CALL ended without an answer; why: static text. */
typedef void (*CallUnanswered)(gpointer user, gconstpointer connection, const Call *call,
                               const char *why);

/* timeout in microseconds. */
Calls *calls_new(gint64 timeout, CallUnanswered unanswered, gpointer user);
void calls_free(Calls *calls);

/* A new CALL with the next id. Takes payload over. */
Call *call_new(Calls *calls, const char *action, json_t *payload);
/* Reads a CALL out of a raw frame; NULL when there is none in it, and so no answer to wait for. */
Call *call_new_raw(const char *text, gsize length);
void call_free(Call *call);
/* [2,id,action,payload] as text. */
GBytes *call_to_text(const Call *call);

/* Puts a CALL at the end of the queue and takes it over; FALSE with error (and call freed) when
 * full. */
gboolean calls_push(Calls *calls, Call *call, GError **error);
/* The next CALL to send when none but raw ones is open, else NULL. The caller owns it. */
Call *calls_next(Calls *calls);
/* The CALL is on its way: takes it over and starts its timeout. */
void calls_open(Calls *calls, Call *call, gconstpointer connection);
/* The open CALL with this id, which the caller then owns; NULL: there is none. */
Call *calls_take(Calls *calls, gconstpointer connection, const json_t *id);
/* TRUE when the id is that of a CALL that timed out. */
gboolean calls_is_late(const Calls *calls, const json_t *id);
/* The connection has ended: its open CALLs stay without an answer. */
void calls_disconnected(Calls *calls, gconstpointer connection);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Call, call_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Calls, calls_free)
