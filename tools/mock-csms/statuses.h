/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Are the FirmwareStatusNotifications of one charge point in a true order? (C 5.19, C 6.31)
 *
 *   Downloading -> Downloaded -> Installing -> Installed | InstallationFailed
 *   DownloadFailed after Downloading or Downloaded; Idle only when triggered.
 *   A job that no UpdateFirmware asked for may begin with Installing: a file that was there.
 *
 * The order starts anew with each job: a Downloading in the middle is right when another
 * UpdateFirmware was sent since. The same status twice in a row is right only when the first may not
 * have been answered, when it was triggered, or when a newer UpdateFirmware asked for it again.
 */
#pragma once

#include <glib.h>

#include "findings.h"

typedef struct {
    char *stage;           /* the last status but Idle, NULL at first */
    char *previous;        /* the last status, Idle included */
    char *previous_id;     /* its message id */
    gboolean answered;     /* an answer to it was written */
    gboolean settled;      /* and the charge point has surely read that answer */
    gboolean link_lost;    /* the connection ended before it was settled */
    gboolean newer_update; /* an UpdateFirmware was sent since the job of stage began */
} FirmwareOrder;

void firmware_order_clear(FirmwareOrder *order);

/* One status came in. triggered: an accepted trigger for it is open; returns TRUE when it needed that. */
gboolean firmware_order_status(FirmwareOrder *order, const char *id, const char *status,
                               gboolean triggered, Findings *findings);

/* An UpdateFirmware was sent. */
void firmware_order_update(FirmwareOrder *order);
/* The answer to message id was written. */
void firmware_order_answered(FirmwareOrder *order, const char *id);
/* Another CALL came in: an answer written before it has arrived. */
void firmware_order_settle(FirmwareOrder *order);
void firmware_order_disconnected(FirmwareOrder *order);
