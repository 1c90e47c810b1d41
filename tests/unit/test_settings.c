/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The settings: every key with good and bad values, the lines that tell of problems, fragments,
 * hostile files. */
#include "agent/settings.h"

#include <check.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/settings_file.h"
#include "agent/settings_table.h"

#define REQUIRED                                                                                   \
    "[csms]\nurl=ws://csms.example/ocpp\nidentity=CP1\n[charge-point]\nvendor=V\nmodel=M\n"

static char *dir;       /* of one test */
static char *main_file; /* agent.conf in it */

static void set_up(void)
{
    dir = g_dir_make_tmp("settings-XXXXXX", NULL);
    ck_assert_ptr_nonnull(dir);
    main_file = g_build_filename(dir, "agent.conf", NULL);
}

static void remove_tree(const char *path)
{
    GDir *entries = g_dir_open(path, 0, NULL);
    const char *name;
    while (entries && (name = g_dir_read_name(entries))) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        if (g_file_test(child, G_FILE_TEST_IS_DIR) && !g_file_test(child, G_FILE_TEST_IS_SYMLINK))
            remove_tree(child);
        else
            g_unlink(child);
    }
    if (entries)
        g_dir_close(entries);
    g_rmdir(path);
}

static void tear_down(void)
{
    remove_tree(dir);
    g_clear_pointer(&dir, g_free);
    g_clear_pointer(&main_file, g_free);
}

