/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stamps of lines: see stamp.h.  Called for every line of every log, so nothing here allocates. */
#include "src/adapter/collector/stamp.h"

#include <string.h>
#include <time.h>

#define MINUTE_MS  G_GINT64_CONSTANT(60000)
#define DAY_MS     (G_GINT64_CONSTANT(1440) * MINUTE_MS)
#define MAX_DIGITS 10 /* of the kernel's seconds */

typedef struct {
    const char *at, *end;
} Text;

typedef struct {
    int year, month, day, hour, minute, second, ms;
} Fields;

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static gboolean skip(Text *text, const char *one_of)
{
    if (text->at == text->end || !*text->at || !strchr(one_of, *text->at))
        return FALSE;
    text->at++;
    return TRUE;
}

/* Exactly `digits` of them. */
static gboolean number(Text *text, int digits, int *ret_value)
{
    int value = 0;

    if (text->end - text->at < digits)
        return FALSE;
    for (int i = 0; i < digits; i++) {
        if (!g_ascii_isdigit(text->at[i]))
            return FALSE;
        value = value * 10 + (text->at[i] - '0');
    }
    text->at += digits;
    *ret_value = value;
    return TRUE;
}

/* Of any length, cut to milliseconds. */
static int fraction(Text *text)
{
    int ms = 0, weight = 100;

    for (; text->at < text->end && g_ascii_isdigit(*text->at); text->at++) {
        ms += weight * (*text->at - '0');
        weight /= 10;
    }
    return ms;
}

static gboolean time_of_day(Text *text, Fields *fields)
{
    if (!number(text, 2, &fields->hour) || !skip(text, ":") || !number(text, 2, &fields->minute) ||
        !skip(text, ":") || !number(text, 2, &fields->second))
        return FALSE;
    if (text->end - text->at > 1 && strchr(".,", *text->at) && g_ascii_isdigit(text->at[1])) {
        text->at++;
        fields->ms = fraction(text);
    }
    return fields->hour < 24 && fields->minute < 60 && fields->second <= 60;
}

static gboolean date_exists(const Fields *fields)
{
    return g_date_valid_dmy((GDateDay)fields->day, (GDateMonth)fields->month,
                            (GDateYear)fields->year);
}

static gint64 second_ms(const Fields *fields)
{
    return fields->second * G_GINT64_CONSTANT(1000) + fields->ms;
}

/* As if it were UTC, and to the minute. */
static gint64 since_1970_ms(const Fields *fields)
{
    struct tm tm = {.tm_year = fields->year - 1900,
                    .tm_mon = fields->month - 1,
                    .tm_mday = fields->day,
                    .tm_hour = fields->hour,
                    .tm_min = fields->minute};

    return (gint64)timegm(&tm) * 1000;
}

/* Local time asks a data base of zones: that is for once in a minute of the log, and not for every
 * line. */
static gint64 local_ms(StampContext *context, const Fields *fields)
{
    gint64 minute = since_1970_ms(fields) / MINUTE_MS + 1;

    if (minute != context->minute) {
        struct tm tm = {.tm_year = fields->year - 1900,
                        .tm_mon = fields->month - 1,
                        .tm_mday = fields->day,
                        .tm_hour = fields->hour,
                        .tm_min = fields->minute,
                        .tm_isdst = -1};

        context->minute = minute;
        context->minute_ms = (gint64)mktime(&tm) * 1000;
    }
    return context->minute_ms + second_ms(fields);
}

/* FALSE: none, and so local time. */
static gboolean zone(Text text, int *ret_minutes)
{
    int hours, minutes = 0;
    gboolean west;

    if (skip(&text, "Zz")) {
        *ret_minutes = 0;
        return TRUE;
    }
    skip(&text, " ");
    if (text.end - text.at >= 3 && (!memcmp(text.at, "UTC", 3) || !memcmp(text.at, "GMT", 3))) {
        *ret_minutes = 0;
        return TRUE;
    }
    if (text.at == text.end || !strchr("+-", *text.at))
        return FALSE;
    west = *text.at++ == '-';
    if (!number(&text, 2, &hours) || hours > 18)
        return FALSE;
    skip(&text, ":");
    number(&text, 2, &minutes);
    *ret_minutes = west ? -(60 * hours + minutes) : 60 * hours + minutes;
    return TRUE;
}

