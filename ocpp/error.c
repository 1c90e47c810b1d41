/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of the CALLERROR codes, both ways.
 */
#include "ocpp/error.h"

static const char *const names[OCPP_N_ERROR_CODES] = {
    [OCPP_NOT_IMPLEMENTED] = "NotImplemented",
    [OCPP_NOT_SUPPORTED] = "NotSupported",
    [OCPP_INTERNAL_ERROR] = "InternalError",
    [OCPP_PROTOCOL_ERROR] = "ProtocolError",
    [OCPP_SECURITY_ERROR] = "SecurityError",
    [OCPP_FORMATION_VIOLATION] = "FormationViolation",
    [OCPP_PROPERTY_CONSTRAINT_VIOLATION] = "PropertyConstraintViolation",
    /* One r: the specification's own spelling, so the one that peers compare with. */
    [OCPP_OCCURENCE_CONSTRAINT_VIOLATION] = "OccurenceConstraintViolation",
    [OCPP_TYPE_CONSTRAINT_VIOLATION] = "TypeConstraintViolation",
    [OCPP_GENERIC_ERROR] = "GenericError",
};

/* What others write instead: 2.0.1's name, and the dictionary's spelling. */
static const struct {
    const char *name;
    OcppErrorCode code;
} variants[] = {
    {"FormatViolation", OCPP_FORMATION_VIOLATION},
    {"OccurrenceConstraintViolation", OCPP_OCCURENCE_CONSTRAINT_VIOLATION},
};

const char *ocpp_error_code_name(OcppErrorCode code)
{
    g_return_val_if_fail((guint)code < OCPP_N_ERROR_CODES, NULL);
    return names[code];
}

gboolean ocpp_error_code_from_name(const char *name, OcppErrorCode *ret_code)
{
    for (guint code = 0; code < OCPP_N_ERROR_CODES; code++) {
        if (g_strcmp0(name, names[code]) == 0) {
            *ret_code = (OcppErrorCode)code;
            return TRUE;
        }
    }
    for (gsize i = 0; i < G_N_ELEMENTS(variants); i++) {
        if (g_strcmp0(name, variants[i].name) == 0) {
            *ret_code = variants[i].code;
            return TRUE;
        }
    }
    return FALSE;
}
