/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of a remote file, and whether two answers are about the same one. */
#include <string.h>

#include "transfer_internal.h"

void transfer_file_clear(TransferFile *file)
{
    g_free(file->etag);
    *file = TRANSFER_FILE_UNKNOWN;
}

void transfer_file_copy(TransferFile *to, const TransferFile *from)
{
    char *before = to->etag;

    *to = (TransferFile){from->size, g_strdup(from->etag), from->modified};
    g_free(before); /* which may be the one that was copied */
}

gboolean transfer_file_etag_is_strong(const char *etag)
{
    return etag != NULL && !g_str_has_prefix(etag, "W/");
}

gboolean transfer_file_has_validator(const TransferFile *file)
{
    return transfer_file_etag_is_strong(file->etag) || file->modified >= 0;
}

/* RFC 9110 8.8.3.2, the weak comparison: a server that changes between W/"x" and "x" has the same
 * file. */
static gboolean same_etag(const char *one, const char *other)
{
    one += g_str_has_prefix(one, "W/") ? 2 : 0;
    other += g_str_has_prefix(other, "W/") ? 2 : 0;
    return g_str_equal(one, other);
}

gboolean transfer_file_check_same(const TransferFile *known, const TransferFile *file,
                                  const char *name, GError **error)
{
    g_autofree char *what = NULL;

    if (known->size >= 0 && file->size >= 0 && known->size != file->size)
        what = g_strdup_printf("it had %" G_GINT64_FORMAT " bytes and has %" G_GINT64_FORMAT,
                               known->size, file->size);
    else if (known->etag && file->etag && !same_etag(known->etag, file->etag))
        what = g_strdup("its ETag is another one");
    else if (known->modified >= 0 && file->modified >= 0 && known->modified != file->modified)
        what = g_strdup("its time of modification is another one");
    if (!what)
        return TRUE;
    g_propagate_error(
        error, transfer_error_make(name, TRANSFER_ERROR_CHANGED,
                                   "the file on the server is not the one of before: %s", what));
    return FALSE;
}

/* By hand: strftime() and GLib would take the names from the locale. */
char *transfer_file_http_date(gint64 seconds)
{
    static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);

    if (!time)
        return NULL;
    return g_strdup_printf(
        "%s, %02d %s %04d %02d:%02d:%02d GMT", days[g_date_time_get_day_of_week(time) - 1],
        g_date_time_get_day_of_month(time), months[g_date_time_get_month(time) - 1],
        g_date_time_get_year(time), g_date_time_get_hour(time), g_date_time_get_minute(time),
        g_date_time_get_second(time));
}
