/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of settings. */
#include "agent/settings_table.h"

#include "adapter/collector.h"

#define MAX_PATH    4095
#define MAX_COMMAND 1024
#define DAY         ((gint64)86400)
#define FIELD(name) offsetof(Settings, name)

static const SettingChoice PROFILES[] = {{"0", 0}, {"1", 1}, {"2", 2}, {"3", 3}, {NULL, 0}};
static const SettingChoice MARK_GOOD[] = {
    {"always", MARK_GOOD_ALWAYS}, {"jobs", MARK_GOOD_JOBS}, {"never", MARK_GOOD_NEVER}, {NULL, 0}};
static const SettingChoice PERMISSIONS[] = {
    {"automatic", REBOOT_AUTOMATIC}, {"required", REBOOT_REQUIRED}, {NULL, 0}};
static const SettingChoice REPORT[] = {
    {"after-confirm", REPORT_AFTER_CONFIRM}, {"before-reboot", REPORT_BEFORE_REBOOT}, {NULL, 0}};
static const SettingChoice TRANSPORT[] = {{"auto", TRANSPORT_AUTO},
                                          {"stream", TRANSPORT_STREAM},
                                          {"download", TRANSPORT_DOWNLOAD},
                                          {NULL, 0}};
static const SettingChoice UPLOAD_METHODS[] = {
    {"put", UPLOAD_METHOD_PUT}, {"post", UPLOAD_METHOD_POST}, {NULL, 0}};
static const SettingChoice HEALTH[] = {
    {"csms", HEALTH_CSMS}, {"command", HEALTH_COMMAND}, {"stack", HEALTH_STACK}, {NULL, 0}};

/* The parsers write enums through a guint*. */
G_STATIC_ASSERT(sizeof(MarkGood) == sizeof(guint) && sizeof(RebootPermission) == sizeof(guint) &&
                sizeof(ReportInstalled) == sizeof(guint) && sizeof(Health) == sizeof(guint) &&
                sizeof(Transport) == sizeof(guint) &&
                sizeof(UploadMethodSetting) == sizeof(guint) && sizeof(gint) == sizeof(guint));

