/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RAUC comes and goes and is at work, for the job or for somebody else: what that means for the
 * attempt under way and for the slot that is not booted.
 */
#include "src/behaviour/firmware/internal.h"

static gint64 now(const Firmware *firmware)
{
    return clock_boottime_ms(firmware->clock);
}

static gboolean attempt_was_lost(const Firmware *firmware)
{
    return firmware->attempt == ATTEMPT_ENDED && firmware->attempt_error &&
           firmware->attempt_error->code == RAUC_ERROR_GONE;
}

/* By RAUC's own word. */
static gboolean attempt_has_failed(const Firmware *firmware)
{
    return firmware->attempt == ATTEMPT_ENDED && firmware->attempt_error &&
           firmware->attempt_error->code != RAUC_ERROR_GONE &&
           firmware->attempt_error->code != RAUC_ERROR_BUSY;
}

/* In a boot that began after the job's install did, RAUC is never at work for the job: that ended
 * with the boot before, whether it was whole or not. */
static gboolean works_for_another(const Firmware *firmware)
{
    const Job *job = firmware->job;

    switch (job ? job->state : JOB_SCHEDULED) {
    case JOB_CONFIRMING:
    case JOB_ROLLING_BACK:
        return TRUE;
    case JOB_INSTALLING:
    case JOB_REBOOT_WAIT:
    case JOB_REBOOTING:
        return !firmware->seen && g_strcmp0(job->boot_id, firmware->config.boot_id) != 0;
    default:
        return FALSE;
    }
}

#define NOTE "foreign-install" /* in the store: job, boot, seconds since 1970 */

/* What it writes is the slot that is not booted: the one that the job may have to go back to, or
 * its own. */
static void note_foreign(Firmware *firmware)
{
    g_autofree char *note = NULL;
    g_autoptr(GError) error = NULL;
    gint64 now_s = clock_wall_ms(firmware->clock) / 1000;

    if (!works_for_another(firmware) ||
        (firmware->foreign.begun && firmware->foreign.begun_s <= now_s))
        return;
    g_warning("job=%" G_GINT64_FORMAT
              " RAUC is at work for somebody else: what it leaves of the slot that is not "
              "booted, it has to tell",
              firmware->job->id);
    if (!firmware->foreign.begun) { /* else the clock went back, and both of them count */
        g_free(firmware->foreign.boot_id);
        firmware->foreign.boot_id = g_strdup(firmware->config.boot_id);
    }
    firmware->foreign.begun = TRUE;
    firmware->foreign.begun_s = now_s;
    note = g_strdup_printf("%" G_GINT64_FORMAT " %s %" G_GINT64_FORMAT, firmware->job->id,
                           firmware->foreign.boot_id, firmware->foreign.begun_s);
    if (!values_set(firmware->store, VALUES_AGENT, NOTE, note, &error))
        g_warning("cannot keep that, a restart will not know of it: %s", error->message);
}

gboolean firmware_load_foreign(Firmware *firmware, GError **error)
{
    g_autofree char *note = NULL;
    g_auto(GStrv) words = NULL;

    if (!values_get(firmware->store, VALUES_AGENT, NOTE, &note, error))
        return FALSE;
    words = g_strsplit(note ? note : "", " ", 3);
    if (!firmware->job || g_strv_length(words) != 3 ||
        g_ascii_strtoll(words[0], NULL, 10) != firmware->job->id)
        return TRUE;
    firmware->foreign.begun = TRUE;
    firmware->foreign.boot_id = g_strdup(words[1]);
    firmware->foreign.begun_s = g_ascii_strtoll(words[2], NULL, 10);
    return TRUE;
}

gboolean firmware_clear_foreign(Firmware *firmware, GError **error)
{
    return values_set(firmware->store, VALUES_AGENT, NOTE, "", error);
}

/* While that reboot waits for leave, RAUC can do once more what the reboot was to do without it. */
void firmware_end_silence(Firmware *firmware)
{
    if (!firmware->silent || firmware->n_effects == 0)
        return;
    g_message("RAUC answers again: no reboot without a mark");
    firmware->silent = FALSE;
    firmware->n_effects = 0;
    if (firmware->job->state == JOB_ROLLING_BACK) /* begun anew */
        firmware->seen = FALSE;
}

