/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Carries the effects of a step out, one by one and in order.  An effect that RAUC refuses is tried
 * again with back-off; each may have been done before a crash, and doing it again changes nothing.
 */
#include "src/behaviour/firmware/internal.h"

#include <string.h>

static void effect_done(Firmware *firmware)
{
    JobEffect effect = firmware->effects[0];

    if (firmware->n_effects == 0)
        return;
    firmware->n_effects--;
    firmware->undone =
        firmware->n_effects == 0 && (effect == JOB_EFFECT_UNDO || effect == JOB_EFFECT_BAD_TARGET);
    memmove(firmware->effects, firmware->effects + 1,
            firmware->n_effects * sizeof(firmware->effects[0]));
    firmware->effect_tries = 0;
    firmware->effect_not_before_ms = 0;
}

static gint64 retry_delay_ms(guint tries)
{
    return MIN((gint64)FIRMWARE_EFFECT_RETRY_MS << MIN(tries, 10), FIRMWARE_EFFECT_RETRY_MAX_MS);
}

static void effect_later(Firmware *firmware)
{
    firmware->effect_not_before_ms =
        clock_boottime_ms(firmware->clock) + retry_delay_ms(firmware->effect_tries++);
}

/* -------------------------------------------------------------------------------------- marking */

static void note_boot_marked(Firmware *firmware)
{
    g_autoptr(GError) error = NULL;

    firmware->boot_marked = TRUE;
    if (!values_set(firmware->store, VALUES_AGENT, "marked-boot-id", firmware->config.boot_id,
                    &error))
        g_warning("cannot keep that this boot is marked good, a restart will mark it again: %s",
                  error->message);
}

/* A mark is tried again, but not for ever: each of these says what is done without it. */
static void mark_refused(Firmware *firmware, JobEffect effect)
{
    static const guint TRIES[] = {
        [JOB_EFFECT_POINT_OTHER] = FIRMWARE_POINT_TRIES,
        [JOB_EFFECT_MARK_BAD] = FIRMWARE_MARK_BAD_TRIES,
        [JOB_EFFECT_MARK_GOOD] = 1,
        [JOB_EFFECT_UNDO] = FIRMWARE_UNDO_TRIES,
        [JOB_EFFECT_BAD_TARGET] = FIRMWARE_UNDO_TRIES,
    };

    effect_later(firmware);
    if (effect == JOB_EFFECT_MARK_GOOD)
        firmware->mark_good_refused++;
    if (firmware->effect_tries < TRIES[effect])
        return;
    if (effect == JOB_EFFECT_MARK_GOOD) {
        firmware->n_effects = 0; /* asked for anew while the slot is healthy, until the deadline */
        return;
    }
    g_critical("RAUC refuses %s for good: the charger may boot the wrong slot, or none",
               job_effect_name(effect));
    effect_done(firmware);
    if (effect == JOB_EFFECT_POINT_OTHER)
        effect_done(firmware); /* nor mark-bad, which is next: the loader must have a slot */
}

static void mark_answered(const GError *error, gpointer user_data)
{
    Firmware *firmware = user_data;
    JobEffect effect = firmware->n_effects > 0 ? firmware->effects[0] : JOB_EFFECT_NONE;

    firmware->calling = FALSE;
    firmware_forget_status(firmware);
    if (effect != firmware->marking) {
        g_info("RAUC has answered %s, which is not wanted any more",
               job_effect_name(firmware->marking));
    } else if (error) {
        g_warning("RAUC did not carry out %s: %s", job_effect_name(effect), error->message);
        mark_refused(firmware, effect);
    } else {
        if (effect == JOB_EFFECT_MARK_GOOD) {
            firmware->marked = TRUE;
            note_boot_marked(firmware);
        }
        effect_done(firmware);
    }
    firmware_advance(firmware);
}

static gboolean mark(Firmware *firmware, const char *state, const char *slot)
{
    firmware->calling = TRUE;
    firmware->marking = firmware->effects[0];
    g_message("Mark %s %s", state, slot);
    rauc_mark(firmware->rauc, state, slot, mark_answered, firmware);
    return FALSE;
}

