/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of ocpp/configuration.h: defaults, access, bounds of every key, and GetConfiguration's
 * answers.
 */
#include <check.h>
#include <string.h>

#include "ocpp/configuration.h"
#include "ocpp/message.h"

#define MAX_VALUE 500
#define MAX_KEY   50

static const struct {
    const char *key;
    gboolean read_only;
    const char *value;
} defaults[] = {
    {"GetConfigurationMaxKeys", TRUE, "50"},
    {"HeartbeatInterval", FALSE, "300"},
    {"NumberOfConnectors", TRUE, "0"},
    {"SecurityProfile", TRUE, "0"},
    {"SupportedFeatureProfiles", TRUE, "Core,FirmwareManagement,RemoteTrigger"},
    {"SupportedFileTransferProtocols", TRUE, "HTTP,HTTPS"},
    {"WebSocketPingInterval", FALSE, "60"},
};

/* The answer as compact text, after a check that it is a valid GetConfiguration.conf. */
static char *report(const OcppConfiguration *configuration, const char *keys)
{
    json_auto_t *asked = keys != NULL ? json_loads(keys, 0, NULL) : NULL;
    json_auto_t *answer = ocpp_configuration_report(configuration, asked);
    OcppErrorCode code;
    g_autofree char *what = NULL;
    char *text = json_dumps(answer, JSON_COMPACT | JSON_SORT_KEYS);

    ck_assert_msg(ocpp_message_check("GetConfiguration", OCPP_CONFIRMATION, answer, &code, &what),
                  "%s", what);
    return text;
}

START_TEST(initial_value)
{
    g_autoptr(OcppConfiguration) configuration = ocpp_configuration_new();
    g_autofree char *upper = g_ascii_strup(defaults[_i].key, -1);
    g_autofree char *keys = g_strdup_printf("[\"%s\"]", upper);
    g_autofree char *text = report(configuration, keys);
    g_autofree char *expected = g_strdup_printf(
        "{\"configurationKey\":[{\"key\":\"%s\",\"readonly\":%s,\"value\":\"%s\"}]}",
        defaults[_i].key, defaults[_i].read_only ? "true" : "false", defaults[_i].value);

    ck_assert_str_eq(ocpp_configuration_get(configuration, defaults[_i].key), defaults[_i].value);
    ck_assert_str_eq(ocpp_configuration_get(configuration, upper), defaults[_i].value);
    ck_assert_str_eq(ocpp_configuration_canonical(configuration, upper), defaults[_i].key);
    ck_assert_str_eq(text, expected);
    ocpp_configuration_free(NULL);
}
END_TEST

