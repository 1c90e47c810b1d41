/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a transfer: waiting for its turn, asking, led elsewhere, receiving, over.
 *
 * One transfer is under way at a time and the others wait, so that a server sees one connection,
 * and so that silence always means the server's.
 */
#include <string.h>

#include "transfer_internal.h"

static void on_ended(CURL *easy, CURLcode code, gpointer user_data);
static void schedule(Transfers *transfers);

/* --- The end of a transfer --- */

static void transfer_free(Transfer *transfer)
{
    g_clear_handle_id(&transfer->watchdog, g_source_remove);
    g_clear_handle_id(&transfer->nudge, g_source_remove);
    g_clear_handle_id(&transfer->resume, g_source_remove);
    if (transfer->easy)
        curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    transfer_file_clear(&transfer->known);
    transfer_url_clear(&transfer->url);
    g_free(transfer->asked_url);
    g_clear_error(&transfer->error);
    g_free(transfer);
}

/* Out of the way, so that the next one has its turn; its handle is not in the loop any more. */
static void leave(Transfer *transfer)
{
    Transfers *transfers = transfer->transfers;

    transfers->active = NULL;
    if (!g_queue_is_empty(&transfers->waiting))
        schedule(transfers);
    else
        transfers_rest(transfers);
}

/* The transfer is gone before its owner hears of it: what is called may free everything. */
static void finish(Transfer *transfer)
{
    TransferEvents events = transfer->events;
    gpointer user_data = transfer->user_data;
    gboolean told = !transfer->cancelled;
    g_autoptr(GError) error = g_steal_pointer(&transfer->error);
    guint retry_after_s = error && transfer->easy ? transfer_answer_retry_after_s(transfer) : 0;

    leave(transfer);
    transfer_free(transfer);
    if (told)
        events.done(error, retry_after_s, user_data);
}

/* --- What comes --- */

static void heard(Transfer *transfer)
{
    transfer->last_heard_us = g_get_monotonic_time();
}

static size_t on_line(char *line, size_t size, size_t count, void *user_data)
{
    Transfer *transfer = user_data;

    heard(transfer);
    transfer->head_bytes += (gint64)(size * count);
    if (transfer->head_bytes > TRANSFER_MAX_HEAD) {
        if (!transfer->error)
            transfer->error =
                transfer_error_make(transfer->url.name, TRANSFER_ERROR_PROTOCOL,
                                    "the server says too much before it sends the file");
        return 0;
    }
    transfer_answer_line(transfer, line, size * count);
    return size * count;
}

static void judge(Transfer *transfer)
{
    TransferFile file = TRANSFER_FILE_UNKNOWN;

    transfer->judged = TRUE;
    if (!transfer_answer_judge(transfer, &file, &transfer->expected, &transfer->error))
        return;
    if (transfer->events.begins)
        transfer->events.begins(&file, transfer->user_data);
    transfer_file_clear(&file);
}

/* The text of a short refusal is read and dropped, for the connection can then be used again. */
static gboolean discard(Transfer *transfer, gsize length)
{
    transfer->discarded += (gint64)length;
    return transfer->discarded <= TRANSFER_MAX_DISCARD;
}

/* Bytes that may still come. */
static gint64 room(const Transfer *transfer)
{
    if (transfer->expected >= 0)
        return transfer->expected - transfer->received;
    return TRANSFER_MAX_SIZE - transfer->offset - transfer->received;
}

static gboolean give(Transfer *transfer, const guint8 *bytes, gsize length)
{
    transfer->received += (gint64)length;
    if (transfer->received == transfer->expected)
        transfer->complete = TRUE;
    return length == 0 ||
           transfer->events.data(bytes, length, &transfer->error, transfer->user_data);
}

