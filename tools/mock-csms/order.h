/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one charge point may send when: the rules that need memory. One object per identity; it
 * lives over reconnects.
 *
 * - message ids are never used twice, also not after a reconnect (J 4.1.4, as SteVe demands it)
 * - one CALL is open at a time (J 4.1.1)
 * - before BootNotification is Accepted nothing else is sent; Pending: only what was triggered;
 *   Rejected: nothing at all until the interval ends (C 4.2)
 * - firmware and diagnostics statuses come in a true order (statuses.h)
 *
 * Times are microseconds of the monotonic clock and passed in.
 */
#pragma once

#include <glib.h>

#include "findings.h"
#include "validate.h"

typedef enum {
    REGISTRATION_NONE, /* no BootNotification was answered yet */
    REGISTRATION_PENDING,
    REGISTRATION_REJECTED,
    REGISTRATION_ACCEPTED,
} Registration;

typedef struct Order Order;

/* call_timeout: after so long an unanswered CALL of the charge point no longer counts as open. */
Order *order_new(gint64 call_timeout);
void order_free(Order *order);

void order_connected(Order *order);
void order_disconnected(Order *order);

/* A CALL with a usable id came in. */
void order_call(Order *order, const Frame *frame, gint64 now, Findings *findings);
/* A CALLRESULT or CALLERROR came in. */
void order_answer(Order *order, Findings *findings);
/* The mock's answer to the charge point's CALL was written; conf NULL: a CALLERROR. */
void order_answered(Order *order, const char *id, const char *action, const json_t *conf,
                    gint64 now);
/* Reading goes on after a freeze: CALLs that piled up are not held against the charge point. */
void order_thawed(Order *order);
/* A CALL was sent that begins a job, or any other. */
void order_sent(Order *order, const char *action);
/* TriggerMessage (extended FALSE) or ExtendedTriggerMessage was answered Accepted. */
void order_triggered(Order *order, const json_t *request, gboolean extended);

Registration order_registration(const Order *order);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Order, order_free)