static void boot_mark_answered(const GError *error, gpointer user_data)
{
    Firmware *firmware = user_data;

    firmware->calling = FALSE;
    firmware_forget_status(firmware);
    if (error) {
        g_warning("RAUC did not mark the booted slot good: %s; it is tried again", error->message);
        firmware->boot_mark_not_before_ms =
            clock_boottime_ms(firmware->clock) + retry_delay_ms(firmware->boot_mark_tries++);
    } else {
        note_boot_marked(firmware);
    }
    firmware_advance(firmware);
}

void firmware_mark_boot(Firmware *firmware)
{
    firmware->calling = TRUE;
    g_message("Mark good booted");
    rauc_mark(firmware->rauc, "good", "booted", boot_mark_answered, firmware);
}

/* ---------------------------------------------------------------------------------- the effects */

static gboolean run_fetch(Firmware *firmware)
{
    firmware_fetch(firmware);
    effect_done(firmware);
    return TRUE;
}

void firmware_end_attempt(Firmware *firmware, const GError *error)
{
    g_clear_error(&firmware->attempt_error);
    firmware->attempt = ATTEMPT_ENDED;
    firmware->attempt_error = firmware_true_error(firmware, error);
    firmware_forget_status(firmware);
    if (!error)
        firmware->events.reboot_near(firmware->user_data);
}

static void install_answered(const GError *error, gpointer user_data)
{
    Firmware *firmware = user_data;

    firmware->calling = FALSE;
    firmware->abort_ours =
        firmware->abort_ours && !error; /* cancelled meanwhile: nothing to abort */
    if (firmware->job && firmware->job->state == JOB_INSTALLING) {
        firmware->progress_ms = clock_boottime_ms(firmware->clock);
        if (error)
            firmware_end_attempt(firmware, error);
        else if (firmware->attempt == ATTEMPT_CALLED)
            firmware->attempt = ATTEMPT_RUNNING;
    }
    firmware_advance(firmware);
}

/* Somebody else's install came between the snapshot and ours: a new snapshot is needed. */
static gboolean snapshot_is_stale(const Firmware *firmware)
{
    return verdict_target_written(firmware->job, firmware->status) ||
           g_strcmp0(firmware->status->primary, firmware->job->primary_slot) != 0;
}

static gboolean run_install(Firmware *firmware)
{
    g_autofree char *source = NULL;
    g_autofree char *shown = location_for_people(firmware->job->location);
    g_autoptr(GError) refusal = NULL;

    if (!firmware->status)
        return FALSE;
    if (snapshot_is_stale(firmware))
        refusal =
            g_error_new_literal(RAUC_ERROR, RAUC_ERROR_BUSY, "RAUC was at work for somebody else");
    else
        source = firmware_open_source(firmware, &refusal);
    effect_done(firmware);
    if (!source) {
        firmware_end_attempt(firmware, refusal);
        return TRUE;
    }
    g_message("job=%" G_GINT64_FORMAT " InstallBundle %s (%s)", firmware->job->id, shown,
              job_transport_name(firmware->job->transport));
    firmware->calling = TRUE;
    firmware->attempt = ATTEMPT_CALLED;
    rauc_install(firmware->rauc, source, install_answered, firmware);
    return FALSE;
}

void firmware_abort(Firmware *firmware)
{
    g_autoptr(GError) error = NULL;

    firmware->aborting = rauc_presence(firmware->rauc) == RAUC_BUSY;
    firmware->progress_ms = clock_boottime_ms(firmware->clock);
    if (firmware->aborting && firmware_abort_relay(firmware, "cancelled"))
        return;
    if (firmware->aborting && !firmware->events.restart_rauc(firmware->user_data, &error))
        g_critical("cannot restart RAUC: %s; it is tried again", error->message);
}

