/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registration machine.  A BootNotification is wanted whenever the status is not Accepted:
 * nothing else has to be remembered about it but when the next one may go.
 */
#include "ocpp/registration.h"

#define MS_PER_SECOND G_GINT64_CONSTANT(1000)

struct _OcppRegistration {
    gboolean boot_on_reconnect;
    gboolean connected;
    OcppRegistrationStatus status;

    gboolean boot_in_flight;
    gint64 boot_at_ms; /* the next one, not before */
    gint64 boot_retry_ms;

    gint64 heartbeat_interval_s;
    gint64 last_sent_ms;
    gint64 last_time_ms; /* when a Heartbeat, or the BootNotification, last asked for the time */
};

static const char *const status_names[] = {
    [OCPP_REGISTRATION_NONE] = "None",
    [OCPP_REGISTRATION_PENDING] = "Pending",
    [OCPP_REGISTRATION_REJECTED] = "Rejected",
    [OCPP_REGISTRATION_ACCEPTED] = "Accepted",
};

OcppRegistration *ocpp_registration_new(gboolean boot_on_reconnect)
{
    OcppRegistration *registration = g_new0(OcppRegistration, 1);

    registration->boot_on_reconnect = boot_on_reconnect;
    registration->boot_retry_ms = OCPP_BOOT_RETRY_FIRST_MS;
    registration->heartbeat_interval_s = OCPP_DEFAULT_HEARTBEAT_S;
    return registration;
}

void ocpp_registration_free(OcppRegistration *registration)
{
    g_free(registration);
}

void ocpp_registration_connected(OcppRegistration *registration, gint64 now_ms)
{
    registration->connected = TRUE;
    registration->boot_in_flight = FALSE;
    if (registration->status == OCPP_REGISTRATION_ACCEPTED && registration->boot_on_reconnect)
        registration->status = OCPP_REGISTRATION_NONE;
    /* An interval that the CSMS gave holds on a new connection, too; our own back-off was about the
     * old one. */
    if (registration->status == OCPP_REGISTRATION_NONE)
        registration->boot_at_ms = now_ms;
    else
        registration->boot_at_ms = MAX(registration->boot_at_ms, now_ms);
}

void ocpp_registration_disconnected(OcppRegistration *registration)
{
    registration->connected = FALSE;
    registration->boot_in_flight = FALSE;
}

/* Whether one is to be sent sooner or later. */
static gboolean boot_wanted(const OcppRegistration *registration)
{
    return registration->connected && !registration->boot_in_flight &&
           registration->status != OCPP_REGISTRATION_ACCEPTED;
}

gboolean ocpp_registration_boot_due(const OcppRegistration *registration, gint64 now_ms)
{
    return boot_wanted(registration) && now_ms >= registration->boot_at_ms;
}

void ocpp_registration_boot_sent(OcppRegistration *registration)
{
    registration->boot_in_flight = TRUE;
}

static gint64 clamp_interval(gint64 interval_s)
{
    return interval_s <= 0 ? OCPP_DEFAULT_HEARTBEAT_S : MIN(interval_s, OCPP_MAX_INTERVAL_S);
}

/* NONE for what is no status of the wire. */
static OcppRegistrationStatus status_from_name(const char *name)
{
    for (guint status = OCPP_REGISTRATION_PENDING; status < G_N_ELEMENTS(status_names); status++) {
        if (g_strcmp0(name, status_names[status]) == 0)
            return (OcppRegistrationStatus)status;
    }
    return OCPP_REGISTRATION_NONE;
}

void ocpp_registration_boot_answered(OcppRegistration *registration, const char *status,
                                     gint64 interval_s, gint64 now_ms)
{
    OcppRegistrationStatus answer = status_from_name(status);
    gint64 interval = clamp_interval(interval_s);

    if (answer == OCPP_REGISTRATION_NONE) {
        ocpp_registration_boot_failed(registration, now_ms);
        return;
    }
    registration->status = answer;
    registration->boot_in_flight = FALSE;
    registration->boot_retry_ms = OCPP_BOOT_RETRY_FIRST_MS;
    if (answer == OCPP_REGISTRATION_ACCEPTED) {
        registration->heartbeat_interval_s = interval;
        registration->last_sent_ms = now_ms;
        registration->last_time_ms = now_ms;
    } else {
        registration->boot_at_ms = now_ms + interval * MS_PER_SECOND;
    }
}

void ocpp_registration_boot_failed(OcppRegistration *registration, gint64 now_ms)
{
    registration->boot_in_flight = FALSE;
    registration->boot_at_ms = now_ms + registration->boot_retry_ms;
    registration->boot_retry_ms = MIN(registration->boot_retry_ms * 2, OCPP_BOOT_RETRY_MAX_MS);
}

gboolean ocpp_registration_boot_triggered(OcppRegistration *registration, gint64 now_ms)
{
    if (registration->status == OCPP_REGISTRATION_ACCEPTED)
        return FALSE;
    registration->boot_at_ms = now_ms;
    return TRUE;
}

OcppRegistrationStatus ocpp_registration_status(const OcppRegistration *registration)
{
    return registration->status;
}

const char *ocpp_registration_status_name(OcppRegistrationStatus status)
{
    g_return_val_if_fail((guint)status < G_N_ELEMENTS(status_names), NULL);
    return status_names[status];
}

gboolean ocpp_registration_may_call(const OcppRegistration *registration)
{
    return registration->connected && registration->status == OCPP_REGISTRATION_ACCEPTED;
}

gboolean ocpp_registration_may_answer(const OcppRegistration *registration)
{
    return registration->connected && registration->status != OCPP_REGISTRATION_REJECTED;
}

void ocpp_registration_set_heartbeat_interval(OcppRegistration *registration, gint64 interval_s)
{
    registration->heartbeat_interval_s = clamp_interval(interval_s);
}

gint64 ocpp_registration_heartbeat_interval(const OcppRegistration *registration)
{
    return registration->heartbeat_interval_s;
}

static gint64 heartbeat_at(const OcppRegistration *registration)
{
    return MIN(registration->last_sent_ms + registration->heartbeat_interval_s * MS_PER_SECOND,
               registration->last_time_ms + OCPP_MAX_INTERVAL_S * MS_PER_SECOND);
}

gboolean ocpp_registration_heartbeat_due(const OcppRegistration *registration, gint64 now_ms)
{
    return ocpp_registration_may_call(registration) && now_ms >= heartbeat_at(registration);
}

void ocpp_registration_sent(OcppRegistration *registration, gint64 now_ms)
{
    if (ocpp_registration_heartbeat_due(registration, now_ms))
        registration->last_time_ms = now_ms;
    registration->last_sent_ms = now_ms;
}

gint64 ocpp_registration_next_ms(const OcppRegistration *registration)
{
    if (boot_wanted(registration))
        return registration->boot_at_ms;
    if (ocpp_registration_may_call(registration))
        return heartbeat_at(registration);
    return -1;
}
