/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the firmware behaviour share.
 *
 *   status.c     asks RAUC for the state of its slots
 *   firmware.c   the loop; what comes from outside: requests, cancel, leave to reboot, health
 *   presence.c   RAUC comes, goes and is at work, and for whom
 *   observe.c    looks at everything and names the next event; also when to look again
 *   steps.c      applies an event: one transaction, then the effects are due
 *   effects.c    carries the effects out, one by one
 *   transport.c  how the bundle comes to RAUC: own download, relay, local file
 *   progress.c   how far it is, for people
 *   table.c machine.c verdict.c   pure
 */
#pragma once

#include "adapter/bundle.h"
#include "adapter/download.h"
#include "adapter/location.h"
#include "adapter/relay.h"
#include "behaviour/firmware.h"
#include "db/outbox.h"
#include "db/values.h"
#include "src/behaviour/firmware/machine.h"
#include "src/behaviour/firmware/verdict.h"

#define FIRMWARE_MAX_STEPS           64    /* in one go; more can only be a livelock */
#define FIRMWARE_STORE_RETRY_MS      5000  /* the store said no */
#define FIRMWARE_EFFECT_RETRY_MS     10000 /* RAUC refused a mark; doubled each time */
#define FIRMWARE_EFFECT_RETRY_MAX_MS 300000
#define FIRMWARE_BOOT_MARK_TRIES     3 /* then the verdict does not wait for it any more */
#define FIRMWARE_MARK_BAD_TRIES                                                                    \
    3 /* the other slot is primary by then: the reboot does not wait for ever */
#define FIRMWARE_POINT_TRIES 10 /* about half an hour; then a reboot without a mark */
#define FIRMWARE_POINT_ASKS                                                                        \
    5 /* for the slots, two minutes and a half; then the loader is pointed without */
#define FIRMWARE_UNDO_TRIES     10 /* of each of the two marks; then the CSMS is told all the same */
#define FIRMWARE_ABORT_AGAIN_MS 60000
#define FIRMWARE_LEAVE_MS       5000 /* then leave to reboot is asked for again */
#define FIRMWARE_MARK_GOOD_TRIES                                                                   \
    10 /* then a healthy slot is given up all the same at the deadline */
#define FIRMWARE_PRIMARY_TRIES        5
#define FIRMWARE_BLOCKED_LOOK_MS      10000 /* what is overdue waits for something that will tell */
#define FIRMWARE_MAX_RETRIES          100
#define FIRMWARE_MAX_RETRY_INTERVAL_S 86400
#define FIRMWARE_MAX_RETRY_WAIT_MS                                                                 \
    86400000 /* of the CSMS's interval, or the server's Retry-After */
#define FIRMWARE_MAX_WAKE_MS 3600000

/* How fast a transfer is: the bytes of the last ten seconds or so. */
typedef struct {
    gint64 since_ms, since_bytes; /* boottime; where the present measurement began */
    gint64 noted_ms;              /* when bytes came last */
    gint64 rate;                  /* bytes/s */
    guint tenths_told;            /* of the size, in the log */
} TransferRate;

/* The install attempt of this process. */
typedef enum {
    ATTEMPT_NONE,
    ATTEMPT_CALLED,  /* InstallBundle is called, not answered yet */
    ATTEMPT_RUNNING, /* RAUC is at work */
    ATTEMPT_ENDED    /* it is not any more; attempt_error says how */
} Attempt;

struct _Firmware {
    FirmwareConfig config; /* with strings of its own */
    Store *store;
    Rauc *rauc;
    Clock *clock;
    Transfers *transfers;
    FirmwareEvents events;
    gpointer user_data;

    Job *job;     /* the active one, or NULL */
    Job *waiting; /* or NULL */
    Job *last;    /* the newest ended one, or NULL */

