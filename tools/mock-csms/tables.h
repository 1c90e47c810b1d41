/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a charge point may say: every request of OCPP 1.6 and of its security whitepaper that comes
 * from a charge point, and every answer to a request of a CSMS, field by field (C 6, W 5, W 6).
 *
 * Written apart from the agent's own tables on purpose: one error cannot hide in both.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "findings.h"

typedef enum {
    FIELD_STRING,    /* limit: most characters, 0 = any; values: the enumeration, "A|B|C" */
    FIELD_DATE_TIME, /* RFC 3339 with a zone */
    FIELD_INTEGER,
    FIELD_UNSIGNED, /* integer >= 0 */
    FIELD_POSITIVE, /* integer > 0 */
    FIELD_NUMBER,
    FIELD_BOOLEAN,
    FIELD_OBJECT,  /* fields */
    FIELD_OBJECTS, /* array of objects; fields; limit: least elements */
    FIELD_STRINGS, /* array of strings; limit: most characters of each */
} FieldType;

typedef struct Field {
    const char *name;
    FieldType type;
    gboolean required;
    guint limit;
    const char *values;
    const struct Field *fields;
} Field;

typedef struct {
    const char *action;
    const Field *request; /* from the charge point; NULL: only a CSMS sends this */
    const Field *result;  /* the charge point's answer; NULL: only a charge point sends this */
    void (*check)(const json_t *payload, gboolean result, Findings *findings); /* or NULL */
} Action;

/* NULL: no such action in OCPP 1.6. */
const Action *action_find(const char *name);
