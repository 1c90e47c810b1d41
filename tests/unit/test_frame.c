/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of ocpp/frame.h and ocpp/error.h: good frames, every kind of broken one, ids echoed, names
 * of error codes.
 */
#include <check.h>
#include <string.h>

#include "ocpp/frame.h"

#define TIMEOUT_S 60 /* any_byte parses some ten thousand frames, perhaps on a busy machine */

#define BOM "\xEF\xBB\xBF"

/* A literal with its length, so that a text can hold a NUL byte. */
#define TEXT(literal) (literal), sizeof(literal) - 1

static char *dump(const json_t *json)
{
    g_autofree char *frame = ocpp_frame_result(json, NULL);

    /* "[3,X,{}]" */
    return g_strndup(frame + 3, strlen(frame) - strlen("[3,") - strlen(",{}]"));
}

static const struct {
    const char *text;
    gsize length;
    OcppFrameType type;
    const char *id;
    const char *action; /* CALL */
    const char *payload;
    const char *code; /* CALLERROR */
    const char *description;
} good[] = {
    {TEXT("[2,\"1\",\"Reset\",{\"type\":\"Soft\"}]"), OCPP_CALL, "1", "Reset",
     "{\"type\":\"Soft\"}", NULL, NULL},
    {TEXT(" \t\r\n[ 2 , \"1\" , \"Reset\" , { } ] \n"), OCPP_CALL, "1", "Reset", "{}", NULL, NULL},
    {TEXT("[2,\"1\",\"Heartbeat\",null]"), OCPP_CALL, "1", "Heartbeat", "{}", NULL, NULL},
    {TEXT(BOM "[2,\"1\",\"Heartbeat\",{}]"), OCPP_CALL, "1", "Heartbeat", "{}", NULL, NULL},
    {TEXT("[2.0,\"1\",\"Heartbeat\",{}]"), OCPP_CALL, "1", "Heartbeat", "{}", NULL, NULL},
    {TEXT("[2,17,\"Heartbeat\",{}]"), OCPP_CALL, "17", "Heartbeat", "{}", NULL, NULL},
    {TEXT("[2,-0.5,\"Heartbeat\",{}]"), OCPP_CALL, "-0.5", "Heartbeat", "{}", NULL, NULL},
    {TEXT("[2,\"\xC3\xA9 \\\"\\u00e9\",\"\xC3\xA9\",{}]"), OCPP_CALL, "\xC3\xA9 \"\xC3\xA9",
     "\xC3\xA9", "{}", NULL, NULL},
    {TEXT("[2,\"1\",\"\",{}]"), OCPP_CALL, "1", "", "{}", NULL, NULL},
    /* The payload's own type is for the check of the message. */
    {TEXT("[2,\"1\",\"Reset\",[1]]"), OCPP_CALL, "1", "Reset", "[1]", NULL, NULL},
    {TEXT("[2,\"1\",\"Reset\",\"x\"]"), OCPP_CALL, "1", "Reset", "\"x\"", NULL, NULL},
    {TEXT("[2,\"1\",\"Reset\",false]"), OCPP_CALL, "1", "Reset", "false", NULL, NULL},
    {TEXT("[3,\"a\",{\"status\":\"Accepted\"}]"), OCPP_CALLRESULT, "a", NULL,
     "{\"status\":\"Accepted\"}", NULL, NULL},
    {TEXT("[3,\"a\",null]"), OCPP_CALLRESULT, "a", NULL, "{}", NULL, NULL},
    {TEXT("[3,\"a\",[]]"), OCPP_CALLRESULT, "a", NULL, "[]", NULL, NULL},
    {TEXT("[3,5,{}]"), OCPP_CALLRESULT, "5", NULL, "{}", NULL, NULL},
    {TEXT("[4,\"a\",\"GenericError\",\"text\",{}]"), OCPP_CALLERROR, "a", NULL, NULL,
     "GenericError", "text"},
    {TEXT("[4,\"a\",\"GenericError\",\"text\"]"), OCPP_CALLERROR, "a", NULL, NULL, "GenericError",
     "text"},
    {TEXT("[4,\"a\",\"FormatViolation\"]"), OCPP_CALLERROR, "a", NULL, NULL, "FormatViolation", ""},
    {TEXT("[4,\"a\",\"Whatever\",null,null]"), OCPP_CALLERROR, "a", NULL, NULL, "Whatever", ""},
    {TEXT("[4,\"a\",\"\",7,\"details\"]"), OCPP_CALLERROR, "a", NULL, NULL, "", ""},
};

