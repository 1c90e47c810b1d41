/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order of FirmwareStatusNotifications, as a table. */
#include "firmware.h"

#include <string.h>

typedef struct {
    const char *stage;
    const char *const next[4];
} Step;

static const Step steps[] = {
    {"", {"Downloading", NULL}},
    {"Downloading", {"Downloaded", "DownloadFailed", NULL}},
    {"Downloaded", {"Installing", "DownloadFailed", NULL}},
    {"Installing", {"Installed", "InstallationFailed", NULL}},
    {"Installed", {"Downloading", NULL}},
    {"DownloadFailed", {"Downloading", NULL}},
    {"InstallationFailed", {"Downloading", NULL}},
};

void firmware_order_clear(FirmwareOrder *order)
{
    g_free(order->stage);
    g_free(order->previous);
    g_free(order->previous_id);
    memset(order, 0, sizeof(*order));
}

static gboolean step_allowed(const char *stage, const char *status)
{
    for (gsize i = 0; i < G_N_ELEMENTS(steps); i++)
        if (strcmp(steps[i].stage, stage) == 0)
            return g_strv_contains(steps[i].next, status);
    return FALSE;
}

static gboolean job_ended(const FirmwareOrder *order)
{
    return order->stage == NULL || step_allowed(order->stage, "Downloading");
}

/* The charge point may not have heard the answer to the same status, and says it again. */
static gboolean is_resend(const FirmwareOrder *order, const char *status)
{
    return g_strcmp0(order->previous, status) == 0 && (!order->answered || order->link_lost);
}

/* TRUE when the status may stand here without a trigger. */
static gboolean in_order(const FirmwareOrder *order, const char *status)
{
    if (is_resend(order, status))
        return TRUE;
    if (strcmp(status, "Idle") == 0)
        return FALSE;
    if (step_allowed(order->stage != NULL ? order->stage : "", status))
        return TRUE;
    if (!order->newer_update) /* somebody beside the charge point installs a file */
        return strcmp(status, "Installing") == 0 && job_ended(order);
    /* A new job in place of an unfinished one, or the same request again after it was installed. */
    if (strcmp(status, "Downloading") == 0)
        return g_strcmp0(order->stage, "Installing") != 0;
    return strcmp(status, "Installed") == 0 && g_strcmp0(order->previous, status) == 0;
}

static gboolean in_order_when_triggered(const FirmwareOrder *order, const char *status)
{
    if (strcmp(status, "Idle") == 0)
        return job_ended(order) || order->newer_update;
    return g_strcmp0(order->stage, status) == 0;
}

static void complain(const FirmwareOrder *order, const char *status, gboolean triggered,
                     Findings *findings)
{
    const char *last = order->previous != NULL ? order->previous : "none";

    if (strcmp(status, "Idle") == 0 && !triggered)
        findings_add(findings, NULL, "FirmwareStatusNotification: Idle that nobody triggered");
    else if (g_strcmp0(order->previous, status) == 0)
        findings_add(findings, NULL,
                     "FirmwareStatusNotification: %s again, although the first was answered",
                     status);
    else
        findings_add(findings, NULL, "FirmwareStatusNotification: %s does not follow %s", status,
                     last);
}

gboolean firmware_order_status(FirmwareOrder *order, const char *id, const char *status,
                               gboolean triggered, Findings *findings)
{
    gboolean fits = in_order(order, status);
    gboolean needed = !fits && triggered && in_order_when_triggered(order, status);

    if (!fits && !needed)
        complain(order, status, triggered, findings);
    if (strcmp(status, "Idle") != 0) {
        if (strcmp(status, "Downloading") == 0 && !needed && !is_resend(order, status))
            order->newer_update = FALSE;
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

void firmware_order_update(FirmwareOrder *order)
{
    order->newer_update = TRUE;
}

void firmware_order_answered(FirmwareOrder *order, const char *id)
{
    if (g_strcmp0(order->previous_id, id) == 0)
        order->answered = TRUE;
}

void firmware_order_settle(FirmwareOrder *order)
{
    if (order->answered)
        order->settled = TRUE;
}

void firmware_order_disconnected(FirmwareOrder *order)
{
    if (!order->settled)
        order->link_lost = TRUE;
}
