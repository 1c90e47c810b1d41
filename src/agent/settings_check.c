/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What must hold between the settings, and reading the small files that they name. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/settings_file.h"
#include "agent/settings_loader.h"
#include "agent/text.h"

#define MAX_SMALL_FILE 4096 /* version file, key file */
#define KEY_MIN_DIGITS 32
#define KEY_MAX_DIGITS 40
#define KEY_MIN_TEXT   16
#define KEY_MAX_TEXT   20

/* A key's row by its field: the rules between keys name fields, not texts. */
#define ROW_OF(field) row_at(offsetof(Settings, field))

static guint row_at(gsize offset)
{
    const SettingRow *rows = settings_table();
    guint i = 0;
    while (rows[i].offset != offset)
        i++;
    return i;
}

/* About the value that `row` has in the end. */
static void tell_row(SettingsLoader *loader, SettingsSeverity severity, guint row, char *what)
{
    const SettingsOrigin *origin = &loader->origins[row];
    const SettingRow *entry = &settings_table()[row];
    settings_tell(loader, severity, origin->file, origin->line, entry->group, entry->key, what);
}

static void check_required(SettingsLoader *loader)
{
    for (guint i = 0; i < SETTINGS_TABLE_ROWS; i++) {
        const SettingRow *row = &settings_table()[i];
        if (row->required && loader->origins[i].state == SETTINGS_KEY_UNSET)
            settings_tell(loader, SETTINGS_FATAL, 0, SETTINGS_NO_LINE, row->group, row->key,
                          g_strdup("is missing, it has no default"));
    }
}

/* W 2: what each profile needs, and what it makes no use of. */
static void check_profile(SettingsLoader *loader)
{
    static const struct {
        gsize offset;
        gboolean needed[4], used[4];
    } FILES[] = {
        {offsetof(Settings, authorization_key_file), {0, 1, 1, 0}, {0, 1, 1, 0}},
        {offsetof(Settings, ca_file), {0, 0, 0, 0}, {0, 0, 1, 1}},
        {offsetof(Settings, client_cert_file), {0, 0, 0, 1}, {0, 0, 1, 1}},
        {offsetof(Settings, client_key_file), {0, 0, 0, 1}, {0, 0, 1, 1}},
    };
    const Settings *settings = loader->settings;
    guint profile_row = ROW_OF(security_profile), url_row = ROW_OF(url);
    int profile = settings->security_profile;

    if (loader->origins[profile_row].state == SETTINGS_KEY_BAD)
        return;
    for (guint i = 0; i < G_N_ELEMENTS(FILES); i++) {
        guint row = row_at(FILES[i].offset);
        SettingsKeyState state = loader->origins[row].state;
        if (FILES[i].needed[profile] && state == SETTINGS_KEY_UNSET)
            tell_row(loader, SETTINGS_FATAL, profile_row,
                     g_strdup_printf("%d needs csms.%s", profile, settings_table()[row].key));
        if (!FILES[i].used[profile] && state == SETTINGS_KEY_SET)
            tell_row(loader, SETTINGS_WARNING, row,
                     g_strdup_printf("is not used with security-profile %d", profile));
    }
    if (loader->origins[url_row].state != SETTINGS_KEY_SET)
        return;
    gboolean is_tls = g_ascii_strncasecmp(settings->url, "wss:", 4) == 0;
    if (is_tls && profile < 2)
        tell_row(loader, SETTINGS_FATAL, url_row,
                 g_strdup_printf("is wss, which security-profile %d does not allow, use ws or "
                                 "security-profile 2 or 3",
                                 profile));
    if (!is_tls && profile >= 2)
        tell_row(
            loader, SETTINGS_FATAL, url_row,
            g_strdup_printf("is ws, which security-profile %d does not allow, use wss", profile));
}

/* `row` is of no use without `other`. */
static void check_needs(SettingsLoader *loader, guint row, guint other)
{
    const SettingRow *needed = &settings_table()[other];

    if (loader->origins[row].state == SETTINGS_KEY_SET &&
        loader->origins[other].state == SETTINGS_KEY_UNSET)
        tell_row(loader, SETTINGS_FATAL, row,
                 g_strdup_printf("needs %s.%s", needed->group, needed->key));
}

/* Certificate and key go together, a version has one source. */
static void check_pairs(SettingsLoader *loader)
{
    guint version_file = ROW_OF(firmware_version_file);

    if (loader->settings->security_profile != 3) {
        check_needs(loader, ROW_OF(client_cert_file), ROW_OF(client_key_file));
        check_needs(loader, ROW_OF(client_key_file), ROW_OF(client_cert_file));
    }
    check_needs(loader, ROW_OF(download_client_cert_file), ROW_OF(download_client_key_file));
    check_needs(loader, ROW_OF(download_client_key_file), ROW_OF(download_client_cert_file));
    if (loader->origins[version_file].state != SETTINGS_KEY_UNSET &&
        loader->origins[ROW_OF(firmware_version)].state != SETTINGS_KEY_UNSET)
        tell_row(loader, SETTINGS_FATAL, version_file,
                 g_strdup("and charge-point.firmware-version exclude each other, use one"));
}

/* A path that was good as a text; NULL: nothing to look at. */
static const char *path_of(SettingsLoader *loader, guint row)
{
    char **field = settings_table_field(&settings_table()[row], loader->settings);
    return loader->origins[row].state == SETTINGS_KEY_SET ? *field : NULL;
}

/* Warns of a secret that everybody on the device can read. */
static void check_secrecy(SettingsLoader *loader, guint row)
{
    struct stat st;
    const char *path = path_of(loader, row);
    if (path && stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH))
        tell_row(loader, SETTINGS_WARNING, row,
                 g_strdup_printf("is a secret that every user can read (mode %04o), use chmod 600",
                                 (guint)(st.st_mode & 07777)));
}

