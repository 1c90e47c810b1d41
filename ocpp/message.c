/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one function that checks payloads by the field tables, and the helpers that read what was
 * checked.
 */
#include "ocpp/message.h"

#include <string.h>

#include "message_tables.h"
#include "ocpp/datetime.h"

/* What is wrong and where.  The path is put together from the inside out, and only when something
 * is wrong. */
typedef struct {
    OcppErrorCode code;
    char *path;
    char *problem;
} Violation;

static gboolean G_GNUC_PRINTF(3, 4)
    violate(Violation *violation, OcppErrorCode code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    violation->code = code;
    violation->problem = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return FALSE;
}

static gboolean check_string(const OcppField *field, const json_t *value, Violation *violation)
{
    if (!json_is_string(value))
        return violate(violation, OCPP_TYPE_CONSTRAINT_VIOLATION, "must be a string");
    if (field->max_length > 0 && g_utf8_strlen(json_string_value(value), -1) > field->max_length)
        return violate(violation, OCPP_PROPERTY_CONSTRAINT_VIOLATION,
                       "is longer than %u characters", field->max_length);
    if (field->values != NULL && !g_strv_contains(field->values, json_string_value(value)))
        return violate(violation, OCPP_PROPERTY_CONSTRAINT_VIOLATION,
                       "is none of the allowed values");
    return TRUE;
}

static gboolean check_date_time(const OcppField *field, const json_t *value, Violation *violation)
{
    gint64 ms;

    (void)field;
    if (!json_is_string(value))
        return violate(violation, OCPP_TYPE_CONSTRAINT_VIOLATION, "must be a string");
    if (!ocpp_datetime_parse(json_string_value(value), &ms))
        return violate(violation, OCPP_PROPERTY_CONSTRAINT_VIOLATION,
                       "is not a date-time of RFC 3339");
    return TRUE;
}

/* A JSON number without a fraction.  A double beyond gint64 has none either; it is brought to the
 * nearest end. */
static gboolean whole_number(const json_t *value, gint64 *ret_number)
{
    double real = json_real_value(value);

    if (json_is_integer(value)) {
        *ret_number = json_integer_value(value);
        return TRUE;
    }
    if (!json_is_real(value))
        return FALSE;
    if (real >= (double)G_MAXINT64 || real <= (double)G_MININT64) {
        *ret_number = real > 0 ? G_MAXINT64 : G_MININT64;
        return TRUE;
    }
    if ((double)(gint64)real != real)
        return FALSE;
    *ret_number = (gint64)real;
    return TRUE;
}

static gboolean check_integer(const OcppField *field, const json_t *value, Violation *violation)
{
    gint64 number;

    if (!whole_number(value, &number))
        return violate(violation, OCPP_TYPE_CONSTRAINT_VIOLATION, "must be an integer");
    if (number < field->lowest || number > field->highest)
        return violate(violation, OCPP_PROPERTY_CONSTRAINT_VIOLATION,
                       "must be %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, field->lowest,
                       field->highest);
    return TRUE;
}

static gboolean check_boolean(const OcppField *field, const json_t *value, Violation *violation)
{
    (void)field;
    if (!json_is_boolean(value))
        return violate(violation, OCPP_TYPE_CONSTRAINT_VIOLATION, "must be a boolean");
    return TRUE;
}

static gboolean check_fields(const OcppField *fields, const json_t *object, Violation *violation);

static gboolean check_object(const OcppField *field, const json_t *value, Violation *violation)
{
    if (!json_is_object(value))
        return violate(violation, OCPP_TYPE_CONSTRAINT_VIOLATION, "must be an object");
    return check_fields(field->fields, value, violation);
}

