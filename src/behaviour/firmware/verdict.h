/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the agent concludes from what it sees: the event that RAUC's answers, the boot id and the
 * job's row amount to.  Pure.
 *
 * The booted slot against the job's record decides.  boot-status and GetPrimary only help: on GRUB
 * they are wrong until the booted slot was marked good, so that is done before any of this is asked
 * (see firmware.c).
 */
#pragma once

#include <glib.h>

#include "adapter/rauc.h"
#include "src/behaviour/firmware/machine.h"

/* Somebody else's install into the slot that is not booted, the first one in a later boot than the
 * job's attempt, or what is earlier by the clock.  RAUC does not tell whose an image is; its time
 * of installation against this one does. */
typedef struct {
    gboolean begun;
    char *boot_id;  /* of that boot */
    gint64 begun_s; /* by the system clock, as RAUC's times are: since 1970 */
} ForeignInstall;

typedef struct {
    const RaucStatus *status;     /* RAUC's picture, just asked for, RAUC idle */
    const char *boot_id;          /* of this boot */
    const char *firmware_version; /* what the charge point reports in this boot; may be NULL */
    const ForeignInstall *foreign;
} Observation;

/* First look after a start, for a job in an active state.  JOB_EVENT_NONE: neither of the job's
 * slots is booted (a rescue system): wait.  `*ret_reason` (words, or NULL) is the caller's. */
JobEvent verdict_on_start(const Job *job, const Observation *seen, char **ret_reason);

typedef struct {
    const GError
        *failure;       /* RAUC's LastError, classified, the relay's own reason, or why there was no
                              Completed (RAUC_ERROR_GONE); NULL: Completed(0) */
    gboolean last;      /* no attempt is left after this one, or none has any use */
    gboolean other_way; /* there is another transport than the one that was tried */
} AttemptEnd;

/* How an attempt that failed is charged, where what it left in the target is somebody else's by
 * now. */
JobEvent verdict_on_failure(const AttemptEnd *end);

/* How an install attempt ended in this boot. */
JobEvent verdict_on_attempt(const Job *job, const Observation *seen, const AttemptEnd *end,
                            char **ret_reason);

/* Whether RAUC shows that what was last installed there is not whole. */
gboolean verdict_slot_failed(const RaucSlot *slot);

/* Whether the other slot would boot: good and not failed, or the one that was booted when the job
 * began (also with its attempts used up). */
gboolean verdict_other_slot_boots(const Job *job, const RaucStatus *status, const char *booted);

/* Whether the target was written again since it was written, or activated, for this job (a foreign
 * install). */
gboolean verdict_target_changed(const Job *job, const RaucStatus *status);

/* Whether this job has put its image, or a part of it, into the target. */
gboolean verdict_target_written(const Job *job, const RaucStatus *status);

/* The record of a slot as RAUC shows it now; borrows the slot's strings. All empty for NULL. */
JobSlotRecord verdict_record(const RaucSlot *slot);