static gboolean run_abort(Firmware *firmware)
{
    if (firmware->abort_ours)
        firmware_abort(firmware);
    firmware->abort_ours = FALSE;
    effect_done(firmware);
    return TRUE;
}

/* Every reboot waits for leave; a leave is good for one. */
static gboolean run_reboot(Firmware *firmware)
{
    g_autoptr(GError) error = NULL;

    if (!firmware_has_leave(firmware) ||
        (firmware->silent && firmware->asking)) /* its answer may make the reboot needless */
        return FALSE;
    firmware->reboot_allowed = FALSE;
    firmware->reboot_asked_ms = clock_boottime_ms(firmware->clock);
    firmware->reboot_asked++;
    if (firmware->absent_since_ms >= 0) /* a mute RAUC gets its time anew */
        firmware->absent_since_ms = firmware->reboot_asked_ms;
    if (firmware->untold_since_ms >= 0)
        firmware->untold_since_ms = firmware->reboot_asked_ms;
    if (!firmware->events.reboot(firmware->user_data, &error))
        g_critical("cannot ask for a reboot: %s; it is tried again", error->message);
    effect_done(firmware);
    return TRUE;
}

/* Where the loader points to the other slot already, marking it active again would only wear its
 * attempts.  A RAUC that does not tell may still do as it is told. */
static gboolean run_point_other(Firmware *firmware)
{
    const char *other = firmware->job->booted_slot;

    if (!firmware->status && firmware->query_tries < FIRMWARE_POINT_ASKS)
        return FALSE;
    if (!firmware->status || g_strcmp0(firmware->status->primary, other) != 0)
        return mark(firmware, "active", other);
    effect_done(firmware);
    return TRUE;
}

static gboolean run_bad_target(Firmware *firmware)
{
    if (!firmware->status)
        return FALSE;
    if (verdict_target_written(firmware->job, firmware->status))
        return mark(firmware, "bad", firmware->job->target_slot);
    effect_done(firmware);
    return TRUE;
}

/* Not while leave to reboot is waited for: with both slots bad, which this one and the first thing
 * that somebody's install does make them, a power cut would leave none that boots. */
static gboolean run_mark_bad(Firmware *firmware)
{
    if (!firmware_has_leave(firmware))
        return FALSE;
    return mark(firmware, "bad", firmware->job->target_slot);
}

static gboolean run_mark_good(Firmware *firmware)
{
    return mark(firmware, "good", "booted");
}

static gboolean run_undo(Firmware *firmware)
{
    return mark(firmware, "active", "booted");
}

gboolean firmware_run_effect(Firmware *firmware)
{
    static const struct {
        gboolean needs_rauc;
        gboolean (*run)(Firmware *firmware);
    } EFFECTS[] = {
        [JOB_EFFECT_FETCH] = {FALSE, run_fetch},
        [JOB_EFFECT_INSTALL] = {TRUE, run_install},
        [JOB_EFFECT_ABORT] = {FALSE, run_abort},
        [JOB_EFFECT_REBOOT] = {FALSE, run_reboot},
        [JOB_EFFECT_POINT_OTHER] = {TRUE, run_point_other},
        [JOB_EFFECT_MARK_BAD] = {TRUE, run_mark_bad},
        [JOB_EFFECT_MARK_GOOD] = {TRUE, run_mark_good},
        [JOB_EFFECT_UNDO] = {TRUE, run_undo},
        [JOB_EFFECT_BAD_TARGET] = {TRUE, run_bad_target},
    };
    JobEffect effect;

    if (firmware->n_effects == 0 || firmware->calling || firmware_fallback_lost(firmware) ||
        firmware_fallback_in_doubt(firmware) ||
        clock_boottime_ms(firmware->clock) < firmware->effect_not_before_ms)
        return FALSE;
    effect = firmware->effects[0];
    g_return_val_if_fail(EFFECTS[effect].run, FALSE);
    if (EFFECTS[effect].needs_rauc && rauc_presence(firmware->rauc) != RAUC_IDLE)
        return FALSE;
    return EFFECTS[effect].run(firmware);
}