/* clang-format off */
static const SettingRow ROWS[] = {
    /* group, key, type, field, min, max, default, choices, required */
    {"csms", "url", &SETTING_URL, FIELD(url), 1, 1024, NULL, NULL, TRUE},
    {"csms", "identity", &SETTING_TEXT, FIELD(identity), 1, 255, NULL, NULL, TRUE},
    {"csms", "security-profile", &SETTING_CHOICE, FIELD(security_profile), 0, 0, "0", PROFILES, FALSE},
    {"csms", "authorization-key-file", &SETTING_PATH, FIELD(authorization_key_file), 1, MAX_PATH, NULL, NULL, FALSE},
    {"csms", "ca-file", &SETTING_PATH, FIELD(ca_file), 1, MAX_PATH, NULL, NULL, FALSE},
    {"csms", "client-cert-file", &SETTING_PATH, FIELD(client_cert_file), 1, MAX_PATH, NULL, NULL, FALSE},
    {"csms", "client-key-file", &SETTING_PATH, FIELD(client_key_file), 1, MAX_PATH, NULL, NULL, FALSE},
    {"csms", "ping-interval", &SETTING_SECONDS, FIELD(ping_interval_s), 0, DAY, "60", NULL, FALSE},
    {"csms", "call-timeout", &SETTING_SECONDS, FIELD(call_timeout_s), 1, 3600, "30", NULL, FALSE},
    {"csms", "max-message-bytes", &SETTING_SIZE, FIELD(max_message_bytes), 1024, 16 << 20, "256K", NULL, FALSE},
    {"csms", "boot-notification-on-reconnect", &SETTING_BOOLEAN, FIELD(boot_notification_on_reconnect), 0, 0, "false", NULL, FALSE},
    {"charge-point", "vendor", &SETTING_TEXT, FIELD(vendor), 1, 20, NULL, NULL, TRUE},
    {"charge-point", "model", &SETTING_TEXT, FIELD(model), 1, 20, NULL, NULL, TRUE},
    {"charge-point", "serial-number", &SETTING_TEXT, FIELD(serial_number), 1, 25, NULL, NULL, FALSE},
    {"charge-point", "firmware-version", &SETTING_TEXT, FIELD(firmware_version), 1, SETTINGS_MAX_VERSION, NULL, NULL, FALSE},
    {"charge-point", "firmware-version-file", &SETTING_PATH, FIELD(firmware_version_file), 1, MAX_PATH, NULL, NULL, FALSE},
    {"charge-point", "connectors", &SETTING_NUMBER, FIELD(connectors), 0, 100, "0", NULL, FALSE},
    {"store", "path", &SETTING_PATH, FIELD(store_path), 1, MAX_PATH, "/var/lib/rauc-ocpp-agent/store.db", NULL, FALSE},
    {"rauc", "stall-timeout", &SETTING_SECONDS, FIELD(stall_timeout_s), 1, DAY, "600", NULL, FALSE},
    {"rauc", "silent-timeout", &SETTING_SECONDS, FIELD(silent_timeout_s), 1, 7 * DAY, "3600", NULL, FALSE},
    {"rauc", "absent-timeout", &SETTING_SECONDS, FIELD(absent_timeout_s), 1, 7 * DAY, "3600", NULL, FALSE},
    {"rauc", "restart-command", &SETTING_COMMAND, FIELD(restart_command), 1, MAX_COMMAND, "systemctl restart rauc", NULL, FALSE},
    {"rauc", "mark-good", &SETTING_CHOICE, FIELD(mark_good), 0, 0, "always", MARK_GOOD, FALSE},
    {"update", "transport", &SETTING_CHOICE, FIELD(transport), 0, 0, "auto", TRANSPORT, FALSE},
    {"update", "spool-directory", &SETTING_PATH, FIELD(spool_directory), 1, MAX_PATH, "/var/lib/rauc-ocpp-agent/spool", NULL, FALSE},
    {"update", "default-retries", &SETTING_NUMBER, FIELD(default_retries), 0, 100, "3", NULL, FALSE},
    {"update", "default-retry-interval", &SETTING_SECONDS, FIELD(default_retry_interval_s), 0, DAY, "60", NULL, FALSE},
    {"update", "reboot-command", &SETTING_COMMAND, FIELD(reboot_command), 1, MAX_COMMAND, "systemctl reboot", NULL, FALSE},
    {"update", "reboot-permission", &SETTING_CHOICE, FIELD(reboot_permission), 0, 0, "automatic", PERMISSIONS, FALSE},
    {"update", "reboot-wait-limit", &SETTING_SECONDS, FIELD(reboot_wait_limit_s), 0, 30 * DAY, "0", NULL, FALSE},
    {"update", "report-wait", &SETTING_SECONDS, FIELD(report_wait_s), 0, DAY, "300", NULL, FALSE},
    {"update", "report-installed", &SETTING_CHOICE, FIELD(report_installed), 0, 0, "after-confirm", REPORT, FALSE},
    {"update", "health", &SETTING_FLAGS, FIELD(health), 0, 0, "csms", HEALTH, FALSE},
    {"update", "health-directory", &SETTING_PATH, FIELD(health_directory), 1, MAX_PATH, "/etc/rauc-ocpp-agent/health.d", NULL, FALSE},
    {"update", "health-timeout", &SETTING_SECONDS, FIELD(health_timeout_s), 1, 7 * DAY, "3600", NULL, FALSE},
    {"download", "hold", &SETTING_SECONDS, FIELD(hold_s), 0, 290, "270", NULL, FALSE},
    {"download", "read-ahead", &SETTING_SIZE, FIELD(read_ahead), 3 << 20, 64 << 20, "4M", NULL, FALSE},
    {"download", "rate-limit", &SETTING_SIZE, FIELD(rate_limit), 0, G_GINT64_CONSTANT(1) << 40, "0", NULL, FALSE},
    {"download", "data-budget", &SETTING_SIZE, FIELD(data_budget), 0, G_GINT64_CONSTANT(1) << 40, "0", NULL, FALSE},
    {"download", "connect-timeout", &SETTING_SECONDS, FIELD(connect_timeout_s), 1, 300, "20", NULL, FALSE},
    {"download", "timeout", &SETTING_SECONDS, FIELD(download_timeout_s), 0, 30 * DAY, "86400", NULL, FALSE},
    {"download", "low-speed-limit", &SETTING_SIZE, FIELD(low_speed_limit), 1, 1 << 30, "100", NULL, FALSE},
    {"download", "spread", &SETTING_SECONDS, FIELD(spread_s), 0, 7 * DAY, "0", NULL, FALSE},
    {"download", "give-up-early", &SETTING_BOOLEAN, FIELD(give_up_early), 0, 0, "false", NULL, FALSE},
    {"download", "ca-file", &SETTING_PATH, FIELD(download_ca_file), 1, MAX_PATH, NULL, NULL, FALSE},
    {"download", "client-cert-file", &SETTING_PATH, FIELD(download_client_cert_file), 1, MAX_PATH, NULL, NULL, FALSE},
    {"download", "client-key-file", &SETTING_PATH, FIELD(download_client_key_file), 1, MAX_PATH, NULL, NULL, FALSE},
    {"download", "netrc-file", &SETTING_PATH, FIELD(netrc_file), 1, MAX_PATH, NULL, NULL, FALSE},
    {"download", "known-hosts-file", &SETTING_PATH, FIELD(known_hosts_file), 1, MAX_PATH, NULL, NULL, FALSE},
    {"download", "proxy", &SETTING_TEXT, FIELD(proxy), 1, 1024, NULL, NULL, FALSE},
    {"diagnostics", "sources", &SETTING_SOURCES, FIELD(diagnostics_sources), 0, COLLECTOR_MAX_SOURCES, "journal", NULL, FALSE},
    {"diagnostics", "size-limit", &SETTING_SIZE, FIELD(diagnostics_size_limit), 64 << 10, G_GINT64_CONSTANT(1) << 30, "20M", NULL, FALSE},
    {"diagnostics", "frames", &SETTING_SIZE, FIELD(diagnostics_frames), 0, 4 << 20, "0", NULL, FALSE},
    {"diagnostics", "rate-limit", &SETTING_SIZE, FIELD(diagnostics_rate_limit), 0, G_GINT64_CONSTANT(1) << 40, "0", NULL, FALSE},
    {"diagnostics", "upload-method", &SETTING_CHOICE, FIELD(upload_method), 0, 0, "put", UPLOAD_METHODS, FALSE},
    {"system", "boot-id-file", &SETTING_PATH, FIELD(boot_id_file), 1, MAX_PATH, "/proc/sys/kernel/random/boot_id", NULL, FALSE},
};
/* clang-format on */

G_STATIC_ASSERT(G_N_ELEMENTS(ROWS) == SETTINGS_TABLE_ROWS);

const SettingRow *settings_table(void)
{
    return ROWS;
}

const SettingRow *settings_table_find(const char *group, const char *key)
{
    for (gsize i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        if (g_str_equal(ROWS[i].group, group) && g_str_equal(ROWS[i].key, key))
            return &ROWS[i];
    }
    return NULL;
}

gboolean settings_table_has_group(const char *group)
{
    for (gsize i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        if (g_str_equal(ROWS[i].group, group))
            return TRUE;
    }
    return FALSE;
}

gpointer settings_table_field(const SettingRow *row, Settings *settings)
{
    return (char *)settings + row->offset;
}

char *settings_table_set(const SettingRow *row, Settings *settings, const char *text)
{
    if (*text == '\0')
        return g_strdup("is empty, give it a value or leave the key out");
    return row->type->parse(row, text, settings_table_field(row, settings));
}