static const struct {
    const char *key;
    const char *value;
    OcppChange change;
    const char *kept;
} changes[] = {
    {"HeartbeatInterval", "1", OCPP_CHANGE_ACCEPTED, "1"},
    {"HeartbeatInterval", "86400", OCPP_CHANGE_ACCEPTED, "86400"},
    {"heartbeatINTERVAL", "77", OCPP_CHANGE_ACCEPTED, "77"},
    {"HeartbeatInterval", "0077", OCPP_CHANGE_ACCEPTED, "77"},
    {"HeartbeatInterval", "0", OCPP_CHANGE_REJECTED, "300"},
    {"HeartbeatInterval", "-5", OCPP_CHANGE_REJECTED, "300"},
    {"HeartbeatInterval", "86401", OCPP_CHANGE_REJECTED, "300"},
    {"HeartbeatInterval", "4294967297", OCPP_CHANGE_REJECTED, "300"},
    {"HeartbeatInterval", "99999999999999999999", OCPP_CHANGE_REJECTED, "300"},
    {"HeartbeatInterval", "", OCPP_CHANGE_REJECTED, "300"},
    {"HeartbeatInterval", " 60", OCPP_CHANGE_REJECTED, "300"},
    {"HeartbeatInterval", "60 ", OCPP_CHANGE_REJECTED, "300"},
    {"HeartbeatInterval", "+60", OCPP_CHANGE_ACCEPTED, "60"},
    {"HeartbeatInterval", "60.0", OCPP_CHANGE_REJECTED, "300"},
    {"HeartbeatInterval", "0x10", OCPP_CHANGE_REJECTED, "300"},
    {"HeartbeatInterval", "sixty", OCPP_CHANGE_REJECTED, "300"},
    {"HeartbeatInterval", NULL, OCPP_CHANGE_REJECTED, "300"},
    {"WebSocketPingInterval", "0", OCPP_CHANGE_ACCEPTED, "0"},
    {"WebSocketPingInterval", "-0", OCPP_CHANGE_ACCEPTED, "0"},
    {"WebSocketPingInterval", "86400", OCPP_CHANGE_ACCEPTED, "86400"},
    {"WebSocketPingInterval", "-1", OCPP_CHANGE_REJECTED, "60"},
    {"WebSocketPingInterval", "86401", OCPP_CHANGE_REJECTED, "60"},
    {"GetConfigurationMaxKeys", "50", OCPP_CHANGE_REJECTED, "50"},
    {"NumberOfConnectors", "2", OCPP_CHANGE_REJECTED, "0"},
    {"SecurityProfile", "1", OCPP_CHANGE_REJECTED, "0"},
    {"SupportedFeatureProfiles", "Core", OCPP_CHANGE_REJECTED,
     "Core,FirmwareManagement,RemoteTrigger"},
    {"SupportedFileTransferProtocols", "FTP", OCPP_CHANGE_REJECTED, "HTTP,HTTPS"},
    {"NoSuchKey", "1", OCPP_CHANGE_NOT_SUPPORTED, NULL},
    {"HeartbeatIntervals", "1", OCPP_CHANGE_NOT_SUPPORTED, NULL},
    {" HeartbeatInterval", "1", OCPP_CHANGE_NOT_SUPPORTED, NULL},
    {"", "1", OCPP_CHANGE_NOT_SUPPORTED, NULL},
    {NULL, "1", OCPP_CHANGE_NOT_SUPPORTED, NULL},
};

START_TEST(change)
{
    g_autoptr(OcppConfiguration) configuration = ocpp_configuration_new();

    ck_assert_int_eq(ocpp_configuration_change(configuration, changes[_i].key, changes[_i].value),
                     changes[_i].change);
    ck_assert_pstr_eq(ocpp_configuration_get(configuration, changes[_i].key), changes[_i].kept);
}
END_TEST

static const struct {
    const char *key;
    const char *value;
    gboolean accepted;
} sets[] = {
    {"HeartbeatInterval", "600", TRUE},
    {"HeartbeatInterval", "0", FALSE},
    {"NumberOfConnectors", "2", TRUE},
    {"NumberOfConnectors", "-1", FALSE},
    {"NumberOfConnectors", "256", FALSE},
    {"SecurityProfile", "3", TRUE},
    {"SecurityProfile", "4", FALSE},
    {"SecurityProfile", "-1", FALSE},
    {"GetConfigurationMaxKeys", "50", TRUE},
    {"GetConfigurationMaxKeys", "51", FALSE},
    {"SupportedFileTransferProtocols", "FTP,FTPS,HTTP,HTTPS,SFTP", TRUE},
    {"SupportedFeatureProfiles", "", TRUE},
    {"SupportedFeatureProfiles", "\xFF", FALSE},
    {"SupportedFeatureProfiles", NULL, FALSE},
    {"NoSuchKey", "1", FALSE},
    {NULL, "1", FALSE},
};

START_TEST(set)
{
    g_autoptr(OcppConfiguration) configuration = ocpp_configuration_new();
    g_autofree char *before = g_strdup(ocpp_configuration_get(configuration, sets[_i].key));

    ck_assert_int_eq(ocpp_configuration_set(configuration, sets[_i].key, sets[_i].value),
                     sets[_i].accepted);
    ck_assert_pstr_eq(ocpp_configuration_get(configuration, sets[_i].key),
                      sets[_i].accepted ? sets[_i].value : before);
}
END_TEST

