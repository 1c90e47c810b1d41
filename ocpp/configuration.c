/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration keys and their values.  A new key is one row of the table.
 */
#include "ocpp/configuration.h"

#define MAX_KEY_LENGTH   50 /* C 7.29: CiString50 */
#define MAX_VALUE_LENGTH 500

#define MAX_CONNECTORS       255
#define MAX_SECURITY_PROFILE 3
#define DAY_S                86400

/* So that GetConfigurationMaxKeys shows the number that the header names. */
#define MAX_KEYS_TEXT G_STRINGIFY(OCPP_CONFIGURATION_MAX_KEYS)

typedef enum { READ_ONLY, READ_WRITE } Access;
typedef enum { INTEGER, TEXT } Type;

static const struct {
    const char *name;
    Access access;
    Type type;
    gint64 lowest, highest; /* of an INTEGER */
    const char *value;      /* the default */
} table[] = {
    {"GetConfigurationMaxKeys", READ_ONLY, INTEGER, OCPP_CONFIGURATION_MAX_KEYS,
     OCPP_CONFIGURATION_MAX_KEYS, MAX_KEYS_TEXT},
    {"HeartbeatInterval", READ_WRITE, INTEGER, 1, DAY_S, "300"},
    {"NumberOfConnectors", READ_ONLY, INTEGER, 0, MAX_CONNECTORS, "0"},
    {"SecurityProfile", READ_ONLY, INTEGER, 0, MAX_SECURITY_PROFILE, "0"},
    {"SupportedFeatureProfiles", READ_ONLY, TEXT, 0, 0, "Core,FirmwareManagement,RemoteTrigger"},
    {"SupportedFileTransferProtocols", READ_ONLY, TEXT, 0, 0, "HTTP,HTTPS"},
    {"WebSocketPingInterval", READ_WRITE, INTEGER, 0, DAY_S, "60"},
};

#define N_KEYS ((int)G_N_ELEMENTS(table))

G_STATIC_ASSERT(G_N_ELEMENTS(table) <= OCPP_CONFIGURATION_MAX_KEYS);

struct _OcppConfiguration {
    char *values[G_N_ELEMENTS(table)];
};

OcppConfiguration *ocpp_configuration_new(void)
{
    OcppConfiguration *configuration = g_new0(OcppConfiguration, 1);

    for (int i = 0; i < N_KEYS; i++)
        configuration->values[i] = g_strdup(table[i].value);
    return configuration;
}

void ocpp_configuration_free(OcppConfiguration *configuration)
{
    if (configuration == NULL)
        return;
    for (int i = 0; i < N_KEYS; i++)
        g_free(configuration->values[i]);
    g_free(configuration);
}

/* -1 for an unknown key. */
static int find(const char *key)
{
    for (int i = 0; key != NULL && i < N_KEYS; i++) {
        if (g_ascii_strcasecmp(key, table[i].name) == 0)
            return i;
    }
    return -1;
}

/* Integers are kept as they are printed, so that "007" is shown as what it was taken for. */
static gboolean set_value(OcppConfiguration *configuration, int i, const char *value)
{
    gint64 number;
    char *accepted;

    if (value == NULL || !g_utf8_validate(value, -1, NULL) ||
        g_utf8_strlen(value, -1) > MAX_VALUE_LENGTH)
        return FALSE;
    if (table[i].type == TEXT)
        accepted = g_strdup(value);
    else if (g_ascii_string_to_signed(value, 10, table[i].lowest, table[i].highest, &number, NULL))
        accepted = g_strdup_printf("%" G_GINT64_FORMAT, number);
    else
        return FALSE;
    g_free(configuration->values[i]);
    configuration->values[i] = accepted;
    return TRUE;
}

OcppChange ocpp_configuration_change(OcppConfiguration *configuration, const char *key,
                                     const char *value)
{
    int i = find(key);

    if (i < 0)
        return OCPP_CHANGE_NOT_SUPPORTED;
    if (table[i].access == READ_ONLY || !set_value(configuration, i, value))
        return OCPP_CHANGE_REJECTED;
    return OCPP_CHANGE_ACCEPTED;
}

const char *ocpp_change_name(OcppChange change)
{
    static const char *const names[] = {
        [OCPP_CHANGE_ACCEPTED] = "Accepted",
        [OCPP_CHANGE_REJECTED] = "Rejected",
        [OCPP_CHANGE_NOT_SUPPORTED] = "NotSupported",
    };

    g_return_val_if_fail((guint)change < G_N_ELEMENTS(names), NULL);
    return names[change];
}

gboolean ocpp_configuration_set(OcppConfiguration *configuration, const char *key,
                                const char *value)
{
    int i = find(key);

    return i >= 0 && set_value(configuration, i, value);
}

const char *ocpp_configuration_get(const OcppConfiguration *configuration, const char *key)
{
    int i = find(key);

    return i < 0 ? NULL : configuration->values[i];
}

gint64 ocpp_configuration_integer(const OcppConfiguration *configuration, const char *key)
{
    int i = find(key);

    g_return_val_if_fail(i >= 0 && table[i].type == INTEGER, 0);
    return g_ascii_strtoll(configuration->values[i], NULL, 10);
}

const char *ocpp_configuration_canonical(const OcppConfiguration *configuration, const char *key)
{
    int i = find(key);

    (void)configuration;
    return i < 0 ? NULL : table[i].name;
}

static void report_key(const OcppConfiguration *configuration, int i, json_t *known)
{
    json_array_append_new(known, json_pack("{s:s, s:b, s:s}", "key", table[i].name, "readonly",
                                           table[i].access == READ_ONLY, "value",
                                           configuration->values[i]));
}

/* A key that the check of the request would have refused is left out: the answer must pass it, too.
 */
static void report_unknown(const char *key, json_t *unknown)
{
    size_t i;
    const json_t *reported;

    if (key == NULL || g_utf8_strlen(key, -1) > MAX_KEY_LENGTH)
        return;
    json_array_foreach(unknown, i, reported)
    {
        if (g_ascii_strcasecmp(json_string_value(reported), key) == 0)
            return;
    }
    json_array_append_new(unknown, json_string(key));
}

static void report_asked(const OcppConfiguration *configuration, const json_t *keys, json_t *known,
                         json_t *unknown)
{
    gboolean reported[G_N_ELEMENTS(table)] = {FALSE};
    size_t n;
    const json_t *asked;

    json_array_foreach(keys, n, asked)
    {
        const char *key = json_string_value(asked);
        int i = find(key);

        if (n >= OCPP_CONFIGURATION_MAX_KEYS)
            return;
        if (i < 0) {
            report_unknown(key, unknown);
        } else if (!reported[i]) {
            report_key(configuration, i, known);
            reported[i] = TRUE;
        }
    }
}

json_t *ocpp_configuration_report(const OcppConfiguration *configuration, const json_t *keys)
{
    json_auto_t *unknown = json_array();
    json_t *known = json_array();
    json_t *report = json_object();

    if (json_array_size(keys) > 0)
        report_asked(configuration, keys, known, unknown);
    else
        for (int i = 0; i < N_KEYS; i++)
            report_key(configuration, i, known);

    json_object_set_new(report, "configurationKey", known);
    /* Empty arrays are valid, but an unknownKey in the answer reads like a complaint. */
    if (json_array_size(unknown) > 0)
        json_object_set(report, "unknownKey", unknown);
    return report;
}
