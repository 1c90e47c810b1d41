/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* URLs of files: what may be read, and the secrets apart from the rest. */
#include <string.h>

#include "transfer_internal.h"

/* Spaces are as common as they are wrong; the schemes are told apart here. */
#define LENIENT (CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE | CURLU_ALLOW_SPACE)

typedef struct {
    const char *name;
    gboolean http;
    gboolean secure;
} Scheme;

static const Scheme schemes[] = {
    [TRANSFER_HTTP] = {"http", TRUE, FALSE},  [TRANSFER_HTTPS] = {"https", TRUE, TRUE},
    [TRANSFER_FTP] = {"ftp", FALSE, FALSE},   [TRANSFER_FTPS] = {"ftps", FALSE, TRUE},
    [TRANSFER_SFTP] = {"sftp", FALSE, FALSE},
};

const char *transfer_scheme_name(TransferScheme scheme)
{
    return schemes[scheme].name;
}

gboolean transfer_scheme_is_http(TransferScheme scheme)
{
    return schemes[scheme].http;
}

gboolean transfer_scheme_may_redirect(TransferScheme from, TransferScheme to)
{
    return schemes[from].http && (!schemes[from].secure || to == TRANSFER_HTTPS);
}

void transfer_url_clear(TransferUrl *url)
{
    g_free(url->text);
    g_free(url->user);
    g_free(url->password);
    g_free(url->host);
    g_free(url->port);
    g_free(url->name);
    memset(url, 0, sizeof(*url));
}

gboolean transfer_url_same_server(const TransferUrl *one, const TransferUrl *other)
{
    return one->scheme == other->scheme && g_ascii_strcasecmp(one->host, other->host) == 0 &&
           g_str_equal(one->port, other->port);
}

/* A password with a bare '@' in it is common in the field; the host begins after the last one. */
static char *encode_inner_ats(const char *text)
{
    const char *authority = strstr(text, "://");
    GString *result;
    gsize end, last;

    if (!authority)
        return g_strdup(text);
    authority += 3;
    end = strcspn(authority, "/?#");
    for (last = end; last > 0 && authority[last] != '@'; last--)
        ;
    result = g_string_new_len(text, authority - text);
    for (gsize i = 0; i < last; i++)
        g_string_append_printf(result, authority[i] == '@' ? "%%40" : "%c", authority[i]);
    g_string_append(result, authority + last);
    return g_string_free(result, FALSE);
}

/* A part in memory of GLib's; NULL: not there. */
static char *part(CURLU *handle, CURLUPart what, unsigned flags)
{
    char *text = NULL;
    char *copy;

    if (transfer_url_get(handle, what, &text, flags) != CURLUE_OK)
        return NULL;
    copy = g_strdup(text);
    curl_free(text);
    return copy;
}

static gboolean find_scheme(const char *name, TransferScheme *ret_scheme)
{
    for (gsize i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (name && g_str_equal(name, schemes[i].name)) {
            *ret_scheme = (TransferScheme)i;
            return TRUE;
        }
    }
    return FALSE;
}

/* With a directory or a type other than an image, FTP would send a listing or a changed file. */
static const char *bad_path(TransferScheme scheme, const char *path)
{
    g_autofree char *lower = g_ascii_strdown(path, -1);
    const char *type = strstr(lower, ";type=");

    if (schemes[scheme].http)
        return NULL;
    if (g_str_has_suffix(path, "/") || g_str_has_suffix(lower, "%2f"))
        return "it names a directory";
    if (type && !g_str_equal(type, ";type=i"))
        return "only ;type=i is possible";
    return NULL;
}

/* NULL: all is well; so for the next two. */
static const char *take_secrets(CURLU *handle, TransferUrl *url)
{
    g_autofree char *raw_user = part(handle, CURLUPART_USER, 0);
    g_autofree char *raw_password = part(handle, CURLUPART_PASSWORD, 0);

    url->user = part(handle, CURLUPART_USER, CURLU_URLDECODE);
    url->password = part(handle, CURLUPART_PASSWORD, CURLU_URLDECODE);
    if ((raw_user && !url->user) || (raw_password && !url->password))
        return "its user or its password is not encoded rightly";
    if (url->password && !url->user)
        url->user = g_strdup("");
    return NULL;
}

static const char *strip(CURLU *handle)
{
    static const CURLUPart parts[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS,
                                      CURLUPART_FRAGMENT};

    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        if (curl_url_set(handle, parts[i], NULL, 0) != CURLUE_OK)
            return "out of memory";
    }
    return NULL;
}

static const char *take_apart(CURLU *handle, TransferUrl *url)
{
    g_autofree char *scheme = part(handle, CURLUPART_SCHEME, 0);
    g_autofree char *path = part(handle, CURLUPART_PATH, 0);
    const char *problem;

    if (!find_scheme(scheme, &url->scheme))
        return "only http, https, ftp, ftps and sftp are possible";
    problem = bad_path(url->scheme, path ? path : "/");
    if (!problem)
        problem = take_secrets(handle, url);
    if (!problem)
        problem = strip(handle);
    if (problem)
        return problem;
    url->host = part(handle, CURLUPART_HOST, 0);
    url->port = part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    url->text = part(handle, CURLUPART_URL, 0);
    if (!url->host || !*url->host || !url->port || !url->text)
        return "it has no host";
    curl_url_set(handle, CURLUPART_QUERY, NULL, 0);
    url->name = part(handle, CURLUPART_URL, 0);
    return url->name ? NULL : "out of memory";
}

char *transfer_url_resolve(const TransferUrl *base, const char *location)
{
    CURLU *handle = curl_url();
    char *url = NULL;

    if (handle && strlen(location) <= TRANSFER_MAX_URL &&
        curl_url_set(handle, CURLUPART_URL, base->text, 0) == CURLUE_OK &&
        curl_url_set(handle, CURLUPART_URL, location, LENIENT) == CURLUE_OK)
        url = part(handle, CURLUPART_URL, 0);
    curl_url_cleanup(handle);
    return url;
}

gboolean transfer_url_parse(const char *text, TransferUrl *ret_url, GError **error)
{
    TransferUrl url = {0};
    const char *problem = NULL;
    g_autofree char *tidy = NULL;
    CURLU *handle = NULL;

    if (strlen(text) > TRANSFER_MAX_URL) {
        problem = "it is too long";
    } else {
        tidy = encode_inner_ats(text);
        handle = curl_url();
        if (!handle || curl_url_set(handle, CURLUPART_URL, tidy, LENIENT) != CURLUE_OK)
            problem = "it is malformed";
        else
            problem = take_apart(handle, &url);
    }
    curl_url_cleanup(handle);
    if (problem) {
        transfer_url_clear(&url);
        g_set_error(error, TRANSFER_ERROR, TRANSFER_ERROR_URL, "cannot use this URL: %s", problem);
        return FALSE;
    }
    *ret_url = url;
    return TRUE;
}