/* 500 characters, of two bytes each, and no more. */
START_TEST(value_length)
{
    g_autoptr(OcppConfiguration) configuration = ocpp_configuration_new();
    g_autoptr(GString) value = g_string_new(NULL);
    g_autofree char *text = NULL;

    for (int i = 0; i < MAX_VALUE; i++)
        g_string_append(value, "\xC3\xA9");
    ck_assert(ocpp_configuration_set(configuration, "SupportedFeatureProfiles", value->str));
    text = report(configuration, NULL);
    ck_assert_ptr_nonnull(strstr(text, value->str));
    g_string_append_c(value, 'x');
    ck_assert(!ocpp_configuration_set(configuration, "SupportedFeatureProfiles", value->str));
}
END_TEST

/* Loading what the key has already, out of its own memory, is no trap. */
START_TEST(set_to_itself)
{
    g_autoptr(OcppConfiguration) configuration = ocpp_configuration_new();
    const char *key = defaults[_i].key;

    ck_assert(
        ocpp_configuration_set(configuration, key, ocpp_configuration_get(configuration, key)));
    ck_assert_str_eq(ocpp_configuration_get(configuration, key), defaults[_i].value);
}
END_TEST

START_TEST(integers)
{
    g_autoptr(OcppConfiguration) configuration = ocpp_configuration_new();

    ck_assert_int_eq(ocpp_configuration_integer(configuration, "HeartbeatInterval"), 300);
    ck_assert_int_eq(ocpp_configuration_change(configuration, "heartbeatinterval", "86400"),
                     OCPP_CHANGE_ACCEPTED);
    ck_assert_int_eq(ocpp_configuration_integer(configuration, "HEARTBEATINTERVAL"), 86400);
    ck_assert_int_eq(ocpp_configuration_integer(configuration, "SecurityProfile"), 0);
}
END_TEST

START_TEST(unknown_keys_have_nothing)
{
    g_autoptr(OcppConfiguration) configuration = ocpp_configuration_new();

    ck_assert_ptr_null(ocpp_configuration_get(configuration, "NoSuchKey"));
    ck_assert_ptr_null(ocpp_configuration_get(configuration, NULL));
    ck_assert_ptr_null(ocpp_configuration_canonical(configuration, "NoSuchKey"));
    ck_assert_ptr_null(ocpp_configuration_canonical(configuration, NULL));
}
END_TEST

#define HEARTBEAT "{\"key\":\"HeartbeatInterval\",\"readonly\":false,\"value\":\"300\"}"
#define PROFILE   "{\"key\":\"SecurityProfile\",\"readonly\":true,\"value\":\"0\"}"

static const struct {
    const char *keys;
    const char *answer;
} reports[] = {
    {"[\"HeartbeatInterval\"]", "{\"configurationKey\":[" HEARTBEAT "]}"},
    {"[\"SecurityProfile\",\"HeartbeatInterval\"]",
     "{\"configurationKey\":[" PROFILE "," HEARTBEAT "]}"},
    {"[\"heartbeatinterval\",\"HeartbeatInterval\",\"HeartbeatInterval\"]",
     "{\"configurationKey\":[" HEARTBEAT "]}"},
    {"[\"Foo\"]", "{\"configurationKey\":[],\"unknownKey\":[\"Foo\"]}"},
    {"[\"Foo\",\"HeartbeatInterval\",\"Bar\",\"foo\",\"\"]",
     "{\"configurationKey\":[" HEARTBEAT "],\"unknownKey\":[\"Foo\",\"Bar\",\"\"]}"},
    /* What the check of the request refuses. */
    {"[7,null,\"HeartbeatInterval\"]", "{\"configurationKey\":[" HEARTBEAT "]}"},
    {"{\"HeartbeatInterval\":1}", NULL},
};

START_TEST(report_of_keys)
{
    g_autoptr(OcppConfiguration) configuration = ocpp_configuration_new();
    g_autofree char *text = report(configuration, reports[_i].keys);
    g_autofree char *all = report(configuration, NULL);

    ck_assert_str_eq(text, reports[_i].answer != NULL ? reports[_i].answer : all);
}
END_TEST

