/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dates of the wire: RFC 3339 as the schemas want it, read with the tolerance that real CSMSs need.
 * A point in time is milliseconds since 1970-01-01T00:00:00Z throughout the project.
 */
#pragma once

#include <glib.h>

/* Accepts a 'T', 't' or ' ' between date and time, fractions of any length, Z, offsets with and
 * without a colon or minutes, and no zone at all (UTC).  Points in time of the years 1970 to 9999.
 * FALSE for anything else; `*ret_ms` is then untouched. */
gboolean ocpp_datetime_parse(const char *text, gint64 *ret_ms);

/* "2026-11-22T08:00:00.000Z"; free with g_free().  `ms` is clamped to the years above. */
char *ocpp_datetime_format(gint64 ms);
