/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Payloads against the field tables. The frame's own shape is frame.c's. */
#include "validate.h"

#include <string.h>

#include "tables.h"

#define MISSING    "OccurenceConstraintViolation"
#define WRONG_TYPE "TypeConstraintViolation"
#define WRONG      "PropertyConstraintViolation"
#define MALFORMED  "FormationViolation"

/* A wrong value is shown in the message no longer than this. */
#define SHOWN_MAX 60

static const char *const type_names[] = {
    [FIELD_STRING] = "a string",
    [FIELD_DATE_TIME] = "a string with a date and time",
    [FIELD_INTEGER] = "an integer",
    [FIELD_UNSIGNED] = "an integer of 0 or more",
    [FIELD_POSITIVE] = "an integer of 1 or more",
    [FIELD_NUMBER] = "a number",
    [FIELD_BOOLEAN] = "true or false",
    [FIELD_OBJECT] = "an object",
    [FIELD_OBJECTS] = "an array of objects",
    [FIELD_STRINGS] = "an array of strings",
};

static void check_object(const char *path, const Field *fields, const json_t *object,
                         Findings *findings);

gboolean validate_date_time(const char *text)
{
    g_autoptr(GDateTime) date = NULL;

    if (!g_regex_match_simple("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?"
                              "(Z|[+-]\\d\\d:\\d\\d)\\z",
                              text, 0, 0))
        return FALSE;
    date = g_date_time_new_from_iso8601(text, NULL);
    return date != NULL;
}

static gboolean type_fits(const Field *field, const json_t *value)
{
    switch (field->type) {
    case FIELD_STRING:
    case FIELD_DATE_TIME:
        return json_is_string(value);
    case FIELD_INTEGER:
        return json_is_integer(value);
    case FIELD_UNSIGNED:
        return json_is_integer(value) && json_integer_value(value) >= 0;
    case FIELD_POSITIVE:
        return json_is_integer(value) && json_integer_value(value) > 0;
    case FIELD_NUMBER:
        return json_is_number(value);
    case FIELD_BOOLEAN:
        return json_is_boolean(value);
    case FIELD_OBJECT:
        return json_is_object(value);
    case FIELD_OBJECTS:
    case FIELD_STRINGS:
        return json_is_array(value);
    }
    return FALSE;
}

static gboolean enum_has(const char *values, const char *text)
{
    g_auto(GStrv) list = g_strsplit(values, "|", -1);

    return g_strv_contains((const char *const *)list, text);
}

static void check_string(const char *path, const Field *field, const json_t *value,
                         Findings *findings)
{
    const char *text = json_string_value(value);
    glong length = g_utf8_strlen(text, -1);

    if (field->type == FIELD_DATE_TIME && !validate_date_time(text))
        findings_add(findings, WRONG, "%s: '%.*s' is no date-time with a zone", path, SHOWN_MAX,
                     text);
    if (field->limit > 0 && length > (glong)field->limit)
        findings_add(findings, WRONG, "%s: %ld characters, at most %u are allowed", path, length,
                     field->limit);
    if (field->values != NULL && !enum_has(field->values, text))
        findings_add(findings, WRONG, "%s: '%.*s' is not one of %s", path, SHOWN_MAX, text,
                     field->values);
}

static void check_elements(const char *path, const Field *field, const json_t *array,
                           Findings *findings)
{
    static const Field string = {"", FIELD_STRING, TRUE, 0, NULL, NULL};
    const json_t *element;
    size_t i;

    if (field->type == FIELD_OBJECTS && json_array_size(array) < field->limit)
        findings_add(findings, MISSING, "%s: needs at least %u elements", path, field->limit);
    json_array_foreach(array, i, element)
    {
        g_autofree char *place = g_strdup_printf("%s[%zu]", path, i);

        if (field->type == FIELD_OBJECTS) {
            check_object(place, field->fields, element, findings);
        } else if (!json_is_string(element)) {
            findings_add(findings, WRONG_TYPE, "%s: must be a string", place);
        } else {
            Field each = string;

            each.limit = field->limit;
            check_string(place, &each, element, findings);
        }
    }
}

static void check_field(const char *path, const Field *field, const json_t *value,
                        Findings *findings)
{
    if (!type_fits(field, value)) {
        findings_add(findings, WRONG_TYPE, "%s: must be %s", path, type_names[field->type]);
        return;
    }
    if (json_is_string(value))
        check_string(path, field, value, findings);
    else if (json_is_object(value))
        check_object(path, field->fields, value, findings);
    else if (json_is_array(value))
        check_elements(path, field, value, findings);
}

static const Field *field_find(const Field *fields, const char *name)
{
    for (; fields->name != NULL; fields++)
        if (strcmp(fields->name, name) == 0)
            return fields;
    return NULL;
}

static void check_object(const char *path, const Field *fields, const json_t *object,
                         Findings *findings)
{
    const char *name;
    json_t *value;

    if (!json_is_object(object)) {
        findings_add(findings, WRONG_TYPE, "%s: must be an object", path);
        return;
    }
    for (const Field *field = fields; field->name != NULL; field++)
        if (field->required && json_object_get(object, field->name) == NULL)
            findings_add(findings, MISSING, "%s.%s: missing", path, field->name);
    json_object_foreach((json_t *)object, name, value)
    {
        g_autofree char *place = g_strdup_printf("%s.%.*s", path, SHOWN_MAX, name);
        const Field *field = field_find(fields, name);

        if (field == NULL)
            findings_add(findings, MALFORMED, "%s: no such field", place);
        else
            check_field(place, field, value, findings);
    }
}

static void check_payload(const Action *action, const Field *fields, const json_t *payload,
                          gboolean result, Findings *findings)
{
    g_autofree char *path = g_strconcat(action->action, result ? ".conf" : "", NULL);

    if (!json_is_object(payload)) {
        findings_add(findings, MALFORMED, "%s: the payload must be an object", path);
        return;
    }
    check_object(path, fields, payload, findings);
    if (action->check != NULL)
        action->check(payload, result, findings);
}

void validate_request(const Frame *frame, Findings *findings)
{
    const Action *action;

    if (frame->action == NULL)
        return;
    action = action_find(frame->action);
    if (action == NULL) {
        findings_add(findings, "NotImplemented", "%.*s: no such action in OCPP 1.6", SHOWN_MAX,
                     frame->action);
        return;
    }
    if (action->request == NULL) {
        findings_add(findings, "NotSupported", "%s: not for a charge point to send",
                     action->action);
        return;
    }
    check_payload(action, action->request, frame->payload, FALSE, findings);
}

void validate_result(const char *name, const json_t *payload, Findings *findings)
{
    const Action *action = action_find(name);

    if (action == NULL || action->result == NULL) {
        if (!json_is_object(payload))
            findings_add(findings, NULL, "%.*s.conf: the payload must be an object", SHOWN_MAX,
                         name);
        return;
    }
    check_payload(action, action->result, payload, TRUE, findings);
}
