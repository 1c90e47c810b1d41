/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Field tables: what the payload of each message must look like, and one function that checks a
 * payload by them. Covers the messages that this charge point sends or understands; the list of all
 * actions is in ocpp/action.h.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "ocpp/error.h"

typedef enum { OCPP_REQUEST, OCPP_CONFIRMATION } OcppMessageKind;

/* Checks `payload` against the table of `action` (TRUE also when there is no table for it: see
 * ocpp_message_known()).  Violations and their codes, first one found in the table's order:
 *   not an object                     FormationViolation
 *   required field missing (or null)  OccurenceConstraintViolation
 *   wrong JSON type                   TypeConstraintViolation (60.0 is an integer; optional null is absent)
 *   too long, not in the enum, number
 *   out of bounds, not a date-time    PropertyConstraintViolation
 * Unknown extra fields are accepted: real CSMSs add them.  On FALSE
 * `*ret_code` and `*ret_what` (a sentence naming the field; free with g_free()) are set. */
gboolean ocpp_message_check(const char *action, OcppMessageKind kind, const json_t *payload,
                            OcppErrorCode *ret_code, char **ret_what);

/* The name of the first field of `payload` that the table does not know, or NULL. Borrowed from
 * `payload`. */
const char *ocpp_message_unknown_field(const char *action, OcppMessageKind kind,
                                       const json_t *payload);

/* Whether there is a table for it. */
gboolean ocpp_message_known(const char *action, OcppMessageKind kind);

/* Helpers to read a payload that has been checked.  Absent (or null) gives the fallback. */
const char *ocpp_string(const json_t *payload, const char *field); /* borrowed, NULL when absent */
gint64 ocpp_integer(const json_t *payload, const char *field, gint64 fallback);
gboolean ocpp_has(const json_t *payload, const char *field);
