/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of ocpp/message.h: named cases, and then every field of every table with its bounds, by the
 * tables themselves. That the tables say what the published schemas say is for
 * tests/component/test_field_tables.py.
 */
#include <check.h>
#include <string.h>

#include "../../ocpp/message_tables.h"
#include "ocpp/message.h"

#define DATE "2026-11-22T08:00:00Z"

static json_t *json(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

    ck_assert_msg(value != NULL, "bad JSON in the test: %s", text);
    return value;
}

static const struct {
    const char *action;
    OcppMessageKind kind;
    const char *payload;
} good[] = {
    {"BootNotification", OCPP_REQUEST,
     "{\"chargePointVendor\":\"V\",\"chargePointModel\":\"M\",\"firmwareVersion\":\"1.0\"}"},
    {"BootNotification", OCPP_CONFIRMATION,
     "{\"status\":\"Accepted\",\"currentTime\":\"" DATE "\",\"interval\":300}"},
    {"BootNotification", OCPP_CONFIRMATION,
     "{\"status\":\"Pending\",\"currentTime\":\"2026-11-22 08:00:00.123456+01:00\","
     "\"interval\":60.0}"},
    {"BootNotification", OCPP_CONFIRMATION,
     "{\"status\":\"Rejected\",\"currentTime\":\"" DATE "\",\"interval\":-1}"},
    {"Heartbeat", OCPP_REQUEST, "{}"},
    {"Heartbeat", OCPP_REQUEST, "{\"extra\":{\"deep\":[1]}}"},
    {"Heartbeat", OCPP_CONFIRMATION, "{\"currentTime\":\"" DATE "\"}"},
    {"UpdateFirmware", OCPP_REQUEST,
     "{\"location\":\"https://h/b.raucb\",\"retrieveDate\":\"" DATE "\"}"},
    {"UpdateFirmware", OCPP_REQUEST, "{\"location\":\"C:\\\\fw.bin\"}"},
    {"UpdateFirmware", OCPP_REQUEST, "{\"location\":\"\",\"retrieveDate\":null}"},
    {"UpdateFirmware", OCPP_REQUEST,
     "{\"location\":\"x\",\"retrieveDate\":\"2026-11-22T08:00:00\",\"retries\":0,"
     "\"retryInterval\":2147483647,\"extra\":1}"},
    {"UpdateFirmware", OCPP_REQUEST, "{\"location\":\"x\",\"retries\":null,\"retryInterval\":3e1}"},
    {"GetConfiguration", OCPP_REQUEST, "{}"},
    {"GetConfiguration", OCPP_REQUEST, "{\"key\":[]}"},
    {"GetConfiguration", OCPP_REQUEST, "{\"key\":[\"A\",\"\",\"A\"]}"},
    {"GetConfiguration", OCPP_CONFIRMATION,
     "{\"configurationKey\":[{\"key\":\"A\",\"readonly\":true,\"value\":\"1\"},"
     "{\"key\":\"B\",\"readonly\":false,\"value\":null,\"extra\":1}],\"unknownKey\":[\"C\"]}"},
    {"GetDiagnostics", OCPP_CONFIRMATION, "{}"},
    {"TriggerMessage", OCPP_REQUEST,
     "{\"requestedMessage\":\"StatusNotification\",\"connectorId\":-1}"},
    {"DataTransfer", OCPP_CONFIRMATION, "{\"status\":\"UnknownVendorId\"}"},
    /* No table: nothing to check by. */
    {"Authorize", OCPP_REQUEST, "[]"},
    {"NoSuchAction", OCPP_CONFIRMATION, "7"},
};

START_TEST(good_payload)
{
    json_auto_t *payload = json(good[_i].payload);
    OcppErrorCode code = OCPP_N_ERROR_CODES;
    char *what = NULL;

    ck_assert_msg(ocpp_message_check(good[_i].action, good[_i].kind, payload, &code, &what),
                  "%s: %s", good[_i].payload, what);
    ck_assert_int_eq(code, OCPP_N_ERROR_CODES);
    ck_assert_ptr_null(what);
}
END_TEST

