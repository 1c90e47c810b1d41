/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locations as CSMSs send them: with credentials, spaces, unknown schemes, or not URLs at all.
 */
#include "adapter/location.h"

#include <string.h>

static const char *const SCHEMES[] = {"http", "https", "ftp", "ftps", "sftp", NULL};

static char *encode_spaces(const char *location)
{
    g_auto(GStrv) parts = g_strsplit(location, " ", -1);

    return g_strjoinv("%20", parts);
}

static gboolean has_control_character(const char *text)
{
    for (; *text; text++)
        if (g_ascii_iscntrl(*text))
            return TRUE;
    return FALSE;
}

char *location_to_url(const char *location, char **ret_reason)
{
    g_autofree char *trimmed = g_strstrip(g_strdup(location));
    g_autofree char *url = encode_spaces(trimmed);
    g_autoptr(GUri) uri = NULL;
    g_autoptr(GError) error = NULL;

    if (has_control_character(trimmed)) {
        *ret_reason = g_strdup("the location contains control characters");
        return NULL;
    }
    uri = g_uri_parse(url, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED, &error);
    if (!uri) {
        *ret_reason = g_strdup("the location is not an URL");
        return NULL;
    }
    if (!g_strv_contains(SCHEMES, g_uri_get_scheme(uri))) {
        *ret_reason = g_strdup("the location is not an http, https, ftp, ftps or sftp URL");
        return NULL;
    }
    if (!g_uri_get_host(uri) || !*g_uri_get_host(uri)) {
        *ret_reason = g_strdup("the location names no host");
        return NULL;
    }
    return g_steal_pointer(&url);
}

static gboolean has_host(const char *location)
{
    g_autoptr(GUri) uri =
        g_uri_parse(location, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED, NULL);

    return uri && g_uri_get_host(uri) && *g_uri_get_host(uri);
}

/* Works on text, not on a parsed URL, so that it also hides the password in what is not quite an
 * URL: there a password may hold a '/', and everything up to the last '@' is hidden.  A query is
 * hidden, too: it may be a signature that gives access. */
char *location_for_people(const char *location)
{
    gboolean is_url = has_host(location);
    const char *authority = strstr(location, "://");
    const char *at = NULL;
    const char *rest;
    gsize shown;

    authority = authority ? authority + strlen("://") : location;
    for (const char *c = authority; *c && !(is_url && strchr("/?#", *c)); c++)
        if (*c == '@')
            at = c;
    rest = at ? at : authority;
    shown = strcspn(rest, "?#");
    return g_strdup_printf("%.*s%s%.*s%s", (int)(authority - location), location, at ? "***" : "",
                           (int)shown, rest, rest[shown] ? "?***" : "");
}
