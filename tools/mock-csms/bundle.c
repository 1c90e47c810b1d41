/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds and opens the files that are served, and reads Range headers. */
#include "bundle.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *http_date(gint64 seconds)
{
    g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(seconds);
    static const char *const days[] = {"", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    static const char *const months[] = {"",    "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    g_autofree char *rest = NULL;

    if (date == NULL)
        return NULL;
    /* Not %a and %b: they follow the locale. */
    rest = g_date_time_format(date, "%Y %H:%M:%S GMT");
    return g_strdup_printf("%s, %02d %s %s", days[g_date_time_get_day_of_week(date)],
                           g_date_time_get_day_of_month(date), months[g_date_time_get_month(date)],
                           rest);
}

/* The real path of a file in folder, or NULL. realpath() resolves every ".." and every link
 * first. */
static char *resolve(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *prefix =
        g_str_has_suffix(folder, "/") ? g_strdup(folder) : g_strconcat(folder, "/", NULL);
    char *real = realpath(path, NULL);

    if (real != NULL && !g_str_has_prefix(real, prefix))
        g_clear_pointer(&real, free);
    return real;
}

gboolean bundle_open(Bundle *bundle, const char *folder, const char *name)
{
    char *path = resolve(folder, name);
    struct stat status;
    int fd;

    if (path == NULL)
        return FALSE;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    free(path);
    if (fd < 0)
        return FALSE;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return FALSE;
    }
    bundle->fd = fd;
    bundle->size = (guint64)status.st_size;
    bundle->etag = g_strdup_printf(
        "\"%lx-%lx-%lx\"", (unsigned long)status.st_ino, (unsigned long)status.st_size,
        (unsigned long)(status.st_mtim.tv_sec * 1000000000L + status.st_mtim.tv_nsec));
    bundle->last_modified = http_date(status.st_mtim.tv_sec);
    return TRUE;
}

void bundle_close(Bundle *bundle)
{
    if (bundle->fd >= 0)
        close(bundle->fd);
    bundle->fd = -1;
    g_clear_pointer(&bundle->etag, g_free);
    g_clear_pointer(&bundle->last_modified, g_free);
}

static gboolean parse_number(const char *text, guint64 *ret_number)
{
    return g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, ret_number, NULL);
}

/* `-500`: the last 500 bytes. */
static RangeResult suffix_range(const char *text, guint64 size, guint64 *ret_first,
                                guint64 *ret_last)
{
    guint64 length;

    if (!parse_number(text, &length))
        return RANGE_WHOLE;
    if (length == 0 || size == 0)
        return RANGE_UNSATISFIABLE;
    *ret_first = size - MIN(length, size);
    *ret_last = size - 1;
    return RANGE_PART;
}

RangeResult bundle_range(const char *header, guint64 size, guint64 *ret_first, guint64 *ret_last)
{
    g_auto(GStrv) ends = NULL;
    guint64 first;
    guint64 last = G_MAXUINT64;

    if (header == NULL || g_ascii_strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_WHOLE;
    ends = g_strsplit(header + 6, "-", 3);
    if (g_strv_length(ends) != 2)
        return RANGE_WHOLE;
    g_strstrip(ends[0]);
    g_strstrip(ends[1]);
    if (*ends[0] == '\0')
        return suffix_range(ends[1], size, ret_first, ret_last);
    if (!parse_number(ends[0], &first) || (*ends[1] != '\0' && !parse_number(ends[1], &last)) ||
        last < first)
        return RANGE_WHOLE;
    if (first >= size)
        return RANGE_UNSATISFIABLE;
    *ret_first = first;
    *ret_last = MIN(last, size - 1);
    return RANGE_PART;
}