    gboolean started;
    gboolean seen;         /* the first look of this process at the active job is done */
    gboolean job_at_start; /* a job was under way when this process started */
    gboolean boot_marked;  /* the booted slot was marked good in this boot */
    gint64 started_ms;     /* boottime */

    /* RAUC as last asked; NULL when it has to be asked (again) */
    RaucStatus *status;
    gboolean asking;
    gint64
        untold_since_ms; /* boottime since when a RAUC that is there does not tell its slots; -1 */
    guint query_tries;   /* refused in a row */
    guint primary_tries; /* answers without a primary slot, in a row */
    gint64 absent_since_ms; /* boottime; -1 while RAUC is there */
    gint64
        absent_before_ms; /* boottime since when it was gone before; -1: it has told its slots since */
    gint64 query_not_before_ms;

    Attempt attempt;
    GError *attempt_error; /* NULL: Completed(0) */
    gboolean writing;      /* progress has reached the slot, not yet a step */
    gboolean percent_seen; /* this RAUC shows per cent while it copies */
    int percent;
    char *message;
    gint64 progress_ms;  /* boottime of the last progress */
    gboolean abort_ours; /* cancelled while RAUC was at work for this job */
    gboolean aborting;   /* RAUC was restarted for a cancel and is still at work */
    gboolean stalled;    /* the watchdog has aborted the attempt */
    gboolean outrun;  /* it failed, and before that was judged RAUC is at work for somebody else */
    gboolean adopted; /* the attempt was begun by another process */

    /* how the bundle comes (transport.c) */
    gboolean cannot_stream; /* this RAUC, learned in this boot */
    Download *download;
    gint64 fetched_before; /* by the attempt under way, before this process began */
    gint64 fetched_kept;   /* what the store knows of it */
    gboolean fetched;      /* the bundle is whole in the spool */
    char *bundle_sha256;   /* of what was downloaded */
    GError *fetch_error;
    guint retry_after_s; /* what the server asked for */
    Relay *relay;
    gboolean relay_lost; /* it could not be had back after a restart */
    TransferRate rate;

    JobEffect effects[JOB_MAX_EFFECTS];
    guint n_effects;
    gboolean silent; /* they are a reboot for want of RAUC */
    guint effect_tries;
    gint64 effect_not_before_ms;
    guint boot_mark_tries;
    gint64 boot_mark_not_before_ms;
    gboolean calling;  /* a Mark or InstallBundle is not answered yet */
    JobEffect marking; /* the effect of the last Mark */

    guint mark_good_refused; /* in this state */

    /* results of effects and inputs, until a step has used them */
    gboolean marked, undone, healthy, reboot_allowed;
    gint64 leave_ms; /* boottime of reboot_allowed */
    ForeignInstall
        foreign; /* kept in the store until that slot does not matter to the job any more */

    gint64 reboot_asked_ms; /* boottime; -1: not in this process */
    guint reboot_asked;     /* how often */
    gint64 retry_at_ms;     /* boottime; -1: not waiting */

    gboolean told_health, told_reboot; /* what the events were last told */
    gboolean told_store;               /* the log knows that the store says no */
    guint timer;
    gboolean advancing, again;
};

/* observe.c */
typedef struct {
    JobEvent event;
    char *reason; /* owned */
} Finding;
Finding firmware_observe(Firmware *firmware);
gboolean firmware_wants_status(const Firmware *firmware);
gint64 firmware_next_look_ms(const Firmware *firmware); /* boottime, or -1 */
gboolean firmware_watches(const Firmware *firmware);
gint64 firmware_watchdog_ms(const Firmware *firmware); /* when what it watches counts as stalled */
gboolean firmware_wants_health(const Firmware *firmware);
gboolean firmware_may_mark_boot(const Firmware *firmware);
gboolean firmware_awaits_boot_mark(const Firmware *firmware); /* before the job is looked at */
gboolean firmware_last_attempt(const Firmware *firmware);     /* none is left after this one */
/* Whether the slot that the job would go back to boots, by a status that RAUC has told. */
gboolean firmware_fallback_boots(const Firmware *firmware);
/* Rolling back: that slot would not boot any more / whether it would has to be asked again. */
gboolean firmware_fallback_lost(const Firmware *firmware);
gboolean firmware_fallback_in_doubt(const Firmware *firmware);

