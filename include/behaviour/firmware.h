/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firmware job: takes UpdateFirmware, drives RAUC, keeps the job in the store, confirms the new
 * slot or gives it up, and queues the statuses for the CSMS.  All marks of slots are made here,
 * those of boots without a job too.
 *
 * It works by level, not by edge: whenever anything changes it looks at the job's row, at RAUC and
 * at the clock, and takes the steps that follow; so it needs no memory of its own over a crash.
 */
#pragma once

#include <glib.h>

#include "adapter/clock.h"
#include "adapter/rauc.h"
#include "adapter/transfer.h"
#include "db/jobs.h"
#include "db/store.h"

#define FIRMWARE_ERROR (firmware_error_quark())
GQuark firmware_error_quark(void);

typedef enum {
    FIRMWARE_ERROR_STORE, /* the store cannot keep it: nothing was done */
    FIRMWARE_ERROR_STATE  /* not now: the message says why */
} FirmwareError;

/* Which boots are marked good: see mark-good in the settings. */
typedef enum { FIRMWARE_MARK_ALWAYS, FIRMWARE_MARK_JOBS, FIRMWARE_MARK_NEVER } FirmwareMarkGood;

/* How a bundle comes to RAUC: see transport in the settings. */
typedef enum {
    FIRMWARE_TRANSPORT_AUTO,
    FIRMWARE_TRANSPORT_STREAM,
    FIRMWARE_TRANSPORT_DOWNLOAD
} FirmwareTransport;

typedef struct {
    const char *boot_id;
    const char *firmware_version; /* of this boot; may be NULL */
    guint default_retries, default_retry_interval_s;
    gint64 stall_timeout_ms, silent_timeout_ms; /* no progress during an install, where per cent
                                                   show and where they do not */
    gint64 absent_timeout_ms;                   /* RAUC mute */
    gint64 health_timeout_ms;
    gint64 last_csms_ms; /* last stored CSMS time, 0: none */
    FirmwareMarkGood mark_good;
    gboolean report_before_reboot;
    /* how the bundle is had */
    FirmwareTransport transport;
    const char *spool_directory;
    gint64 hold_ms;             /* an outage for so long is a pause */
    gint64 download_timeout_ms; /* of one own download; 0: without limit */
    gint64 data_budget;         /* bytes a job; 0: without limit */
    gsize read_ahead;           /* bytes of buffer of the relay */
    gboolean give_up_early;     /* a permanent refusal ends the job */
    const char *identity;       /* with the job it decides when within `spread_s` it begins */
    guint spread_s;
} FirmwareConfig;

/* Called from the main loop; they must not call back into Firmware before they return, but for
 * firmware_reboot_allowed(). */
typedef struct {
    /* State or progress changed. */
    void (*changed)(gpointer user_data);
    /* Something was put into the outbox. */
    void (*outbox)(gpointer user_data);
    /* The job waits for leave to reboot (answer: firmware_reboot_allowed()), or does not any more.
     * `granted`: no permission is needed, but for inhibitors: a reboot that was permitted and did
     * not come, or one that takes a failed firmware back. */
    void (*wants_reboot)(gboolean wants, gboolean granted, gpointer user_data);
    /* RAUC has done what it was asked: if it tells so of the slots as well, a reboot is wanted at
     * once. */
    void (*reboot_near)(gpointer user_data);
    /* Ask the system for a reboot now / make RAUC stop. */
    gboolean (*reboot)(gpointer user_data, GError **error);
    gboolean (*restart_rauc)(gpointer user_data, GError **error);
    /* Health checks are wanted (answer: firmware_set_healthy()), or not any more. */
    void (*wants_health)(gboolean wants, gpointer user_data);
} FirmwareEvents;

typedef struct {
    const char *location;
    gboolean has_retrieve_date;
    gint64 retrieve_date_ms;
    gint64 retries;          /* -1: the default */
    gint64 retry_interval_s; /* -1: the default */
    gboolean by_hand;        /* by a person: `location` may be an absolute path */
} FirmwareRequest;

typedef struct _Firmware Firmware;

/* All arguments are borrowed and must live longer; `config` and its strings are copied. */
Firmware *firmware_new(const FirmwareConfig *config, Store *store, Rauc *rauc, Transfers *transfers,
                       Clock *clock, const FirmwareEvents *events, gpointer user_data);
void firmware_free(Firmware *firmware);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Firmware, firmware_free)

/* Loads what the store holds and begins. */
void firmware_start(Firmware *firmware);

/* UpdateFirmware (C 5.19), or an update by hand, which does not wait behind another one.  TRUE once
 * it is in the store (or is a repeat of a known one). */
gboolean firmware_request(Firmware *firmware, const FirmwareRequest *request, GError **error);
gboolean firmware_cancel(Firmware *firmware, const char *reason, GError **error);

/* What the world does: the agent passes it on. */
void firmware_rauc_presence(Firmware *firmware, RaucPresence presence);
void firmware_rauc_progress(Firmware *firmware, int percent, const char *message);
void firmware_rauc_completed(Firmware *firmware, const GError *error);
void firmware_time_changed(Firmware *firmware); /* CSMS time became known or jumped */
void firmware_reboot_allowed(Firmware *firmware);
gboolean firmware_wants_reboot(const Firmware *firmware);
void firmware_set_healthy(Firmware *firmware, gboolean healthy);

/* Whether a CSMS Reset must be Rejected now (installing, confirming), and whether it has to wait
 * (undoing, rolling-back). */
gboolean firmware_rejects_reset(const Firmware *firmware);
gboolean firmware_delays_reset(const Firmware *firmware);

/* The answer to TriggerMessage FirmwareStatusNotification: the active job's last status, else
 * "Idle".  Static until the next step. */
const char *firmware_triggered_status(const Firmware *firmware);

/* For people: the active job, the waiting one, or the last ended one; borrowed, NULL when there is
 * none. */
const Job *firmware_job(const Firmware *firmware);
const Job *firmware_last_job(const Firmware *firmware);
gboolean firmware_has_waiting(const Firmware *firmware);
/* RAUC's per cent while an install of the job runs, else -1; `*ret_message` is borrowed. */
int firmware_progress(const Firmware *firmware, const char **ret_message);
/* The transfer that is under way; FALSE when there is none. */
typedef struct {
    const char *way;     /* "stream" or "download" */
    gint64 bytes, size;  /* size -1: not known */
    gint64 rate;         /* bytes/s, of late */
    gint64 left_s;       /* -1: not known */
    const char *trouble; /* the outage that is waited out; NULL: none.  Borrowed */
} FirmwareTransfer;
gboolean firmware_transfer(const Firmware *firmware, FirmwareTransfer *ret_transfer);
gboolean firmware_boot_marked(const Firmware *firmware);
