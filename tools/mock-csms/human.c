/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrow, action, key fields: what a person wants to see of a frame. */
#include "human.h"

#include <glib.h>
#include <string.h>

/* A payload longer than this is cut; the log has it whole. */
#define HUMAN_PAYLOAD_MAX 160

static void print_payload(FILE *file, const json_t *payload)
{
    char *text = json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY);

    if (text == NULL)
        return;
    if (strlen(text) > HUMAN_PAYLOAD_MAX)
        fprintf(file, " %.*s...", HUMAN_PAYLOAD_MAX, text);
    else if (strcmp(text, "{}") != 0)
        fprintf(file, " %s", text);
    free(text);
}

static void print_frame(FILE *file, const char *arrow, const json_t *fields)
{
    const json_t *frame = json_object_get(fields, "frame");
    const char *action = json_string_value(json_object_get(fields, "action"));
    json_int_t type = json_integer_value(json_array_get(frame, 0));

    fprintf(file, "%s ", arrow);
    if (type == 2)
        fprintf(file, "%s",
                json_string_value(json_array_get(frame, 1)) != NULL && action != NULL ? action
                                                                                      : "CALL");
    else if (type == 3)
        fprintf(file, "%s.conf", action != NULL ? action : "?");
    else if (type == 4)
        fprintf(file, "%s refused:", action != NULL ? action : "?");
    if (type == 2 || type == 3)
        print_payload(file, json_array_get(frame, type == 2 ? 3 : 2));
    else
        print_payload(file, frame);
    fprintf(file, "\n");
}

static void print_errors(FILE *file, const json_t *fields)
{
    const json_t *errors = json_object_get(fields, "errors");
    const json_t *text;
    size_t i;

    json_array_foreach(errors, i, text)
    {
        fprintf(file, "   !! %s\n", json_string_value(text));
    }
}

static void print_rest(FILE *file, const char *event, const json_t *fields)
{
    const char *key;
    json_t *value;

    fprintf(file, "-- %s", event);
    json_object_foreach((json_t *)fields, key, value)
    {
        if (strcmp(key, "time") == 0 || strcmp(key, "event") == 0 || strcmp(key, "headers") == 0 ||
            strcmp(key, "errors") == 0)
            continue;
        if (json_is_string(value))
            fprintf(file, " %s=%s", key, json_string_value(value));
        else
            print_payload(file, value);
    }
    fprintf(file, "\n");
}

void human_print(FILE *file, const char *event, const json_t *fields)
{
    if (strcmp(event, "received") == 0)
        print_frame(file, "<-", fields);
    else if (strcmp(event, "sent") == 0)
        print_frame(file, "->", fields);
    else
        print_rest(file, event, fields);
    print_errors(file, fields);
    fflush(file);
}
