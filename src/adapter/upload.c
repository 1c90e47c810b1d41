/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of an upload: waiting for its turn, asking, sending, over.  Each has a loop and a
 * connection of its own that end with it: uploads are rare, and what an idle connection would save
 * is little.
 */
#include <string.h>
#include <unistd.h>

#include "upload_internal.h"

static void schedule(Transfers *transfers);

/* --- The end --- */

/* What has to do with libcurl.  Its last words on a connection are not waited for. */
static void hang_up(Upload *upload)
{
    g_clear_handle_id(&upload->tick, g_source_remove);
    g_clear_handle_id(&upload->nudge, g_source_remove);
    g_clear_pointer(&upload->easy, curl_easy_cleanup);
    g_clear_pointer(&upload->form, curl_mime_free);
    curl_slist_free_all(g_steal_pointer(&upload->headers));
    g_clear_pointer(&upload->loop, transfer_loop_free);
}

static void upload_free(Upload *upload)
{
    hang_up(upload);
    g_clear_handle_id(&upload->watchdog, g_source_remove);
    if (upload->fd >= 0)
        close(upload->fd);
    transfer_url_clear(&upload->url);
    g_free(upload->asked_url);
    g_free(upload->path);
    g_free(upload->name);
    g_clear_error(&upload->error);
    g_free(upload);
}

/* Makes room for the next one. */
static void leave(Upload *upload)
{
    Transfers *transfers = upload->transfers;

    g_queue_remove(&transfers->uploads, upload);
    if (!g_queue_is_empty(&transfers->uploads))
        schedule(transfers);
    else
        g_clear_handle_id(&transfers->next_upload, g_source_remove);
}

static guint retry_after_s(const Upload *upload)
{
    curl_off_t seconds = 0;

    if (upload->error && upload->easy && upload->http)
        curl_easy_getinfo(upload->easy, CURLINFO_RETRY_AFTER, &seconds);
    return (guint)CLAMP(seconds, 0, TRANSFER_MAX_RETRY_AFTER_S);
}

/* The upload is gone before its owner hears of it: what is called may free everything. */
static void finish(Upload *upload)
{
    UploadDone done = upload->done;
    gpointer user_data = upload->user_data;
    gboolean told = !upload->cancelled;
    guint later_s = retry_after_s(upload);
    gint64 sent = upload_sent(upload);
    g_autoptr(GError) error = g_steal_pointer(&upload->error);

    leave(upload);
    upload_free(upload);
    if (told)
        done(error, later_s, sent, user_data);
}

/* --- What the server says --- */

static size_t on_line(char *line, size_t size, size_t count, void *user_data)
{
    Upload *upload = user_data;
    gsize length = size * count;

    upload_heard(upload);
    upload->head_bytes += (gint64)length;
    if (upload->head_bytes > TRANSFER_MAX_HEAD) {
        if (!upload->error)
            upload->error =
                upload_error_make(upload, TRANSFER_ERROR_PROTOCOL, "the server says too much");
        return 0;
    }
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        upload->http = TRUE;
        upload->head_complete = FALSE;
    } else if (upload->http && length > 0 && (*line == '\r' || *line == '\n')) {
        upload->head_complete = TRUE;
    }
    return length;
}

/* The text of an answer is read and dropped, up to a limit; its head says it all. */
static size_t on_data(char *bytes, size_t size, size_t count, void *user_data)
{
    Upload *upload = user_data;

    (void)bytes;
    upload_heard(upload);
    upload->discarded += (gint64)(size * count);
    return upload->discarded <= TRANSFER_MAX_DISCARD ? size * count : 0;
}

/* At the end of SFTP, and of FTP where upload_ftp_turn() could not spare it that, libcurl blocks
 * for the server's last word; it asks here whether to go on. */
static int on_progress(void *user_data, curl_off_t total, curl_off_t now, curl_off_t upload_total,
                       curl_off_t gone)
{
    Upload *upload = user_data;
    gboolean at_end = upload->at_end;

    (void)total;
    (void)now;
    (void)upload_total;
    if (gone > upload->gone) {
        upload->gone = gone;
        upload_heard(upload);
    }
    if (upload->url.scheme == TRANSFER_SFTP)
        at_end = upload->started && gone >= upload->size - upload->start;
    return at_end && g_get_monotonic_time() - upload->last_heard_us >
                         TRANSFER_GOODBYE_MS * G_GINT64_CONSTANT(1000);
}

/* As for downloads: while TLS begins on a connection for data, libcurl does not listen to the
 * other. */
static gboolean on_nudge(gpointer user_data)
{
    Upload *upload = user_data;

    if (!upload->started) {
        transfer_loop_nudge(upload->loop);
        return G_SOURCE_CONTINUE; /* of no meaning when that was the end */
    }
    upload->nudge = 0;
    return G_SOURCE_REMOVE;
}

/* --- The end of a request --- */

static GError *judge_http(const Upload *upload, long status)
{
    if (status < 200 || status >= 300)
        return upload_error_from_http(upload, status);
    if (upload->offset < upload->size)
        return upload_error_make(upload, TRANSFER_ERROR_PROTOCOL,
                                 "the server was content before the end of the file");
    return NULL;
}