/* A RAUC that dies whenever it is asked is as mute as one that never comes. */
static void note_absence(Firmware *firmware, RaucPresence presence, gboolean asked_in_vain)
{
    if (presence == RAUC_ABSENT) {
        firmware->absent_since_ms = asked_in_vain && firmware->absent_before_ms >= 0
                                        ? firmware->absent_before_ms
                                        : now(firmware);
        return;
    }
    firmware->absent_before_ms = presence == RAUC_BUSY ? -1 : firmware->absent_since_ms;
    firmware->absent_since_ms = -1;
}

void firmware_rauc_presence(Firmware *firmware, RaucPresence presence)
{
    note_absence(firmware, presence, firmware->asking || firmware->query_tries > 0);
    firmware_forget_status(firmware);
    firmware->query_not_before_ms = 0;
    firmware->query_tries = 0;
    if (presence != RAUC_IDLE)
        firmware->untold_since_ms = -1;
    if (presence == RAUC_BUSY) {
        firmware->reboot_allowed =
            FALSE; /* leave is for now, not for after somebody's installation */
        note_foreign(firmware);
        firmware->outrun = firmware->outrun || attempt_has_failed(firmware);
    }
    if (presence == RAUC_ABSENT) {
        if (firmware->job && firmware->job->state == JOB_INSTALLING &&
            firmware->attempt == ATTEMPT_RUNNING) {
            firmware->attempt = ATTEMPT_ENDED;
            g_clear_error(&firmware->attempt_error);
            firmware->attempt_error =
                g_error_new(RAUC_ERROR, RAUC_ERROR_GONE,
                            firmware->stalled ? "the transfer or the installation stalled"
                                              : "RAUC ended during the installation");
        }
    } else {
        if (presence == RAUC_BUSY) /* an idle one has to tell first */
            firmware_end_silence(firmware);
        if (firmware->attempt == ATTEMPT_NONE)
            firmware->progress_ms = now(firmware);
        if (presence == RAUC_BUSY &&
            attempt_was_lost(firmware)) { /* RAUC was only mute for a while */
            firmware->attempt = ATTEMPT_RUNNING;
            firmware->progress_ms = now(firmware);
        }
    }
    firmware->aborting = firmware->aborting && presence == RAUC_BUSY;
    firmware_advance(firmware);
}

/* Up to 1.9 RAUC counts 80 per cent when it begins to write, later ones 40: its words tell. */
static gboolean writes_slot(int percent, const char *message)
{
    return percent < 100 && (percent >= 80 || g_str_has_prefix(message, "Updating slots") ||
                             g_str_has_prefix(message, "Copying image"));
}

/* Per cent that rise within one step of RAUC show that it counts while it copies; older ones only
 * count their steps. */
static gboolean counts_while_copying(const Firmware *firmware, int percent, const char *message)
{
    return writes_slot(percent, message) && percent > firmware->percent &&
           g_strcmp0(message, firmware->message) == 0;
}

void firmware_rauc_progress(Firmware *firmware, int percent, const char *message)
{
    if (!firmware->aborting)
        firmware->progress_ms = now(firmware);
    if (!firmware->job || firmware->job->state != JOB_INSTALLING ||
        firmware->attempt == ATTEMPT_NONE)
        return;
    if (counts_while_copying(firmware, percent, message))
        firmware->percent_seen = TRUE;
    firmware->percent = percent;
    g_free(firmware->message);
    firmware->message = g_strdup(message);
    if (writes_slot(percent, message))
        firmware->writing = TRUE;
    firmware_note_transfer(firmware);
    if (firmware->events.changed)
        firmware->events.changed(firmware->user_data);
    firmware_advance(firmware);
}

void firmware_rauc_completed(Firmware *firmware, const GError *error)
{
    firmware_forget_status(firmware);
    if (firmware->job && firmware->job->state == JOB_INSTALLING &&
        (firmware->attempt == ATTEMPT_RUNNING || firmware->attempt == ATTEMPT_CALLED)) {
        firmware_note_transfer(firmware);
        firmware_end_attempt(firmware, error);
    }
    firmware_advance(firmware);
}