static size_t on_data(char *bytes, size_t size, size_t count, void *user_data)
{
    Transfer *transfer = user_data;
    gsize length = size * count;

    if (transfer->held)
        return CURL_WRITEFUNC_PAUSE; /* libcurl keeps them and does not read on */
    heard(transfer);
    if (!transfer->judged) {
        if (transfer_answer_redirect(transfer))
            return discard(transfer, length) ? length : 0;
        judge(transfer);
    }
    if (transfer->error)
        return discard(transfer, length) ? length : 0;
    if (transfer->cancelled)
        return 0;
    if ((gint64)length > room(transfer)) {
        if (transfer->open_ended)
            give(transfer, (const guint8 *)bytes, (gsize)room(transfer));
        else
            transfer->error = transfer_error_make(transfer->url.name, TRANSFER_ERROR_PROTOCOL,
                                                  "the server sends more bytes than it announced");
        return 0;
    }
    if (!give(transfer, (const guint8 *)bytes, length) || transfer->cancelled)
        return 0;
    return length;
}

/* With FTP and SFTP libcurl blocks for the server's last word, up to a minute when it has vanished;
 * it asks here whether to go on. */
static int on_progress(void *user_data, curl_off_t total, curl_off_t now, curl_off_t upload_total,
                       curl_off_t upload_now)
{
    const Transfer *transfer = user_data;
    gint64 silence_us = g_get_monotonic_time() - transfer->last_heard_us;

    (void)total;
    (void)now;
    (void)upload_total;
    (void)upload_now;
    return transfer->complete && silence_us > TRANSFER_GOODBYE_MS * G_GINT64_CONSTANT(1000);
}

/* While TLS begins on a connection for data, libcurl 7.88 waits for that alone and is not told that
 * the control connection has an answer; the server waits for what comes after that answer. */
static gboolean on_nudge(gpointer user_data)
{
    Transfer *transfer = user_data;

    if (!transfer->judged) {
        transfer_loop_nudge(transfer->transfers->loop);
        return G_SOURCE_CONTINUE; /* of no meaning when that was the end */
    }
    transfer->nudge = 0;
    return G_SOURCE_REMOVE;
}

/* --- Asking --- */

static void set_state(Transfer *transfer)
{
    transfer->http = FALSE;
    transfer->head_complete = FALSE;
    transfer->ftp_size = -1;
    transfer->judged = FALSE;
    transfer->expected = -1;
    transfer->discarded = 0;
    transfer->head_bytes = 0;
    heard(transfer);
}

static gboolean set_callbacks(Transfer *transfer)
{
    CURL *easy = transfer->easy;

    return curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_line) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_XFERINFODATA, transfer) == CURLE_OK;
}

/* Asks `transfer->url`; FALSE: transfer->error is set. */
static gboolean ask(Transfer *transfer)
{
    Transfers *transfers = transfer->transfers;
    GError **error = &transfer->error;

    set_state(transfer);
    g_clear_handle_id(&transfer->nudge, g_source_remove);
    if (!transfer->easy)
        transfer->easy = curl_easy_init();
    if (!transfer->easy || !transfers_open_loop(transfers, &transfer->url, on_ended)) {
        g_propagate_error(error, transfer_error_make(transfer->url.name, TRANSFER_ERROR_LOCAL,
                                                     "libcurl does not start"));
        return FALSE;
    }
    if (!transfer_request_prepare(transfer, error))
        return FALSE;
    if (!set_callbacks(transfer) || !transfer_loop_add(transfers->loop, transfer->easy)) {
        g_propagate_error(error, transfer_error_make(transfer->url.name, TRANSFER_ERROR_LOCAL,
                                                     "libcurl does not take the request"));
        return FALSE;
    }
    if (transfer->url.scheme == TRANSFER_FTPS)
        transfer->nudge = g_timeout_add(TRANSFER_NUDGE_MS, on_nudge, transfer);
    return TRUE;
}

/* --- Led elsewhere --- */