static gboolean check_array(const OcppField *field, const json_t *value, Violation *violation)
{
    size_t i;
    const json_t *element;

    if (!json_is_array(value))
        return violate(violation, OCPP_TYPE_CONSTRAINT_VIOLATION, "must be an array");
    json_array_foreach(value, i, element)
    {
        g_autofree char *inner = NULL;

        if (field->type == OCPP_FIELD_STRINGS ? check_string(field, element, violation)
                                              : check_object(field, element, violation))
            continue;
        inner = violation->path;
        violation->path = g_strdup_printf("[%" G_GSIZE_FORMAT "]%s%s", i, inner != NULL ? "." : "",
                                          inner != NULL ? inner : "");
        return FALSE;
    }
    return TRUE;
}

static gboolean check_fields(const OcppField *fields, const json_t *object, Violation *violation)
{
    static gboolean (*const checks[])(const OcppField *, const json_t *, Violation *) = {
        [OCPP_FIELD_STRING] = check_string,   [OCPP_FIELD_DATE_TIME] = check_date_time,
        [OCPP_FIELD_INTEGER] = check_integer, [OCPP_FIELD_BOOLEAN] = check_boolean,
        [OCPP_FIELD_STRINGS] = check_array,   [OCPP_FIELD_OBJECTS] = check_array,
    };

    for (const OcppField *field = fields; field->name != NULL; field++) {
        const json_t *value = json_object_get(object, field->name);
        g_autofree char *inner = NULL;

        if (value == NULL || json_is_null(value)) {
            if (!field->required)
                continue;
            violate(violation, OCPP_OCCURENCE_CONSTRAINT_VIOLATION, "is required");
        } else if (checks[field->type](field, value, violation)) {
            continue;
        }
        inner = violation->path;
        violation->path = g_strconcat(field->name, inner, NULL);
        return FALSE;
    }
    return TRUE;
}

gboolean ocpp_message_check(const char *action, OcppMessageKind kind, const json_t *payload,
                            OcppErrorCode *ret_code, char **ret_what)
{
    const OcppMessageTable *table = ocpp_message_table_find(action, kind);
    const char *suffix = kind == OCPP_REQUEST ? "req" : "conf";
    Violation violation = {OCPP_GENERIC_ERROR, NULL, NULL};

    if (table == NULL)
        return TRUE;
    if (!json_is_object(payload)) {
        *ret_code = OCPP_FORMATION_VIOLATION;
        *ret_what = g_strdup_printf("%s.%s: payload must be an object", action, suffix);
        return FALSE;
    }
    if (check_fields(table->fields, payload, &violation))
        return TRUE;

    *ret_code = violation.code;
    *ret_what = g_strdup_printf("%s.%s: %s %s", action, suffix, violation.path, violation.problem);
    g_free(violation.path);
    g_free(violation.problem);
    return FALSE;
}

static gboolean table_has(const OcppMessageTable *table, const char *name)
{
    for (const OcppField *field = table->fields; field->name != NULL; field++) {
        if (strcmp(field->name, name) == 0)
            return TRUE;
    }
    return FALSE;
}

const char *ocpp_message_unknown_field(const char *action, OcppMessageKind kind,
                                       const json_t *payload)
{
    const OcppMessageTable *table = ocpp_message_table_find(action, kind);
    const char *name;
    json_t *value;

    if (table == NULL)
        return NULL;
    /* Walking an object changes nothing in it, but jansson's iterator does not promise that by a
     * const. */
    json_object_foreach((json_t *)payload, name, value)
    {
        if (!table_has(table, name))
            return name;
    }
    return NULL;
}

gboolean ocpp_message_known(const char *action, OcppMessageKind kind)
{
    return ocpp_message_table_find(action, kind) != NULL;
}

const char *ocpp_string(const json_t *payload, const char *field)
{
    return json_string_value(json_object_get(payload, field));
}

gint64 ocpp_integer(const json_t *payload, const char *field, gint64 fallback)
{
    gint64 number = fallback;

    (void)whole_number(json_object_get(payload, field), &number);
    return number;
}

gboolean ocpp_has(const json_t *payload, const char *field)
{
    const json_t *value = json_object_get(payload, field);

    return value != NULL && !json_is_null(value);
}