/* What became of it; `code` is libcurl's view. */
static GError *judge(Upload *upload, CURLcode code)
{
    long status = 0;

    if (upload->server_has_all)
        return NULL;
    curl_easy_getinfo(upload->easy, CURLINFO_RESPONSE_CODE, &status);
    if (upload->http && upload->head_complete && status >= 200)
        return judge_http(upload, status);
    if (code == CURLE_OK && upload->http)
        code = CURLE_GOT_NOTHING;
    if (code != CURLE_OK)
        return upload_error_from_curl(upload, code);
    if (upload->offset < upload->size)
        return upload_error_make(upload, TRANSFER_ERROR_PROTOCOL,
                                 "the server was content before the end of the file");
    return NULL;
}

static gboolean ask(Upload *upload);

static void on_ended(CURL *easy, CURLcode code, gpointer user_data)
{
    Upload *upload = user_data;

    (void)easy;
    if (upload->server_has_more && !upload->error && !upload->cancelled) {
        hang_up(upload);
        upload->resume = FALSE;
        if (ask(upload))
            return;
    }
    if (!upload->error && !upload->cancelled)
        upload->error = judge(upload, code);
    if (!upload->error && !upload->cancelled)
        transfer_loop_set_abrupt(upload->loop, FALSE);
    finish(upload);
}

/* Ends what is under way from outside of libcurl. */
static void drop(Upload *upload)
{
    transfer_loop_hang_up(upload->loop);
    transfer_loop_remove(upload->loop, upload->easy);
    finish(upload);
}

/* Silence ends it here and not in libcurl, which would say goodbye to the silent one. */
static gboolean watch(gpointer user_data)
{
    Upload *upload = user_data;
    gint64 limit_s = upload->transfers->timing.stall_s;

    if (!upload->started)
        limit_s += upload->transfers->config.connect_timeout_s;
    if (g_get_monotonic_time() - upload->last_heard_us < limit_s * G_USEC_PER_SEC)
        return G_SOURCE_CONTINUE;
    upload->watchdog = 0;
    if (!upload->error)
        upload->error =
            upload_error_make(upload, TRANSFER_ERROR_NETWORK,
                              "the server has been silent for %" G_GINT64_FORMAT " s", limit_s);
    drop(upload);
    return G_SOURCE_REMOVE;
}

/* --- The beginning --- */

static void set_state(Upload *upload)
{
    upload->start = upload->offset = upload->gone = 0;
    upload->started = FALSE;
    upload->http = FALSE;
    upload->head_complete = FALSE;
    upload->head_bytes = upload->discarded = 0;
    upload->server_has_all = upload->server_has_more = FALSE;
    upload->half_closed = upload->at_end = FALSE;
    upload_heard(upload);
}

static gboolean set_callbacks(Upload *upload)
{
    CURL *easy = upload->easy;

    return curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_line) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, upload) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, upload) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_XFERINFODATA, upload) == CURLE_OK;
}

/* FALSE: upload->error is set. */
static gboolean ask(Upload *upload)
{
    set_state(upload);
    upload->easy = curl_easy_init();
    upload->loop = upload->easy ? transfer_loop_new(on_ended, upload) : NULL;
    if (!upload->loop) {
        upload->error = upload_error_make(upload, TRANSFER_ERROR_LOCAL, "libcurl does not start");
        return FALSE;
    }
    if (!upload_request_prepare(upload, &upload->error))
        return FALSE;
    if (!set_callbacks(upload) || !transfer_loop_add(upload->loop, upload->easy)) {
        upload->error =
            upload_error_make(upload, TRANSFER_ERROR_LOCAL, "libcurl does not take the request");
        return FALSE;
    }
    if (upload->url.scheme == TRANSFER_FTPS)
        upload->nudge = g_timeout_add(TRANSFER_NUDGE_MS, on_nudge, upload);
    return TRUE;
}

static gboolean start_next(gpointer user_data)
{
    Transfers *transfers = user_data;
    Upload *upload = g_queue_peek_head(&transfers->uploads);

    transfers->next_upload = 0;
    upload->watchdog = g_timeout_add_seconds(1, watch, upload);
    if (!transfer_url_parse(upload->asked_url, &upload->url, &upload->error) ||
        !upload_file_open(upload, &upload->error) || !ask(upload))
        finish(upload);
    return G_SOURCE_REMOVE;
}

static void schedule(Transfers *transfers)
{
    const Upload *first = g_queue_peek_head(&transfers->uploads);

    if (!transfers->next_upload && !first->watchdog)
        transfers->next_upload = g_idle_add_full(G_PRIORITY_DEFAULT, start_next, transfers, NULL);
}

Upload *upload_begin(Transfers *transfers, const UploadRequest *request, UploadDone done,
                     gpointer user_data)
{
    Upload *upload = g_new0(Upload, 1);

    upload->transfers = transfers;
    upload->done = done;
    upload->user_data = user_data;
    upload->asked_url = g_strdup(request->url);
    upload->path = g_strdup(request->path);
    upload->name = request->name ? g_strdup(request->name) : g_path_get_basename(request->path);
    upload->method = request->method;
    upload->resume = request->resume;
    upload->fd = -1;
    g_queue_push_tail(&transfers->uploads, upload);
    schedule(transfers);
    return upload;
}

void upload_cancel(Upload *upload)
{
    upload->cancelled = TRUE;
    if (!upload->loop)
        finish(upload);
    else if (!transfer_loop_is_inside(upload->loop)) /* else on_ended() follows */
        drop(upload);
}

gint64 upload_sent(const Upload *upload)
{
    return upload->offset;
}
