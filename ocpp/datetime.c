/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading and writing dates of the wire.  The text is taken apart here, because GLib's ISO 8601
 * reader also takes week dates, ordinal dates and the basic format, which no CSMS means; the
 * calendar itself is GLib's.
 */
#include "ocpp/datetime.h"

#include <string.h>

#define MS_PER_SECOND    G_GINT64_CONSTANT(1000)
#define SECONDS_PER_HOUR 3600
#define LAST_MS          G_GINT64_CONSTANT(253402300799999) /* 9999-12-31T23:59:59.999Z */

/* Reads exactly `n_digits` digits and a value of lowest..highest, and moves `*text` behind them. */
static gboolean read_number(const char **text, guint n_digits, int lowest, int highest,
                            int *ret_number)
{
    int number = 0;

    for (guint i = 0; i < n_digits; i++) {
        if (!g_ascii_isdigit((*text)[i]))
            return FALSE;
        number = number * 10 + g_ascii_digit_value((*text)[i]);
    }
    if (number < lowest || number > highest)
        return FALSE;
    *text += n_digits;
    *ret_number = number;
    return TRUE;
}

static gboolean read_character(const char **text, const char *allowed)
{
    if (**text == '\0' || strchr(allowed, **text) == NULL)
        return FALSE;
    (*text)++;
    return TRUE;
}

/* ".5", ".123456789": at least one digit after the point; what is below a millisecond is cut off.
 */
static gboolean read_fraction(const char **text, int *ret_ms)
{
    int ms = 0;
    int weight = 100;

    *ret_ms = 0;
    if (!read_character(text, "."))
        return TRUE;
    if (!g_ascii_isdigit(**text))
        return FALSE;
    for (; g_ascii_isdigit(**text); (*text)++) {
        ms += weight * g_ascii_digit_value(**text);
        weight /= 10;
    }
    *ret_ms = ms;
    return TRUE;
}

/* Nothing or Z: UTC.  +hh:mm, +hhmm, and +hh as PostgreSQL prints it. */
static gboolean read_zone(const char **text, gint64 *ret_offset_s)
{
    int hours;
    int minutes = 0;
    gboolean west;

    *ret_offset_s = 0;
    if (**text == '\0' || read_character(text, "Zz"))
        return TRUE;
    west = **text == '-';
    if (!read_character(text, "+-") || !read_number(text, 2, 0, 23, &hours))
        return FALSE;
    if (**text != '\0') {
        (void)read_character(text, ":");
        if (!read_number(text, 2, 0, 59, &minutes))
            return FALSE;
    }
    *ret_offset_s = (gint64)hours * SECONDS_PER_HOUR + (gint64)minutes * 60;
    if (west)
        *ret_offset_s = -*ret_offset_s;
    return TRUE;
}

gboolean ocpp_datetime_parse(const char *text, gint64 *ret_ms)
{
    g_autoptr(GDateTime) date = NULL;
    gint64 offset_s;
    gint64 result;
    int year, month, day, hour, minute, second, ms;

    if (text == NULL)
        return FALSE;
    /* Seconds of 60: a leap second is written so; it counts as the second after it. */
    if (!read_number(&text, 4, 1, 9999, &year) || !read_character(&text, "-") ||
        !read_number(&text, 2, 1, 12, &month) || !read_character(&text, "-") ||
        !read_number(&text, 2, 1, 31, &day) || !read_character(&text, "Tt ") ||
        !read_number(&text, 2, 0, 23, &hour) || !read_character(&text, ":") ||
        !read_number(&text, 2, 0, 59, &minute) || !read_character(&text, ":") ||
        !read_number(&text, 2, 0, 60, &second) || !read_fraction(&text, &ms) ||
        !read_zone(&text, &offset_s) || *text != '\0')
        return FALSE;

    date = g_date_time_new_utc(year, month, day, hour, minute, 0);
    if (date == NULL)
        return FALSE;
    result = (g_date_time_to_unix(date) + second - offset_s) * MS_PER_SECOND + ms;
    if (result < 0 || result > LAST_MS)
        return FALSE;
    *ret_ms = result;
    return TRUE;
}

char *ocpp_datetime_format(gint64 ms)
{
    g_autoptr(GDateTime) date = NULL;
    gint64 clamped = CLAMP(ms, 0, LAST_MS);

    date = g_date_time_new_from_unix_utc(clamped / MS_PER_SECOND);
    return g_strdup_printf("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", g_date_time_get_year(date),
                           g_date_time_get_month(date), g_date_time_get_day_of_month(date),
                           g_date_time_get_hour(date), g_date_time_get_minute(date),
                           g_date_time_get_second(date), (int)(clamped % MS_PER_SECOND));
}