START_TEST(good_frame)
{
    g_autoptr(GError) error = NULL;
    json_auto_t *untouched = json_string("untouched");
    json_t *id = untouched;
    g_autoptr(OcppFrame) frame = ocpp_frame_parse(good[_i].text, good[_i].length, &id, &error);
    g_autofree char *payload = NULL;

    ck_assert_msg(frame != NULL, "%s: %s", good[_i].text, error ? error->message : "no error");
    ck_assert_ptr_null(error);
    ck_assert_ptr_eq(id, untouched);
    ck_assert_int_eq(frame->type, good[_i].type);
    ck_assert_str_eq(frame->id_text, good[_i].id);
    ck_assert_pstr_eq(frame->action, good[_i].action);
    ck_assert_pstr_eq(frame->error_code, good[_i].code);
    ck_assert_pstr_eq(frame->description, good[_i].description);
    if (frame->payload != NULL)
        payload = dump(frame->payload);
    ck_assert_pstr_eq(payload, good[_i].payload);
}
END_TEST

static const struct {
    const char *text;
    gsize length;
    OcppFrameError error;
    const char *id; /* the echo of OCPP_FRAME_ERROR_BAD_CALL, as JSON text */
} bad[] = {
    {TEXT(""), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT(BOM), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("\xEF\xBB"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT(BOM BOM "[2,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("   "), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("hello"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\",\"Reset\",{}"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\",\"Reset\",{}]]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\",\"Reset\",{}] [2,\"2\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\",\"Reset\",{},]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,'1','Reset',{}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\",\"Reset\",{\"type\":\"Soft\",\"type\":\"Hard\"}]"), OCPP_FRAME_ERROR_NOT_JSON,
     NULL},
    {TEXT("[2,\"1\",\"Reset\",{}]\0"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"\0\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("\0[2,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"\\u0000\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\",\"Reset\",{\"\\u0000\":1}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\xFF\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\",\"Reset\",{\"a\":\"\xC0\x80\"}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\",\"Reset\",{\"a\":\"\xED\xA0\x80\"}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\",\"Reset\",{\"a\":\"\\ud800\"}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\",\"Reset\",{\"a\":\"\n\"}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[\0002,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\",\"Reset\",{\"a\":1e999}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,99999999999999999999,\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[2,\"1\",\"Reset\",{\"a\":NaN}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},
    {TEXT("[02,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_JSON, NULL},

    {TEXT("{}"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("\"text\""), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("2"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("true"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("null"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[[]]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[true,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[null,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[\"2\",\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[{},\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},

    {TEXT("[2]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[2,null,\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[2,true,\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[2,[\"1\"],\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[2,{},\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[2,\"\",\"Reset\",{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[3]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[3,\"1\"]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[3,\"1\",{},{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[3,\"\",{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[4,\"1\"]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[4,\"1\",\"GenericError\",\"\",{},0]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[4,\"1\",null,\"\",{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},
    {TEXT("[4,\"1\",42,\"\",{}]"), OCPP_FRAME_ERROR_NOT_A_FRAME, NULL},

    {TEXT("[0,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_UNKNOWN_TYPE, NULL},
    {TEXT("[1,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_UNKNOWN_TYPE, NULL},
    {TEXT("[5,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_UNKNOWN_TYPE, NULL},
    {TEXT("[5]"), OCPP_FRAME_ERROR_UNKNOWN_TYPE, NULL},
    {TEXT("[-2,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_UNKNOWN_TYPE, NULL},
    {TEXT("[2.5,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_UNKNOWN_TYPE, NULL},
    {TEXT("[1e300,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_UNKNOWN_TYPE, NULL},
    {TEXT("[4294967298,\"1\",\"Reset\",{}]"), OCPP_FRAME_ERROR_UNKNOWN_TYPE, NULL},

    {TEXT("[2,\"1\"]"), OCPP_FRAME_ERROR_BAD_CALL, "\"1\""},
    {TEXT("[2,\"1\",\"Reset\"]"), OCPP_FRAME_ERROR_BAD_CALL, "\"1\""},
    {TEXT("[2,\"1\",\"Reset\",{},{}]"), OCPP_FRAME_ERROR_BAD_CALL, "\"1\""},
    {TEXT("[2,\"1\",{},\"Reset\"]"), OCPP_FRAME_ERROR_BAD_CALL, "\"1\""},
    {TEXT("[2,\"1\",null,{}]"), OCPP_FRAME_ERROR_BAD_CALL, "\"1\""},
    {TEXT("[2,17,1,{}]"), OCPP_FRAME_ERROR_BAD_CALL, "17"},
    {TEXT("[2,0.1,true,{}]"), OCPP_FRAME_ERROR_BAD_CALL, "0.1"},
};

START_TEST(bad_frame)
{
    g_autoptr(GError) error = NULL;
    json_auto_t *id = NULL;
    g_autoptr(OcppFrame) frame = ocpp_frame_parse(bad[_i].text, bad[_i].length, &id, &error);
    g_autofree char *id_text = id != NULL ? dump(id) : NULL;

    ck_assert_msg(frame == NULL, "%s is taken for a frame", bad[_i].text);
    ck_assert_msg(g_error_matches(error, OCPP_FRAME_ERROR, (int)bad[_i].error), "%s: code %d, %s",
                  bad[_i].text, error->code, error->message);
    ck_assert_str_ne(error->message, "");
    ck_assert_ptr_null(strchr(error->message, '\n'));
    ck_assert_pstr_eq(id_text, bad[_i].id);
}
END_TEST

START_TEST(out_parameters_may_be_null)
{
    ocpp_frame_free(NULL);
    ck_assert_ptr_null(ocpp_frame_parse(bad[_i].text, bad[_i].length, NULL, NULL));
}
END_TEST

/* `text` need not end in NUL: what stands behind its length is not read. */
START_TEST(length_counts)
{
    g_autoptr(OcppFrame) frame = NULL;
    static const char whole[] = "[3,\"1\",{}]";
    gsize length = strlen(whole);
    g_autofree char *copy = g_memdup2(whole, length);

    frame = ocpp_frame_parse(copy, length, NULL, NULL);
    ck_assert_ptr_nonnull(frame);
    for (gsize shorter = 0; shorter < length; shorter++) {
        g_autofree char *part = g_memdup2(whole, shorter);
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(ocpp_frame_parse(part, shorter, NULL, &error));
        ck_assert(g_error_matches(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_JSON));
    }
}
END_TEST

/* What is logged of a broken message must not be a part of it: it may hold a key or a password. */
START_TEST(message_is_not_quoted)
{
    static const char *const broken[] = {
        "[2,\"1\",\"R\",{\"key\":\"secret\\x\"}]", "[2,\"1\",\"R\",{\"key\":\"secret\"\"secret\"}]",
        "[2,\"1\",\"R\",secret]", "[2,\"1\",\"R\",{\"secret\":1,\"secret\":1}]"};
    g_autoptr(GError) error = NULL;

    ck_assert_ptr_null(ocpp_frame_parse(broken[_i], strlen(broken[_i]), NULL, &error));
    ck_assert(g_error_matches(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_JSON));
    ck_assert_msg(strstr(error->message, "secret") == NULL, "%s", error->message);
}
END_TEST

/* Every byte of a frame set to every value: a frame or an error, never both or none. */
START_TEST(any_byte)
{
    static const char whole[] = "[2,\"a\\u00e9\",\"Reset\",{\"type\":[1,2.5e1,null]}]";
    g_autofree char *text = g_strdup(whole);

    for (gsize i = 0; i < strlen(whole); i++) {
        for (int byte = 0; byte < 256; byte++) {
            g_autoptr(GError) error = NULL;
            g_autoptr(OcppFrame) frame = NULL;
            json_auto_t *id = NULL;

            text[i] = (char)byte;
            frame = ocpp_frame_parse(text, strlen(whole), &id, &error);
            ck_assert((frame == NULL) == (error != NULL));
            ck_assert((id != NULL) ==
                      g_error_matches(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_BAD_CALL));
        }
        text[i] = whole[i];
    }
}
END_TEST

static OcppFrame *parse_id_of(gsize n_bytes, const char *repeated, GError **error)
{
    g_autoptr(GString) text = g_string_new("[2,\"");

    for (gsize i = 0; i < n_bytes / strlen(repeated); i++)
        g_string_append(text, repeated);
    g_string_append(text, "\",\"Reset\",{}]");
    return ocpp_frame_parse(text->str, text->len, NULL, error);
}

START_TEST(id_length)
{
    static const char *const repeated[] = {"x", "\xE2\x82\xAC"}; /* 255 is 85 * 3 bytes */

    for (gsize i = 0; i < G_N_ELEMENTS(repeated); i++) {
        gsize step = strlen(repeated[i]);
        g_autoptr(GError) error = NULL;
        g_autoptr(OcppFrame) longest = parse_id_of(OCPP_MAX_FOREIGN_ID, repeated[i], &error);

        ck_assert_ptr_nonnull(longest);
        ck_assert_uint_eq(strlen(longest->id_text), OCPP_MAX_FOREIGN_ID);
        ck_assert_ptr_null(parse_id_of(OCPP_MAX_FOREIGN_ID + step, repeated[i], &error));
        ck_assert(g_error_matches(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_A_FRAME));
    }
}
END_TEST

START_TEST(depth_is_bounded)
{
    enum { DEEP = 100000 };
    g_autoptr(GString) text = g_string_new("[2,\"1\",\"Reset\",");
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < DEEP; i++)
        g_string_append_c(text, '[');
    for (int i = 0; i < DEEP; i++)
        g_string_append_c(text, ']');
    g_string_append_c(text, ']');
    ck_assert_ptr_null(ocpp_frame_parse(text->str, text->len, NULL, &error));
    ck_assert(g_error_matches(error, OCPP_FRAME_ERROR, OCPP_FRAME_ERROR_NOT_JSON));
}
END_TEST

static const struct {
    const char *received;
    const char *echoed;
} echoes[] = {
    {"\"1\"", "\"1\""},
    {"\"\\u00e9/\\\"\\\\\\n\"", "\"\xC3\xA9/\\\"\\\\\\n\""},
    {"0", "0"},
    {"-17", "-17"},
    {"9223372036854775807", "9223372036854775807"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"0.1", "0.1"},
    {"1.0", "1.0"},
    {"1763800000.123", "1763800000.123"},
    {"0.30000000000000004", "0.30000000000000004"},
    {"1.7976931348623157e308", "1.7976931348623157e308"},
    {"5e-324", "4.94065645841247e-324"}, /* the same value */
};

START_TEST(id_is_echoed)
{
    g_autofree char *text = g_strdup_printf("[2,%s,\"Reset\",{}]", echoes[_i].received);
    g_autofree char *result = NULL;
    g_autofree char *error = NULL;
    g_autofree char *expected_result = g_strdup_printf("[3,%s,{}]", echoes[_i].echoed);
    g_autofree char *expected_error =
        g_strdup_printf("[4,%s,\"NotSupported\",\"\",{}]", echoes[_i].echoed);
    g_autoptr(OcppFrame) frame = ocpp_frame_parse(text, strlen(text), NULL, NULL);

    ck_assert_ptr_nonnull(frame);
    result = ocpp_frame_result(frame->id, NULL);
    ck_assert_str_eq(result, expected_result);
    error = ocpp_frame_error(frame->id, OCPP_NOT_SUPPORTED, NULL);
    ck_assert_str_eq(error, expected_error);
}
END_TEST

START_TEST(call_text)
{
    json_auto_t *payload = json_pack("{s:s, s:f}", "status", "D\"\xC3\xA9", "n", 2.5);
    g_autofree char *full = ocpp_frame_call("id", "FirmwareStatusNotification", payload);
    g_autofree char *empty = ocpp_frame_call("id", "Heartbeat", NULL);
    g_autofree char *null = ocpp_frame_call("id", "Heartbeat", json_null());
    g_autoptr(OcppFrame) frame = ocpp_frame_parse(full, strlen(full), NULL, NULL);

    ck_assert_str_eq(full, "[2,\"id\",\"FirmwareStatusNotification\","
                           "{\"status\":\"D\\\"\xC3\xA9\",\"n\":2.5}]");
    ck_assert_str_eq(empty, "[2,\"id\",\"Heartbeat\",{}]");
    ck_assert_str_eq(null, empty);
    ck_assert(json_equal(frame->payload, payload));
    ck_assert_uint_eq(payload->refcount, 1);
}
END_TEST

START_TEST(result_text)
{
    json_auto_t *id = json_string("id");
    json_auto_t *payload = json_pack("{s:s}", "status", "Accepted");
    g_autofree char *text = ocpp_frame_result(id, payload);

    ck_assert_str_eq(text, "[3,\"id\",{\"status\":\"Accepted\"}]");
}
END_TEST

START_TEST(description_is_bounded)
{
    json_auto_t *id = json_string("id");
    g_autoptr(GString) description = g_string_new(NULL);
    g_autofree char *text = NULL;
    g_autoptr(OcppFrame) frame = NULL;

    for (int i = 0; i < OCPP_MAX_ERROR_DESCRIPTION + _i; i++)
        g_string_append(description, "\xE2\x82\xAC");
    text = ocpp_frame_error(id, OCPP_INTERNAL_ERROR, description->str);
    frame = ocpp_frame_parse(text, strlen(text), NULL, NULL);
    ck_assert_int_eq(g_utf8_strlen(frame->description, -1),
                     MIN(OCPP_MAX_ERROR_DESCRIPTION, OCPP_MAX_ERROR_DESCRIPTION + _i));
}
END_TEST

START_TEST(description_is_made_valid)
{
    json_auto_t *id = json_string("id");
    g_autofree char *text = ocpp_frame_error(id, OCPP_INTERNAL_ERROR, "a\xFF\"\n");

    ck_assert_str_eq(text, "[4,\"id\",\"InternalError\",\"a\xEF\xBF\xBD\\\"\\n\",{}]");
}
END_TEST

START_TEST(ids_do_not_repeat)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (int i = 0; i < 1000; i++) {
        char *id = ocpp_frame_new_id();

        ck_assert_uint_eq(strlen(id), 36);
        ck_assert(g_hash_table_add(seen, id));
    }
}
END_TEST

/* The names as the specification has them (J 4.2.3), by code. */
static const char *const code_names[OCPP_N_ERROR_CODES] = {
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
};

START_TEST(error_code)
{
    json_auto_t *id = json_string("id");
    OcppErrorCode code = OCPP_N_ERROR_CODES;
    g_autofree char *text = ocpp_frame_error(id, (OcppErrorCode)_i, "why");
    g_autofree char *expected = g_strdup_printf("[4,\"id\",\"%s\",\"why\",{}]", code_names[_i]);

    ck_assert_str_eq(ocpp_error_code_name((OcppErrorCode)_i), code_names[_i]);
    ck_assert(ocpp_error_code_from_name(code_names[_i], &code));
    ck_assert_int_eq(code, _i);
    ck_assert_str_eq(text, expected);
}
END_TEST

START_TEST(error_code_variants)
{
    static const char *const unknown[] = {"", "genericerror", "GenericError ", "FormatViolations",
                                          NULL};
    OcppErrorCode code = OCPP_N_ERROR_CODES;

    ck_assert(!ocpp_error_code_from_name(NULL, &code));
    for (int i = 0; unknown[i] != NULL; i++)
        ck_assert(!ocpp_error_code_from_name(unknown[i], &code));
    ck_assert_int_eq(code, OCPP_N_ERROR_CODES);
    ck_assert(ocpp_error_code_from_name("FormatViolation", &code));
    ck_assert_int_eq(code, OCPP_FORMATION_VIOLATION);
    ck_assert(ocpp_error_code_from_name("OccurrenceConstraintViolation", &code));
    ck_assert_int_eq(code, OCPP_OCCURENCE_CONSTRAINT_VIOLATION);
}
END_TEST

static Suite *frame_suite(void)
{
    Suite *suite = suite_create("frame");
    TCase *parse = tcase_create("parse");
    TCase *write = tcase_create("write");

    tcase_set_timeout(parse, TIMEOUT_S);
    tcase_add_loop_test(parse, good_frame, 0, G_N_ELEMENTS(good));
    tcase_add_loop_test(parse, bad_frame, 0, G_N_ELEMENTS(bad));
    tcase_add_loop_test(parse, out_parameters_may_be_null, 0, G_N_ELEMENTS(bad));
    tcase_add_test(parse, length_counts);
    tcase_add_loop_test(parse, message_is_not_quoted, 0, 4);
    tcase_add_test(parse, any_byte);
    tcase_add_test(parse, id_length);
    tcase_add_test(parse, depth_is_bounded);
    suite_add_tcase(suite, parse);

    tcase_add_loop_test(write, id_is_echoed, 0, G_N_ELEMENTS(echoes));
    tcase_add_test(write, call_text);
    tcase_add_test(write, result_text);
    tcase_add_loop_test(write, description_is_bounded, -1, 2);
    tcase_add_test(write, description_is_made_valid);
    tcase_add_test(write, ids_do_not_repeat);
    tcase_add_loop_test(write, error_code, 0, OCPP_N_ERROR_CODES);
    tcase_add_test(write, error_code_variants);
    suite_add_tcase(suite, write);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(frame_suite());
    int n_failed;

    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed;
}