static const struct {
    const char *action;
    OcppMessageKind kind;
    OcppErrorCode code;
    const char *payload;
    const char *what;
} bad[] = {
    {"UpdateFirmware", OCPP_REQUEST, OCPP_FORMATION_VIOLATION, "[]",
     "UpdateFirmware.req: payload must be an object"},
    {"Heartbeat", OCPP_REQUEST, OCPP_FORMATION_VIOLATION, "null",
     "Heartbeat.req: payload must be an object"},
    {"Heartbeat", OCPP_CONFIRMATION, OCPP_FORMATION_VIOLATION, "\"x\"",
     "Heartbeat.conf: payload must be an object"},
    {"UpdateFirmware", OCPP_CONFIRMATION, OCPP_FORMATION_VIOLATION, "7",
     "UpdateFirmware.conf: payload must be an object"},

    {"UpdateFirmware", OCPP_REQUEST, OCPP_OCCURENCE_CONSTRAINT_VIOLATION, "{}",
     "UpdateFirmware.req: location is required"},
    {"UpdateFirmware", OCPP_REQUEST, OCPP_OCCURENCE_CONSTRAINT_VIOLATION, "{\"location\":null}",
     "UpdateFirmware.req: location is required"},
    {"UpdateFirmware", OCPP_REQUEST, OCPP_OCCURENCE_CONSTRAINT_VIOLATION, "{\"Location\":\"x\"}",
     "UpdateFirmware.req: location is required"},
    {"BootNotification", OCPP_CONFIRMATION, OCPP_OCCURENCE_CONSTRAINT_VIOLATION,
     "{\"status\":\"Accepted\",\"currentTime\":\"" DATE "\"}",
     "BootNotification.conf: interval is required"},
    {"GetConfiguration", OCPP_CONFIRMATION, OCPP_OCCURENCE_CONSTRAINT_VIOLATION,
     "{\"configurationKey\":[{\"key\":\"A\"}]}",
     "GetConfiguration.conf: configurationKey[0].readonly is required"},

    {"UpdateFirmware", OCPP_REQUEST, OCPP_TYPE_CONSTRAINT_VIOLATION, "{\"location\":7}",
     "UpdateFirmware.req: location must be a string"},
    {"UpdateFirmware", OCPP_REQUEST, OCPP_TYPE_CONSTRAINT_VIOLATION,
     "{\"location\":\"x\",\"retrieveDate\":1763800000}",
     "UpdateFirmware.req: retrieveDate must be a string"},
    {"UpdateFirmware", OCPP_REQUEST, OCPP_TYPE_CONSTRAINT_VIOLATION,
     "{\"location\":\"x\",\"retries\":\"3\"}", "UpdateFirmware.req: retries must be an integer"},
    {"UpdateFirmware", OCPP_REQUEST, OCPP_TYPE_CONSTRAINT_VIOLATION,
     "{\"location\":\"x\",\"retries\":2.5}", "UpdateFirmware.req: retries must be an integer"},
    {"UpdateFirmware", OCPP_REQUEST, OCPP_TYPE_CONSTRAINT_VIOLATION,
     "{\"location\":\"x\",\"retries\":true}", "UpdateFirmware.req: retries must be an integer"},
    {"GetConfiguration", OCPP_REQUEST, OCPP_TYPE_CONSTRAINT_VIOLATION, "{\"key\":\"A\"}",
     "GetConfiguration.req: key must be an array"},
    {"GetConfiguration", OCPP_REQUEST, OCPP_TYPE_CONSTRAINT_VIOLATION, "{\"key\":[\"A\",null]}",
     "GetConfiguration.req: key[1] must be a string"},
    {"GetConfiguration", OCPP_CONFIRMATION, OCPP_TYPE_CONSTRAINT_VIOLATION,
     "{\"configurationKey\":{}}", "GetConfiguration.conf: configurationKey must be an array"},
    {"GetConfiguration", OCPP_CONFIRMATION, OCPP_TYPE_CONSTRAINT_VIOLATION,
     "{\"configurationKey\":[\"A\"]}",
     "GetConfiguration.conf: configurationKey[0] must be an object"},
    {"GetConfiguration", OCPP_CONFIRMATION, OCPP_TYPE_CONSTRAINT_VIOLATION,
     "{\"configurationKey\":[{\"key\":\"A\",\"readonly\":false},"
     "{\"key\":\"B\",\"readonly\":1}]}",
     "GetConfiguration.conf: configurationKey[1].readonly must be a boolean"},

    {"Reset", OCPP_REQUEST, OCPP_PROPERTY_CONSTRAINT_VIOLATION, "{\"type\":\"soft\"}",
     "Reset.req: type is none of the allowed values"},
    {"Reset", OCPP_REQUEST, OCPP_PROPERTY_CONSTRAINT_VIOLATION, "{\"type\":\"\"}",
     "Reset.req: type is none of the allowed values"},
    {"UpdateFirmware", OCPP_REQUEST, OCPP_PROPERTY_CONSTRAINT_VIOLATION,
     "{\"location\":\"x\",\"retries\":-1}", "UpdateFirmware.req: retries must be 0 to 2147483647"},
    {"UpdateFirmware", OCPP_REQUEST, OCPP_PROPERTY_CONSTRAINT_VIOLATION,
     "{\"location\":\"x\",\"retryInterval\":1e300}",
     "UpdateFirmware.req: retryInterval must be 0 to 2147483647"},
    {"UpdateFirmware", OCPP_REQUEST, OCPP_PROPERTY_CONSTRAINT_VIOLATION,
     "{\"location\":\"x\",\"retrieveDate\":\"tomorrow\"}",
     "UpdateFirmware.req: retrieveDate is not a date-time of RFC 3339"},
    {"BootNotification", OCPP_CONFIRMATION, OCPP_PROPERTY_CONSTRAINT_VIOLATION,
     "{\"status\":\"Accepted\",\"currentTime\":\"" DATE "\",\"interval\":-9e18}",
     "BootNotification.conf: interval must be -2147483648 to 2147483647"},

    /* The first one in the table's order. */
    {"UpdateFirmware", OCPP_REQUEST, OCPP_OCCURENCE_CONSTRAINT_VIOLATION,
     "{\"retryInterval\":-1,\"retries\":\"x\"}", "UpdateFirmware.req: location is required"},
};