START_TEST(report_of_all)
{
    static const char *const none[] = {NULL, "[]"};
    g_autoptr(OcppConfiguration) configuration = ocpp_configuration_new();

    for (gsize i = 0; i < G_N_ELEMENTS(none); i++) {
        json_auto_t *asked = none[i] != NULL ? json_loads(none[i], 0, NULL) : NULL;
        json_auto_t *answer = ocpp_configuration_report(configuration, asked);
        const json_t *known = json_object_get(answer, "configurationKey");

        ck_assert_uint_eq(json_array_size(known), G_N_ELEMENTS(defaults));
        ck_assert_ptr_null(json_object_get(answer, "unknownKey"));
        for (gsize k = 0; k < G_N_ELEMENTS(defaults); k++)
            ck_assert_str_eq(ocpp_string(json_array_get(known, k), "key"), defaults[k].key);
    }
}
END_TEST

/* `n` keys that are unknown and all different, then a known one. */
static json_t *many_keys(int n)
{
    json_t *keys = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(keys, json_sprintf("Key%d", i));
    json_array_append_new(keys, json_string("HeartbeatInterval"));
    return keys;
}

START_TEST(report_is_bounded)
{
    g_autoptr(OcppConfiguration) configuration = ocpp_configuration_new();
    int n = OCPP_CONFIGURATION_MAX_KEYS - 1 + _i;
    json_auto_t *keys = many_keys(n);
    json_auto_t *answer = ocpp_configuration_report(configuration, keys);

    ck_assert_uint_eq(json_array_size(json_object_get(answer, "unknownKey")),
                      (gsize)MIN(n, OCPP_CONFIGURATION_MAX_KEYS));
    ck_assert_uint_eq(json_array_size(json_object_get(answer, "configurationKey")),
                      n < OCPP_CONFIGURATION_MAX_KEYS ? 1 : 0);
}
END_TEST

START_TEST(report_of_long_keys)
{
    g_autoptr(OcppConfiguration) configuration = ocpp_configuration_new();
    g_autofree char *fits = g_strnfill(MAX_KEY, 'x');
    g_autofree char *too_long = g_strnfill(MAX_KEY + 1, 'y');
    g_autofree char *keys = g_strdup_printf("[\"%s\",\"%s\"]", too_long, fits);
    g_autofree char *text = report(configuration, keys);
    g_autofree char *expected =
        g_strdup_printf("{\"configurationKey\":[],\"unknownKey\":[\"%s\"]}", fits);

    ck_assert_str_eq(text, expected);
}
END_TEST

START_TEST(names)
{
    ck_assert_str_eq(ocpp_change_name(OCPP_CHANGE_ACCEPTED), "Accepted");
    ck_assert_str_eq(ocpp_change_name(OCPP_CHANGE_REJECTED), "Rejected");
    ck_assert_str_eq(ocpp_change_name(OCPP_CHANGE_NOT_SUPPORTED), "NotSupported");
}
END_TEST

static Suite *configuration_suite(void)
{
    Suite *suite = suite_create("configuration");
    TCase *values = tcase_create("values");
    TCase *answers = tcase_create("report");

    tcase_add_loop_test(values, initial_value, 0, G_N_ELEMENTS(defaults));
    tcase_add_loop_test(values, change, 0, G_N_ELEMENTS(changes));
    tcase_add_loop_test(values, set, 0, G_N_ELEMENTS(sets));
    tcase_add_loop_test(values, set_to_itself, 0, G_N_ELEMENTS(defaults));
    tcase_add_test(values, value_length);
    tcase_add_test(values, integers);
    tcase_add_test(values, unknown_keys_have_nothing);
    tcase_add_test(values, names);
    suite_add_tcase(suite, values);

    tcase_add_loop_test(answers, report_of_keys, 0, G_N_ELEMENTS(reports));
    tcase_add_test(answers, report_of_all);
    tcase_add_loop_test(answers, report_is_bounded, 0, 3);
    tcase_add_test(answers, report_of_long_keys);
    suite_add_tcase(suite, answers);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(configuration_suite());
    int n_failed;

    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed;
}
