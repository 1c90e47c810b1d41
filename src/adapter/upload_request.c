/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An upload as options of libcurl. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "upload_internal.h"

/* So few bytes wait in the kernel for the line: more would hide from us, for minutes on a slow one,
 * that nothing gets through, and what was sent would be a guess.  And they are given up with their
 * connection: bytes that came in late, while the next try appends to the file, would be in it
 * twice. */
static int on_socket_option(void *user_data, curl_socket_t fd, curlsocktype purpose)
{
    int bytes = UPLOAD_UNSENT_BYTES;

    const struct linger abrupt = {.l_onoff = 1};

    (void)user_data;
    (void)purpose;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof(abrupt));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes));
    return CURL_SOCKOPT_OK;
}

static void set_form(TransferOptions *options, Upload *upload)
{
    curl_mimepart *part;

    upload->form = curl_mime_init(upload->easy);
    part = upload->form ? curl_mime_addpart(upload->form) : NULL;
    if (!part || curl_mime_name(part, "file") != CURLE_OK ||
        curl_mime_filename(part, upload->name) != CURLE_OK ||
        curl_mime_type(part, "application/octet-stream") != CURLE_OK ||
        curl_mime_data_cb(part, upload->size, upload_file_read, upload_file_seek, NULL, upload) !=
            CURLE_OK)
        options->worst = CURLE_OUT_OF_MEMORY;
    TRANSFER_SET(options, CURLOPT_MIMEPOST, upload->form);
}

/* Of the size, FTP is told nothing: libcurl would hang up the connection for data behind the last
 * byte by itself. */
static void set_file(TransferOptions *options, Upload *upload)
{
    gboolean ftp = upload_is_ftp(upload);

    TRANSFER_SET(options, CURLOPT_UPLOAD, 1L);
    TRANSFER_SET(options, CURLOPT_READFUNCTION, upload_file_read);
    TRANSFER_SET(options, CURLOPT_READDATA, upload);
    TRANSFER_SET(options, CURLOPT_SEEKFUNCTION, upload_file_seek);
    TRANSFER_SET(options, CURLOPT_SEEKDATA, upload);
    TRANSFER_SET(options, CURLOPT_INFILESIZE_LARGE, (curl_off_t)(ftp ? -1 : upload->size));
    if (upload->resume && (ftp || upload->url.scheme == TRANSFER_SFTP))
        TRANSFER_SET(options, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)-1);
}

/* Without "Expect: 100-continue": a server that does not know it would cost a second, and one that
 * refuses is heard in the middle as well. */
static void set_headers(TransferOptions *options, Upload *upload)
{
    upload->headers = curl_slist_append(NULL, "Expect:");
    if (!upload->headers)
        options->worst = CURLE_OUT_OF_MEMORY;
    TRANSFER_SET(options, CURLOPT_HTTPHEADER, upload->headers);
}

static void set_rate(TransferOptions *options, const Upload *upload)
{
    gint64 rate_limit = upload->transfers->config.rate_limit;

    TRANSFER_SET(options, CURLOPT_UPLOAD_BUFFERSIZE, (long)upload_piece_bytes(upload));
    TRANSFER_SET(options, CURLOPT_BUFFERSIZE, (long)UPLOAD_PIECE_BYTES);
    if (rate_limit > 0)
        TRANSFER_SET(options, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)rate_limit);
    TRANSFER_SET(options, CURLOPT_SOCKOPTFUNCTION, on_socket_option);
}

gboolean upload_request_prepare(Upload *upload, GError **error)
{
    const TransferMeans means = {&upload->transfers->config,
                                 &upload->url,
                                 upload->transfers->timing.stall_s,
                                 upload->loop,
                                 &upload->trust,
                                 upload->detail};
    TransferOptions options = {.easy = upload->easy};

    upload->trust.config = means.config;
    upload->trust.keeps_newest = TRUE;
    transfer_options_set(&options, &means);
    if (transfer_scheme_is_http(upload->url.scheme))
        set_headers(&options, upload);
    if (transfer_scheme_is_http(upload->url.scheme) && upload->method == UPLOAD_POST)
        set_form(&options, upload);
    else
        set_file(&options, upload);
    set_rate(&options, upload);
    if (options.worst == CURLE_OK)
        return TRUE;
    g_propagate_error(error,
                      upload_error_make(upload, TRANSFER_ERROR_LOCAL, "cannot set up libcurl: %s",
                                        curl_easy_strerror(options.worst)));
    return FALSE;
}
