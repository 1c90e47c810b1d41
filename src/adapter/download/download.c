/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The run of a download: looks what the spool has, fetches the rest, hashes and syncs it, and puts
 * it into place.
 *
 * Bytes of two files must never meet: what is in the spool is continued only when the URL is the
 * same and the server can be asked whether the file is (size and a validator), and a start from the
 * first byte removes the old files for good before it writes.  What the server's answer says
 * besides is the fetch's business.
 */
#include "adapter/download.h"

#include "adapter/fetch.h"
#include "src/adapter/download/part.h"
#include "src/adapter/download/spool.h"

#define PROGRESS_MS       200
#define SPACE_CHECK_BYTES (1 << 20)
/* A sync begins early, so that with what comes while it lasts no more than DOWNLOAD_SYNC_BYTES are
 * at stake. */
#define SYNC_BEGIN_BYTES (DOWNLOAD_SYNC_BYTES / 2)

struct _Download {
    Transfers *transfers;
    Clock *clock;
    char *directory, *url, *boot_id;
    gint64 job, hold_ms, timeout_ms, budget;
    DownloadEvents events;
    gpointer user_data;

    guint first_step; /* idle source */
    guint timeout;    /* timer */
    Spool *spool;
    Part *part;
    SpoolInfo info;
    Fetch *fetch;
    gint64 received;
    gint64 space_checked; /* length of the part then */
    gint64 progress_ms;   /* when progress was told last; -1: never */
    gboolean begun;       /* this fetch had a right answer */
    gboolean started_anew;
    gboolean discard; /* the partial file is of no use for a later try */
    GError *refusal;  /* found by begins(), which cannot end the fetch */
};

