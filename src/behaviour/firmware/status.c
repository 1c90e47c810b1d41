/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What RAUC says of its slots: asked for, asked for again, and whether the answer is enough. */
#include "src/behaviour/firmware/internal.h"

const RaucSlot *firmware_booted(const Firmware *firmware)
{
    return firmware->status ? rauc_status_booted(firmware->status) : NULL;
}

void firmware_forget_status(Firmware *firmware)
{
    g_clear_pointer(&firmware->status, rauc_status_free);
}

static void ask_later(Firmware *firmware)
{
    gint64 delay = (gint64)FIRMWARE_EFFECT_RETRY_MS << MIN(firmware->query_tries, 10);

    firmware->query_tries++;
    firmware->query_not_before_ms =
        clock_boottime_ms(firmware->clock) + MIN(delay, FIRMWARE_EFFECT_RETRY_MAX_MS);
    if (firmware->untold_since_ms < 0)
        firmware->untold_since_ms = clock_boottime_ms(firmware->clock);
}

/* How an install ended is decided by the primary slot; a loader backend that fails once must not
 * decide it.  With GRUB there is none before the booted slot is marked: for that mark the rest of
 * the status is enough. */
static gboolean is_undecided(const Firmware *firmware)
{
    return !firmware->status->primary && firmware->job && firmware->job->state == JOB_INSTALLING &&
           firmware->primary_tries < FIRMWARE_PRIMARY_TRIES && !firmware_awaits_boot_mark(firmware);
}

static void take_status(Firmware *firmware, RaucStatus *status)
{
    firmware_forget_status(firmware);
    firmware->status = status;
    if (is_undecided(firmware)) {
        g_info("RAUC does not tell which slot is primary");
        firmware_forget_status(firmware);
        firmware->primary_tries++;
        ask_later(firmware);
        return;
    }
    firmware->untold_since_ms = firmware->absent_before_ms = -1;
    firmware->query_tries = 0;
    firmware_end_silence(firmware);
}

static void status_arrived(RaucStatus *status, const GError *error, gpointer user_data)
{
    Firmware *firmware = user_data;

    firmware->asking = FALSE;
    if (error) {
        g_info("RAUC does not tell the state of its slots: %s", error->message);
        ask_later(firmware);
    } else {
        take_status(firmware, status);
    }
    firmware_advance(firmware);
}

void firmware_ask_status(Firmware *firmware)
{
    firmware->asking = TRUE;
    rauc_query(firmware->rauc, status_arrived, firmware);
}

void firmware_ask_status_ahead(Firmware *firmware)
{
    if (!firmware->asking && !firmware->calling && rauc_presence(firmware->rauc) == RAUC_IDLE &&
        clock_boottime_ms(firmware->clock) >= firmware->query_not_before_ms)
        firmware_ask_status(firmware);
}
