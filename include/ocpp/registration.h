/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Registration (C 4.2) as a pure machine: when a BootNotification is due, what may be sent, when a
 * Heartbeat is due. Times are milliseconds of any monotonic clock, passed in by the caller.
 *
 * Every start of the process sends BootNotification; a mere reconnect does not once it was Accepted
 * (J 5.4), unless `boot_on_reconnect`.
 */
#pragma once

#include <glib.h>

typedef enum {
    OCPP_REGISTRATION_NONE, /* not answered yet */
    OCPP_REGISTRATION_PENDING,
    OCPP_REGISTRATION_REJECTED,
    OCPP_REGISTRATION_ACCEPTED
} OcppRegistrationStatus;

#define OCPP_DEFAULT_HEARTBEAT_S 300   /* when the CSMS answers interval 0 */
#define OCPP_MAX_INTERVAL_S      86400 /* J 5.3: at least one message a day */
#define OCPP_BOOT_RETRY_FIRST_MS                                                                   \
    10000 /* BootNotification without answer or with a CALLERROR: doubled each time */
#define OCPP_BOOT_RETRY_MAX_MS 300000

typedef struct _OcppRegistration OcppRegistration;

OcppRegistration *ocpp_registration_new(gboolean boot_on_reconnect);
void ocpp_registration_free(OcppRegistration *registration);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OcppRegistration, ocpp_registration_free)

/* On a new connection BootNotification is due at once, but after Pending or Rejected not before the
 * CSMS's interval ends. */
void ocpp_registration_connected(OcppRegistration *registration, gint64 now_ms);
void ocpp_registration_disconnected(OcppRegistration *registration);

/* Whether BootNotification is to be sent now; the caller sends it and says so with _boot_sent(). */
gboolean ocpp_registration_boot_due(const OcppRegistration *registration, gint64 now_ms);
void ocpp_registration_boot_sent(OcppRegistration *registration);

/* BootNotification.conf: `status` as on the wire (checked), `interval_s` as on the wire (0 or less:
 * our default; clamped to OCPP_MAX_INTERVAL_S). */
void ocpp_registration_boot_answered(OcppRegistration *registration, const char *status,
                                     gint64 interval_s, gint64 now_ms);
/* No answer, a CALLERROR, or an answer that fails the check.  A lost connection needs
 * _disconnected() only. */
void ocpp_registration_boot_failed(OcppRegistration *registration, gint64 now_ms);
/* TriggerMessage BootNotification: FALSE (Rejected) once Accepted (CE 3.35), else it is due now. */
gboolean ocpp_registration_boot_triggered(OcppRegistration *registration, gint64 now_ms);

OcppRegistrationStatus ocpp_registration_status(const OcppRegistration *registration);
const char *ocpp_registration_status_name(OcppRegistrationStatus status);

/* Connected and Accepted: CALLs may go out.  Connected and not Rejected: the CSMS's CALLs are
 * answered. */
gboolean ocpp_registration_may_call(const OcppRegistration *registration);
gboolean ocpp_registration_may_answer(const OcppRegistration *registration);

/* Heartbeat (C 4.6): due when nothing was sent for the interval, and once a day for the time
 * whatever was sent (J 5.3). Queue it as soon as it is due: whatever is sent next is taken for it.
 */
void ocpp_registration_set_heartbeat_interval(OcppRegistration *registration, gint64 interval_s);
gint64 ocpp_registration_heartbeat_interval(const OcppRegistration *registration);
void ocpp_registration_sent(OcppRegistration *registration, gint64 now_ms); /* anything was sent */
gboolean ocpp_registration_heartbeat_due(const OcppRegistration *registration, gint64 now_ms);

/* When the next of the above becomes due, or -1 for never. */
gint64 ocpp_registration_next_ms(const OcppRegistration *registration);
