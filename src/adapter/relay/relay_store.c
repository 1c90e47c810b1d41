/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The casync store beside the bundle: each chunk is fetched whole, checked for its length only
 * (casync checks its hash), and answered.  One chunk is in memory at a time.
 */
#include "relay_internal.h"

static void store_done(const GError *error, guint retry_after_s, gpointer user_data);

/* ---- the chunk has come ---- */

static const guint8 *body(gint64 offset, gsize *length, gpointer body_data)
{
    const RelayJob *job = body_data;
    gsize size = 0;
    const guint8 *bytes = g_bytes_get_data(job->bytes, &size);

    if (offset < 0 || (gsize)offset >= size)
        return NULL;
    *length = MIN(*length, size - (gsize)offset);
    return bytes + offset;
}

static void answer_chunk(Relay *relay)
{
    RelayJob *job = relay->chunk_job;
    gint64 length = (gint64)relay->chunk->len;
    RelayAnswer answer = {
        .status = 200, .size = length, .length = length, .body = body, .body_data = job};

    job->bytes = g_byte_array_free_to_bytes(g_steal_pointer(&relay->chunk));
    relay_answer(job, &answer); /* relay->chunk_job stays until it has been sent */
}

/* ---- fetching ---- */

static gboolean on_data(const guint8 *bytes, gsize length, GError **error, gpointer user_data)
{
    Relay *relay = user_data;

    relay_count(relay);
    if (relay->budget >= 0 && relay->fetched > relay->budget) {
        g_propagate_error(error, relay_budget_error(relay));
        return FALSE;
    }
    if (relay->chunk->len + length > RELAY_MAX_CHUNK_BYTES) {
        g_set_error(error, TRANSFER_ERROR, TRANSFER_ERROR_PROTOCOL,
                    "a chunk of the casync store is longer than %d bytes", RELAY_MAX_CHUNK_BYTES);
        return FALSE;
    }
    g_byte_array_append(relay->chunk, bytes, (guint)length);
    return TRUE;
}

static void drop_chunk(Relay *relay)
{
    g_clear_pointer(&relay->chunk, g_byte_array_unref);
    transfer_file_clear(&relay->chunk_file);
    relay->chunk_file = TRANSFER_FILE_UNKNOWN;
}

static gboolean begin(Relay *relay)
{
    static const FetchEvents events = {NULL, on_data, store_done};
    g_autofree char *url = relay_store_url(relay->source, relay->chunk_job->chunk);

    if (url == NULL) {
        relay_answer_status(g_steal_pointer(&relay->chunk_job), 404, -1);
        return FALSE;
    }
    FetchRequest request = {
        .url = url,
        .length = -1,
        .file = &relay->chunk_file,
        .hold_ms = relay->hold_ms,
    };
    drop_chunk(relay);
    relay->chunk = g_byte_array_new();
    relay_begin_fetch(relay, &request, &events);
    return TRUE;
}

static void again(gpointer user_data)
{
    relay_pump(user_data);
}

/* A file that nothing is known of yet is not fetched over an outage by fetch.h: that is done
 * here. */
static void wait_a_while(Relay *relay, const GError *error)
{
    g_clear_error(&relay->chunk_trouble);
    relay->chunk_trouble = g_error_copy(error);
    relay->chunk_backoff_ms =
        CLAMP(2 * relay->chunk_backoff_ms, FETCH_BACKOFF_FIRST_MS, FETCH_BACKOFF_MAX_MS);
    clock_timer_set(relay->clock, &relay->chunk_retry, relay->chunk_backoff_ms, again, relay);
}

static void store_done(const GError *error, guint retry_after_s, gpointer user_data)
{
    Relay *relay = user_data;

    relay->retry_after_s = retry_after_s;
    relay_count(relay);
    relay_end_fetch(relay);
    if (error != NULL)
        drop_chunk(relay);
    if (error != NULL && transfer_error_is_transient(error) && !relay_is_late(relay)) {
        wait_a_while(relay, error);
    } else if (g_error_matches(error, TRANSFER_ERROR, TRANSFER_ERROR_REFUSED)) {
        /* casync may have another store, or says which chunk is missing */
        relay_answer_status(g_steal_pointer(&relay->chunk_job), 404, -1);
    } else if (error != NULL) {
        relay_give_up(relay, error);
    } else {
        relay->chunk_backoff_ms = 0;
        g_clear_error(&relay->chunk_trouble);
        answer_chunk(relay);
    }
    relay_pump(relay);
}

static RelayJob *oldest(const Relay *relay)
{
    for (const GList *at = relay->waiting.head; at != NULL; at = at->next) {
        RelayJob *job = at->data;

        if (job->chunk != NULL)
            return job;
    }
    return NULL;
}

gboolean relay_store_fetch(Relay *relay)
{
    while (relay->chunk_retry == 0 &&
           (relay->chunk_job == NULL || relay->chunk_job->bytes == NULL)) {
        relay->chunk_job = oldest(relay);
        if (relay->chunk_job == NULL)
            return FALSE;
        if (relay_budget_left(relay) == 0) {
            g_autoptr(GError) error = relay_budget_error(relay);

            relay_give_up(relay, error);
            return TRUE;
        }
        if (begin(relay))
            return TRUE;
    }
    return FALSE;
}

void relay_store_ended(RelayJob *job)
{
    Relay *relay = job->relay;

    if (job != relay->chunk_job)
        return;
    relay->chunk_job = NULL;
    if (job->bytes != NULL)
        return;
    if (relay->fetch != NULL && relay->chunk != NULL) {
        relay_count(relay);
        fetch_cancel(relay->fetch);
        relay_end_fetch(relay);
    }
    relay_store_clear(relay);
}

void relay_store_clear(Relay *relay)
{
    clock_timer_clear(relay->clock, &relay->chunk_retry);
    g_clear_error(&relay->chunk_trouble);
    drop_chunk(relay);
    if (relay->chunk_job != NULL && relay->chunk_job->bytes == NULL)
        relay->chunk_job = NULL;
}
