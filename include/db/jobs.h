/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Firmware jobs and their history, as the store keeps them.  What the states mean and which step
 * leads where is the business of behaviour/firmware; here are their names, and the row.
 *
 * At most one job is `active`, at most one `waits` (one deep, C 5.19 is silent); all others have
 * ended. Times are milliseconds: `_ms` since 1970 in CSMS time, `_boottime_ms` of CLOCK_BOOTTIME
 * within the boot named beside it.
 */
#pragma once

#include <glib.h>

#include "db/store.h"

typedef enum {
    JOB_SCHEDULED,
    JOB_DOWNLOADING,
    JOB_RETRY_WAIT,
    JOB_VERIFYING,
    JOB_INSTALL_WAIT,
    JOB_INSTALLING,
    JOB_REBOOT_WAIT,
    JOB_REBOOTING,
    JOB_CONFIRMING,
    JOB_ROLLING_BACK,
    JOB_UNDOING,
    /* ends */
    JOB_INSTALLED,
    JOB_DOWNLOAD_FAILED,
    JOB_INSTALL_FAILED,
    JOB_SIGNATURE_INVALID,
    JOB_ROLLED_BACK,
    JOB_CANCELLED,
    JOB_SUPERSEDED,
    JOB_N_STATES
} JobState;

/* How far the wire is: the last status queued for the CSMS. */
typedef enum {
    JOB_WIRE_NOTHING,
    JOB_WIRE_DOWNLOADING,
    JOB_WIRE_DOWNLOADED,
    JOB_WIRE_INSTALLING,
    JOB_WIRE_ENDED /* an end status was queued: nothing follows */
} JobWire;

const char *job_state_name(
    JobState state); /* "scheduled", "reboot-wait", ...: the names of DESIGN.md, also on disk */
gboolean job_state_from_name(const char *name, JobState *ret_state);
gboolean job_state_is_end(JobState state);

typedef enum { JOB_ACTIVE, JOB_WAITS, JOB_ENDED } JobRole;

/* How the bundle comes to RAUC.  A job only ever moves down this list. */
typedef enum {
    JOB_TRANSPORT_UNDECIDED,
    JOB_TRANSPORT_STREAM,   /* through the relay, nothing is stored */
    JOB_TRANSPORT_DOWNLOAD, /* into the spool, RAUC gets the path */
    JOB_TRANSPORT_STORE /* the same, but through the relay, which reaches the casync store, too */
} JobTransport;

const char *job_transport_name(JobTransport transport); /* "stream", ... */

/* What RAUC says of the slot that a job will write, before and after (absent: 0 or NULL). */
typedef struct {
    gint64 installed_count;
    char *installed_timestamp;
    char *activated_timestamp;
    char *version; /* bundle.version */
    char *hash;    /* sha256 of the slot's image */
} JobSlotRecord;

typedef struct {
    gint64 id; /* 0: not in the store yet */
    JobRole role;
    JobState state;

    /* the request */
    char *location;
    gint64 retrieve_date_ms;
    gboolean has_retrieve_date;
    guint retries; /* attempts = 1 + retries */
    guint retry_interval_s;
    gint64 request_id; /* of a signed update; -1: UpdateFirmware of 1.6 */
    gboolean by_hand;  /* asked for by a person; then `location` may be a local path */

    /* progress */
    JobTransport transport;
    gint64 fetched_bytes; /* over the network, by attempts that have ended */
    guint attempts;       /* charged so far */
    guint
        interruptions; /* not charged, five a job; then the boots without RAUC that were ended, five */
    gboolean tried;    /* InstallBundle was called once: a new request waits */
    gboolean written; /* RAUC was seen writing the slot in the current attempt */
    JobWire wire;
    char *last_status; /* last status queued, for TriggerMessage; NULL: none */
    char *reason;      /* why it failed or waits, in words; NULL: none */
    JobState failure;  /* the end that `undoing` and `rolling-back` lead to */

    /* retry-wait: due when this boot's CLOCK_BOOTTIME passes it; after a reboot the interval starts
     * anew */
    char *retry_boot_id;
    gint64 retry_boottime_ms;

    /* the snapshot, stored in the transaction before InstallBundle */
    gboolean snapshot;
    char *boot_id;     /* the boot in which the job was last seen alive */
    char *booted_slot; /* the slot that was booted, e.g. rootfs.0 */
    char *target_slot; /* the slot that RAUC will write */
    char *primary_slot;
    char *firmware_version; /* what the charge point reported then */
    JobSlotRecord before;   /* the target before the install */
    JobSlotRecord after;    /* the target once activated */

    /* confirming */
    guint confirm_boots;        /* boots in confirming; the third ends it */
    gint64 confirm_boottime_ms; /* when it began in boot `boot_id` */

    gint64 created_ms;
    gint64 ended_ms; /* 0: not ended */
} Job;

Job *job_new(void); /* all zero, request_id -1 */
Job *job_copy(const Job *job);
void job_free(Job *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Job, job_free)

/* A new row; sets job->id (which means nothing if the transaction is rolled back).  Ids are never
 * given out again. STORE_ERROR_CONFLICT when its role is taken, when `location` is NULL, or when
 * only one of role and state is an end. */
gboolean jobs_insert(Store *store, Job *job, GError **error);
/* STORE_ERROR_CONFLICT also when there is no row of job->id. */
gboolean jobs_update(Store *store, const Job *job, GError **error);

/* `*ret_job` is NULL when there is none.  FALSE only for an error.  `newest` is by id throughout.
 */
gboolean jobs_load(Store *store, JobRole role, Job **ret_job,
                   GError **error); /* JOB_ENDED: the newest ended one */
gboolean jobs_load_id(Store *store, gint64 id, Job **ret_job, GError **error);

/* One line of a job's history. */
typedef struct {
    gint64 job_id;
    gint64 time_ms; /* CSMS time, or the system clock's while that is not known */
    JobState from, to;
    char *event;
    char *detail; /* words; NULL: none */
} HistoryEntry;

/* The history keeps the newest HISTORY_MAX_ENTRIES entries and the newest HISTORY_MAX_JOBS ended
 * jobs; adding prunes. */
#define HISTORY_MAX_ENTRIES 2000
#define HISTORY_MAX_JOBS    100

/* STORE_ERROR_CONFLICT when there is no job of that id. */
gboolean history_add(Store *store, const HistoryEntry *entry, GError **error);
/* Newest first, at most `limit`.  Elements are HistoryEntry*, freed with the array. */
GPtrArray *history_list(Store *store, guint limit, GError **error);
void history_entry_free(HistoryEntry *entry);
/* Newest first, at most `limit`.  Elements are Job*, freed with the array. */
GPtrArray *jobs_list(Store *store, guint limit, GError **error);
