/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The time that a line of a log begins with: ISO 8601 (space or T, fractions, with a zone or in
 * local time), that of syslog without a year ("Nov 22 10:20:30", local time), and that of the
 * kernel's ring ("[   12.345678]").
 */
#pragma once

#include <glib.h>

#define STAMP_HEAD 64 /* bytes of a line that are looked at */

typedef struct {
    gint64 written_ms;        /* when the log was last written: gives a stamp its year */
    gint64 boot_ms;           /* of the kernel's stamps; G_MININT64: such stamps are none */
    gint64 minute, minute_ms; /* the minute of local time that was asked for last; 0: none */
} StampContext;

/* FALSE: none. */
gboolean stamp_parse(StampContext *context, const char *line, gsize length, gint64 *ret_ms);