START_TEST(bad_payload)
{
    json_auto_t *payload = json(bad[_i].payload);
    OcppErrorCode code = OCPP_N_ERROR_CODES;
    g_autofree char *what = NULL;

    ck_assert(!ocpp_message_check(bad[_i].action, bad[_i].kind, payload, &code, &what));
    ck_assert_str_eq(what, bad[_i].what);
    ck_assert_str_eq(ocpp_error_code_name(code), ocpp_error_code_name(bad[_i].code));
}
END_TEST

START_TEST(no_payload_at_all)
{
    OcppErrorCode code;
    g_autofree char *what = NULL;

    ck_assert(!ocpp_message_check("Heartbeat", OCPP_REQUEST, NULL, &code, &what));
    ck_assert_int_eq(code, OCPP_FORMATION_VIOLATION);
}
END_TEST

/* A string of `length` characters, two bytes each. */
static json_t *long_string(gsize length)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (gsize i = 0; i < length; i++)
        g_string_append(text, "\xC3\xA9");
    return json_string(text->str);
}

static json_t *valid_object(const OcppField *fields);

static json_t *valid_value(const OcppField *field)
{
    switch (field->type) {
    case OCPP_FIELD_STRING:
        return json_string(field->values != NULL ? field->values[0] : "x");
    case OCPP_FIELD_DATE_TIME:
        return json_string(DATE);
    case OCPP_FIELD_INTEGER:
        return json_integer(field->lowest);
    case OCPP_FIELD_BOOLEAN:
        return json_true();
    case OCPP_FIELD_STRINGS:
        return json_pack("[s]", "x");
    case OCPP_FIELD_OBJECTS:
        return json_pack("[o]", valid_object(field->fields));
    default:
        ck_abort_msg("%s has no type", field->name);
        return NULL;
    }
}

static json_t *valid_object(const OcppField *fields)
{
    json_t *object = json_object();

    for (; fields->name != NULL; fields++)
        json_object_set_new(object, fields->name, valid_value(fields));
    return object;
}

/* Checks the table's valid payload with `field` set to `value` (stolen; NULL: left out).
 * OCPP_N_ERROR_CODES: valid. */
