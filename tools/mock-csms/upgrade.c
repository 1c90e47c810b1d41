/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is let in: identity, Basic authentication, sub-protocol (J 3.1, J 6.2). */
#include "csms-private.h"

#include <string.h>

/* The identity is the last part of the path; lws has already decoded the percent signs. */
char *upgrade_identity(const char *path)
{
    const char *slash = strrchr(path, '/');

    return g_strdup(slash != NULL ? slash + 1 : path);
}

static gboolean offers_subprotocol(const json_t *headers)
{
    const char *offer = json_string_value(json_object_get(headers, "sec-websocket-protocol"));
    g_auto(GStrv) names = g_strsplit(offer != NULL ? offer : "", ",", -1);

    for (guint i = 0; names[i] != NULL; i++)
        if (strcmp(g_strstrip(names[i]), SUBPROTOCOL) == 0)
            return TRUE;
    return FALSE;
}

static gboolean is_authorized(const Csms *csms, const json_t *headers)
{
    const char *given = json_string_value(json_object_get(headers, "authorization"));

    return csms->authorization == NULL || g_strcmp0(given, csms->authorization) == 0;
}

static gboolean has_room(const Csms *csms, const char *identity)
{
    return g_hash_table_contains(csms->charge_points, identity) ||
           g_hash_table_size(csms->charge_points) < CHARGE_POINTS_MAX;
}

static guint judge(const Csms *csms, const char *identity, const json_t *headers,
                   Findings *findings)
{
    if (csms->refusal != 0)
        return csms->refusal;
    if (*identity == '\0' || (csms->identity != NULL && strcmp(identity, csms->identity) != 0))
        return 404;
    if (!is_authorized(csms, headers))
        return 401;
    if (!offers_subprotocol(headers)) {
        findings_add(findings, NULL, "the sub-protocol " SUBPROTOCOL " is not offered");
        return 400;
    }
    return has_room(csms, identity) ? 0 : 503;
}

guint upgrade_judge(gpointer user, const char *path, const json_t *headers)
{
    Csms *csms = user;
    g_autofree char *identity = upgrade_identity(path);
    g_auto(Findings) findings;
    guint status;

    findings_init(&findings);
    status = judge(csms, identity, headers, &findings);
    csms->errors += findings.texts->len;
    if (status != 0)
        log_event(csms->log, "refused",
                  json_pack("{s:s,s:s,s:i,s:O,s:o}", "identity", identity, "path", path, "status",
                            (int)status, "headers", headers, "errors",
                            findings_to_json(&findings)));
    return status;
}
