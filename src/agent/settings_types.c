/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The types of settings: reading a value from its text. */
#include "agent/settings_types.h"

#include <string.h>

#include "adapter/collector.h"
#include "agent/text.h"

#define QUOTED_BYTES 64 /* of a value in a message */
#define KIB          ((gint64)1024)
#define MIB          (1024 * KIB)
#define GIB          (1024 * MIB)

static char *not_allowed(const char *text, const char *use)
{
    char quoted[QUOTED_BYTES];
    text_make_visible(quoted, sizeof quoted, text, strlen(text));
    return g_strdup_printf("\"%s\" is not allowed, use %s", quoted, use);
}

/* What all strings have in common. */
static char *check_string(const SettingRow *row, const char *text)
{
    if (!text_is_plain(text))
        return g_strdup("holds a control character, use printable text");
    glong length = g_utf8_strlen(text, -1);
    if (length > row->max)
        return g_strdup_printf("is %ld characters long, use at most %" G_GINT64_FORMAT, length,
                               row->max);
    return NULL;
}

static void keep_string(gpointer field, const char *text)
{
    char **string = field;
    g_free(*string);
    *string = g_strdup(text);
}

static char *parse_text(const SettingRow *row, const char *text, gpointer field)
{
    char *problem = check_string(row, text);
    if (!problem)
        keep_string(field, text);
    return problem;
}

/* Values of paths and URLs are not repeated in messages: by mistake they may be, or hold, a secret.
 */
static char *parse_path(const SettingRow *row, const char *text, gpointer field)
{
    char *problem = check_string(row, text);
    if (problem)
        return problem;
    if (!g_path_is_absolute(text))
        return g_strdup("is not an absolute path, use one that begins with /");
    keep_string(field, text);
    return NULL;
}

static char *parse_command(const SettingRow *row, const char *text, gpointer field)
{
    g_autoptr(GError) error = NULL;
    char *problem = check_string(row, text);
    if (problem)
        return problem;
    if (!g_shell_parse_argv(text, NULL, NULL, &error))
        return g_strdup_printf("is not a command line (%s), use a program and its arguments, "
                               "quoted by shell rules",
                               error->message);
    keep_string(field, text);
    return NULL;
}

static gboolean is_printable_ascii(const char *text)
{
    for (; *text; text++) {
        if (!g_ascii_isgraph(*text))
            return FALSE;
    }
    return TRUE;
}

static const char *check_url(const char *text)
{
    g_autofree char *scheme = NULL, *user = NULL, *host = NULL, *query = NULL, *fragment = NULL;
    int port = -1;
    if (!is_printable_ascii(text) || !g_uri_split(text, G_URI_FLAGS_NONE, &scheme, &user, &host,
                                                  &port, NULL, &query, &fragment, NULL))
        return "is not a URL";
    if (!scheme || (!g_str_equal(scheme, "ws") && !g_str_equal(scheme, "wss")))
        return "has another scheme";
    if (!host || *host == '\0')
        return "names no host";
    if (port == 0)
        return "has a bad port";
    if (user)
        return "holds a user or password (the user is csms.identity, the password is in "
               "csms.authorization-key-file)";
    if (query || fragment)
        return "has a query or a fragment (the identity is appended to the path)";
    return NULL;
}

static char *parse_url(const SettingRow *row, const char *text, gpointer field)
{
    char *problem = check_string(row, text);
    if (problem)
        return problem;
    const char *wrong = check_url(text);
    if (wrong)
        return g_strdup_printf("%s, use ws://HOST[:PORT][/PATH] or wss://HOST[:PORT][/PATH]",
                               wrong);
    keep_string(field, text);
    return NULL;
}