/* steps.c */
gboolean firmware_apply(Firmware *firmware, JobEvent event, const char *reason, GError **error);
gboolean firmware_promote_waiting(Firmware *firmware, GError **error);
/* Puts `request` in the active job's place (event REQUEST or, with no active job, NONE) or behind
 * it (REQUEST_LATE). */
gboolean firmware_take_request(Firmware *firmware, Job *request, JobEvent event, GError **error);
gboolean firmware_push_status(Firmware *firmware, const Job *job, const char *status,
                              GError **error);
void firmware_log_history(const HistoryEntry *entry);
/* The job ended as installed, or there is none: the copies of the store that older agents would
 * open must not bring it up again. */
void firmware_settle_copies(Firmware *firmware);

/* transport.c */
gboolean firmware_is_local(const Job *job);          /* a file on this device, by hand */
gboolean firmware_streams(const Firmware *firmware); /* whether the next attempt is by the relay */
void firmware_learned(Firmware *firmware, const char *boot_id); /* at start, what the store knows */
void firmware_fetch(Firmware *firmware); /* begins or goes on with the own download */
/* What InstallBundle gets, g_free(); opens the relay.  NULL: RAUC_ERROR. */
char *firmware_open_source(Firmware *firmware, GError **error);
void firmware_adopt(Firmware *firmware); /* after a restart, before RAUC asks again */
gboolean firmware_abort_relay(Firmware *firmware,
                              const char *why); /* FALSE: there is none, or it is done already */
void firmware_drop_transport(Firmware *firmware, JobState state); /* what `state` has no use for */
/* Why the attempt really failed: RAUC does not know what the relay knows.  g_error_free(). */
GError *firmware_true_error(Firmware *firmware, const GError *error);
gint64
firmware_relay_moved_ms(const Firmware *firmware); /* boottime of its last byte to RAUC; -1 */
gboolean firmware_has_other_way(const Firmware *firmware,
                                const GError *error); /* another transport is left */
gboolean firmware_is_hopeless(const Firmware *firmware,
                              const GError *error);      /* no further attempt */
gint64 firmware_fetched_bytes(const Firmware *firmware); /* in this attempt */

void firmware_keep_fetched(Firmware *firmware); /* for the data budget, over a crash */

/* progress.c */
void firmware_note_transfer(Firmware *firmware);

/* effects.c: TRUE when something was done and it is worth looking again. */
gboolean firmware_run_effect(Firmware *firmware);
void firmware_mark_boot(Firmware *firmware);
/* Makes RAUC stop: by the relay, and when that does not help by restarting it. */
void firmware_abort(Firmware *firmware);
/* The attempt is over; NULL: Completed(0). */
void firmware_end_attempt(Firmware *firmware, const GError *error);

/* status.c */
void firmware_ask_status(Firmware *firmware);
/* Before the step that will want the answer is stored, if RAUC can be asked now: it answers
 * meanwhile. */
void firmware_ask_status_ahead(Firmware *firmware);
void firmware_forget_status(Firmware *firmware);
const RaucSlot *firmware_booted(const Firmware *firmware);

/* presence.c */
void firmware_end_silence(Firmware *firmware); /* RAUC is at work, or tells, again */
/* the store's note of `foreign` */
gboolean firmware_load_foreign(Firmware *firmware, GError **error);
gboolean firmware_clear_foreign(Firmware *firmware, GError **error);

/* firmware.c */
gboolean firmware_has_leave(const Firmware *firmware); /* to reboot, and just given */
/* Look, step, act, until nothing moves; then set the timer. */
void firmware_advance(Firmware *firmware);
