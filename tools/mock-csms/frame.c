/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shape of one frame (J 4.2): [2,id,action,payload], [3,id,payload],
 * [4,id,code,text,details]. */
#include "validate.h"

#include <string.h>

#define MALFORMED "FormationViolation"

/* J 4.1.4: a message id is at most 36 characters. */
#define ID_MAX 36
/* J 4.2.3: errorDescription is at most 255 characters. */
#define DESCRIPTION_MAX 255
#define SHOWN_MAX       60
/* No message of OCPP 1.6 nests deeper than 8; log readers need not cope with thousands. */
#define NESTING_MAX 32

/* Spelled as J 4.2.3 spells them, OccurenceConstraintViolation included. */
static const char *const error_codes[] = {
    "NotImplemented",
    "NotSupported",
    "InternalError",
    "ProtocolError",
    "SecurityError",
    "FormationViolation",
    "PropertyConstraintViolation",
    "OccurenceConstraintViolation",
    "TypeConstraintViolation",
    "GenericError",
    NULL,
};

static gboolean check_length(const Frame *frame, const char *name, size_t wanted,
                             Findings *findings)
{
    size_t size = json_array_size(frame->root);

    if (size != wanted)
        findings_add(findings, MALFORMED, "a %s has %zu elements, this one has %zu", name, wanted,
                     size);
    return size >= wanted;
}

static void parse_call(Frame *frame, Findings *findings)
{
    const char *id = json_string_value(frame->id);
    gboolean id_usable = id != NULL && *id != '\0';

    if (id == NULL)
        findings_add(findings, MALFORMED, "the message id must be a string");
    else if (*id == '\0' || g_utf8_strlen(id, -1) > ID_MAX)
        findings_add(findings, MALFORMED, "the message id must have 1 to %d characters", ID_MAX);
    (void)check_length(frame, "CALL", 4, findings);
    frame->action = json_string_value(json_array_get(frame->root, 2));
    if (frame->action == NULL && json_array_size(frame->root) > 2)
        findings_add(findings, MALFORMED, "the action must be a string");
    frame->payload = json_array_get(frame->root, 3);
    frame->answerable = id_usable;
}

static void parse_error(Frame *frame, Findings *findings)
{
    const json_t *code = json_array_get(frame->root, 2);
    const json_t *description = json_array_get(frame->root, 3);

    if (!check_length(frame, "CALLERROR", 5, findings))
        return;
    if (!json_is_string(code) || !g_strv_contains(error_codes, json_string_value(code)))
        findings_add(findings, NULL, "the CALLERROR code '%.*s' is not one of the specification",
                     SHOWN_MAX, json_is_string(code) ? json_string_value(code) : "(no string)");
    if (!json_is_string(description))
        findings_add(findings, NULL, "the CALLERROR description must be a string");
    else if (g_utf8_strlen(json_string_value(description), -1) > DESCRIPTION_MAX)
        findings_add(findings, NULL, "the CALLERROR description has more than %d characters",
                     DESCRIPTION_MAX);
    if (!json_is_object(json_array_get(frame->root, 4)))
        findings_add(findings, NULL, "the CALLERROR details must be an object");
}

/* Counts brackets outside strings; what is no JSON at all may be counted wrongly, and is refused
 * anyway. */
static gboolean nests_too_deeply(const char *data, gsize length)
{
    gboolean in_string = FALSE;
    guint depth = 0;

    for (gsize i = 0; i < length; i++) {
        if (in_string && data[i] == '\\')
            i++;
        else if (data[i] == '"')
            in_string = !in_string;
        else if (!in_string && (data[i] == '[' || data[i] == '{') && ++depth > NESTING_MAX)
            return TRUE;
        else if (!in_string && (data[i] == ']' || data[i] == '}') && depth > 0)
            depth--;
    }
    return FALSE;
}

static json_t *load(const char *data, gsize length, gboolean binary, Findings *findings)
{
    json_error_t error;
    json_t *root;

    if (binary)
        findings_add(findings, NULL, "a binary frame; OCPP-J uses text frames");
    if (!g_utf8_validate_len(data, length, NULL)) {
        findings_add(findings, NULL, "not UTF-8 (or a NUL byte)");
        return NULL;
    }
    if (nests_too_deeply(data, length)) {
        findings_add(findings, NULL, "JSON that is nested more than %d deep", NESTING_MAX);
        return NULL;
    }
    root = json_loadb(data, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (root == NULL)
        findings_add(findings, NULL, "not JSON: %s, at character %d", error.text, error.position);
    return root;
}

void frame_parse(Frame *frame, const char *data, gsize length, gboolean binary, Findings *findings)
{
    const json_t *type;

    memset(frame, 0, sizeof(*frame));
    frame->root = load(data, length, binary, findings);
    if (frame->root == NULL)
        return;
    if (!json_is_array(frame->root)) {
        findings_add(findings, NULL, "not a JSON array");
        return;
    }
    type = json_array_get(frame->root, 0);
    if (!json_is_integer(type) || json_integer_value(type) < FRAME_CALL ||
        json_integer_value(type) > FRAME_CALLERROR) {
        findings_add(findings, NULL, "the message type must be 2, 3 or 4");
        return;
    }
    frame->type = (FrameType)json_integer_value(type);
    frame->id = json_array_get(frame->root, 1);
    switch (frame->type) {
    case FRAME_CALL:
        parse_call(frame, findings);
        break;
    case FRAME_CALLRESULT:
        (void)check_length(frame, "CALLRESULT", 3, findings);
        frame->payload = json_array_get(frame->root, 2);
        break;
    case FRAME_CALLERROR:
        parse_error(frame, findings);
        break;
    case FRAME_UNREADABLE:
        break;
    }
}

void frame_clear(Frame *frame)
{
    g_clear_pointer(&frame->root, json_decref);
}