static OcppErrorCode check_with(const OcppMessageTable *table, const OcppField *field,
                                json_t *value)
{
    json_auto_t *payload = valid_object(table->fields);
    OcppErrorCode code = OCPP_N_ERROR_CODES;
    g_autofree char *what = NULL;

    if (value == NULL)
        json_object_del(payload, field->name);
    else
        json_object_set_new(payload, field->name, value);
    if (ocpp_message_check(table->action, table->kind, payload, &code, &what))
        return OCPP_N_ERROR_CODES;
    ck_assert_ptr_nonnull(strstr(what, field->name));
    return code;
}

static void walk_string(const OcppMessageTable *table, const OcppField *field)
{
    for (gsize i = 0; field->values != NULL && field->values[i] != NULL; i++) {
        g_autofree char *lower = g_ascii_strdown(field->values[i], -1);

        ck_assert_int_eq(check_with(table, field, json_string(field->values[i])),
                         OCPP_N_ERROR_CODES);
        ck_assert_int_eq(check_with(table, field, json_string(lower)),
                         OCPP_PROPERTY_CONSTRAINT_VIOLATION);
    }
    if (field->values != NULL)
        return;
    ck_assert_int_eq(check_with(table, field, json_string("")), OCPP_N_ERROR_CODES);
    ck_assert_int_eq(
        check_with(table, field, long_string(field->max_length > 0 ? field->max_length : 100000)),
        OCPP_N_ERROR_CODES);
    if (field->max_length > 0)
        ck_assert_int_eq(check_with(table, field, long_string(field->max_length + 1)),
                         OCPP_PROPERTY_CONSTRAINT_VIOLATION);
}

