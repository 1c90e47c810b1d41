/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order of statuses, a table for each kind of job. */
#include "statuses.h"

#include <string.h>

typedef struct {
    const char *stage;
    const char *const next[4];
} Step;

struct StatusRules {
    const char *action;
    const char *first;   /* that a job begins with */
    const char *repeat;  /* the end that a request for the same thing is answered with */
    const char *by_hand; /* that a job may begin with that nobody asked for; NULL: none */
    const char *lasting; /* the stage that no newer job takes the place of; NULL: all */
    Step steps[8];       /* "" is the beginning; ends with a NULL stage */
};

const StatusRules STATUSES_FIRMWARE = {
    "FirmwareStatusNotification",
    "Downloading",
    "Installed",
    "Installing",
    "Installing",
    {{"", {"Downloading", NULL}},
     {"Downloading", {"Downloaded", "DownloadFailed", NULL}},
     {"Downloaded", {"Installing", "DownloadFailed", NULL}},
     {"Installing", {"Installed", "InstallationFailed", NULL}},
     {"Installed", {"Downloading", NULL}},
     {"DownloadFailed", {"Downloading", NULL}},
     {"InstallationFailed", {"Downloading", NULL}},
     {NULL, {NULL}}},
};

const StatusRules STATUSES_DIAGNOSTICS = {
    "DiagnosticsStatusNotification",
    "Uploading",
    NULL,
    NULL,
    "Uploading",
    {{"", {"Uploading", NULL}},
     {"Uploading", {"Uploaded", "UploadFailed", NULL}},
     {"Uploaded", {"Uploading", NULL}},
     {"UploadFailed", {"Uploading", NULL}},
     {NULL, {NULL}}},
};

void status_order_clear(StatusOrder *order)
{
    const StatusRules *rules = order->rules;

    g_free(order->stage);
    g_free(order->previous);
    g_free(order->previous_id);
    memset(order, 0, sizeof(*order));
    order->rules = rules;
}

const char *status_order_action(const StatusOrder *order)
{
    return order->rules->action;
}

static gboolean step_allowed(const StatusOrder *order, const char *status)
{
    const char *stage = order->stage != NULL ? order->stage : "";

    for (const Step *step = order->rules->steps; step->stage != NULL; step++)
        if (strcmp(step->stage, stage) == 0)
            return g_strv_contains(step->next, status);
    return FALSE;
}

static gboolean job_ended(const StatusOrder *order)
{
    return step_allowed(order, order->rules->first);
}

/* The charge point may not have heard the answer to the same status, and says it again. */
static gboolean is_resend(const StatusOrder *order, const char *status)
{
    return g_strcmp0(order->previous, status) == 0 && (!order->answered || order->link_lost);
}

/* TRUE when the status may stand here without a trigger. */
static gboolean in_order(const StatusOrder *order, const char *status)
{
    if (is_resend(order, status))
        return TRUE;
    if (strcmp(status, "Idle") == 0)
        return FALSE;
    if (step_allowed(order, status))
        return TRUE;
    if (!order->newer) /* somebody beside the charge point installs a file */
        return g_strcmp0(order->rules->by_hand, status) == 0 && job_ended(order);
    /* A new job in place of an unfinished one, or the same request again after it was installed. */
    if (strcmp(status, order->rules->first) == 0)
        return g_strcmp0(order->stage, order->rules->lasting) != 0;
    return g_strcmp0(order->rules->repeat, status) == 0 && g_strcmp0(order->previous, status) == 0;
}

static gboolean in_order_when_triggered(const StatusOrder *order, const char *status)
{
    if (strcmp(status, "Idle") == 0)
        return job_ended(order) || order->newer;
    return g_strcmp0(order->stage, status) == 0;
}

static void complain(const StatusOrder *order, const char *status, gboolean triggered,
                     Findings *findings)
{
    const char *action = order->rules->action;
    const char *last = order->previous != NULL ? order->previous : "none";

    if (strcmp(status, "Idle") == 0 && !triggered)
        findings_add(findings, NULL, "%s: Idle that nobody triggered", action);
    else if (g_strcmp0(order->previous, status) == 0)
        findings_add(findings, NULL, "%s: %s again, although the first was answered", action,
                     status);
    else
        findings_add(findings, NULL, "%s: %s does not follow %s", action, status, last);
}

gboolean status_order_status(StatusOrder *order, const char *id, const char *status,
                             gboolean triggered, Findings *findings)
{
    gboolean fits = in_order(order, status);
    gboolean needed = !fits && triggered && in_order_when_triggered(order, status);

    if (!fits && !needed)
        complain(order, status, triggered, findings);
    if (strcmp(status, "Idle") != 0) {
        if (strcmp(status, order->rules->first) == 0 && !needed && !is_resend(order, status))
            order->newer = FALSE;
        g_free(order->stage);
        order->stage = g_strdup(status);
    }
    g_free(order->previous);
    order->previous = g_strdup(status);
    g_free(order->previous_id);
    order->previous_id = g_strdup(id);
    order->answered = FALSE;
    order->settled = FALSE;
    order->link_lost = FALSE;
    return needed;
}

void status_order_request(StatusOrder *order)
{
    order->newer = TRUE;
}

void status_order_answered(StatusOrder *order, const char *id)
{
    if (g_strcmp0(order->previous_id, id) == 0)
        order->answered = TRUE;
}

void status_order_settle(StatusOrder *order)
{
    if (order->answered)
        order->settled = TRUE;
}

void status_order_disconnected(StatusOrder *order)
{
    if (!order->settled)
        order->link_lost = TRUE;
}
