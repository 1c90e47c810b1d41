/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How far the transfer of a job's bundle is, for people: status, log, progress bar.
 */
#include "src/behaviour/firmware/internal.h"

#define RATE_WINDOW_MS 10000

static gboolean position(const Firmware *firmware, FirmwareTransfer *transfer)
{
    RelayState state;

    if (firmware->download) {
        *transfer =
            (FirmwareTransfer){.way = "download", .trouble = download_trouble(firmware->download)};
        download_position(firmware->download, &transfer->bytes, &transfer->size);
        return TRUE;
    }
    if (!firmware->relay)
        return FALSE;
    relay_state(firmware->relay, &state);
    *transfer = (FirmwareTransfer){
        .way = "stream", .bytes = state.fetched, .size = state.size, .trouble = state.trouble};
    if (state.size >= 0)
        transfer->bytes = MIN(transfer->bytes, state.size);
    return TRUE;
}

/* Nothing has come for so long that the rate says nothing. */
static gboolean is_stale(const Firmware *firmware)
{
    return clock_boottime_ms(firmware->clock) - firmware->rate.noted_ms > RATE_WINDOW_MS;
}

gboolean firmware_transfer(const Firmware *firmware, FirmwareTransfer *ret_transfer)
{
    FirmwareTransfer transfer;

    if (!position(firmware, &transfer))
        return FALSE;
    transfer.rate = transfer.trouble || is_stale(firmware) ? 0 : firmware->rate.rate;
    transfer.left_s = transfer.rate > 0 && transfer.size >= 0
                          ? (transfer.size - transfer.bytes) / transfer.rate
                          : -1;
    *ret_transfer = transfer;
    return TRUE;
}

static void measure(TransferRate *rate, gint64 now_ms, gint64 bytes)
{
    gint64 elapsed = now_ms - rate->since_ms;

    if (rate->since_ms == 0 || bytes < rate->since_bytes) { /* another attempt */
        *rate = (TransferRate){.since_ms = now_ms, .since_bytes = bytes, .noted_ms = now_ms};
        return;
    }
    if (elapsed >= 1000 && rate->rate == 0)
        rate->rate = (bytes - rate->since_bytes) * 1000 / elapsed;
    if (elapsed < RATE_WINDOW_MS)
        return;
    rate->rate = (bytes - rate->since_bytes) * 1000 / elapsed;
    rate->since_ms = now_ms;
    rate->since_bytes = bytes;
}

void firmware_note_transfer(Firmware *firmware)
{
    FirmwareTransfer transfer;
    guint tenths;

    if (!position(firmware, &transfer))
        return;
    firmware_keep_fetched(firmware);
    firmware->rate.noted_ms = clock_boottime_ms(firmware->clock);
    measure(&firmware->rate, clock_boottime_ms(firmware->clock), transfer.bytes);
    if (transfer.size <= 0)
        return;
    tenths = (guint)(transfer.bytes * 10 / transfer.size);
    if (tenths <= firmware->rate.tenths_told)
        return;
    firmware->rate.tenths_told = tenths;
    g_message("job=%" G_GINT64_FORMAT " %s %u %% (%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
              " bytes, %" G_GINT64_FORMAT " bytes/s)",
              firmware->job->id, transfer.way, tenths * 10, transfer.bytes, transfer.size,
              firmware->rate.rate);
}