/* 2026-11-22T10:20:30.123456+01:00; also with slashes, as nginx has it. */
static gboolean iso(StampContext *context, Text text, gint64 *ret_ms)
{
    Fields fields = {.ms = 0};
    int offset;

    if (!number(&text, 4, &fields.year) || !skip(&text, "-/") || !number(&text, 2, &fields.month) ||
        !skip(&text, "-/") || !number(&text, 2, &fields.day) || !skip(&text, "Tt ") ||
        !time_of_day(&text, &fields) || !date_exists(&fields))
        return FALSE;
    *ret_ms = zone(text, &offset) ? since_1970_ms(&fields) + second_ms(&fields) - offset * MINUTE_MS
                                  : local_ms(context, &fields);
    return TRUE;
}

static gboolean month(Text *text, int *ret_month)
{
    if (text->end - text->at < 3)
        return FALSE;
    for (int i = 0; i < 12; i++) {
        if (memcmp(text->at, months + (gsize)3 * i, 3) == 0) {
            text->at += 3;
            *ret_month = i + 1;
            return TRUE;
        }
    }
    return FALSE;
}

/* Nov  2 10:20:30: of the last year in which that was before the log was last written; a day is
 * allowed for zones and for a clock that was set back. */
static gboolean syslog_time(StampContext *context, Text text, gint64 *ret_ms)
{
    time_t written = (time_t)(context->written_ms / 1000);
    Fields fields = {.ms = 0};
    struct tm tm;

    if (!month(&text, &fields.month) || !skip(&text, " "))
        return FALSE;
    if (!(skip(&text, " ") ? number(&text, 1, &fields.day) : number(&text, 2, &fields.day)) ||
        !skip(&text, " ") || !time_of_day(&text, &fields) || !localtime_r(&written, &tm))
        return FALSE;
    /* the last 29 February is at most eight years ago */
    fields.year = tm.tm_year + 1901;
    for (int i = 0; i <= 9; i++, fields.year--) {
        gint64 ms;

        if (!date_exists(&fields))
            continue;
        ms = local_ms(context, &fields);
        if (ms <= context->written_ms + DAY_MS) {
            *ret_ms = ms;
            return TRUE;
        }
    }
    return FALSE;
}

/* [   12.345678] */
static gboolean kernel_time(const StampContext *context, Text text, gint64 *ret_ms)
{
    gint64 seconds = 0;
    int digits = 0;

    if (context->boot_ms == G_MININT64 || !skip(&text, "["))
        return FALSE;
    while (skip(&text, " "))
        ;
    for (; text.at < text.end && g_ascii_isdigit(*text.at) && digits < MAX_DIGITS; digits++)
        seconds = seconds * 10 + (*text.at++ - '0');
    if (digits == 0 || !skip(&text, "."))
        return FALSE;
    *ret_ms = context->boot_ms + seconds * 1000 + fraction(&text);
    return TRUE;
}

/* What may stand before a stamp: the syslog protocol's "<14>" or "<14>1 ", and a bracket. */
static void skip_front(Text *text)
{
    Text start = *text;

    if (skip(text, "<")) {
        while (skip(text, "0123456789"))
            ;
        if (!skip(text, ">"))
            *text = start;
        else if (text->end - text->at > 2 && text->at[0] == '1' && text->at[1] == ' ')
            text->at += 2;
    }
    skip(text, "[");
}

gboolean stamp_parse(StampContext *context, const char *line, gsize length, gint64 *ret_ms)
{
    static const char order_mark[] = "\xef\xbb\xbf";
    Text text = {line, line + MIN(length, STAMP_HEAD)};

    if (kernel_time(context, text, ret_ms))
        return TRUE;
    if (length >= 3 && memcmp(line, order_mark, 3) == 0)
        text.at += 3;
    skip_front(&text);
    if (text.at == text.end)
        return FALSE;
    return g_ascii_isdigit(*text.at) ? iso(context, text, ret_ms)
                                     : syslog_time(context, text, ret_ms);
}