/* Writes a file of the test's directory; `name` may begin with a sub-directory. */
static void put(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    ck_assert_int_eq(g_mkdir_with_parents(parent, 0700), 0);
    ck_assert(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

/* Loads agent.conf.  `*ret_text` gets the problems, one a line, warnings with "W " and unknown keys
 * with "U " in front, names of files without the directory. */
static Settings *load(char **ret_text)
{
    g_autoptr(GPtrArray) problems = NULL;
    Settings *settings = settings_load(main_file, &problems);
    g_autoptr(GString) text = g_string_new(NULL);
    gboolean fatal = FALSE;

    ck_assert_ptr_nonnull(problems);
    for (guint i = 0; i < problems->len; i++) {
        const SettingsProblem *problem = g_ptr_array_index(problems, i);
        ck_assert(!(problem->fatal && problem->unknown));
        fatal = fatal || problem->fatal;
        g_string_append_printf(text, "%s%s: %s\n",
                               problem->fatal     ? ""
                               : problem->unknown ? "U "
                                                  : "W ",
                               problem->where, problem->what);
    }
    ck_assert_int_eq(fatal, settings == NULL);
    g_autofree char *prefix = g_strconcat(dir, "/", NULL);
    g_string_replace(text, prefix, "", 0);
    *ret_text = g_string_free(g_steal_pointer(&text), FALSE);
    return settings;
}

static void assert_problems(const char *expected)
{
    g_autofree char *text = NULL;
    settings_free(load(&text));
    ck_assert_str_eq(text, expected);
}

START_TEST(test_defaults)
{
    g_autofree char *text = NULL;
    put("agent.conf", REQUIRED);
    g_autoptr(Settings) s = load(&text);
    ck_assert_str_eq(text, "");
    ck_assert_str_eq(s->url, "ws://csms.example/ocpp");
    ck_assert_str_eq(s->identity, "CP1");
    ck_assert_int_eq(s->security_profile, 0);
    ck_assert_ptr_null(s->authorization_key_file);
    ck_assert_ptr_null(s->authorization_key);
    ck_assert_int_eq(s->ping_interval_s, 60);
    ck_assert_int_eq(s->call_timeout_s, 30);
    ck_assert_int_eq(s->max_message_bytes, 262144);
    ck_assert(!s->boot_notification_on_reconnect);
    ck_assert_ptr_null(s->serial_number);
    ck_assert_ptr_null(s->firmware_version);
    ck_assert_int_eq(s->connectors, 0);
    ck_assert_str_eq(s->store_path, "/var/lib/rauc-ocpp-agent/store.db");
    ck_assert_int_eq(s->stall_timeout_s, 600);
    ck_assert_int_eq(s->silent_timeout_s, 3600);
    ck_assert_int_eq(s->absent_timeout_s, 3600);
    ck_assert_str_eq(s->restart_command, "systemctl restart rauc");
    ck_assert_int_eq(s->mark_good, MARK_GOOD_ALWAYS);
    ck_assert_int_eq(s->transport, TRANSPORT_AUTO);
    ck_assert_str_eq(s->spool_directory, "/var/lib/rauc-ocpp-agent/spool");
    ck_assert_int_eq(s->hold_s, 270);
    ck_assert_int_eq(s->read_ahead, 4 << 20);
    ck_assert_int_eq(s->rate_limit, 0);
    ck_assert_int_eq(s->data_budget, 0);
    ck_assert_int_eq(s->connect_timeout_s, 20);
    ck_assert_int_eq(s->low_speed_limit, 100);
    ck_assert_int_eq(s->download_timeout_s, 86400);
    ck_assert_int_eq(s->spread_s, 0);
    ck_assert(!s->give_up_early);
    ck_assert_ptr_null(s->download_ca_file);
    ck_assert_ptr_null(s->netrc_file);
    ck_assert_ptr_null(s->proxy);
    ck_assert_int_eq(s->default_retries, 3);
    ck_assert_int_eq(s->default_retry_interval_s, 60);
    ck_assert_str_eq(s->reboot_command, "systemctl reboot");
    ck_assert_int_eq(s->reboot_permission, REBOOT_AUTOMATIC);
    ck_assert_int_eq(s->reboot_wait_limit_s, 0);
    ck_assert_int_eq(s->report_wait_s, 300);
    ck_assert_int_eq(s->report_installed, REPORT_AFTER_CONFIRM);
    ck_assert_int_eq(s->health, HEALTH_CSMS);
    ck_assert_str_eq(s->health_directory, "/etc/rauc-ocpp-agent/health.d");
    ck_assert_int_eq(s->health_timeout_s, 3600);
    ck_assert_str_eq(s->diagnostics_sources[0], "journal");
    ck_assert_ptr_null(s->diagnostics_sources[1]);
    ck_assert_int_eq(s->diagnostics_size_limit, 20 << 20);
    ck_assert_int_eq(s->diagnostics_frames, 0);
    ck_assert_int_eq(s->diagnostics_rate_limit, 0);
    ck_assert_int_eq(s->upload_method, UPLOAD_METHOD_PUT);
    ck_assert_str_eq(s->boot_id_file, "/proc/sys/kernel/random/boot_id");
}
END_TEST

#define X20  "12345678901234567890"
#define X25  X20 "12345"
#define X50  X25 X25
#define X255 X50 X50 X50 X50 X50 "12345"

#define IS_EMPTY       "is empty, give it a value or leave the key out"
#define CONTROL        "holds a control character, use printable text"
#define NOT_ABSOLUTE   "is not an absolute path, use one that begins with /"
#define USE_URL        ", use ws://HOST[:PORT][/PATH] or wss://HOST[:PORT][/PATH]"
#define SECONDS(a, b)  "use a whole number of seconds from " #a " to " #b
#define NUMBER(a, b)   "use a whole number from " #a " to " #b
#define NOT(value)     "\"" value "\" is not allowed, "
#define SIZE           "use a size from 1K to 16M (bytes, or with K, M or G)"
#define HEALTH_CHOICES "use csms, command or stack, with ';' between several"
#define SOURCES                                                                                    \
    "use journal, the absolute path of log files (with * and ?) or command:PROGRAM ARGUMENTS, "    \
    "with ';' between several"
#define USER_IN_URL                                                                                \
    "holds a user or password (the user is csms.identity, the password is in "                     \
    "csms.authorization-key-file)"
#define QUERY_IN_URL "has a query or a fragment (the identity is appended to the path)"

/* A value of a key, read on its own.  problem NULL: it is good and the field holds `number` or, for
 * strings, the value. */
static const struct {
    const char *name, *value, *problem;
    gint64 number;
} VALUES[] = {
    {"csms.url", "ws://a", NULL, 0},
    {"csms.url", "wss://[::1]:8443/ocpp/a%20b/", NULL, 0},
    {"csms.url", "http://a", "has another scheme" USE_URL, 0},
    {"csms.url", "a.example/ocpp", "has another scheme" USE_URL, 0},
    {"csms.url", "ws:///ocpp", "names no host" USE_URL, 0},
    {"csms.url", "ws://a:0/", "has a bad port" USE_URL, 0},
    {"csms.url", "ws://a:70000/", "is not a URL" USE_URL, 0},
    {"csms.url", "ws://a/b c", "is not a URL" USE_URL, 0},
    {"csms.url", "ws://a/\xc3\xa4", "is not a URL" USE_URL, 0},
    {"csms.url", "ws://u:secret@a/", USER_IN_URL USE_URL, 0},
    {"csms.url", "ws://a/?q=1", QUERY_IN_URL USE_URL, 0},
    {"csms.url", "ws://a/#f", QUERY_IN_URL USE_URL, 0},
    {"csms.url", "", IS_EMPTY, 0},
    {"csms.identity", "RDAM 123", NULL, 0},
    {"csms.identity", "a:b/\xc3\xa4", NULL, 0},
    {"csms.identity", X255, NULL, 0},
    {"csms.identity", X255 "6", "is 256 characters long, use at most 255", 0},
    {"csms.identity", "a\nb", CONTROL, 0},
    {"csms.identity", "a\x7f", CONTROL, 0},
    {"csms.security-profile", "0", NULL, 0},
    {"csms.security-profile", "3", NULL, 3},
    {"csms.security-profile", "7", NOT("7") "use 0, 1, 2 or 3", 0},
    {"csms.security-profile", "01", NOT("01") "use 0, 1, 2 or 3", 0},
    {"csms.authorization-key-file", "/k", NULL, 0},
    {"csms.authorization-key-file", "0001020304050607", NOT_ABSOLUTE, 0},
    {"csms.ca-file", "/k", NULL, 0},
    {"csms.ca-file", "k", NOT_ABSOLUTE, 0},
    {"csms.client-cert-file", "/k", NULL, 0},
    {"csms.client-cert-file", "./k", NOT_ABSOLUTE, 0},
    {"csms.client-key-file", "/k", NULL, 0},
    {"csms.client-key-file", "", IS_EMPTY, 0},
    {"csms.ping-interval", "0", NULL, 0},
    {"csms.ping-interval", "86400", NULL, 86400},
    {"csms.ping-interval", "-1", NOT("-1") SECONDS(0, 86400), 0},
    {"csms.ping-interval", "86401", NOT("86401") SECONDS(0, 86400), 0},
    {"csms.ping-interval", "60s", NOT("60s") SECONDS(0, 86400), 0},
    {"csms.ping-interval", "99999999999999999999", NOT("99999999999999999999") SECONDS(0, 86400),
     0},
    {"csms.call-timeout", "1", NULL, 1},
    {"csms.call-timeout", "0", NOT("0") SECONDS(1, 3600), 0},
    {"csms.call-timeout", "3601", NOT("3601") SECONDS(1, 3600), 0},
    {"csms.max-message-bytes", "1024", NULL, 1024},
    {"csms.max-message-bytes", "1K", NULL, 1024},
    {"csms.max-message-bytes", "16M", NULL, 16777216},
    {"csms.max-message-bytes", "17M", NOT("17M") SIZE, 0},
    {"csms.max-message-bytes", "1G", NOT("1G") SIZE, 0},
    {"csms.max-message-bytes", "1023", NOT("1023") SIZE, 0},
    {"csms.max-message-bytes", "K", NOT("K") SIZE, 0},
    {"csms.max-message-bytes", "-1K", NOT("-1K") SIZE, 0},
    {"csms.max-message-bytes", "5 K", NOT("5 K") SIZE, 0},
    {"csms.max-message-bytes", "99999999999999999999G", NOT("99999999999999999999G") SIZE, 0},
    {"csms.boot-notification-on-reconnect", "true", NULL, TRUE},
    {"csms.boot-notification-on-reconnect", "false", NULL, FALSE},
    {"csms.boot-notification-on-reconnect", "yes", NOT("yes") "use true or false", 0},
    {"charge-point.vendor", X20, NULL, 0},
    {"charge-point.vendor", X20 "1", "is 21 characters long, use at most 20", 0},
    {"charge-point.vendor",
     "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc", NULL, 0},
    {"charge-point.model", X20, NULL, 0},
    {"charge-point.model", X20 "1", "is 21 characters long, use at most 20", 0},
    {"charge-point.serial-number", X25, NULL, 0},
    {"charge-point.serial-number", X25 "1", "is 26 characters long, use at most 25", 0},
    {"charge-point.firmware-version", X50, NULL, 0},
    {"charge-point.firmware-version", X50 "1", "is 51 characters long, use at most 50", 0},
    {"charge-point.firmware-version-file", "/etc/version", NULL, 0},
    {"charge-point.firmware-version-file", "version", NOT_ABSOLUTE, 0},
    {"charge-point.connectors", "100", NULL, 100},
    {"charge-point.connectors", "101", NOT("101") NUMBER(0, 100), 0},
    {"charge-point.connectors", "two", NOT("two") NUMBER(0, 100), 0},
    {"store.path", "/a b/store.db", NULL, 0},
    {"store.path", "store.db", NOT_ABSOLUTE, 0},
    {"rauc.stall-timeout", "86400", NULL, 86400},
    {"rauc.stall-timeout", "0", NOT("0") SECONDS(1, 86400), 0},
    {"rauc.silent-timeout", "604800", NULL, 604800},
    {"rauc.silent-timeout", "604801", NOT("604801") SECONDS(1, 604800), 0},
    {"rauc.absent-timeout", "1", NULL, 1},
    {"rauc.absent-timeout", "0", NOT("0") SECONDS(1, 604800), 0},
    {"rauc.restart-command", "sv restart 'rauc x'", NULL, 0},
    {"rauc.restart-command", "", IS_EMPTY, 0},
    {"rauc.mark-good", "jobs", NULL, MARK_GOOD_JOBS},
    {"rauc.mark-good", "never", NULL, MARK_GOOD_NEVER},
    {"rauc.mark-good", "Always", NOT("Always") "use always, jobs or never", 0},
    {"update.default-retries", "0", NULL, 0},
    {"update.default-retries", "101", NOT("101") NUMBER(0, 100), 0},
    {"update.default-retry-interval", "86400", NULL, 86400},
    {"update.default-retry-interval", "1.5", NOT("1.5") SECONDS(0, 86400), 0},
    {"update.reboot-command", "/sbin/reboot", NULL, 0},
    {"update.reboot-permission", "required", NULL, REBOOT_REQUIRED},
    {"update.reboot-permission", "no", NOT("no") "use automatic or required", 0},
    {"update.reboot-wait-limit", "2592000", NULL, 2592000},
    {"update.reboot-wait-limit", "2592001", NOT("2592001") SECONDS(0, 2592000), 0},
    {"update.report-wait", "0", NULL, 0},
    {"update.report-wait", "x\x1b[1m", NOT("x\\x1b[1m") SECONDS(0, 86400), 0},
    {"update.report-installed", "before-reboot", NULL, REPORT_BEFORE_REBOOT},
    {"update.report-installed", "never", NOT("never") "use after-confirm or before-reboot", 0},
    {"update.health", "stack", NULL, HEALTH_STACK},
    {"update.health", "csms; command;stack;", NULL, HEALTH_CSMS | HEALTH_COMMAND | HEALTH_STACK},
    {"update.health", "csms;;stack", NOT("") HEALTH_CHOICES, 0},
    {"update.health", ";", NOT("") HEALTH_CHOICES, 0},
    {"update.health", "csms,stack", NOT("csms,stack") HEALTH_CHOICES, 0},
    {"update.health-directory", "/h", NULL, 0},
    {"update.health-directory", "h", NOT_ABSOLUTE, 0},
    {"update.health-timeout", "1", NULL, 1},
    {"update.health-timeout", "0", NOT("0") SECONDS(1, 604800), 0},
    {"update.transport", "auto", NULL, TRANSPORT_AUTO},
    {"update.transport", "stream", NULL, TRANSPORT_STREAM},
    {"update.transport", "download", NULL, TRANSPORT_DOWNLOAD},
    {"update.transport", "relay", NOT("relay") "use auto, stream or download", 0},
    {"update.spool-directory", "/spool", NULL, 0},
    {"update.spool-directory", "spool", NOT_ABSOLUTE, 0},
    {"download.hold", "0", NULL, 0},
    {"download.hold", "291", NOT("291") SECONDS(0, 290), 0}, /* the kernel gives up at 300 */
    {"download.read-ahead", "3M", NULL, 3 << 20},
    {"download.read-ahead", "2M", NOT("2M") "use a size from 3M to 64M (bytes, or with K, M or G)",
     0},
    {"download.timeout", "0", NULL, 0},
    {"download.timeout", "2592001", NOT("2592001") SECONDS(0, 2592000), 0},
    {"download.known-hosts-file", "/k", NULL, 0},
    {"download.known-hosts-file", "k", NOT_ABSOLUTE, 0},
    {"download.rate-limit", "50K", NULL, 51200},
    {"download.rate-limit", "-1", NOT("-1") "use a size from 0 to 1024G (bytes, or with K, M or G)",
     0},
    {"download.data-budget", "2G", NULL, G_GINT64_CONSTANT(2147483648)},
    {"download.data-budget", "much",
     NOT("much") "use a size from 0 to 1024G (bytes, or with K, M or G)", 0},
    {"download.connect-timeout", "300", NULL, 300},
    {"download.connect-timeout", "0", NOT("0") SECONDS(1, 300), 0},
    {"download.low-speed-limit", "1", NULL, 1},
    {"download.low-speed-limit", "0", NOT("0") "use a size from 1 to 1G (bytes, or with K, M or G)",
     0},
    {"download.spread", "604800", NULL, 604800},
    {"download.spread", "604801", NOT("604801") SECONDS(0, 604800), 0},
    {"download.give-up-early", "true", NULL, TRUE},
    {"download.give-up-early", "1", NOT("1") "use true or false", 0},
    {"download.ca-file", "/k", NULL, 0},
    {"download.ca-file", "k", NOT_ABSOLUTE, 0},
    {"download.client-cert-file", "/k", NULL, 0},
    {"download.client-cert-file", "k", NOT_ABSOLUTE, 0},
    {"download.client-key-file", "/k", NULL, 0},
    {"download.client-key-file", "k", NOT_ABSOLUTE, 0},
    {"download.netrc-file", "/k", NULL, 0},
    {"download.netrc-file", "k", NOT_ABSOLUTE, 0},
    {"download.proxy", "http://proxy:3128", NULL, 0},
    {"download.proxy", "", IS_EMPTY, 0},
    {"diagnostics.sources", "journal;/var/log/*.log;command:df -h", NULL, 0},
    {"diagnostics.sources", "", IS_EMPTY, 0},
    {"diagnostics.sources", "syslog", NOT("syslog") SOURCES, 0},
    {"diagnostics.sources", "journal;;/var/log/x", NOT("") SOURCES, 0},
    {"diagnostics.sources", "command:", NOT("command:") SOURCES, 0},
    {"diagnostics.size-limit", "64K", NULL, 64 << 10},
    {"diagnostics.size-limit", "65535",
     NOT("65535") "use a size from 64K to 1G (bytes, or with K, M or G)", 0},
    {"diagnostics.frames", "0", NULL, 0},
    {"diagnostics.frames", "5M", NOT("5M") "use a size from 0 to 4M (bytes, or with K, M or G)", 0},
    {"diagnostics.rate-limit", "1M", NULL, 1 << 20},
    {"diagnostics.rate-limit", "-1",
     NOT("-1") "use a size from 0 to 1024G (bytes, or with K, M or G)", 0},
    {"diagnostics.upload-method", "post", NULL, UPLOAD_METHOD_POST},
    {"diagnostics.upload-method", "PUT", NOT("PUT") "use put or post", 0},
    {"system.boot-id-file", "/tmp/id", NULL, 0},
    {"system.boot-id-file", "id", NOT_ABSOLUTE, 0},
};

static const SettingRow *row_of(const char *name)
{
    g_auto(GStrv) parts = g_strsplit(name, ".", 2);
    const SettingRow *row = settings_table_find(parts[0], parts[1]);
    ck_assert_msg(row != NULL, "no row for %s", name);
    return row;
}

static gint64 number_of(const SettingRow *row, gpointer field)
{
    if (row->type == &SETTING_BOOLEAN)
        return *(gboolean *)field;
    if (row->type == &SETTING_CHOICE || row->type == &SETTING_FLAGS)
        return *(guint *)field;
    return *(gint64 *)field;
}

START_TEST(test_value)
{
    const SettingRow *row = row_of(VALUES[_i].name);
    Settings *settings = g_new0(Settings, 1);
    gpointer field = settings_table_field(row, settings);
    g_autofree char *problem = settings_table_set(row, settings, VALUES[_i].value);

    if (VALUES[_i].problem)
        ck_assert_msg(problem && g_str_equal(problem, VALUES[_i].problem), "%s=%s: %s",
                      VALUES[_i].name, VALUES[_i].value, problem ? problem : "good");
    else
        ck_assert_msg(!problem, "%s=%s: %s", VALUES[_i].name, VALUES[_i].value, problem);
    if (row->type == &SETTING_SOURCES) {
        char **sources = *(char ***)field;
        g_autofree char *joined = sources ? g_strjoinv(";", sources) : NULL;

        ck_assert_pstr_eq(joined, problem ? NULL : VALUES[_i].value);
    } else if (row->type->free != NULL)
        ck_assert_pstr_eq(*(char **)field, problem ? NULL : VALUES[_i].value);
    else
        ck_assert_int_eq(number_of(row, field), VALUES[_i].number);
    settings_free(settings);
}
END_TEST

START_TEST(test_every_key_is_tested)
{
    for (guint i = 0; i < SETTINGS_TABLE_ROWS; i++) {
        const SettingRow *row = &settings_table()[i];
        gboolean found = FALSE;
        for (guint n = 0; n < G_N_ELEMENTS(VALUES); n++)
            found = found || row_of(VALUES[n].name) == row;
        ck_assert_msg(found, "%s.%s has no values in this test", row->group, row->key);
        ck_assert_ptr_eq(settings_table_find(row->group, row->key), row);
    }
}
END_TEST

START_TEST(test_missing_file)
{
    assert_problems("agent.conf: cannot be read: No such file or directory\n");
}
END_TEST

START_TEST(test_missing_keys)
{
    put("agent.conf", "# nothing\n");
    assert_problems("agent.conf: csms.url: is missing, it has no default\n"
                    "agent.conf: csms.identity: is missing, it has no default\n"
                    "agent.conf: charge-point.vendor: is missing, it has no default\n"
                    "agent.conf: charge-point.model: is missing, it has no default\n");
}
END_TEST

/* Lines, order, and everything at once. */
START_TEST(test_lines)
{
    put("agent.conf", "early=1\n"                   /* 1 */
                      "\n"                          /* 2 */
                      "[csms]\n"                    /* 3 */
                      "  # indented comment\n"      /* 4 */
                      "url = wss://csms.example \n" /* 5 */
                      "identity=CP1\r\n"            /* 6 */
                      "security-profile=7\n"        /* 7 */
                      "colour=green\n"              /* 8 */
                      "nonsense\n"                  /* 9 */
                      "ping-interval=\n"            /* 10 */
                      "identity=CP2\n"              /* 11 */
                      "[paint]\n"                   /* 12 */
                      "colour=green\n"              /* 13 */
                      "[charge-point\n"             /* 14 */
                      "[]\n"                        /* 15 */
                      "[charge-point]\n"            /* 16 */
                      "vendor=\xff\n"               /* 17 */
                      "=x\n"                        /* 18 */
                      "model[de]=x\n"               /* 19 */
                      "serial-number=\\q\n"         /* 20 */
                      "model=a\\tb\n");             /* 21 */
    put("agent.conf.d/a.conf", "[csms]\ncall-timeout=never\n");
    assert_problems(
        "agent.conf:1: \"early=1\" stands before the first group, write [GROUP] above it\n"
        "agent.conf:7: csms.security-profile: \"7\" is not allowed, use 0, 1, 2 or 3\n"
        "U agent.conf:8: csms.colour: is not a known key\n"
        "agent.conf:9: \"nonsense\" is not understood, use KEY=VALUE, [GROUP] or a comment that "
        "begins with #\n"
        "agent.conf:10: csms.ping-interval: " IS_EMPTY "\n"
        "agent.conf:11: csms.identity: is set twice in this file, first in line 6\n"
        "U agent.conf:12: paint: is not a known group\n"
        "agent.conf:14: \"[charge-point\" is not a group, use [NAME]\n"
        "agent.conf:15: \"[]\" is not a group, use [NAME]\n"
        "agent.conf:17: \"vendor=\\xff\" is not UTF-8\n"
        "agent.conf:18: \"=x\" is not understood, use KEY=VALUE, [GROUP] or a comment that begins "
        "with #\n"
        "agent.conf:19: \"model[de]\" is not a key's name\n"
        "agent.conf:20: charge-point.serial-number: holds an unknown escape sequence, use \\s, "
        "\\t, \\n, \\r or \\\\\n"
        "agent.conf:21: charge-point.model: holds a control character, use printable text\n"
        "agent.conf: charge-point.vendor: is missing, it has no default\n"
        "agent.conf.d/a.conf:2: csms.call-timeout: \"never\" is not allowed, use a whole number of "
        "seconds from 1 to 3600\n");
}
END_TEST

START_TEST(test_unknown_is_a_warning)
{
    g_autofree char *text = NULL;
    put("agent.conf", REQUIRED "colour=red\n[update]\nsigned=relay\n[gateway]\nlisten=1\n");
    g_autoptr(Settings) settings = load(&text);
    ck_assert_ptr_nonnull(settings);
    ck_assert_str_eq(text, "U agent.conf:7: charge-point.colour: is not a known key\n"
                           "U agent.conf:9: update.signed: is not a known key\n"
                           "U agent.conf:10: gateway: is not a known group\n");
}
END_TEST

START_TEST(test_transfers_go_together)
{
#define NO_PROXY                                                                                   \
    "agent.conf:8: download.proxy: is not a proxy, use [http|https|socks5]://[USER:PASSWORD@]"     \
    "HOST[:PORT] with percent-encoded characters\n"
    put("agent.conf", REQUIRED "[download]\nproxy=ftp://proxy:1\n");
    assert_problems(NO_PROXY);
    put("agent.conf", REQUIRED "[download]\nproxy=http://user:s3#cret@proxy:1\nrate-limit=150\n");
    assert_problems(NO_PROXY "agent.conf:9: download.rate-limit: is less than twice "
                             "download.low-speed-limit (100): every connection would count as "
                             "dead\n");
}
END_TEST

/* What is shown is what was read, also when it is read again. */
START_TEST(test_text)
{
    g_autofree char *problems = NULL, *text = NULL, *again = NULL;

    put("agent.conf", REQUIRED "[update]\nhealth=csms;stack\n"
                               "[diagnostics]\nsources=journal;command:sh -c \"a\\\\;b\"\n");
    Settings *settings = load(&problems);
    ck_assert_str_eq(problems, "");
    text = settings_text(settings);
    settings_free(settings);
    ck_assert_ptr_nonnull(strstr(text, "sources=journal;command:sh -c \"a\\\\;b\";\n"));
    ck_assert_ptr_nonnull(strstr(text, "health=csms;stack;\n"));
    ck_assert_ptr_nonnull(strstr(text, "#proxy=\n"));
    put("agent.conf", text);
    g_free(problems);
    settings = load(&problems);
    ck_assert_str_eq(problems, "");
    again = settings_text(settings);
    settings_free(settings);
    ck_assert_str_eq(again, text);
}
END_TEST

START_TEST(test_fragments)
{
    g_autofree char *text = NULL;
    put("agent.conf", REQUIRED "connectors=1\n");
    put("agent.conf.d/20.conf", "[charge-point]\nconnectors=3\n");
    put("agent.conf.d/10.conf", "[charge-point]\nconnectors=2\nmodel=N\n");
    put("agent.conf.d/30.conf~", "[charge-point]\nconnectors=4\n");
    put("agent.conf.d/.40.conf", "[charge-point]\nconnectors=5\n");
    g_autoptr(Settings) settings = load(&text);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(settings->connectors, 3);
    ck_assert_str_eq(settings->model, "N");
}
END_TEST

START_TEST(test_fragment_problems)
{
    put("agent.conf", "[csms]\nidentity=CP1\nurl=ws://a\n[charge-point]\nmodel=M\n");
    put("agent.conf.d/b.conf", "[charge-point]\nvendor=V\nconnectors=x\n");
    put("agent.conf.d/a.conf", "[csms]\nsecurity-profile=2\n");
    put("agent.conf.d/c.conf/file", "");
    /* What is missing or does not fit is told where its reason stands. */
    assert_problems("agent.conf:3: csms.url: is ws, which security-profile 2 does not allow, use "
                    "wss\n"
                    "agent.conf.d/a.conf:2: csms.security-profile: 2 needs "
                    "csms.authorization-key-file\n"
                    "agent.conf.d/b.conf:3: charge-point.connectors: \"x\" is not allowed, use a "
                    "whole number from 0 to 100\n"
                    "agent.conf.d/c.conf: cannot be read: it is not a regular file\n");
}
END_TEST

START_TEST(test_too_many_fragments)
{
    put("agent.conf", REQUIRED);
    for (int i = 0; i <= SETTINGS_MAX_FRAGMENTS; i++) {
        g_autofree char *name = g_strdup_printf("agent.conf.d/%03d.conf", i);
        put(name, "");
    }
    assert_problems("agent.conf.d: holds more than 64 fragments\n");
}
END_TEST

START_TEST(test_fragment_directory_is_a_file)
{
    put("agent.conf", REQUIRED);
    put("agent.conf.d", "");
    assert_problems("agent.conf.d: cannot be read as a directory of fragments\n");
}
END_TEST

#define START "[charge-point]\nvendor=V\nmodel=M\n[csms]\nidentity=CP1\n" /* 5 lines */

/* What must hold between profile, URL and files.  @ stands for the test's directory. */
static const struct {
    const char *lines, *problems;
} PROFILES[] = {
    {"url=ws://a\nsecurity-profile=1\nauthorization-key-file=@/key\n", ""},
    {"url=wss://a\nsecurity-profile=2\nauthorization-key-file=@/key\nca-file=@/pem\n", ""},
    {"url=wss://a\nsecurity-profile=3\nclient-cert-file=@/pem\nclient-key-file=@/pem\n", ""},
    {"url=wss://a\n", "agent.conf:6: csms.url: is wss, which security-profile 0 does not allow, "
                      "use ws or security-profile 2 or 3\n"},
    {"url=ws://a\nsecurity-profile=1\n",
     "agent.conf:7: csms.security-profile: 1 needs csms.authorization-key-file\n"},
    {"url=wss://a\nsecurity-profile=3\n",
     "agent.conf:7: csms.security-profile: 3 needs csms.client-cert-file\n"
     "agent.conf:7: csms.security-profile: 3 needs csms.client-key-file\n"},
    {"url=ws://a\nsecurity-profile=9\nauthorization-key-file=@/key\n",
     "agent.conf:7: csms.security-profile: \"9\" is not allowed, use 0, 1, 2 or 3\n"},
    {"url=ftp://a\nsecurity-profile=2\nauthorization-key-file=@/key\n",
     "agent.conf:6: csms.url: has another scheme" USE_URL "\n"},
    {"url=ws://a\nauthorization-key-file=@/key\n",
     "W agent.conf:7: csms.authorization-key-file: is not used with security-profile 0\n"},
    {"url=wss://a\nsecurity-profile=2\nauthorization-key-file=@/key\nclient-cert-file=@/pem\n",
     "agent.conf:9: csms.client-cert-file: needs csms.client-key-file\n"},
    {"url=wss://a\nsecurity-profile=2\nauthorization-key-file=@/key\nclient-key-file=@/pem\n",
     "agent.conf:9: csms.client-key-file: needs csms.client-cert-file\n"},
    {"url=wss://a\nsecurity-profile=2\nauthorization-key-file=@/none\nca-file=@/none\n",
     "agent.conf:8: csms.authorization-key-file: cannot be read: No such file or directory\n"
     "agent.conf:9: csms.ca-file: cannot be read: No such file or directory\n"},
    {"url=ws://a\nsecurity-profile=1\nauthorization-key-file=@/fifo\n",
     "agent.conf:8: csms.authorization-key-file: cannot be read: it is not a regular file\n"},
    {"url=ws://a\nsecurity-profile=1\nauthorization-key-file=@/agent.conf.d\n",
     "agent.conf:8: csms.authorization-key-file: cannot be read: it is not a regular file\n"},
    {"url=ws://a\nsecurity-profile=1\nauthorization-key-file=@/huge\n",
     "agent.conf:8: csms.authorization-key-file: is larger than 4096 bytes\n"},
    {"url=ws://a\nsecurity-profile=1\nauthorization-key-file=@/pem\n",
     "agent.conf:8: csms.authorization-key-file: holds no key that can be used, use 32 to 40 "
     "hexadecimal digits (an even number) or 16 to 20 printable ASCII characters\n"},
    {"url=ws://a\nsecurity-profile=1\nauthorization-key-file=@/open\n",
     "W agent.conf:8: csms.authorization-key-file: is a secret that every user can read (mode "
     "0644), use chmod 600\n"},
};

START_TEST(test_profile)
{
    g_autofree char *fifo = g_build_filename(dir, "fifo", NULL);
    g_autofree char *open_file = g_build_filename(dir, "open", NULL);
    g_autofree char *huge = g_strnfill(4097, 'a');
    put("key", "a plain password\n");
    put("open", "a plain password\n");
    put("pem", "short");
    put("huge", huge);
    put("agent.conf.d/a.conf", "");
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    ck_assert_int_eq(chmod(open_file, 0644), 0);

    g_autoptr(GString) text = g_string_new(START);
    g_string_append(text, PROFILES[_i].lines);
    g_string_replace(text, "@", dir, 0);
    put("agent.conf", text->str);
    assert_problems(PROFILES[_i].problems);
}
END_TEST

START_TEST(test_key_is_read)
{
    g_autofree char *text = NULL;
    put("key", "  0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF \n");
    g_autofree char *conf = g_strdup_printf(
        START "url=ws://a\nsecurity-profile=1\nauthorization-key-file=%s/key\n", dir);
    put("agent.conf", conf);
    g_autoptr(Settings) settings = load(&text);
    ck_assert_str_eq(text, "");
    gsize length;
    const guint8 *bytes = g_bytes_get_data(settings->authorization_key, &length);
    ck_assert_uint_eq(length, 20);
    ck_assert_int_eq(memcmp(bytes, "\0\1\2\3\4\5\6\7\xff\xff", 10), 0);
}
END_TEST

/* W, TC_085: what a key may look like; NULL: cannot be used. */
static const struct {
    const char *text, *bytes;
    gsize length;
} KEYS[] = {
    {"0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF",
     "\0\1\2\3\4\5\6\7\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 20},
    {"aAbBcCdDeEfF00112233445566778899",
     "\xaa\xbb\xcc\xdd\xee\xff\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99", 16},
    {"0011223344556677", "0011223344556677", 16}, /* too short for digits: a plain password */
    {"OCA_OCTT_admin_test", "OCA_OCTT_admin_test", 19},
    {"12345678901234567890", "12345678901234567890", 20},
    {"a:b c\"d'e\\f^g&h*i", "a:b c\"d'e\\f^g&h*i", 17},
    {"123456789012345", NULL, 0},
    {"123456789012345678901", NULL, 0},
    {"000102030405060708090a0b0c0d0e0", NULL, 0},            /* 31 digits */
    {"000102030405060708090a0b0c0d0e0f0", NULL, 0},          /* 33: half a byte */
    {"000102030405060708090a0b0c0d0e0f1011121314", NULL, 0}, /* 42 */
    {"g00102030405060708090a0b0c0d0e0f", NULL, 0},           /* no digit */
    {"0001020304050607 FFFFFFFFFFFFFFFFF", NULL, 0},
    {"p\xc3\xa4sswordpassword", NULL, 0},
    {"password\tpassword", NULL, 0},
    {"", NULL, 0},
};

START_TEST(test_decode_key)
{
    g_autoptr(GBytes) key = settings_decode_authorization_key(KEYS[_i].text);
    if (!KEYS[_i].bytes) {
        ck_assert_ptr_null(key);
        return;
    }
    g_autoptr(GBytes) expected = g_bytes_new_static(KEYS[_i].bytes, KEYS[_i].length);
    ck_assert_ptr_nonnull(key);
    ck_assert(g_bytes_equal(key, expected));
}
END_TEST

/* Content of a version file, and what is told of it (NULL: nothing, the version is "1.2"). */
static const struct {
    const char *content, *problem;
} VERSIONS[] = {
    {"1.2", NULL},
    {" \n\t1.2 \r\n\n", NULL},
    {"", "is empty, write the version into it"},
    {" \n", "is empty, write the version into it"},
    {"1.2\n1.3\n", "holds no version that can be used: its text " CONTROL},
    {X50 "1", "holds no version that can be used: its text is 51 characters long, use at most 50"},
    {"\xff", "holds no version that can be used: its text " CONTROL},
};

START_TEST(test_version_file)
{
    g_autofree char *text = NULL;
    put("version", VERSIONS[_i].content);
    g_autofree char *conf = g_strdup_printf(REQUIRED "firmware-version-file=%s/version\n", dir);
    put("agent.conf", conf);
    g_autoptr(Settings) settings = load(&text);
    if (!VERSIONS[_i].problem) {
        ck_assert_str_eq(text, "");
        ck_assert_str_eq(settings->firmware_version, "1.2");
        return;
    }
    g_autofree char *expected = g_strdup_printf("agent.conf:7: charge-point.firmware-version-file: "
                                                "%s\n",
                                                VERSIONS[_i].problem);
    ck_assert_str_eq(text, expected);
}
END_TEST

START_TEST(test_version_has_one_source)
{
    put("agent.conf", REQUIRED "firmware-version=1\nfirmware-version-file=/proc/version\n");
    g_autofree char *text = NULL;
    settings_free(load(&text));
    ck_assert(g_str_has_prefix(text,
                               "agent.conf:8: charge-point.firmware-version-file: and "
                               "charge-point.firmware-version exclude each other, use one\n"));
}
END_TEST

START_TEST(test_hostile_files)
{
    /* Larger than it may be. */
    g_autofree char *huge = g_strnfill(SETTINGS_MAX_FILE_BYTES + 1, '#');
    put("agent.conf", huge);
    assert_problems("agent.conf: is larger than 262144 bytes\n");
    /* A NUL byte would hide what follows. */
    ck_assert(g_file_set_contents(main_file, "[csms]\n\0url=ws://a\n", 19, NULL));
    assert_problems("agent.conf: holds a NUL byte\n");
    /* Nothing waits for a writer. */
    ck_assert_int_eq(g_unlink(main_file), 0);
    ck_assert_int_eq(mkfifo(main_file, 0600), 0);
    assert_problems("agent.conf: cannot be read: it is not a regular file\n");
    ck_assert_int_eq(g_unlink(main_file), 0);
    ck_assert_int_eq(symlink("/dev/zero", main_file), 0);
    assert_problems("agent.conf: cannot be read: it is not a regular file\n");
    ck_assert_int_eq(g_unlink(main_file), 0);
    ck_assert_int_eq(g_mkdir(main_file, 0700), 0);
    assert_problems("agent.conf: cannot be read: it is not a regular file\n");
}
END_TEST

START_TEST(test_byte_order_mark)
{
    put("agent.conf", "\xef\xbb\xbf" REQUIRED);
    assert_problems("");
}
END_TEST

START_TEST(test_last_line_without_newline)
{
    put("agent.conf", REQUIRED "connectors=x");
    assert_problems("agent.conf:7: charge-point.connectors: \"x\" is not allowed, use a whole "
                    "number from 0 to 100\n");
}
END_TEST

START_TEST(test_problems_are_bounded)
{
    g_autoptr(GString) text = g_string_new(REQUIRED);
    for (int i = 0; i < 1000; i++)
        g_string_append_printf(text, "unknown%d=1\n", i);
    g_string_append(text, "connectors=x\n");
    put("agent.conf", text->str);

    g_autoptr(GPtrArray) problems = NULL;
    g_autoptr(Settings) settings = settings_load(main_file, &problems);
    ck_assert_ptr_null(settings);
    ck_assert_uint_eq(problems->len, SETTINGS_MAX_PROBLEMS + 1);
    const SettingsProblem *last = g_ptr_array_index(problems, SETTINGS_MAX_PROBLEMS);
    ck_assert_str_eq(last->where, main_file);
    ck_assert_str_eq(last->what, "and 901 more problems");
    ck_assert(last->fatal);
}
END_TEST

/* The largest file of the worst lines ends in good time. */
START_TEST(test_many_lines)
{
    g_autoptr(GString) text = g_string_new("[csms]\n");
    for (guint i = 0; text->len + 8 < SETTINGS_MAX_FILE_BYTES; i++)
        g_string_append_printf(text, "%x=\n", i);
    put("agent.conf", text->str);
    g_autoptr(GPtrArray) problems = NULL;
    g_autoptr(Settings) settings = settings_load(main_file, &problems);
    ck_assert_ptr_null(settings);
    ck_assert_uint_eq(problems->len, SETTINGS_MAX_PROBLEMS + 1);
}
END_TEST

/* Text cut at every byte and with each byte damaged: never a crash, always an answer. */
START_TEST(test_damaged_text)
{
    static const char text[] = "[csms]\nurl = ws://a\\s\nidentity=\xc3\xa4\n# c\n[x]\ny=1;2\n";
    for (gsize i = 0; i < sizeof text - 1; i++) {
        for (int byte = 0; byte < 256; byte++) {
            g_autofree char *damaged = g_strdup(text);
            damaged[i] = (char)byte; /* 0 cuts */
            g_autoptr(GPtrArray) lines = settings_file_parse(damaged);
            for (guint n = 0; n < lines->len; n++) {
                const SettingsLine *line = g_ptr_array_index(lines, n);
                ck_assert(line->line >= 1 && line->line <= 8);
                ck_assert(line->problem || line->group);
                ck_assert(!line->key || line->problem || line->value);
            }
        }
    }
}
END_TEST

START_TEST(test_free_takes_null)
{
    settings_free(NULL);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("settings");
    TCase *values = tcase_create("values");
    tcase_add_loop_test(values, test_value, 0, G_N_ELEMENTS(VALUES));
    tcase_add_test(values, test_every_key_is_tested);
    tcase_add_loop_test(values, test_decode_key, 0, G_N_ELEMENTS(KEYS));
    tcase_add_test(values, test_damaged_text);
    tcase_add_test(values, test_free_takes_null);
    tcase_set_timeout(values, 60);
    suite_add_tcase(suite, values);

    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, set_up, tear_down);
    tcase_add_test(files, test_defaults);
    tcase_add_test(files, test_missing_file);
    tcase_add_test(files, test_missing_keys);
    tcase_add_test(files, test_lines);
    tcase_add_test(files, test_unknown_is_a_warning);
    tcase_add_test(files, test_transfers_go_together);
    tcase_add_test(files, test_text);
    tcase_add_test(files, test_fragments);
    tcase_add_test(files, test_fragment_problems);
    tcase_add_test(files, test_too_many_fragments);
    tcase_add_test(files, test_fragment_directory_is_a_file);
    tcase_add_loop_test(files, test_profile, 0, G_N_ELEMENTS(PROFILES));
    tcase_add_test(files, test_key_is_read);
    tcase_add_loop_test(files, test_version_file, 0, G_N_ELEMENTS(VERSIONS));
    tcase_add_test(files, test_version_has_one_source);
    tcase_add_test(files, test_hostile_files);
    tcase_add_test(files, test_byte_order_mark);
    tcase_add_test(files, test_last_line_without_newline);
    tcase_add_test(files, test_problems_are_bounded);
    tcase_add_test(files, test_many_lines);
    tcase_set_timeout(files, 60);
    suite_add_tcase(suite, files);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(make_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