static gboolean local_error(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void start_anew(Download *download);

static gboolean local_error(GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (error)
        *error = g_error_new_valist(TRANSFER_ERROR, TRANSFER_ERROR_LOCAL, format, arguments);
    va_end(arguments);
    return FALSE;
}

/* --- The end --- */

static void close_all(Download *download)
{
    g_clear_handle_id(&download->first_step, g_source_remove);
    clock_timer_clear(download->clock, &download->timeout);
    g_clear_pointer(&download->fetch, fetch_cancel);
    g_clear_pointer(&download->part, part_free);
    g_clear_pointer(&download->spool, spool_free);
    g_clear_error(&download->refusal);
}

/* The receiver may free the download: nothing may come after this. */
static void end(Download *download, const GError *error, guint retry_after_s)
{
    g_clear_pointer(&download->part, part_free);
    if (download->discard && download->spool) {
        g_autoptr(GError) unremovable = NULL;

        /* the next try looks at it again, and has this error if it lasts */
        if (!spool_discard(download->spool, &unremovable))
            g_debug("%s", unremovable->message);
    }
    close_all(download);
    download->events.done(NULL, NULL, error, retry_after_s, download->user_data);
}

static void end_whole(Download *download)
{
    g_autofree char *path = g_strdup(spool_whole_path(download->spool));
    g_autofree char *sha256 = g_strdup(part_sha256(download->part));

    close_all(download);
    download->events.done(path, sha256, NULL, 0, download->user_data);
}

static void tell_progress(Download *download)
{
    download->progress_ms = clock_boottime_ms(download->clock);
    if (download->events.progress)
        download->events.progress(part_length(download->part), download->info.file.size,
                                  download->user_data);
}

/* --- Putting into place --- */

static gboolean put_into_place(Download *download, GError **error)
{
    download->info.synced = part_synced(download->part);
    return spool_save_info(download->spool, &download->info, error) &&
           spool_publish(download->spool, error);
}

static void finished(const GError *part_error, gpointer user_data)
{
    Download *download = user_data;
    g_autoptr(GError) error = part_error ? g_error_copy(part_error) : NULL;

    download->discard = error != NULL;
    if (error || !put_into_place(download, &error)) {
        end(download, error, 0);
        return;
    }
    end_whole(download);
}

static void finish(Download *download)
{
    gint64 size = download->info.file.size, length = part_length(download->part);

    if (size >= 0 && length != size) {
        g_autoptr(GError) error =
            g_error_new(TRANSFER_ERROR, TRANSFER_ERROR_PROTOCOL,
                        "%" G_GINT64_FORMAT " bytes came of %" G_GINT64_FORMAT, length, size);

        download->discard = TRUE;
        end(download, error, 0);
        return;
    }
    download->info.file.size = length;
    part_finish(download->part, finished, download);
    tell_progress(download);
}

/* --- Fetching --- */

static gboolean check_space(Download *download, gint64 more, GError **error)
{
    gint64 needed = more + DOWNLOAD_SPARE_BYTES;
    gint64 has = spool_free_bytes(download->spool);

    download->space_checked = part_length(download->part);
    if (has < 0 || has >= needed)
        return TRUE;
    return local_error(
        error, "not enough space in %s: needs %" G_GINT64_FORMAT " MB, has %" G_GINT64_FORMAT " MB",
        spool_directory(download->spool), (needed + 999999) / 1000000, has / 1000000);
}

static gboolean check_budget(const Download *download, gint64 more, GError **error)
{
    if (download->budget < 0 || more <= download->budget - download->received)
        return TRUE;
    g_set_error(error, TRANSFER_ERROR, TRANSFER_ERROR_BUDGET,
                "data budget used up: %" G_GINT64_FORMAT " bytes were left, %" G_GINT64_FORMAT
                " more are needed",
                download->budget, download->received + more);
    return FALSE;
}

static gboolean save_info(Download *download, GError **error)
{
    g_free(download->info.boot_id);
    download->info.boot_id = g_strdup(download->boot_id);
    download->info.synced = part_synced(download->part);
    return !transfer_file_has_validator(&download->info.file) ||
           spool_save_info(download->spool, &download->info, error);
}

static void on_begins(const TransferFile *file, gpointer user_data)
{
    Download *download = user_data;
    gint64 missing;

    download->begun = TRUE;
    if (file != &download->info.file)
        transfer_file_copy(&download->info.file, file);
    missing = file->size < 0 ? 0 : file->size - part_length(download->part);
    if (!check_space(download, missing, &download->refusal) ||
        !check_budget(download, missing, &download->refusal))
        return;
    download->discard = !save_info(download, &download->refusal);
    if (!download->discard)
        tell_progress(download);
}

static void on_synced(const GError *error, gpointer user_data)
{
    Download *download = user_data;
    g_autoptr(GError) problem = NULL;

    if (!error && save_info(download, &problem))
        return;
    download->discard = TRUE;
    end(download, error ? error : problem, 0);
}

static gboolean take(Download *download, const guint8 *bytes, gsize length, GError **error)
{
    gint64 after = part_length(download->part) + (gint64)length;
    gint64 size = download->info.file.size;

    if (after > (size < 0 ? TRANSFER_MAX_SIZE : size)) {
        g_set_error(error, TRANSFER_ERROR, TRANSFER_ERROR_PROTOCOL,
                    "more than the %" G_GINT64_FORMAT " bytes came that it should have",
                    size < 0 ? TRANSFER_MAX_SIZE : size);
        return FALSE;
    }
    if (after - download->space_checked >= SPACE_CHECK_BYTES &&
        !check_space(download, (gint64)length, error))
        return FALSE;
    return part_append(download->part, bytes, length, error);
}

static gboolean on_data(const guint8 *bytes, gsize length, GError **error, gpointer user_data)
{
    Download *download = user_data;

    if (download->refusal) {
        g_propagate_error(error, g_steal_pointer(&download->refusal));
        return FALSE;
    }
    if (!check_budget(download, (gint64)length, error))
        return FALSE;
    download->received += (gint64)length;
    if (!take(download, bytes, length, error)) {
        download->discard = TRUE;
        return FALSE;
    }
    if (part_length(download->part) - part_synced(download->part) >= SYNC_BEGIN_BYTES &&
        !part_is_syncing(download->part))
        part_sync(download->part, on_synced, download);
    if (clock_boottime_ms(download->clock) - download->progress_ms >= PROGRESS_MS)
        tell_progress(download);
    return TRUE;
}

static gboolean is(const GError *error, TransferError code)
{
    return g_error_matches(error, TRANSFER_ERROR, (int)code);
}

static void fetch_failed(Download *download, const GError *error, guint retry_after_s)
{
    gboolean unusable = is(error, TRANSFER_ERROR_CHANGED) || is(error, TRANSFER_ERROR_RANGES);
    g_autoptr(GError) cut = NULL;

    /* What an earlier try left cannot be continued: from the first byte then, at once, but once. */
    if (unusable && !download->begun && !download->started_anew) {
        download->started_anew = TRUE;
        start_anew(download);
        return;
    }
    /* Without ranges every cut costs a try. */
    if (is(error, TRANSFER_ERROR_RANGES) && download->begun)
        cut = g_error_new(TRANSFER_ERROR, TRANSFER_ERROR_NETWORK,
                          "the connection broke, and cannot be taken up again: %s", error->message);
    if (unusable || is(error, TRANSFER_ERROR_PROTOCOL))
        download->discard = TRUE;
    end(download, cut ? cut : error, retry_after_s);
}

static void on_fetched(const GError *error, guint retry_after_s, gpointer user_data)
{
    Download *download = user_data;
    g_autoptr(GError) refusal = g_steal_pointer(&download->refusal);

    download->fetch = NULL;
    if (refusal)
        end(download, refusal, 0);
    else if (error)
        fetch_failed(download, error, retry_after_s);
    else
        finish(download);
}

static void fetch(Download *download)
{
    static const FetchEvents events = {on_begins, on_data, on_fetched};
    const FetchRequest request = {
        .url = download->url,
        .offset = part_length(download->part),
        .length = -1,
        .file = &download->info.file,
        .hold_ms = download->hold_ms,
        .sure = TRUE,
    };

    download->begun = FALSE;
    download->space_checked = request.offset;
    if (request.offset > 0 && request.offset == download->info.file.size)
        finish(download);
    else
        download->fetch =
            fetch_begin(download->transfers, download->clock, &request, &events, download);
}

/* --- Beginning --- */

/* From the first byte, whatever was there. */
static void start_anew(Download *download)
{
    g_autoptr(GError) error = NULL;
    gint64 length = 0;
    int fd = -1;

    g_clear_pointer(&download->part, part_free);
    transfer_file_clear(&download->info.file);
    download->info.file = TRANSFER_FILE_UNKNOWN;
    if (spool_discard(download->spool, &error))
        fd = spool_open_part(download->spool, &length, &error);
    if (fd < 0) {
        end(download, error, 0);
        return;
    }
    download->part = part_new(spool_part_path(download->spool), fd, length, 0);
    fetch(download);
}

static void whole_hashed(const GError *error, gpointer user_data)
{
    Download *download = user_data;

    if (!error) {
        tell_progress(download);
        end_whole(download);
        return;
    }
    download->discard = TRUE;
    end(download, error, 0);
}

/* TRUE: there is a whole bundle, and it is on its way. */
static gboolean take_whole(Download *download)
{
    gint64 length;
    int fd = spool_open_whole(download->spool, &length);

    if (fd < 0)
        return FALSE;
    download->part = part_new(spool_whole_path(download->spool), fd, length, length);
    if (length == download->info.file.size) {
        part_finish(download->part, whole_hashed, download);
        return TRUE;
    }
    g_clear_pointer(&download->part, part_free);
    return FALSE;
}

/* How much of a partial file of `length` bytes can be believed. */
static gint64 usable(const Download *download, gint64 length)
{
    const SpoolInfo *info = &download->info;

    if (info->file.size < 0 || !transfer_file_has_validator(&info->file) ||
        length > info->file.size)
        return 0;
    if (g_strcmp0(info->boot_id, download->boot_id) == 0 && info->boot_id)
        return length;
    return MIN(length, info->synced);
}

/* TRUE: what an earlier run left is taken up, or that failed and was told. */
static gboolean take_rest(Download *download)
{
    g_autoptr(GError) error = NULL;
    gint64 length, have;
    int fd = spool_open_part(download->spool, &length, &error);

    if (fd < 0) {
        end(download, error, 0);
        return TRUE;
    }
    download->part = part_new(spool_part_path(download->spool), fd, length, download->info.synced);
    have = usable(download, length);
    if (have == 0)
        return FALSE;
    if (have < length && !part_cut(download->part, have, &error))
        end(download, error, 0);
    else
        fetch(download);
    return TRUE;
}

static gboolean look_at_spool(gpointer user_data)
{
    Download *download = user_data;
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, download->url, -1);
    g_autoptr(GError) error = NULL;
    gboolean known;

    download->first_step = 0;
    download->spool = spool_open(download->directory, download->job, &error);
    if (!download->spool) {
        end(download, error, 0);
        return G_SOURCE_REMOVE;
    }
    known = spool_load_info(download->spool, &download->info) &&
            g_str_equal(download->info.url_sha256, digest);
    g_free(download->info.url_sha256);
    download->info.url_sha256 = g_steal_pointer(&digest);
    if (!known || (!take_whole(download) && !take_rest(download)))
        start_anew(download);
    return G_SOURCE_REMOVE;
}

