/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The error codes of a CALLERROR (J 4.2.3), spelled as the specification spells them.
 * OCPP.md of the design calls for two misspellings to be understood on receipt; they are never
 * sent.
 */
#pragma once

#include <glib.h>

typedef enum {
    OCPP_NOT_IMPLEMENTED,
    OCPP_NOT_SUPPORTED,
    OCPP_INTERNAL_ERROR,
    OCPP_PROTOCOL_ERROR,
    OCPP_SECURITY_ERROR,
    OCPP_FORMATION_VIOLATION,
    OCPP_PROPERTY_CONSTRAINT_VIOLATION,
    OCPP_OCCURENCE_CONSTRAINT_VIOLATION,
    OCPP_TYPE_CONSTRAINT_VIOLATION,
    OCPP_GENERIC_ERROR,
    OCPP_N_ERROR_CODES
} OcppErrorCode;

/* The name for the wire.  Never NULL for a valid code. */
const char *ocpp_error_code_name(OcppErrorCode code);

/* Understands every name above and the variants FormatViolation and OccurrenceConstraintViolation.
 * FALSE for any other name; `ret_code` is then untouched. */
gboolean ocpp_error_code_from_name(const char *name, OcppErrorCode *ret_code);
