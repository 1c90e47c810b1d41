/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the archive is called, and where it goes. */
#include "src/behaviour/diagnostics/internal.h"

#include <string.h>

#include "adapter/location.h"

char *diagnostics_file_name(const char *identity, gint64 now_ms)
{
    g_autofree char *name = g_strndup(identity, DIAGNOSTICS_MAX_IDENTITY);
    g_autoptr(GDateTime) now = g_date_time_new_from_unix_utc(now_ms / 1000);
    g_autofree char *time = g_date_time_format(now, "%Y%m%dT%H%M%SZ");

    for (char *c = name; *c != '\0'; c++) {
        if (!g_ascii_isalnum(*c) && strchr("-_.", *c) == NULL)
            *c = '_';
    }
    return g_strconcat(name, "_", time, DIAGNOSTICS_SUFFIX, NULL);
}

static char *path_of_file(const char *path, const char *name)
{
    g_autofree char *escaped = g_uri_escape_string(name, NULL, FALSE);

    if (g_str_has_suffix(path, DIAGNOSTICS_SUFFIX))
        return g_strdup(path);
    return g_strconcat(path, g_str_has_suffix(path, "/") ? "" : "/", escaped, NULL);
}

static gboolean is_usable_name(const char *name)
{
    if (name == NULL || !g_utf8_validate(name, -1, NULL) ||
        g_utf8_strlen(name, -1) > DIAGNOSTICS_MAX_NAME)
        return FALSE;
    for (const char *c = name; *c != '\0'; c++) {
        if (g_ascii_iscntrl(*c))
            return FALSE;
    }
    return TRUE;
}

char *diagnostics_url(const char *location, const char *name, char **ret_name, char **ret_reason)
{
    g_autofree char *text = location_to_url(location, ret_reason);
    g_autoptr(GUri) uri = NULL;
    g_autofree char *path = NULL;
    g_autofree char *last = NULL;

    *ret_name = g_strdup(name);
    if (text == NULL)
        return NULL;
    uri = g_uri_parse(text, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED, NULL);
    path = path_of_file(g_uri_get_path(uri), name);
    last = g_uri_unescape_string(strrchr(path, '/') + 1, "/");
    if (!is_usable_name(last)) {
        *ret_reason = g_strdup("the file name in the location is too long, or not one");
        return NULL;
    }
    g_free(*ret_name);
    *ret_name = g_steal_pointer(&last);
    return g_uri_join_with_user(G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED,
                                g_uri_get_scheme(uri), g_uri_get_user(uri), g_uri_get_password(uri),
                                NULL, g_uri_get_host(uri), g_uri_get_port(uri), path,
                                g_uri_get_query(uri), NULL);
}