static void took_too_long(gpointer user_data)
{
    Download *download = user_data;
    g_autoptr(GError) error = g_error_new(TRANSFER_ERROR, TRANSFER_ERROR_NETWORK,
                                          "the download took longer than %" G_GINT64_FORMAT " s",
                                          download->timeout_ms / 1000);

    end(download, error, 0);
}

Download *download_begin(Transfers *transfers, Clock *clock, const DownloadRequest *request,
                         const DownloadEvents *events, gpointer user_data)
{
    Download *download = g_new0(Download, 1);

    download->transfers = transfers;
    download->clock = clock;
    download->directory = g_strdup(request->directory);
    download->job = request->job;
    download->url = g_strdup(request->url);
    download->hold_ms = request->hold_ms;
    download->timeout_ms = request->timeout_ms;
    download->budget = request->budget;
    download->boot_id = g_strdup(request->boot_id);
    download->events = *events;
    download->user_data = user_data;
    download->info = SPOOL_INFO_NONE;
    download->progress_ms = -PROGRESS_MS;
    download->first_step = g_idle_add(look_at_spool, download);
    if (download->timeout_ms > 0)
        clock_timer_set(clock, &download->timeout, download->timeout_ms, took_too_long, download);
    return download;
}

void download_free(Download *download)
{
    if (!download)
        return;
    close_all(download);
    spool_info_clear(&download->info);
    g_free(download->directory);
    g_free(download->url);
    g_free(download->boot_id);
    g_free(download);
}

void download_position(const Download *download, gint64 *ret_bytes, gint64 *ret_size)
{
    *ret_bytes = download->part ? part_length(download->part) : 0;
    *ret_size = download->info.file.size;
}

gint64 download_received(const Download *download)
{
    return download->received;
}

const char *download_trouble(const Download *download)
{
    return download->fetch ? fetch_trouble(download->fetch) : NULL;
}
