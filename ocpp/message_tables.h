/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shape of a field table.  Internal to ocpp/message*.c, and read by the tool that prints the
 * tables so that a test can compare them with the published schemas.
 */
#pragma once

#include <glib.h>

#include "ocpp/message.h"

typedef enum {
    OCPP_FIELD_STRING,
    OCPP_FIELD_DATE_TIME,
    OCPP_FIELD_INTEGER,
    OCPP_FIELD_BOOLEAN,
    OCPP_FIELD_STRINGS, /* an array of strings, `max_length` is that of each */
    OCPP_FIELD_OBJECTS  /* an array of objects, `fields` is the table of each */
} OcppFieldType;

typedef struct _OcppField OcppField;

struct _OcppField {
    const char *name; /* NULL ends a table */
    OcppFieldType type;
    gboolean required;
    guint max_length; /* strings: Unicode characters; 0: bounded by the size of a message only */
    const char *const *values; /* strings: the enum, NULL-terminated; NULL: any */
    gint64 lowest, highest;    /* integers */
    const OcppField *fields;
};

typedef struct {
    const char *action;
    OcppMessageKind kind;
    const OcppField *fields;
} OcppMessageTable;

/* All tables, `*ret_n_tables` of them. */
const OcppMessageTable *ocpp_message_tables(gsize *ret_n_tables);

/* NULL when there is none. */
const OcppMessageTable *ocpp_message_table_find(const char *action, OcppMessageKind kind);