static char *parse_integer(const SettingRow *row, const char *text, gpointer field,
                           const char *what)
{
    gint64 *number = field;
    if (!g_ascii_string_to_signed(text, 10, row->min, row->max, number, NULL)) {
        g_autofree char *use = g_strdup_printf("%s from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                                               what, row->min, row->max);
        return not_allowed(text, use);
    }
    return NULL;
}

static char *parse_number(const SettingRow *row, const char *text, gpointer field)
{
    return parse_integer(row, text, field, "a whole number");
}

static char *parse_seconds(const SettingRow *row, const char *text, gpointer field)
{
    return parse_integer(row, text, field, "a whole number of seconds");
}

static gint64 size_unit(char letter)
{
    switch (letter) {
    case 'K':
        return KIB;
    case 'M':
        return MIB;
    case 'G':
        return GIB;
    default:
        return 1;
    }
}

static char *format_size(gint64 bytes)
{
    static const char letters[] = "GMK";
    for (const char *letter = letters; *letter; letter++) {
        if (bytes >= size_unit(*letter) && bytes % size_unit(*letter) == 0)
            return g_strdup_printf("%" G_GINT64_FORMAT "%c", bytes / size_unit(*letter), *letter);
    }
    return g_strdup_printf("%" G_GINT64_FORMAT, bytes);
}

static char *parse_size(const SettingRow *row, const char *text, gpointer field)
{
    gsize length = strlen(text);
    gint64 unit = length > 0 ? size_unit(text[length - 1]) : 1;
    g_autofree char *digits = g_strndup(text, unit > 1 ? length - 1 : length);
    guint64 number;
    if (!g_ascii_string_to_unsigned(digits, 10, 0, (guint64)(row->max / unit), &number, NULL) ||
        (gint64)number * unit < row->min) {
        g_autofree char *min = format_size(row->min);
        g_autofree char *max = format_size(row->max);
        g_autofree char *use =
            g_strdup_printf("a size from %s to %s (bytes, or with K, M or G)", min, max);
        return not_allowed(text, use);
    }
    *(gint64 *)field = (gint64)number * unit;
    return NULL;
}

static char *parse_boolean(const SettingRow *row, const char *text, gpointer field)
{
    (void)row;
    gboolean is_true = g_str_equal(text, "true");
    if (!is_true && !g_str_equal(text, "false"))
        return not_allowed(text, "true or false");
    *(gboolean *)field = is_true;
    return NULL;
}

/* "always, jobs or never" */
static char *list_choices(const SettingChoice *choices)
{
    GString *list = g_string_new(NULL);
    for (const SettingChoice *c = choices; c->name; c++) {
        if (c > choices)
            g_string_append(list, c[1].name ? ", " : " or ");
        g_string_append(list, c->name);
    }
    return g_string_free(list, FALSE);
}

static const SettingChoice *find_choice(const SettingRow *row, const char *name)
{
    for (const SettingChoice *c = row->choices; c->name; c++) {
        if (g_str_equal(c->name, name))
            return c;
    }
    return NULL;
}

static char *parse_choice(const SettingRow *row, const char *text, gpointer field)
{
    const SettingChoice *choice = find_choice(row, text);
    if (!choice) {
        g_autofree char *use = list_choices(row->choices);
        return not_allowed(text, use);
    }
    *(guint *)field = choice->value;
    return NULL;
}

static char *parse_flags(const SettingRow *row, const char *text, gpointer field)
{
    g_auto(GStrv) names = g_strsplit(text, ";", -1);
    guint flags = 0;
    for (gsize i = 0; names[i]; i++) {
        const char *name = g_strstrip(names[i]);
        /* One ';' at the end is usual in key files. */
        if (*name == '\0' && !names[i + 1] && i > 0)
            break;
        const SettingChoice *choice = find_choice(row, name);
        if (!choice) {
            g_autofree char *list = list_choices(row->choices);
            g_autofree char *use = g_strdup_printf("%s, with ';' between several", list);
            return not_allowed(name, use);
        }
        flags |= choice->value;
    }
    *(guint *)field = flags;
    return NULL;
}

/* The items of a list; one ';' at the end is usual in key files.  A command may need a ';': it is
 * written "\\;". */
static GPtrArray *split_list(const char *text)
{
    GPtrArray *items = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) item = g_string_new(NULL);

    for (; *text != '\0'; text++) {
        if (*text == ';') {
            g_ptr_array_add(items, g_strstrip(g_strdup(item->str)));
            g_string_truncate(item, 0);
            continue;
        }
        text += text[0] == '\\' && text[1] == ';';
        g_string_append_c(item, *text);
    }
    if (*g_strstrip(item->str) != '\0')
        g_ptr_array_add(items, g_strdup(item->str));
    return items;
}

