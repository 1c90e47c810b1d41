/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firmware job as a pure function: (job, event) -> (job', statuses to queue, effects).  One
 * table (table.c) has a row or an explicit "ignored" for every pair of state and event.  No I/O, no
 * clock.
 *
 * The caller applies a step so: the new row, its history entry and the statuses in ONE transaction,
 * then the effects, one by one.  After a crash the state alone says what to do again, so every
 * effect may run twice.
 */
#pragma once

#include <glib.h>

#include "db/jobs.h"

typedef enum {
    JOB_EVENT_DUE,        /* retrieveDate or retry interval reached, to be fetched by ourselves */
    JOB_EVENT_DUE_STREAM, /* the same, RAUC is to stream it, or it is a local file */
    JOB_EVENT_FETCH_OK,   /* own download complete */
    JOB_EVENT_FETCH_OK_SIGNED, /* the same, of a signed update */
    JOB_EVENT_FETCH_FAIL,      /* own download failed, attempts left */
    JOB_EVENT_FETCH_FAIL_LAST, /* own download failed, none left or no use in trying */
    JOB_EVENT_SIG_OK,          /* signature over the file verified */
    JOB_EVENT_SIG_BAD,         /* or not */
    JOB_EVENT_PERMIT,          /* allowed to install what was downloaded, RAUC idle */
    JOB_EVENT_PERMIT_STREAM,   /* the same, RAUC retrieves it */
    JOB_EVENT_WRITING,         /* RAUC writes the slot */
    JOB_EVENT_ACTIVATED,       /* the attempt is over and the target is primary */
    JOB_EVENT_FAIL_ACTIVATED,  /* RAUC reports failure, yet the target is primary */
    JOB_EVENT_FAIL,            /* attempt over, primary unchanged, attempts left */
    JOB_EVENT_FAIL_LAST,       /* the same, none left */
    JOB_EVENT_REFUSED,         /* signature, compatible, format, size: no further attempt */
    JOB_EVENT_NEXT_TRANSPORT, /* this way it cannot be had or installed, another one may: not charged */
    JOB_EVENT_INTERRUPTED,       /* found unfinished after our death or a reboot: not charged */
    JOB_EVENT_INTERRUPTED_LAST,  /* the same, once too often */
    JOB_EVENT_REBOOT_NOW,        /* nobody holds the reboot back any more */
    JOB_EVENT_REBOOT_AGAIN,      /* the reboot did not come */
    JOB_EVENT_RESUME,            /* the agent started; same boot, or no verdict needed */
    JOB_EVENT_BOOT_TARGET,       /* first start after a boot: the target is booted */
    JOB_EVENT_BOOT_TARGET_THIRD, /* the third boot in confirming */
    JOB_EVENT_BOOT_TARGET_BAD,   /* the target is booted although its image is not whole */
    JOB_EVENT_BOOT_TARGET_OTHER, /* the target holds something else, installed by hand */
    JOB_EVENT_BOOT_OLD,          /* the old slot is booted */
    JOB_EVENT_BOOT_OLD_PRIMARY_TARGET, /* the same, although the target is primary */
    JOB_EVENT_HEALTHY,                 /* all health checks passed */
    JOB_EVENT_MARKED,                  /* Mark good was answered */
    JOB_EVENT_DEADLINE,                /* health-timeout is over */
    JOB_EVENT_NO_FALLBACK,             /* the new slot failed, and no other slot would boot */
    JOB_EVENT_SILENT,                  /* RAUC was mute for absent-timeout */
    JOB_EVENT_IDLE,                    /* undoing, and RAUC is idle */
    JOB_EVENT_UNDONE,                  /* the loader stays with the booted slot: answered by RAUC */
    JOB_EVENT_CANCEL,                  /* asked for by a person */
    JOB_EVENT_REQUEST,                 /* another UpdateFirmware before InstallBundle */
    JOB_EVENT_REQUEST_LATE,            /* another UpdateFirmware after it */
    JOB_EVENT_NEXT,                    /* the job ended and a request waits */
    JOB_N_EVENTS,
    JOB_EVENT_NONE = JOB_N_EVENTS
} JobEvent;

typedef enum {
    JOB_EFFECT_NONE,
    JOB_EFFECT_FETCH,       /* start or go on with the own download */
    JOB_EFFECT_INSTALL,     /* InstallBundle */
    JOB_EFFECT_ABORT,       /* make RAUC stop */
    JOB_EFFECT_REBOOT,      /* ask for the reboot */
    JOB_EFFECT_POINT_OTHER, /* Mark active the other slot, where it is not primary */
    JOB_EFFECT_MARK_BAD,    /* Mark bad the booted slot */
    JOB_EFFECT_MARK_GOOD,   /* Mark good the booted slot */
    JOB_EFFECT_UNDO,        /* Mark active the booted slot */
    JOB_EFFECT_BAD_TARGET,  /* Mark bad the target, if this job wrote it */
} JobEffect;

#define JOB_MAX_EFFECTS       3
#define JOB_MAX_STATUSES      4 /* Downloading, Downloaded, Installing and an end */
#define JOB_MAX_INTERRUPTIONS 5
#define JOB_MAX_CONFIRM_BOOTS 3

/* A status for the wire.  JOB_NOTE_FAILURE is DownloadFailed before Installing was queued and
 * InstallationFailed after. */
typedef enum {
    JOB_NOTE_NONE,
    JOB_NOTE_DOWNLOADING,
    JOB_NOTE_DOWNLOADED,
    JOB_NOTE_INSTALLING,
    JOB_NOTE_INSTALLED,
    JOB_NOTE_FAILURE,
    JOB_NOTE_INSTALLATION_FAILED,
    JOB_NOTE_INVALID_SIGNATURE,
} JobNote;

typedef struct {
    JobState next;
    gboolean same;        /* stays in its state; `next` does not count */
    gboolean failure_end; /* the end is job->failure, or goes by the wire; `next` is the table's
                             word for it */
    JobNote note;
    JobEffect effects[JOB_MAX_EFFECTS];
} JobRow;

/* The row of a pair, or NULL where the table says "ignored". */
const JobRow *job_row(JobState state, JobEvent event);
/* FALSE only for a hole in the table (neither row nor "ignored", or both): there is none, a test
 * walks them all. */
gboolean job_pair_defined(JobState state, JobEvent event);

const char *job_event_name(JobEvent event);
const char *job_effect_name(JobEffect effect);

/* What the world adds to an event; all borrowed, all optional unless said otherwise. */
typedef struct {
    const char *boot_id;           /* required */
    gint64 boottime_ms;            /* now */
    gint64 now_ms;                 /* CSMS or best time, for ended_ms */
    const char *reason;            /* in words, for failures */
    gint64 fetched_bytes;          /* over the network, in the attempt that ends here */
    gboolean report_before_reboot; /* report-installed=before-reboot: Installed is queued at
                                      activation */
    gint64 retry_boottime_ms;      /* for steps into retry-wait */
    /* for permit: the snapshot */
    const char *booted_slot, *target_slot, *primary_slot, *firmware_version;
    /* for permit: the target now; for activated and fail-activated: the target now */
    const JobSlotRecord *target;
} JobFacts;

typedef struct {
    gboolean ignored;
    Job *job; /* the row after the step; owned by the step */
    JobState from;
    const char
        *statuses[JOB_MAX_STATUSES]; /* FirmwareStatusNotification's, in order; static strings */
    guint n_statuses;
    JobEffect effects[JOB_MAX_EFFECTS];
    guint n_effects;
} JobStep;

/* The way to try after `transport`; the same when there is none. */
JobTransport job_transport_after(JobTransport transport);

void job_step(const Job *job, JobEvent event, const JobFacts *facts, JobStep *ret_step);
void job_step_clear(JobStep *step);

gboolean job_state_is_active(JobState state); /* installing .. undoing: a boot needs a verdict */
