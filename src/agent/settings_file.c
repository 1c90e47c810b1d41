/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading files with a bound, and taking a key file apart into numbered lines. */
#include "agent/settings_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/text.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"
#define QUOTED_BYTES    64 /* of a line in a message */

G_DEFINE_QUARK(settings_file_error, settings_file_error)

int settings_file_open(const char *path, GError **error)
{
    struct stat st;
    /* Without O_NONBLOCK a FIFO would hold us for ever. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        g_set_error(error, SETTINGS_FILE_ERROR, SETTINGS_FILE_ERROR_OPEN, "cannot be read: %s",
                    g_strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        g_set_error_literal(error, SETTINGS_FILE_ERROR, SETTINGS_FILE_ERROR_OPEN,
                            "cannot be read: it is not a regular file");
        close(fd);
        return -1;
    }
    return fd;
}

/* Fills `buffer`; the bytes read, or -1 with errno.  The size that stat tells is of no use: files
 * in /proc have 0. */
static gssize read_up_to(int fd, char *buffer, gsize size)
{
    gsize at = 0;
    while (at < size) {
        ssize_t n = read(fd, buffer + at, size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        at += (gsize)n;
    }
    return (gssize)at;
}

char *settings_file_read(const char *path, gsize max, GError **error)
{
    int fd = settings_file_open(path, error);
    if (fd < 0)
        return NULL;

    g_autoptr(GString) text = g_string_sized_new(max + 1);
    g_string_set_size(text, max + 1);
    gssize length = read_up_to(fd, text->str, text->len);
    int read_errno = errno;
    close(fd);
    if (length < 0) {
        g_set_error(error, SETTINGS_FILE_ERROR, SETTINGS_FILE_ERROR_OPEN, "cannot be read: %s",
                    g_strerror(read_errno));
        return NULL;
    }
    if ((gsize)length > max) {
        g_set_error(error, SETTINGS_FILE_ERROR, SETTINGS_FILE_ERROR_CONTENT,
                    "is larger than %" G_GSIZE_FORMAT " bytes", max);
        return NULL;
    }
    g_string_set_size(text, (gsize)length);
    if (strlen(text->str) != text->len) {
        g_set_error_literal(error, SETTINGS_FILE_ERROR, SETTINGS_FILE_ERROR_CONTENT,
                            "holds a NUL byte");
        return NULL;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void line_free(gpointer data)
{
    SettingsLine *line = data;
    g_free(line->group);
    g_free(line->key);
    g_free(line->value);
    g_free(line->problem);
    g_free(line);
}

static SettingsLine *add_line(GPtrArray *lines, guint number, const char *group, const char *key)
{
    SettingsLine *line = g_new0(SettingsLine, 1);
    line->line = number;
    line->group = g_strdup(group);
    line->key = g_strdup(key);
    g_ptr_array_add(lines, line);
    return line;
}

/* State of one pass over a file. */
typedef struct {
    GPtrArray *lines;
    char *group;     /* the group we are in */
    GHashTable *set; /* "group\nkey" -> line number */
} Scan;

static void scan_wrong(Scan *scan, guint number, const char *text, const char *what)
{
    char quoted[QUOTED_BYTES];
    text_make_visible(quoted, sizeof quoted, text, strlen(text));
    add_line(scan->lines, number, NULL, NULL)->problem = g_strdup_printf("\"%s\" %s", quoted, what);
}

static void scan_group(Scan *scan, guint number, const char *text)
{
    const char *end = strchr(text, ']');
    g_autofree char *name = g_strndup(text + 1, end ? (gsize)(end - text - 1) : 0);
    if (!end || end[1] != '\0' || *name == '\0' || strchr(name, '[') || !text_is_plain(name)) {
        scan_wrong(scan, number, text, "is not a group, use [NAME]");
        return;
    }
    g_free(scan->group);
    scan->group = g_steal_pointer(&name);
    add_line(scan->lines, number, scan->group, NULL);
}

/* GKeyFile decodes the value, so that the escapes are its own.  It is given this value alone: of a
 * whole file it would tell only the first error. */
static char *decode_value(const char *raw)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = g_strdup_printf("[g]\nk=%s", raw);
    if (!g_key_file_load_from_data(file, text, (gsize)-1, G_KEY_FILE_NONE, NULL))
        return NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *value = g_key_file_get_string(file, "g", "k", &error);
    /* An unknown escape gives both, a value and an error. */
    return error ? NULL : g_steal_pointer(&value);
}

static void scan_key(Scan *scan, guint number, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text) {
        scan_wrong(scan, number, text,
                   "is not understood, use KEY=VALUE, [GROUP] or a comment that begins with #");
        return;
    }
    if (!scan->group) {
        scan_wrong(scan, number, text, "stands before the first group, write [GROUP] above it");
        return;
    }
    g_autofree char *key = g_strchomp(g_strndup(text, (gsize)(equals - text)));
    if (strpbrk(key, "[]") || !text_is_plain(key)) {
        scan_wrong(scan, number, key, "is not a key's name");
        return;
    }

    SettingsLine *line = add_line(scan->lines, number, scan->group, key);
    char *full = g_strdup_printf("%s\n%s", scan->group, key);
    guint first = GPOINTER_TO_UINT(g_hash_table_lookup(scan->set, full));
    if (first > 0) {
        line->problem = g_strdup_printf("is set twice in this file, first in line %u", first);
        g_free(full);
        return;
    }
    g_hash_table_insert(scan->set, full, GUINT_TO_POINTER(number));
    line->value = decode_value(equals + 1);
    if (!line->value)
        line->problem =
            g_strdup("holds an unknown escape sequence, use \\s, \\t, \\n, \\r or \\\\");
}

static void scan_line(Scan *scan, guint number, char *text)
{
    g_strstrip(text);
    if (*text == '\0' || *text == '#')
        return;
    if (!g_utf8_validate(text, -1, NULL))
        scan_wrong(scan, number, text, "is not UTF-8");
    else if (*text == '[')
        scan_group(scan, number, text);
    else
        scan_key(scan, number, text);
}

GPtrArray *settings_file_parse(const char *text)
{
    g_autoptr(GHashTable) set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Scan scan = {.lines = g_ptr_array_new_with_free_func(line_free), .set = set};

    if (g_str_has_prefix(text, BYTE_ORDER_MARK))
        text += strlen(BYTE_ORDER_MARK);
    for (guint number = 1; *text; number++) {
        gsize length = strcspn(text, "\n");
        g_autofree char *line = g_strndup(text, length);
        scan_line(&scan, number, line);
        text += length + (text[length] == '\n');
    }
    g_free(scan.group);
    return scan.lines;
}
