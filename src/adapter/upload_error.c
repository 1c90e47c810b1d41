/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What went wrong with an upload, as a TransferError with words for people. */
#include "upload_internal.h"

GError *upload_error_make(const Upload *upload, TransferError code, const char *format, ...)
{
    g_autofree char *words = NULL;
    va_list list;

    va_start(list, format);
    words = g_strdup_vprintf(format, list);
    va_end(list);
    return g_error_new(TRANSFER_ERROR, (int)code, "cannot send to %s: %s", upload->url.name, words);
}

typedef struct {
    long status;
    TransferError code;
    const char *words;
} Status;

/* Those that mean something else to whoever sends a file than to whoever reads one. */
static const Status http_statuses[] = {
    {404, TRANSFER_ERROR_REFUSED, "there is no such folder on the server"},
    {405, TRANSFER_ERROR_REFUSED, "the server takes no files there by this method"},
    {409, TRANSFER_ERROR_REFUSED,
     "there is no such folder on the server, or a folder of this name"},
    {411, TRANSFER_ERROR_REFUSED, "the server wants to know the size"},
    {413, TRANSFER_ERROR_REFUSED, "the file is too large for the server"},
    {507, TRANSFER_ERROR_SERVER, "the server has no room for the file"},
};

static const Status ftp_statuses[] = {
    {450, TRANSFER_ERROR_SERVER, "the file is in use on the server"},
    {452, TRANSFER_ERROR_SERVER, "the server has no room for the file"},
    {550, TRANSFER_ERROR_REFUSED,
     "there is no such folder on the server, or no right to write in it"},
    {552, TRANSFER_ERROR_REFUSED, "the server has no room for the file, or its quota is exceeded"},
    {553, TRANSFER_ERROR_REFUSED, "the server does not allow the name, or to write it anew"},
};

static const Status *find(const Status *table, gsize count, long status)
{
    for (gsize i = 0; i < count; i++) {
        if (table[i].status == status)
            return &table[i];
    }
    return NULL;
}

GError *upload_error_from_http(const Upload *upload, long status)
{
    const Status *known = find(http_statuses, G_N_ELEMENTS(http_statuses), status);
    g_autofree char *words = NULL;
    TransferError code;

    if (known)
        return upload_error_make(upload, known->code, "%s (HTTP status %ld)", known->words, status);
    if (status >= 300 && status < 400)
        return upload_error_make(upload, TRANSFER_ERROR_URL,
                                 "the server wants it elsewhere (HTTP status %ld), and that is not "
                                 "followed when a file is sent: another location is needed",
                                 status);
    code = transfer_status_explain(status, &words);
    return upload_error_make(upload, code, "%s", words);
}

/* Where libcurl's view is that of a reader, or none. */
static const struct {
    CURLcode curl;
    TransferError code;
    const char *words;
} codes[] = {
    {CURLE_UPLOAD_FAILED, TRANSFER_ERROR_REFUSED, "the server does not take the file"},
    {CURLE_REMOTE_DISK_FULL, TRANSFER_ERROR_REFUSED,
     "the server has no room for the file, or its quota is exceeded"},
    {CURLE_REMOTE_FILE_EXISTS, TRANSFER_ERROR_REFUSED, "the server does not write the file anew"},
    {CURLE_REMOTE_FILE_NOT_FOUND, TRANSFER_ERROR_REFUSED, "there is no such folder on the server"},
    {CURLE_ABORTED_BY_CALLBACK, TRANSFER_ERROR_NETWORK,
     "the server does not say that it has the file"},
};

/* A server of SFTP has no word of its own for a full disk, and libcurl calls that and a lost
 * connection by one name. */
static GError *from_sftp_write(const Upload *upload, CURLcode code)
{
    if (code != CURLE_SSH || upload->url.scheme != TRANSFER_SFTP || !upload->started)
        return NULL;
    return upload_error_make(
        upload, TRANSFER_ERROR_NETWORK,
        "the connection was cut, or the server does not write the file: no room, or a quota (after "
        "%" G_GINT64_FORMAT " bytes)",
        upload->offset);
}

GError *upload_error_from_curl(Upload *upload, CURLcode code)
{
    const TransferFailure failure = {upload->easy,       code,         upload->detail,
                                     upload->url.scheme, upload->http, upload->trust.judged_at_s};
    long status = transfer_failure_ftp_status(&failure);
    const Status *known = find(ftp_statuses, G_N_ELEMENTS(ftp_statuses), status);
    g_autofree char *words = NULL;
    TransferError kind = transfer_failure_explain(&failure, &words);
    GError *error = from_sftp_write(upload, code);

    if (error || kind == TRANSFER_ERROR_TLS || code == CURLE_LOGIN_DENIED)
        return error ? error : upload_error_make(upload, kind, "%s", words);
    if (known)
        return upload_error_make(upload, known->code, "%s (FTP status %ld)", known->words, status);
    if (status >= 400 && status < 600)
        return upload_error_make(upload,
                                 status < 500 ? TRANSFER_ERROR_SERVER : TRANSFER_ERROR_REFUSED,
                                 "the server does not take the file (FTP status %ld)", status);
    for (gsize i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (codes[i].curl == code)
            return upload_error_make(upload, codes[i].code, "%s (%s)", codes[i].words,
                                     upload->detail);
    }
    return upload_error_make(upload, kind, "%s", words);
}
