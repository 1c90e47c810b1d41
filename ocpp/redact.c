/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Secrets in messages: found by the shape of the JSON, not by its text, where escapes could hide
 * them. */
#include "ocpp/redact.h"

#include <jansson.h>
#include <string.h>

#define MAX_DEPTH 64

static gboolean is_secret(const char *name)
{
    static const char *const WORDS[] = {"authorizationkey", "password", "passwd", "secret", "token",
                                        "apikey",           "psk"};
    g_autofree char *lower = g_ascii_strdown(name, -1);

    for (gsize i = 0; i < G_N_ELEMENTS(WORDS); i++) {
        if (strstr(lower, WORDS[i]) != NULL)
            return TRUE;
    }
    return FALSE;
}

/* The '@' that a user and a password end with; NULL: there is none.  Passwords of real locations
 * hold blanks, slashes and more: where something like one comes first, the last '@' counts wherever
 * it is. */
static const char *end_of_user(const char *authority)
{
    const char *within = g_strrstr_len(authority, (gssize)strcspn(authority, "/?#"), "@");
    const char *last = strrchr(authority, '@');

    if (within != NULL || last == NULL)
        return within;
    return memchr(authority, ':', (gsize)(last - authority)) != NULL ? last : NULL;
}

/* NULL: nothing in it is a URL with something to hide. */
static char *redact_url(const char *text)
{
    const char *authority = strstr(text, "://");
    const char *at, *rest, *query;
    int shown;

    if (authority == NULL)
        return NULL;
    authority += strlen("://");
    at = end_of_user(authority);
    rest = at != NULL ? at : authority;
    query = strchr(rest, '?');
    if (at == NULL && query == NULL)
        return NULL;
    shown = query != NULL ? (int)(query - rest) : (int)strlen(rest);
    return g_strdup_printf("%.*s%s%.*s%s", (int)(authority - text), text,
                           at != NULL ? OCPP_REDACTED : "", shown, rest,
                           query != NULL ? "?" OCPP_REDACTED : "");
}

static json_t *redact(json_t *value, guint depth);

/* {"key": "AuthorizationKey", "value": "..."} as in ChangeConfiguration.req and
 * GetConfiguration.conf. */
static gboolean names_a_secret(const json_t *object)
{
    const char *key = json_string_value(json_object_get(object, "key"));

    return key != NULL && is_secret(key);
}

static json_t *redact_object(json_t *object, guint depth)
{
    json_t *result = json_object();
    gboolean secret = names_a_secret(object);
    const char *name;
    json_t *member;

    json_object_foreach(object, name, member)
    {
        gboolean hide = is_secret(name) || (secret && strcmp(name, "value") == 0);

        json_object_set_new(result, name,
                            hide ? json_string(OCPP_REDACTED) : redact(member, depth + 1));
    }
    return result;
}

static json_t *redact_array(json_t *array, guint depth)
{
    json_t *result = json_array();
    gsize i;
    json_t *element;

    json_array_foreach(array, i, element) json_array_append_new(result, redact(element, depth + 1));
    return result;
}

/* A string may hold JSON itself, as in DataTransfer. */
static json_t *redact_string(json_t *value, guint depth)
{
    const char *text = json_string_value(value);
    g_autofree char *safe = redact_url(text);
    json_t *inner = *text == '{' || *text == '[' ? json_loads(text, 0, NULL) : NULL;
    json_t *redacted, *result;
    char *dump;

    if (inner == NULL)
        return safe != NULL ? json_string(safe) : json_incref(value);
    redacted = redact(inner, depth + 1);
    dump = json_dumps(redacted, JSON_COMPACT | JSON_PRESERVE_ORDER);
    result = json_string(dump);
    free(dump);
    json_decref(redacted);
    json_decref(inner);
    return result;
}

/* A new reference. */
static json_t *redact(json_t *value, guint depth)
{

    if (depth > MAX_DEPTH)
        return json_string(OCPP_REDACTED);
    if (json_is_object(value))
        return redact_object(value, depth);
    if (json_is_array(value))
        return redact_array(value, depth);
    return json_is_string(value) ? redact_string(value, depth) : json_incref(value);
}

char *ocpp_redact(const char *text, gsize length)
{
    json_t *message = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_t *safe;
    char *dump;
    char *result;

    if (message == NULL)
        return NULL;
    safe = redact(message, 0);
    dump = json_dumps(safe, JSON_COMPACT | JSON_ENCODE_ANY | JSON_PRESERVE_ORDER);
    result = g_strdup(dump);
    free(dump);
    json_decref(safe);
    json_decref(message);
    return result;
}
