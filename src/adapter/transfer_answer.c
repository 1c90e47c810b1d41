/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a server says of the file before its bytes: is it an answer to what was asked, of the same
 * file? */
#include <string.h>

#include "transfer_internal.h"

/* --- The head --- */

/* FTP answers MDTM and SIZE with the same number; fourteen digits are a time, and more than any
 * size that we take. */
void transfer_answer_line(Transfer *transfer, const char *line, gsize length)
{
    g_autofree char *text = g_strndup(line, MIN(length, 64));
    guint64 size;

    if (g_str_has_prefix(text, "HTTP/")) {
        transfer->http = TRUE;
        transfer->head_complete = FALSE;
    } else if (transfer->http && (*text == '\r' || *text == '\n')) {
        transfer->head_complete = TRUE;
    }
    if (transfer->http || !g_str_has_prefix(text, "213 "))
        return;
    g_strstrip(text);
    if (g_ascii_string_to_unsigned(text + 4, 10, 0, TRANSFER_MAX_SIZE, &size, NULL))
        transfer->ftp_size = (gint64)size;
}

/* Value of a field of the last head; NULL: not there.  Borrowed until the next call. */
static const char *field(const Transfer *transfer, const char *name)
{
    struct curl_header *header = NULL;

    if (curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

static long status_of(const Transfer *transfer)
{
    long status = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

const char *transfer_answer_redirect(const Transfer *transfer)
{
    long status = status_of(transfer);

    if (!transfer->head_complete || status < 301 || status > 308 || (status > 303 && status < 307))
        return NULL;
    return field(transfer, "Location");
}

guint transfer_answer_retry_after_s(Transfer *transfer)
{
    curl_off_t seconds = 0;

    if (!transfer->http)
        return 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &seconds);
    return (guint)CLAMP(seconds, 0, TRANSFER_MAX_RETRY_AFTER_S);
}

/* It is sent back as it came, and stored. */
static char *etag_of(const Transfer *transfer)
{
    const char *etag = field(transfer, "ETag");
    gsize length = etag ? strlen(etag) : 0;

    if (length == 0 || length > TRANSFER_MAX_ETAG)
        return NULL;
    for (gsize i = 0; i < length; i++) {
        if (!g_ascii_isgraph(etag[i]) && etag[i] != ' ')
            return NULL;
    }
    return g_strdup(etag);
}

static gint64 http_modified(const Transfer *transfer)
{
    const char *text = field(transfer, "Last-Modified");

    return text ? MAX((gint64)curl_getdate(text, NULL), -1) : -1;
}

static gint64 content_length(const Transfer *transfer)
{
    curl_off_t length = -1;

    curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length;
}

/* --- HTTP --- */

static gboolean fail(const Transfer *transfer, TransferError code, const char *words,
                     GError **error)
{
    g_propagate_error(error, transfer_error_make(transfer->url.name, code, "%s", words));
    return FALSE;
}

/* RFC 9110 14.4: `bytes FIRST-LAST/TOTAL`, or `bytes *` `/TOTAL` with a 416.  FALSE: not so. */
static gboolean parse_content_range(const char *text, gint64 *ret_first, gint64 *ret_last,
                                    gint64 *ret_total)
{
    g_auto(GStrv) parts = NULL;
    gint64 *const results[] = {ret_first, ret_last, ret_total};

    if (!text || g_ascii_strncasecmp(text, "bytes ", 6) != 0)
        return FALSE;
    if (g_str_has_prefix(text + 6, "*/")) {
        guint64 total;

        if (!g_ascii_string_to_unsigned(text + 8, 10, 0, G_MAXINT64, &total, NULL))
            return FALSE;
        *ret_first = *ret_last = -1;
        *ret_total = (gint64)total;
        return TRUE;
    }
    parts = g_strsplit_set(text + 6, "-/", 4);
    if (g_strv_length(parts) != 3)
        return FALSE;
    for (gsize i = 0; i < 3; i++) {
        guint64 number;

        if (!g_ascii_string_to_unsigned(parts[i], 10, 0, G_MAXINT64, &number, NULL))
            return FALSE;
        *results[i] = (gint64)number;
    }
    return *ret_first <= *ret_last && *ret_last < *ret_total;
}

static gboolean check_known(const Transfer *transfer, const TransferFile *file, GError **error)
{
    return !transfer->has_known ||
           transfer_file_check_same(&transfer->known, file, transfer->url.name, error);
}

static gboolean judge_part(const Transfer *transfer, TransferFile *file, gint64 *ret_expected,
                           GError **error)
{
    gint64 first, last, total, wanted_last, length = content_length(transfer);

    if (transfer->offset == 0 && transfer->length < 0 && !transfer->has_known)
        return fail(transfer, TRANSFER_ERROR_PROTOCOL,
                    "the server sends a part where the whole was asked for", error);
    if (!parse_content_range(field(transfer, "Content-Range"), &first, &last, &total) || first < 0)
        return fail(transfer, TRANSFER_ERROR_PROTOCOL,
                    "the server does not tell which part of the file it sends", error);
    file->size = total;
    if (!check_known(transfer, file, error))
        return FALSE;
    wanted_last =
        transfer->length < 0 ? total - 1 : MIN(transfer->offset + transfer->length, total) - 1;
    if (first != transfer->offset || last != wanted_last ||
        (length >= 0 && length != last - first + 1))
        return fail(transfer, TRANSFER_ERROR_PROTOCOL,
                    "the server sends another part of the file than was asked for", error);
    *ret_expected = last - first + 1;
    return TRUE;
}

static gboolean judge_whole(const Transfer *transfer, TransferFile *file, gint64 *ret_expected,
                            GError **error)
{
    file->size = content_length(transfer);
    if (!check_known(transfer, file, error))
        return FALSE;
    if (transfer->offset > 0 || transfer->length >= 0)
        return fail(transfer, TRANSFER_ERROR_RANGES,
                    "the server cannot read from the middle of a file", error);
    *ret_expected = file->size >= 0 ? file->size : transfer->known.size;
    return TRUE;
}

static gboolean judge_beyond(const Transfer *transfer, TransferFile *file, GError **error)
{
    gint64 first, last;

    if (parse_content_range(field(transfer, "Content-Range"), &first, &last, &file->size) &&
        !check_known(transfer, file, error))
        return FALSE;
    return fail(transfer, TRANSFER_ERROR_PROTOCOL,
                "the server says that the file ends before the place asked for (HTTP status 416)",
                error);
}

static gboolean judge_http(const Transfer *transfer, TransferFile *file, gint64 *ret_expected,
                           GError **error)
{
    const char *encoding = field(transfer, "Content-Encoding");
    long status = status_of(transfer);

    if (status == 416)
        return judge_beyond(transfer, file, error);
    if (status != 200 && status != 206) {
        g_propagate_error(error, transfer_error_from_http(transfer->url.name, status));
        return FALSE;
    }
    if (encoding && *encoding && g_ascii_strcasecmp(encoding, "identity") != 0)
        return fail(transfer, TRANSFER_ERROR_PROTOCOL,
                    "the server sends it compressed though nobody asked for that", error);
    file->etag = etag_of(transfer);
    file->modified = http_modified(transfer);
    return status == 206 ? judge_part(transfer, file, ret_expected, error)
                         : judge_whole(transfer, file, ret_expected, error);
}

/* --- FTP and SFTP --- */

static gboolean judge_other(const Transfer *transfer, TransferFile *file, gint64 *ret_expected,
                            GError **error)
{
    gint64 length = content_length(transfer);
    gboolean to_the_end = transfer->length < 0 || transfer->open_ended;
    gboolean sftp = transfer->url.scheme == TRANSFER_SFTP;
    curl_off_t modified = -1;

    curl_easy_getinfo(transfer->easy, CURLINFO_FILETIME_T, &modified);
    file->modified = MAX(modified, -1);
    file->size = transfer->ftp_size;
    /* a server of FTP that does not know SIZE may tell it when the data begin, for what it is
     * worth */
    if (file->size < 0 && length >= 0 && to_the_end && (sftp || transfer->offset == 0))
        file->size = transfer->offset + length;
    if (!check_known(transfer, file, error))
        return FALSE;
    if (file->size < 0)
        file->size = transfer->known.size;
    if (file->size >= 0 && transfer->offset > file->size)
        return fail(transfer, TRANSFER_ERROR_PROTOCOL, "the file ends before the place asked for",
                    error);
    *ret_expected = file->size < 0 ? transfer->length : file->size - transfer->offset;
    if (transfer->length >= 0 && file->size >= 0)
        *ret_expected = MIN(*ret_expected, transfer->length);
    return TRUE;
}

gboolean transfer_answer_judge(Transfer *transfer, TransferFile *ret_file, gint64 *ret_expected,
                               GError **error)
{
    TransferFile file = TRANSFER_FILE_UNKNOWN;
    gint64 expected = -1;
    gboolean right = transfer->http ? judge_http(transfer, &file, &expected, error)
                                    : judge_other(transfer, &file, &expected, error);

    if (right && file.size > TRANSFER_MAX_SIZE)
        right = fail(transfer, TRANSFER_ERROR_PROTOCOL, "the file is too large", error);
    if (!right) {
        transfer_file_clear(&file);
        return FALSE;
    }
    *ret_file = file;
    *ret_expected = expected;
    return TRUE;
}