static void walk_integer(const OcppMessageTable *table, const OcppField *field)
{
    const struct {
        json_t *value;
        OcppErrorCode code;
    } cases[] = {
        {json_integer(field->lowest), OCPP_N_ERROR_CODES},
        {json_integer(field->highest), OCPP_N_ERROR_CODES},
        {json_integer(field->lowest - 1), OCPP_PROPERTY_CONSTRAINT_VIOLATION},
        {json_integer(field->highest + 1), OCPP_PROPERTY_CONSTRAINT_VIOLATION},
        {json_integer(G_MAXINT64), OCPP_PROPERTY_CONSTRAINT_VIOLATION},
        {json_integer(G_MININT64), OCPP_PROPERTY_CONSTRAINT_VIOLATION},
        {json_real(60.0), OCPP_N_ERROR_CODES},
        {json_real(-0.0), OCPP_N_ERROR_CODES},
        {json_real((double)field->highest), OCPP_N_ERROR_CODES},
        {json_real((double)field->highest + 1), OCPP_PROPERTY_CONSTRAINT_VIOLATION},
        {json_real((double)field->lowest - 1), OCPP_PROPERTY_CONSTRAINT_VIOLATION},
        {json_real(9223372036854775808.0), OCPP_PROPERTY_CONSTRAINT_VIOLATION},
        {json_real(-1e19), OCPP_PROPERTY_CONSTRAINT_VIOLATION},
        {json_real(60.5), OCPP_TYPE_CONSTRAINT_VIOLATION},
        {json_real(1e-9), OCPP_TYPE_CONSTRAINT_VIOLATION},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        ck_assert_int_eq(check_with(table, field, cases[i].value), cases[i].code);
}

static void walk_date_time(const OcppMessageTable *table, const OcppField *field)
{
    static const char *const bad_dates[] = {"", "now", "2026-02-30T00:00:00Z",
                                            "2026-11-22T08:00:00ZZ", "2026-11-22"};

    for (gsize i = 0; i < G_N_ELEMENTS(bad_dates); i++)
        ck_assert_int_eq(check_with(table, field, json_string(bad_dates[i])),
                         OCPP_PROPERTY_CONSTRAINT_VIOLATION);
}

static void walk_strings(const OcppMessageTable *table, const OcppField *field)
{
    json_t *fits = json_pack("[s,o]", "x", long_string(field->max_length));
    json_t *too_long = json_pack("[s,o]", "x", long_string(field->max_length + 1));

    ck_assert_int_eq(check_with(table, field, json_array()), OCPP_N_ERROR_CODES);
    ck_assert_int_eq(check_with(table, field, fits), OCPP_N_ERROR_CODES);
    ck_assert_int_eq(check_with(table, field, too_long), OCPP_PROPERTY_CONSTRAINT_VIOLATION);
}

static void walk_objects(const OcppMessageTable *table, const OcppField *field)
{
    ck_assert_int_eq(check_with(table, field, json_array()), OCPP_N_ERROR_CODES);
    for (const OcppField *inner = field->fields; inner->name != NULL; inner++) {
        json_auto_t *one = valid_object(field->fields);

        json_object_del(one, inner->name);
        ck_assert_int_eq(check_with(table, field, json_pack("[O]", one)),
                         inner->required ? OCPP_OCCURENCE_CONSTRAINT_VIOLATION
                                         : OCPP_N_ERROR_CODES);
        if (inner->type != OCPP_FIELD_STRING)
            continue;
        json_object_set_new(one, inner->name, long_string(inner->max_length));
        ck_assert_int_eq(check_with(table, field, json_pack("[O]", one)), OCPP_N_ERROR_CODES);
        json_object_set_new(one, inner->name, long_string(inner->max_length + 1));
        ck_assert_int_eq(check_with(table, field, json_pack("[O]", one)),
                         OCPP_PROPERTY_CONSTRAINT_VIOLATION);
    }
}

/* One value of each JSON type: only the field's own may pass. */
static void walk_types(const OcppMessageTable *table, const OcppField *field)
{
    static const char *const values[] = {"\"\"", "7", "7.5", "true", "false", "{}", "[]", "[[]]"};

    for (gsize i = 0; i < G_N_ELEMENTS(values); i++) {
        json_t *value = json(values[i]);
        gboolean own = json_is_string(value)    ? field->type <= OCPP_FIELD_DATE_TIME
                       : json_is_integer(value) ? field->type == OCPP_FIELD_INTEGER
                       : json_is_boolean(value) ? field->type == OCPP_FIELD_BOOLEAN
                       : json_is_array(value)
                           ? field->type >= OCPP_FIELD_STRINGS && json_array_size(value) == 0
                           : FALSE;
        OcppErrorCode code = check_with(table, field, value);

        ck_assert_msg((code != OCPP_TYPE_CONSTRAINT_VIOLATION) == own, "%s.%s = %s", table->action,
                      field->name, values[i]);
    }
}

START_TEST(every_field)
{
    static void (*const walks[])(const OcppMessageTable *, const OcppField *) = {
        [OCPP_FIELD_STRING] = walk_string,   [OCPP_FIELD_DATE_TIME] = walk_date_time,
        [OCPP_FIELD_INTEGER] = walk_integer, [OCPP_FIELD_BOOLEAN] = walk_types,
        [OCPP_FIELD_STRINGS] = walk_strings, [OCPP_FIELD_OBJECTS] = walk_objects,
    };
    gsize n_tables;
    const OcppMessageTable *table = &ocpp_message_tables(&n_tables)[_i];

    for (const OcppField *field = table->fields; field->name != NULL; field++) {
        OcppErrorCode absent =
            field->required ? OCPP_OCCURENCE_CONSTRAINT_VIOLATION : OCPP_N_ERROR_CODES;

        ck_assert_int_eq(check_with(table, field, valid_value(field)), OCPP_N_ERROR_CODES);
        ck_assert_int_eq(check_with(table, field, NULL), absent);
        ck_assert_int_eq(check_with(table, field, json_null()), absent);
        walk_types(table, field);
        walks[field->type](table, field);
    }
}
END_TEST

START_TEST(every_table_is_known)
{
    static const char *const actions[] = {"BootNotification",
                                          "ChangeAvailability",
                                          "ChangeConfiguration",
                                          "DataTransfer",
                                          "DiagnosticsStatusNotification",
                                          "FirmwareStatusNotification",
                                          "GetConfiguration",
                                          "GetDiagnostics",
                                          "Heartbeat",
                                          "Reset",
                                          "StatusNotification",
                                          "TriggerMessage",
                                          "UpdateFirmware"};
    gsize n_tables;

    (void)ocpp_message_tables(&n_tables);
    ck_assert_uint_eq(n_tables, 2 * G_N_ELEMENTS(actions));
    for (gsize i = 0; i < G_N_ELEMENTS(actions); i++) {
        ck_assert(ocpp_message_known(actions[i], OCPP_REQUEST));
        ck_assert(ocpp_message_known(actions[i], OCPP_CONFIRMATION));
    }
    ck_assert(!ocpp_message_known("Authorize", OCPP_REQUEST));
    ck_assert(!ocpp_message_known("bootNotification", OCPP_REQUEST));
    ck_assert(!ocpp_message_known("", OCPP_REQUEST));
    ck_assert(!ocpp_message_known(NULL, OCPP_CONFIRMATION));
}
END_TEST

START_TEST(unknown_field)
{
    json_auto_t *clean = json("{\"location\":\"x\",\"retries\":null}");
    json_auto_t *extra = json("{\"location\":\"x\",\"checksum\":\"y\"}");
    json_auto_t *array = json("[\"location\"]");

    ck_assert_ptr_null(ocpp_message_unknown_field("UpdateFirmware", OCPP_REQUEST, clean));
    ck_assert_str_eq(ocpp_message_unknown_field("UpdateFirmware", OCPP_REQUEST, extra), "checksum");
    ck_assert_str_eq(ocpp_message_unknown_field("UpdateFirmware", OCPP_CONFIRMATION, clean),
                     "location");
    ck_assert_ptr_null(ocpp_message_unknown_field("Authorize", OCPP_REQUEST, extra));
    ck_assert_ptr_null(ocpp_message_unknown_field("UpdateFirmware", OCPP_REQUEST, array));
    ck_assert_ptr_null(ocpp_message_unknown_field("UpdateFirmware", OCPP_REQUEST, NULL));
}
END_TEST

START_TEST(readers)
{
    json_auto_t *payload = json("{\"s\":\"text\",\"i\":42,\"f\":60.0,\"h\":60.5,\"n\":null,"
                                "\"big\":1e300,\"small\":-1e300,\"b\":true}");

    ck_assert_str_eq(ocpp_string(payload, "s"), "text");
    ck_assert_ptr_null(ocpp_string(payload, "i"));
    ck_assert_ptr_null(ocpp_string(payload, "n"));
    ck_assert_ptr_null(ocpp_string(payload, "absent"));
    ck_assert_ptr_null(ocpp_string(NULL, "s"));

    ck_assert_int_eq(ocpp_integer(payload, "i", 7), 42);
    ck_assert_int_eq(ocpp_integer(payload, "f", 7), 60);
    ck_assert_int_eq(ocpp_integer(payload, "h", 7), 7);
    ck_assert_int_eq(ocpp_integer(payload, "s", 7), 7);
    ck_assert_int_eq(ocpp_integer(payload, "b", 7), 7);
    ck_assert_int_eq(ocpp_integer(payload, "n", 7), 7);
    ck_assert_int_eq(ocpp_integer(payload, "absent", 7), 7);
    ck_assert_int_eq(ocpp_integer(NULL, "i", 7), 7);
    ck_assert_int_eq(ocpp_integer(payload, "big", 7), G_MAXINT64);
    ck_assert_int_eq(ocpp_integer(payload, "small", 7), G_MININT64);

    ck_assert(ocpp_has(payload, "s"));
    ck_assert(ocpp_has(payload, "b"));
    ck_assert(!ocpp_has(payload, "n"));
    ck_assert(!ocpp_has(payload, "absent"));
    ck_assert(!ocpp_has(NULL, "s"));
}
END_TEST

static Suite *message_suite(void)
{
    Suite *suite = suite_create("message");
    TCase *check = tcase_create("check");
    TCase *read = tcase_create("read");
    gsize n_tables;

    (void)ocpp_message_tables(&n_tables);
    tcase_add_loop_test(check, good_payload, 0, G_N_ELEMENTS(good));
    tcase_add_loop_test(check, bad_payload, 0, G_N_ELEMENTS(bad));
    tcase_add_test(check, no_payload_at_all);
    tcase_add_loop_test(check, every_field, 0, (int)n_tables);
    tcase_add_test(check, every_table_is_known);
    suite_add_tcase(suite, check);

    tcase_add_test(read, unknown_field);
    tcase_add_test(read, readers);
    suite_add_tcase(suite, read);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(message_suite());
    int n_failed;

    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed;
}
