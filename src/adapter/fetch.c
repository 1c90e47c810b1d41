/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A part of a remote file over broken links: one transfer after the other, each from where the one
 * before broke off.
 */
#include "adapter/fetch.h"

struct _Fetch {
    Transfers *transfers;
    Clock *clock;
    char *url;
    gint64 offset, length;
    TransferFile *file; /* the owner's */
    gint64 hold_ms;
    gboolean sure;
    FetchEvents events;
    gpointer user_data;

    Transfer *transfer; /* NULL: an outage is waited out */
    guint retry, hold;  /* timers */
    gint64 backoff_ms;
    gint64 progress_ms;    /* boottime of the last progress; at first that of the beginning */
    gint64 progress_bytes; /* received then */
    gboolean begun;        /* the owner has been told */
    gboolean held;         /* no bytes are wanted; `transfer` may have ended */
    gint64 received;
    guint requests;
    GError *trouble; /* of the last transfer, while an outage is waited out and until bytes come */
    guint retry_after_s;
};

static void ask(gpointer user_data);

static void stop(Fetch *fetch)
{
    g_clear_pointer(&fetch->transfer, transfer_cancel);
    clock_timer_clear(fetch->clock, &fetch->retry);
    clock_timer_clear(fetch->clock, &fetch->hold);
}

static void fetch_free(Fetch *fetch)
{
    g_free(fetch->url);
    g_clear_error(&fetch->trouble);
    g_free(fetch);
}

static void finish(Fetch *fetch, const GError *error, guint retry_after_s)
{
    stop(fetch);
    fetch->events.done(error, retry_after_s, fetch->user_data);
    fetch_free(fetch);
}

/* Nothing came for so long that nobody waits any more: the reason is the last thing that was
 * seen. */
static void give_up(Fetch *fetch)
{
    const char *why = fetch->trouble ? fetch->trouble->message : "the server does not answer";
    int code = fetch->trouble ? fetch->trouble->code : TRANSFER_ERROR_NETWORK;
    g_autoptr(GError) error =
        g_error_new(TRANSFER_ERROR, code, "%s (no progress for %" G_GINT64_FORMAT " s)", why,
                    fetch->hold_ms / 1000);

    finish(fetch, error, fetch->retry_after_s);
}

static gint64 hold_left_ms(const Fetch *fetch)
{
    return fetch->progress_ms + fetch->hold_ms - clock_boottime_ms(fetch->clock);
}

/* Runs from the break on, and is looked at when it ends.  A transfer that nothing has happened to
 * yet has its own limits. */
static void hold_is_over(gpointer user_data)
{
    Fetch *fetch = user_data;
    gint64 left_ms = hold_left_ms(fetch);

    if (!fetch->trouble)
        return;
    if (left_ms <= 0)
        give_up(fetch);
    else
        clock_timer_set(fetch->clock, &fetch->hold, left_ms, hold_is_over, fetch);
}

/* --- One transfer --- */

/* What an answer leaves out was told by another one before. */
static void learn(TransferFile *known, const TransferFile *file)
{
    if (known->size < 0)
        known->size = file->size;
    if (!known->etag)
        known->etag = g_strdup(file->etag);
    if (known->modified < 0)
        known->modified = file->modified;
}

static void on_begins(const TransferFile *file, gpointer user_data)
{
    Fetch *fetch = user_data;

    learn(fetch->file, file);
    if (fetch->begun)
        return;
    fetch->begun = TRUE;
    if (fetch->events.begins)
        fetch->events.begins(fetch->file, fetch->user_data);
}

static gboolean on_data(const guint8 *bytes, gsize length, GError **error, gpointer user_data)
{
    Fetch *fetch = user_data;

    fetch->received += (gint64)length;
    if (fetch->received - fetch->progress_bytes >= FETCH_PROGRESS_BYTES) {
        fetch->progress_bytes = fetch->received;
        fetch->progress_ms = clock_boottime_ms(fetch->clock);
        fetch->backoff_ms = FETCH_BACKOFF_FIRST_MS;
    }
    fetch->retry_after_s = 0;
    g_clear_error(&fetch->trouble);
    return fetch->events.data(bytes, length, error, fetch->user_data);
}

