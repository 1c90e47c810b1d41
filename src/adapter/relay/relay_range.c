/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the path and the Range header of a request to the relay. */
#include "relay_range.h"

#include <string.h>

#define BUNDLE_NAME   "bundle.raucb"
#define STORE_PREFIX  "bundle.castr/"
#define CHUNK_FOLDER  4
#define CHUNK_DIGITS  64
#define CHUNK_SUFFIX  ".cacnk"
#define BUNDLE_SUFFIX ".raucb"
#define STORE_SUFFIX  ".castr"
#define MAX_DIGITS    18 /* fits a gint64 */

/* Digits only: no sign, no space.  FALSE: none, or too many. */
static gboolean parse_number(const char **at, gint64 *ret_number)
{
    gint64 number = 0;
    gsize digits = 0;

    for (; g_ascii_isdigit((*at)[digits]); digits++) {
        if (digits == MAX_DIGITS)
            return FALSE;
        number = number * 10 + g_ascii_digit_value((*at)[digits]);
    }
    if (digits == 0)
        return FALSE;
    *at += digits;
    *ret_number = number;
    return TRUE;
}

gboolean relay_range_parse(const char *header, RelayAsked *ret_asked)
{
    RelayAsked asked = {-1, -1};

    if (g_ascii_strncasecmp(header, "bytes=", 6) != 0)
        return FALSE;
    header += 6;
    if (*header != '-' && !parse_number(&header, &asked.first))
        return FALSE;
    if (*header != '-')
        return FALSE;
    header++;
    if (*header != '\0' && !parse_number(&header, &asked.last))
        return FALSE;
    if (*header != '\0' || (asked.first < 0 && asked.last < 0) ||
        (asked.first >= 0 && asked.last >= 0 && asked.last < asked.first))
        return FALSE;
    *ret_asked = asked;
    return TRUE;
}

gboolean relay_range_resolve(const RelayAsked *asked, gint64 size, RelayRange *ret_range)
{
    if (asked->first < 0) {
        gint64 length = MIN(asked->last, size);

        if (length == 0)
            return FALSE;
        *ret_range = (RelayRange){size - length, length};
        return TRUE;
    }
    if (asked->first >= size)
        return FALSE;
    gint64 last = asked->last < 0 ? size - 1 : MIN(asked->last, size - 1);
    *ret_range = (RelayRange){asked->first, last - asked->first + 1};
    return TRUE;
}

static gboolean same_in_constant_time(const char *a, const char *b, gsize length)
{
    volatile guchar differs = 0;

    for (gsize i = 0; i < length; i++)
        differs = (guchar)(differs | ((guchar)a[i] ^ (guchar)b[i]));
    return differs == 0;
}

static gboolean is_hex(const char *text, gsize length)
{
    return strspn(text, "0123456789abcdef") >= length;
}

/* The folder is the beginning of the name: there is no other place for a chunk. */
static gboolean is_chunk(const char *text)
{
    return strlen(text) == CHUNK_FOLDER + 1 + CHUNK_DIGITS + strlen(CHUNK_SUFFIX) &&
           is_hex(text, CHUNK_FOLDER) && text[CHUNK_FOLDER] == '/' &&
           is_hex(text + CHUNK_FOLDER + 1, CHUNK_DIGITS) &&
           strncmp(text, text + CHUNK_FOLDER + 1, CHUNK_FOLDER) == 0 &&
           g_str_has_suffix(text, CHUNK_SUFFIX);
}

RelayTarget relay_target(const char *path, const char *secret, const char **ret_chunk)
{
    gsize length = strlen(secret);

    if (strlen(path) < length + 2 || path[0] != '/' ||
        !same_in_constant_time(path + 1, secret, length) || path[length + 1] != '/')
        return RELAY_TARGET_NONE;
    path += length + 2;
    if (strcmp(path, BUNDLE_NAME) == 0)
        return RELAY_TARGET_BUNDLE;
    if (!g_str_has_prefix(path, STORE_PREFIX) || !is_chunk(path + strlen(STORE_PREFIX)))
        return RELAY_TARGET_NONE;
    *ret_chunk = path + strlen(STORE_PREFIX);
    return RELAY_TARGET_STORE;
}

char *relay_store_url(const char *url, const char *chunk)
{
    gsize length = strcspn(url, "?#");
    gsize suffix = strlen(BUNDLE_SUFFIX);
    const char *query = url + length;

    if (length <= suffix || strncmp(url + length - suffix, BUNDLE_SUFFIX, suffix) != 0)
        return NULL;
    return g_strdup_printf("%.*s" STORE_SUFFIX "/%s%.*s", (int)(length - suffix), url, chunk,
                           (int)strcspn(query, "#"), query);
}
