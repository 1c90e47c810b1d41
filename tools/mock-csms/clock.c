/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A clock is an offset to the monotonic one, so that a step of the system's time does not
 * matter. */
#include "clock.h"

#include <gio/gio.h>

#include "validate.h"

void clock_init(Clock *clock)
{
    clock->offset_us = g_get_real_time() - g_get_monotonic_time();
}

gboolean clock_set(Clock *clock, const char *text, GError **error)
{
    g_autoptr(GDateTime) date = NULL;

    if (validate_date_time(text))
        date = g_date_time_new_from_iso8601(text, NULL);
    if (date == NULL) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "'%s' is no date and time such as 2024-01-31T12:00:00Z", text);
        return FALSE;
    }
    clock->offset_us = g_date_time_to_unix(date) * G_TIME_SPAN_SECOND +
                       g_date_time_get_microsecond(date) - g_get_monotonic_time();
    return TRUE;
}

char *clock_text(const Clock *clock, gint64 plus_seconds)
{
    gint64 us = g_get_monotonic_time() + clock->offset_us + plus_seconds * G_TIME_SPAN_SECOND;
    g_autoptr(GDateTime) seconds = g_date_time_new_from_unix_utc(us / G_TIME_SPAN_SECOND);
    g_autofree char *text = NULL;

    if (seconds == NULL) /* beyond the year 9999 */
        return g_strdup("9999-12-31T23:59:59.000Z");
    text = g_date_time_format(seconds, "%Y-%m-%dT%H:%M:%S");
    return g_strdup_printf("%s.%03dZ", text,
                           (int)(us % G_TIME_SPAN_SECOND / G_TIME_SPAN_MILLISECOND));
}
