/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Are the statuses of one kind of job of one charge point in a true order?
 *
 * FirmwareStatusNotification (C 5.19, C 6.31):
 *   Downloading -> Downloaded -> Installing -> Installed | InstallationFailed
 *   DownloadFailed after Downloading or Downloaded; Idle only when triggered.
 *   A job that no UpdateFirmware asked for may begin with Installing: a file that was there.
 *
 * DiagnosticsStatusNotification (C 5.9, C 6.17):
 *   Uploading -> Uploaded | UploadFailed; Idle only when triggered.
 *
 * The order starts anew with each job: a Downloading in the middle is right when another
 * UpdateFirmware was sent since (Uploading, GetDiagnostics). The same status twice in a row is
 * right only when the first may not have been answered, when it was triggered, or when a newer
 * request asked for it again.
 */
#pragma once

#include <glib.h>

#include "findings.h"

typedef struct StatusRules StatusRules;
extern const StatusRules STATUSES_FIRMWARE, STATUSES_DIAGNOSTICS;

/* All zero but for the rules at first. */
typedef struct {
    const StatusRules *rules;
    char *stage;        /* the last status but Idle, NULL at first */
    char *previous;     /* the last status, Idle included */
    char *previous_id;  /* its message id */
    gboolean answered;  /* an answer to it was written */
    gboolean settled;   /* and the charge point has surely read that answer */
    gboolean link_lost; /* the connection ended before it was settled */
    gboolean newer;     /* a request was sent since the job of stage began */
} StatusOrder;

void status_order_clear(StatusOrder *order);
/* The action that it is about. */
const char *status_order_action(const StatusOrder *order);

/* One status came in. triggered: an accepted trigger for it is open; returns TRUE when it needed
 * that. */
gboolean status_order_status(StatusOrder *order, const char *id, const char *status,
                             gboolean triggered, Findings *findings);

/* A request was sent. */
void status_order_request(StatusOrder *order);
/* The answer to message id was written. */
void status_order_answered(StatusOrder *order, const char *id);
/* Another CALL came in: an answer written before it has arrived. */
void status_order_settle(StatusOrder *order);
void status_order_disconnected(StatusOrder *order);