/* The other files are read by their users (adapter/tls.h); here they only have to be there. */
static void check_readable(SettingsLoader *loader, guint row)
{
    g_autoptr(GError) error = NULL;
    const char *path = path_of(loader, row);
    if (!path)
        return;
    int fd = settings_file_open(path, &error);
    if (fd < 0)
        tell_row(loader, SETTINGS_FATAL, row, g_strdup(error->message));
    else
        close(fd);
}

/* The content of a small file without the white space around it; NULL when there is none or a
 * problem was told. */
static char *read_small(SettingsLoader *loader, guint row)
{
    g_autoptr(GError) error = NULL;
    const char *path = path_of(loader, row);
    if (!path)
        return NULL;
    char *text = settings_file_read(path, MAX_SMALL_FILE, &error);
    if (!text) {
        tell_row(loader, SETTINGS_FATAL, row, g_strdup(error->message));
        return NULL;
    }
    return g_strstrip(text);
}

static void read_authorization_key(SettingsLoader *loader)
{
    guint row = ROW_OF(authorization_key_file);
    g_autofree char *text = read_small(loader, row);
    if (!text)
        return;
    loader->settings->authorization_key = settings_decode_authorization_key(text);
    if (!loader->settings->authorization_key)
        tell_row(loader, SETTINGS_FATAL, row,
                 g_strdup("holds no key that can be used, use 32 to 40 hexadecimal digits (an even "
                          "number) or 16 to 20 printable ASCII characters"));
}

static void read_firmware_version(SettingsLoader *loader)
{
    guint row = ROW_OF(firmware_version_file);
    g_autofree char *text = read_small(loader, row);
    if (!text)
        return;
    if (*text == '\0') {
        tell_row(loader, SETTINGS_FATAL, row, g_strdup("is empty, write the version into it"));
        return;
    }
    const SettingRow *version = &settings_table()[ROW_OF(firmware_version)];
    char *problem = settings_table_set(version, loader->settings, text);
    if (problem) {
        tell_row(loader, SETTINGS_FATAL, row,
                 g_strdup_printf("holds no version that can be used: its text %s", problem));
        g_free(problem);
    }
}

/* Its value is not shown: it may hold a password. */
static void check_proxy(SettingsLoader *loader)
{
    static const char *const SCHEMES[] = {"http",   "https",   "socks4", "socks4a",
                                          "socks5", "socks5h", NULL};
    const char *proxy = loader->settings->proxy;
    g_autoptr(GUri) uri = proxy ? g_uri_parse(proxy, G_URI_FLAGS_HAS_PASSWORD, NULL) : NULL;

    if (!proxy)
        return;
    if (!uri || !g_strv_contains(SCHEMES, g_uri_get_scheme(uri)) || !g_uri_get_host(uri) ||
        !*g_uri_get_host(uri))
        tell_row(loader, SETTINGS_FATAL, ROW_OF(proxy),
                 g_strdup("is not a proxy, use [http|https|socks5]://[USER:PASSWORD@]HOST[:PORT] "
                          "with percent-encoded characters"));
}

static void check_speeds(SettingsLoader *loader)
{
    const Settings *settings = loader->settings;

    if (settings->rate_limit > 0 && settings->rate_limit < 2 * settings->low_speed_limit)
        tell_row(loader, SETTINGS_FATAL, ROW_OF(rate_limit),
                 g_strdup_printf("is less than twice download.low-speed-limit (%" G_GINT64_FORMAT
                                 "): every connection would count as dead",
                                 settings->low_speed_limit));
}

void settings_check(SettingsLoader *loader)
{
    check_required(loader);
    check_profile(loader);
    check_pairs(loader);
    check_readable(loader, ROW_OF(ca_file));
    check_readable(loader, ROW_OF(client_cert_file));
    check_readable(loader, ROW_OF(client_key_file));
    check_readable(loader, ROW_OF(download_ca_file));
    check_readable(loader, ROW_OF(download_client_cert_file));
    check_readable(loader, ROW_OF(download_client_key_file));
    check_readable(loader, ROW_OF(netrc_file));
    check_readable(loader, ROW_OF(known_hosts_file));
    check_proxy(loader);
    check_speeds(loader);
    check_secrecy(loader, ROW_OF(authorization_key_file));
    check_secrecy(loader, ROW_OF(client_key_file));
    check_secrecy(loader, ROW_OF(download_client_key_file));
    check_secrecy(loader, ROW_OF(netrc_file));
    read_authorization_key(loader);
    read_firmware_version(loader);
}

static GBytes *decode_digits(const char *digits, gsize length)
{
    guint8 bytes[KEY_MAX_DIGITS / 2];
    for (gsize i = 0; i < length; i += 2)
        bytes[i / 2] =
            (guint8)(g_ascii_xdigit_value(digits[i]) << 4 | g_ascii_xdigit_value(digits[i + 1]));
    return g_bytes_new(bytes, length / 2);
}

GBytes *settings_decode_authorization_key(const char *text)
{
    gsize length = strlen(text);
    if (length >= KEY_MIN_DIGITS && length <= KEY_MAX_DIGITS && length % 2 == 0 &&
        strspn(text, "0123456789abcdefABCDEF") == length)
        return decode_digits(text, length);
    if (length < KEY_MIN_TEXT || length > KEY_MAX_TEXT)
        return NULL;
    for (gsize i = 0; i < length; i++) {
        if (!g_ascii_isprint(text[i]))
            return NULL;
    }
    return g_bytes_new(text, length);
}