static char *parse_sources(const SettingRow *row, const char *text, gpointer field)
{
    g_autoptr(GPtrArray) sources = split_list(text);

    if (sources->len > row->max)
        return g_strdup_printf("names %u sources, use at most %" G_GINT64_FORMAT, sources->len,
                               row->max);
    for (guint i = 0; i < sources->len; i++) {
        CollectorKind kind;
        const char *rest;

        if (!text_is_plain(sources->pdata[i]) ||
            !collector_source_parse(sources->pdata[i], &kind, &rest))
            return not_allowed(sources->pdata[i],
                               "journal, the absolute path of log files (with * and ?) or "
                               "command:PROGRAM ARGUMENTS, with ';' between several");
    }
    g_ptr_array_add(sources, NULL);
    g_strfreev(*(char ***)field);
    *(char ***)field = (char **)g_ptr_array_steal(sources, NULL);
    return NULL;
}

static void free_list(gpointer list)
{
    g_strfreev(list);
}

static void show_string(G_GNUC_UNUSED const SettingRow *row, gconstpointer field, GString *text)
{
    const char *value = *(char *const *)field;

    g_string_append(text, value ? value : "");
}

static void show_number(G_GNUC_UNUSED const SettingRow *row, gconstpointer field, GString *text)
{
    g_string_append_printf(text, "%" G_GINT64_FORMAT, *(const gint64 *)field);
}

static void show_boolean(G_GNUC_UNUSED const SettingRow *row, gconstpointer field, GString *text)
{
    g_string_append(text, *(const gboolean *)field ? "true" : "false");
}

static void show_choice(const SettingRow *row, gconstpointer field, GString *text)
{
    for (const SettingChoice *c = row->choices; c->name; c++) {
        if (c->value == *(const guint *)field)
            g_string_append(text, c->name);
    }
}

static void show_flags(const SettingRow *row, gconstpointer field, GString *text)
{
    for (const SettingChoice *c = row->choices; c->name; c++) {
        if (c->value & *(const guint *)field)
            g_string_append_printf(text, "%s;", c->name);
    }
}

static void show_sources(G_GNUC_UNUSED const SettingRow *row, gconstpointer field, GString *text)
{
    char *const *sources = *(char **const *)field;

    for (guint i = 0; sources && sources[i]; i++) {
        g_auto(GStrv) parts = g_strsplit(sources[i], ";", -1);
        g_autofree char *source = g_strjoinv("\\;", parts);

        g_string_append_printf(text, "%s;", source);
    }
}

const SettingType SETTING_SOURCES = {parse_sources, show_sources, free_list};
const SettingType SETTING_TEXT = {parse_text, show_string, g_free};
const SettingType SETTING_URL = {parse_url, show_string, g_free};
const SettingType SETTING_PATH = {parse_path, show_string, g_free};
const SettingType SETTING_COMMAND = {parse_command, show_string, g_free};
const SettingType SETTING_NUMBER = {parse_number, show_number, NULL};
const SettingType SETTING_SECONDS = {parse_seconds, show_number, NULL};
const SettingType SETTING_SIZE = {parse_size, show_number, NULL};
const SettingType SETTING_BOOLEAN = {parse_boolean, show_boolean, NULL};
const SettingType SETTING_CHOICE = {parse_choice, show_choice, NULL};
const SettingType SETTING_FLAGS = {parse_flags, show_flags, NULL};
