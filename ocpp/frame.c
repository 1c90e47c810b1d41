/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * OCPP-J frames, read and written.  Whatever comes in is from outside: it is taken apart with every
 * size and type checked, and the messages of errors quote nothing of it.
 */
#include "ocpp/frame.h"

#include <string.h>

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

#define CALL_ELEMENTS          4
#define CALLRESULT_ELEMENTS    3
#define CALLERROR_MIN_ELEMENTS 3
#define CALLERROR_MAX_ELEMENTS 5

/* A double is told apart by 17 digits; most need no more than 15. */
#define REAL_PRECISION_SHORT 15
#define REAL_PRECISION_FULL  17

G_DEFINE_QUARK(ocpp_frame_error, ocpp_frame_error)

static int append_chunk(const char *chunk, size_t length, void *text)
{
    g_string_append_len(text, chunk, (gssize)length);
    return 0;
}

static void append_json(GString *text, const json_t *json, size_t flags)
{
    /* Fails only for values that no caller has: none at all, or one that contains itself. */
    int failed =
        json_dump_callback(json, append_chunk, text, JSON_COMPACT | JSON_ENCODE_ANY | flags);

    g_assert(failed == 0);
}

static void append_string(GString *text, const char *string)
{
    json_auto_t *json = json_string(string);

    append_json(text, json, 0);
}

/* An id goes back as it came: 0.1 must not become 0.10000000000000001. */
static void append_id(GString *text, const json_t *id)
{
    gsize start = text->len;

    for (size_t precision = REAL_PRECISION_SHORT; precision <= REAL_PRECISION_FULL; precision++) {
        g_string_truncate(text, start);
        append_json(text, id, JSON_REAL_PRECISION(precision));
        if (!json_is_real(id))
            return;
        if (g_ascii_strtod(text->str + start, NULL) == json_real_value(id))
            return;
    }
}

static void append_payload(GString *text, const json_t *payload)
{
    if (payload == NULL || json_is_null(payload))
        g_string_append(text, "{}");
    else
        append_json(text, payload, 0);
}

char *ocpp_frame_call(const char *id, const char *action, const json_t *payload)
{
    GString *text = g_string_new("[2,");

    append_string(text, id);
    g_string_append_c(text, ',');
    append_string(text, action);
    g_string_append_c(text, ',');
    append_payload(text, payload);
    g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}

char *ocpp_frame_result(const json_t *id, const json_t *payload)
{
    GString *text = g_string_new("[3,");

    append_id(text, id);
    g_string_append_c(text, ',');
    append_payload(text, payload);
    g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}

char *ocpp_frame_error(const json_t *id, OcppErrorCode code, const char *description)
{
    g_autofree char *valid = g_utf8_make_valid(description != NULL ? description : "", -1);
    GString *text = g_string_new("[4,");

    if (g_utf8_strlen(valid, -1) > OCPP_MAX_ERROR_DESCRIPTION)
        *g_utf8_offset_to_pointer(valid, OCPP_MAX_ERROR_DESCRIPTION) = '\0';
    append_id(text, id);
    g_string_append_c(text, ',');
    append_string(text, ocpp_error_code_name(code));
    g_string_append_c(text, ',');
    append_string(text, valid);
    g_string_append(text, ",{}]");
    return g_string_free(text, FALSE);
}

char *ocpp_frame_new_id(void)
{
    return g_uuid_string_random();
}

static json_t *load(const char *text, gsize length, GError **error)
{
    json_error_t problem;
    json_t *root;

    if (length >= strlen(BYTE_ORDER_MARK) &&
        memcmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0) {
        text += strlen(BYTE_ORDER_MARK);
        length -= strlen(BYTE_ORDER_MARK);
    }
    if (length == 0) {
        g_set_error_literal(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_JSON, "empty message");
        return NULL;
    }
    if (memchr(text, '\0', length) != NULL) {
        g_set_error_literal(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_JSON,
                            "message holds a NUL byte");
        return NULL;
    }
    if (!g_utf8_validate_len(text, length, NULL)) {
        g_set_error_literal(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_JSON,
                            "message is not UTF-8");
        return NULL;
    }
    root = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
    if (root == NULL) {
        /* jansson goes on with "near" and a piece of the message, which may be one of a password.
         */
        char *quote = strstr(problem.text, " near '");

        if (quote != NULL)
            *quote = '\0';
        g_set_error(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_JSON,
                    "message is not JSON: %s at byte %d", problem.text, problem.position);
    }
    return root;
}

/* The message type, also as a whole float: some peers know numbers only. */
static gboolean read_type(const json_t *root, OcppFrameType *ret_type, GError **error)
{
    const json_t *type = json_array_get(root, 0);

    if (!json_is_array(root) || !json_is_number(type)) {
        g_set_error_literal(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_A_FRAME,
                            "message is not an array that begins with a message type");
        return FALSE;
    }
    for (int known = OCPP_CALL; known <= OCPP_CALLERROR; known++) {
        if (json_number_value(type) == known) {
            *ret_type = (OcppFrameType)known;
            return TRUE;
        }
    }
    g_set_error(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_UNKNOWN_TYPE,
                "unknown message type %.17g", json_number_value(type));
    return FALSE;
}