static gboolean redirect_fails(Transfer *transfer, const char *words)
{
    transfer->error = transfer_error_make(transfer->url.name, TRANSFER_ERROR_URL, "%s", words);
    return FALSE;
}

/* The credentials stay where they belong: with the server that they were given for. */
static gboolean follow(Transfer *transfer, const char *location)
{
    g_autofree char *elsewhere = transfer_url_resolve(&transfer->url, location);
    TransferUrl to = {0};
    TransferUrl from = transfer->url;

    if (++transfer->redirects > TRANSFER_MAX_REDIRECTS)
        return redirect_fails(transfer, "too many redirects, or a loop of them");
    if (!elsewhere || !transfer_url_parse(elsewhere, &to, NULL))
        return redirect_fails(transfer, "the server redirects to a URL that is not possible");
    if (!transfer_scheme_may_redirect(from.scheme, to.scheme)) {
        transfer_url_clear(&to);
        return redirect_fails(transfer, "the server redirects from https to a URL without TLS");
    }
    if (!to.user && transfer_url_same_server(&from, &to)) {
        to.user = g_strdup(from.user);
        to.password = g_strdup(from.password);
    }
    transfer_url_clear(&transfer->url);
    transfer->url = to;
    return ask(transfer);
}

/* --- The end of a request --- */

/* What became of it; `code` is libcurl's view. */
static void conclude(Transfer *transfer, CURLcode code)
{
    if (transfer->error || transfer->cancelled)
        return;
    /* libcurl takes a head that breaks off for an answer without a body */
    if (code == CURLE_OK && transfer->http && !transfer->head_complete)
        code = CURLE_GOT_NOTHING;
    if (!transfer->judged && (code == CURLE_OK || transfer->head_complete))
        judge(transfer);
    /* also when the farewell fails */
    if (transfer->error || transfer->complete)
        return;
    if (code != CURLE_OK) {
        transfer->error = transfer_error_from_curl(transfer, code);
        return;
    }
    if (transfer->expected >= 0 && transfer->received < transfer->expected)
        transfer->error = transfer_error_make(transfer->url.name, TRANSFER_ERROR_NETWORK,
                                              "the connection was closed %" G_GINT64_FORMAT
                                              " bytes before the end",
                                              transfer->expected - transfer->received);
}

static void on_ended(CURL *easy, CURLcode code, gpointer user_data)
{
    Transfers *transfers = user_data;
    Transfer *transfer = transfers->active;

    (void)easy;
    if (!transfer->error && !transfer->cancelled && !transfer->judged) {
        const char *location = transfer_answer_redirect(transfer);

        if (location && follow(transfer, location))
            return;
    }
    conclude(transfer, code);
    /* What a server of FTP still has to say there is anybody's guess.  With TLS it may insist that
     * the connection for data takes up the TLS session of its control connection, which libcurl
     * does only for the first. */
    if (transfer->url.scheme == TRANSFER_FTPS || (code != CURLE_OK && !transfer->http))
        transfers_close_loop(transfers);
    finish(transfer);
}

/* Ends what is under way from outside of libcurl. */
static void drop(Transfer *transfer)
{
    Transfers *transfers = transfer->transfers;
    gboolean http = transfer_scheme_is_http(transfer->url.scheme);

    if (!http)
        transfer_loop_hang_up(transfers->loop);
    transfer_loop_remove(transfers->loop, transfer->easy);
    if (!http)
        transfers_close_loop(transfers);
    finish(transfer);
}

/* --- Held back --- */

static gboolean resume(gpointer user_data)
{
    Transfer *transfer = user_data;
    CURLcode code;

    transfer->resume = 0;
    if (transfer->held)
        return G_SOURCE_REMOVE;
    code = transfer_loop_resume(transfer->transfers->loop, transfer->easy);
    if (code != CURLE_OK) {
        conclude(transfer, code);
        drop(transfer);
    }
    return G_SOURCE_REMOVE;
}

