/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints every field table as one JSON array, for the test that compares them with the published
 * schemas.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../ocpp/message_tables.h"

static const char *const type_names[] = {
    [OCPP_FIELD_STRING] = "string",   [OCPP_FIELD_DATE_TIME] = "date-time",
    [OCPP_FIELD_INTEGER] = "integer", [OCPP_FIELD_BOOLEAN] = "boolean",
    [OCPP_FIELD_STRINGS] = "strings", [OCPP_FIELD_OBJECTS] = "objects",
};

static json_t *dump_fields(const OcppField *fields);

static json_t *dump_field(const OcppField *field)
{
    json_t *dumped = json_pack("{s:s, s:s, s:b}", "name", field->name, "type",
                               type_names[field->type], "required", field->required);

    if (field->max_length > 0)
        json_object_set_new(dumped, "max", json_integer(field->max_length));
    if (field->values != NULL) {
        json_t *values = json_array();

        for (gsize i = 0; field->values[i] != NULL; i++)
            json_array_append_new(values, json_string(field->values[i]));
        json_object_set_new(dumped, "enum", values);
    }
    if (field->type == OCPP_FIELD_INTEGER) {
        json_object_set_new(dumped, "lowest", json_integer(field->lowest));
        json_object_set_new(dumped, "highest", json_integer(field->highest));
    }
    if (field->fields != NULL)
        json_object_set_new(dumped, "fields", dump_fields(field->fields));
    return dumped;
}

static json_t *dump_fields(const OcppField *fields)
{
    json_t *dumped = json_array();

    for (; fields->name != NULL; fields++)
        json_array_append_new(dumped, dump_field(fields));
    return dumped;
}

int main(void)
{
    json_auto_t *dumped = json_array();
    gsize n_tables;
    const OcppMessageTable *tables = ocpp_message_tables(&n_tables);

    for (gsize i = 0; i < n_tables; i++) {
        const char *kind = tables[i].kind == OCPP_REQUEST ? "request" : "confirmation";

        json_array_append_new(dumped,
                              json_pack("{s:s, s:s, s:o}", "action", tables[i].action, "kind", kind,
                                        "fields", dump_fields(tables[i].fields)));
    }
    if (json_dumpf(dumped, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF ||
        fflush(stdout) != 0)
        return EXIT_FAILURE;
    return EXIT_SUCCESS;
}