/* Borrowed from `root`. */
static json_t *read_id(const json_t *root, GError **error)
{
    json_t *id = json_array_get(root, 1);
    size_t length = json_string_length(id);

    if (json_is_number(id) || (json_is_string(id) && length >= 1 && length <= OCPP_MAX_FOREIGN_ID))
        return id;
    if (json_is_string(id))
        g_set_error(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_A_FRAME,
                    "message id of %" G_GSIZE_FORMAT " bytes, 1 to %d are allowed", length,
                    OCPP_MAX_FOREIGN_ID);
    else
        g_set_error_literal(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_A_FRAME,
                            "message without an id that is a string or a number");
    return NULL;
}

static char *id_to_text(const json_t *id)
{
    GString *text = NULL;

    if (json_is_string(id))
        return g_strdup(json_string_value(id));
    text = g_string_new(NULL);
    append_id(text, id);
    return g_string_free(text, FALSE);
}

static json_t *payload_of(json_t *payload)
{
    return json_is_null(payload) ? json_object() : json_incref(payload);
}

/* The three readers put something into the frame only when nothing is wrong any more. */
static gboolean read_call(const json_t *root, OcppFrame *frame, GError **error)
{
    const json_t *action = json_array_get(root, 2);

    if (json_array_size(root) != CALL_ELEMENTS) {
        g_set_error(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_BAD_CALL,
                    "CALL of %" G_GSIZE_FORMAT " elements, must be %d", json_array_size(root),
                    CALL_ELEMENTS);
        return FALSE;
    }
    if (!json_is_string(action)) {
        g_set_error_literal(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_BAD_CALL,
                            "CALL whose action is not a string");
        return FALSE;
    }
    frame->action = g_strdup(json_string_value(action));
    frame->payload = payload_of(json_array_get(root, 3));
    return TRUE;
}

static gboolean read_result(const json_t *root, OcppFrame *frame, GError **error)
{
    if (json_array_size(root) != CALLRESULT_ELEMENTS) {
        g_set_error(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_A_FRAME,
                    "CALLRESULT of %" G_GSIZE_FORMAT " elements, must be %d", json_array_size(root),
                    CALLRESULT_ELEMENTS);
        return FALSE;
    }
    frame->payload = payload_of(json_array_get(root, 2));
    return TRUE;
}

static gboolean read_error(const json_t *root, OcppFrame *frame, GError **error)
{
    const json_t *code = json_array_get(root, 2);
    const char *description = json_string_value(json_array_get(root, 3));

    if (json_array_size(root) < CALLERROR_MIN_ELEMENTS ||
        json_array_size(root) > CALLERROR_MAX_ELEMENTS) {
        g_set_error(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_A_FRAME,
                    "CALLERROR of %" G_GSIZE_FORMAT " elements, must be %d to %d",
                    json_array_size(root), CALLERROR_MIN_ELEMENTS, CALLERROR_MAX_ELEMENTS);
        return FALSE;
    }
    if (!json_is_string(code)) {
        g_set_error_literal(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_A_FRAME,
                            "CALLERROR whose code is not a string");
        return FALSE;
    }
    frame->error_code = g_strdup(json_string_value(code));
    frame->description = g_strdup(description != NULL ? description : "");
    return TRUE;
}

OcppFrame *ocpp_frame_parse(const char *text, gsize length, json_t **ret_id, GError **error)
{
    static gboolean (*const readers[])(const json_t *, OcppFrame *, GError **) = {
        [OCPP_CALL] = read_call,
        [OCPP_CALLRESULT] = read_result,
        [OCPP_CALLERROR] = read_error,
    };
    json_auto_t *root = load(text, length, error);
    OcppFrame frame = {0};
    json_t *id = NULL;

    if (root == NULL || !read_type(root, &frame.type, error))
        return NULL;
    id = read_id(root, error);
    if (id == NULL)
        return NULL;
    if (!readers[frame.type](root, &frame, error)) {
        if (frame.type == OCPP_CALL && ret_id != NULL)
            *ret_id = json_incref(id);
        return NULL;
    }
    frame.id = json_incref(id);
    frame.id_text = id_to_text(id);
    return g_memdup2(&frame, sizeof(frame));
}

void ocpp_frame_free(OcppFrame *frame)
{
    if (frame == NULL)
        return;
    json_decref(frame->id);
    json_decref(frame->payload);
    g_free(frame->id_text);
    g_free(frame->action);
    g_free(frame->error_code);
    g_free(frame->description);
    g_free(frame);
}
