/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A request for a part of a file as options of libcurl. */
#include "transfer_internal.h"

static gboolean is_first_contact(const Transfer *transfer)
{
    return !transfer->has_known || transfer->known.size < 0;
}

/* If-Range: whether the file was exchanged is told before its bytes come. */
static void add_if_range(Transfer *transfer)
{
    const TransferFile *known = &transfer->known;
    g_autofree char *date = NULL;
    g_autofree char *line = NULL;

    if (!transfer->has_known)
        return;
    if (transfer_file_etag_is_strong(known->etag)) {
        line = g_strconcat("If-Range: ", known->etag, NULL);
    } else if (known->modified >= 0) {
        date = transfer_file_http_date(known->modified);
        line = date ? g_strconcat("If-Range: ", date, NULL) : NULL;
    }
    if (line)
        transfer->headers = curl_slist_append(transfer->headers, line);
}

static void set_range(TransferOptions *options, Transfer *transfer)
{
    gboolean http = transfer_scheme_is_http(transfer->url.scheme);
    gboolean whole = transfer->offset == 0 && transfer->length < 0;
    g_autofree char *range = NULL;

    /* sftp tells the size of the file only when it is read to its end */
    transfer->open_ended = transfer->url.scheme == TRANSFER_SFTP && transfer->length >= 0 &&
                           is_first_contact(transfer);
    if (whole && (!http || !transfer->has_known))
        return;
    if (transfer->length < 0 || transfer->open_ended)
        range = g_strdup_printf("%" G_GINT64_FORMAT "-", transfer->offset);
    else
        range = g_strdup_printf("%" G_GINT64_FORMAT "-%" G_GINT64_FORMAT, transfer->offset,
                                transfer->offset + transfer->length - 1);
    TRANSFER_SET(options, CURLOPT_RANGE, range);
    if (http)
        add_if_range(transfer);
    if (transfer->headers)
        TRANSFER_SET(options, CURLOPT_HTTPHEADER, transfer->headers);
}

static void set_rate(TransferOptions *options, const Transfer *transfer)
{
    gint64 rate_limit = transfer->transfers->config.rate_limit;
    gint64 buffer = TRANSFER_BUFFER_BYTES;

    if (rate_limit > 0) {
        TRANSFER_SET(options, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)rate_limit);
        buffer = CLAMP(rate_limit, 1024, buffer);
    }
    TRANSFER_SET(options, CURLOPT_BUFFERSIZE, (long)buffer);
}

gboolean transfer_request_prepare(Transfer *transfer, GError **error)
{
    const TransferMeans means = {
        &transfer->transfers->config, &transfer->url,   transfer->transfers->timing.stall_s,
        transfer->transfers->loop,    &transfer->trust, transfer->detail};
    TransferOptions options = {.easy = transfer->easy};

    transfer->trust.config = means.config;
    curl_slist_free_all(g_steal_pointer(&transfer->headers));
    transfer_options_set(&options, &means);
    TRANSFER_SET(&options, CURLOPT_FILETIME, 1L);
    set_rate(&options, transfer);
    set_range(&options, transfer);
    if (options.worst == CURLE_OK)
        return TRUE;
    g_propagate_error(error, transfer_error_make(transfer->url.name, TRANSFER_ERROR_LOCAL,
                                                 "cannot set up libcurl: %s",
                                                 curl_easy_strerror(options.worst)));
    return FALSE;
}