void transfer_hold(Transfer *transfer, gboolean held)
{
    transfer->held = held;
    heard(transfer);
    if (!held && !transfer->resume)
        transfer->resume = g_idle_add_full(G_PRIORITY_DEFAULT, resume, transfer, NULL);
    else if (held && !g_queue_is_empty(&transfer->transfers->waiting))
        schedule(transfer->transfers);
}

/* From outside of libcurl. */
static void give_up(Transfer *transfer, const char *words)
{
    if (!transfer->error && !transfer->complete)
        transfer->error =
            transfer_error_make(transfer->url.name, TRANSFER_ERROR_NETWORK, "%s", words);
    drop(transfer);
}

/* --- Limits --- */

/* Silence ends a transfer here and not in libcurl, which would say goodbye to the silent one, and
 * knows no limit while a server of SFTP is to open a file. */
static gboolean watch(gpointer user_data)
{
    Transfer *transfer = user_data;
    Transfers *transfers = transfer->transfers;
    g_autofree char *words = NULL;
    gint64 limit_s = transfers->timing.stall_s;

    if (transfer->held)
        limit_s = transfers->timing.held_s;
    else if (!transfer->judged)
        limit_s += transfers->config.connect_timeout_s;
    if (g_get_monotonic_time() - transfer->last_heard_us < limit_s * G_USEC_PER_SEC)
        return G_SOURCE_CONTINUE;
    transfer->watchdog = 0;
    words = transfer->held
                ? g_strdup("nobody has wanted its bytes for too long")
                : g_strdup_printf("the server has been silent for %" G_GINT64_FORMAT " s", limit_s);
    give_up(transfer, words);
    return G_SOURCE_REMOVE;
}

/* --- The beginning --- */

static gboolean start_next(gpointer user_data)
{
    Transfers *transfers = user_data;
    Transfer *transfer;

    transfers->next = 0;
    if (transfers->active) {
        if (transfers->active->held) /* else it goes on, and the others wait */
            give_up(transfers->active, "it gave way to another transfer");
        return G_SOURCE_REMOVE;
    }
    transfer = g_queue_pop_head(&transfers->waiting);
    transfers->active = transfer;
    transfer->watchdog = g_timeout_add_seconds(1, watch, transfer);
    if (!transfer_url_parse(transfer->asked_url, &transfer->url, &transfer->error) ||
        !ask(transfer))
        finish(transfer);
    return G_SOURCE_REMOVE;
}

static void schedule(Transfers *transfers)
{
    if (!transfers->next && (!transfers->active || transfers->active->held))
        transfers->next = g_idle_add_full(G_PRIORITY_DEFAULT, start_next, transfers, NULL);
}

Transfer *transfer_begin(Transfers *transfers, const TransferRequest *request,
                         const TransferEvents *events, gpointer user_data)
{
    Transfer *transfer = g_new0(Transfer, 1);

    transfer->transfers = transfers;
    transfer->events = *events;
    transfer->user_data = user_data;
    transfer->offset = request->offset;
    transfer->length = request->length;
    transfer->known = TRANSFER_FILE_UNKNOWN;
    if (request->known) {
        transfer->has_known = TRUE;
        transfer_file_copy(&transfer->known, request->known);
    }
    transfer->asked_url = g_strdup(request->url);
    g_queue_push_tail(&transfers->waiting, transfer);
    schedule(transfers);
    return transfer;
}

void transfer_cancel(Transfer *transfer)
{
    Transfers *transfers = transfer->transfers;

    if (transfer != transfers->active) {
        g_queue_remove(&transfers->waiting, transfer);
        transfer_free(transfer);
        if (g_queue_is_empty(&transfers->waiting))
            g_clear_handle_id(&transfers->next, g_source_remove);
        return;
    }
    transfer->cancelled = TRUE;
    /* on_ended() follows when libcurl is on the stack */
    if (transfer_loop_is_inside(transfers->loop))
        return;
    drop(transfer);
}