/* Bytes that are missing; -1: not known. */
static gint64 missing(const Fetch *fetch)
{
    gint64 size = fetch->file->size;
    gint64 to_the_end = size < 0 ? -1 : MAX(size - fetch->offset, 0);
    gint64 whole = fetch->length < 0 ? to_the_end : fetch->length;

    if (to_the_end >= 0)
        whole = MIN(whole, to_the_end);
    return whole < 0 ? -1 : whole - fetch->received;
}

static gboolean is_worth_another(const Fetch *fetch, const GError *error)
{
    gboolean first_contact = fetch->file->size < 0 && fetch->received == 0;

    if (fetch->sure && fetch->received > 0 && !transfer_file_has_validator(fetch->file))
        return FALSE;
    return transfer_error_is_transient(error) && !first_contact;
}

static void wait_a_while(Fetch *fetch, const GError *error, guint retry_after_s)
{
    gint64 left_ms = hold_left_ms(fetch);
    /* a server that wants to be left alone for longer is asked once more before the end */
    gint64 asked_ms = MIN((gint64)retry_after_s * 1000, left_ms - FETCH_BACKOFF_MAX_MS);

    g_clear_error(&fetch->trouble);
    fetch->trouble = g_error_copy(error);
    fetch->retry_after_s = retry_after_s;
    if (left_ms <= 0) {
        give_up(fetch);
        return;
    }
    clock_timer_set(fetch->clock, &fetch->hold, left_ms, hold_is_over, fetch);
    clock_timer_set(fetch->clock, &fetch->retry, MAX(fetch->backoff_ms, asked_ms), ask, fetch);
    fetch->backoff_ms = MIN(fetch->backoff_ms * 2, FETCH_BACKOFF_MAX_MS);
}

static void on_done(const GError *error, guint retry_after_s, gpointer user_data)
{
    Fetch *fetch = user_data;

    fetch->transfer = NULL;
    if (error && fetch->held && missing(fetch) != 0)
        return; /* it is asked for anew */
    if (!error || !is_worth_another(fetch, error))
        finish(fetch, error, retry_after_s);
    else if (missing(fetch) == 0)
        finish(fetch, NULL, 0); /* the link broke after the last byte */
    else
        wait_a_while(fetch, error, retry_after_s);
}

static void ask(gpointer user_data)
{
    static const TransferEvents events = {on_begins, on_data, on_done};
    Fetch *fetch = user_data;
    gboolean known = fetch->begun || fetch->file->size >= 0;
    TransferRequest request = {
        .url = fetch->url,
        .offset = fetch->offset + fetch->received,
        .length = fetch->length < 0 ? -1 : fetch->length - fetch->received,
        .known = known ? fetch->file : NULL,
    };

    fetch->requests++;
    fetch->transfer = transfer_begin(fetch->transfers, &request, &events, fetch);
}

/* --- For the owner --- */

Fetch *fetch_begin(Transfers *transfers, Clock *clock, const FetchRequest *request,
                   const FetchEvents *events, gpointer user_data)
{
    Fetch *fetch = g_new0(Fetch, 1);

    fetch->transfers = transfers;
    fetch->clock = clock;
    fetch->url = g_strdup(request->url);
    fetch->offset = request->offset;
    fetch->length = request->length;
    fetch->file = request->file;
    fetch->hold_ms = request->hold_ms;
    fetch->events = *events;
    fetch->user_data = user_data;
    fetch->backoff_ms = FETCH_BACKOFF_FIRST_MS;
    fetch->sure = request->sure;
    fetch->progress_ms = clock_boottime_ms(clock);
    ask(fetch);
    return fetch;
}

void fetch_cancel(Fetch *fetch)
{
    stop(fetch);
    fetch_free(fetch);
}

void fetch_hold(Fetch *fetch, gboolean held)
{
    fetch->held = held;
    if (!held)
        fetch->progress_ms = clock_boottime_ms(fetch->clock);
    if (fetch->transfer)
        transfer_hold(fetch->transfer, held);
    else if (!held)
        ask(fetch);
}

gint64 fetch_received(const Fetch *fetch)
{
    return fetch->received;
}

guint fetch_requests(const Fetch *fetch)
{
    return fetch->requests;
}

const char *fetch_trouble(const Fetch *fetch)
{
    return fetch->trouble ? fetch->trouble->message : NULL;
}
