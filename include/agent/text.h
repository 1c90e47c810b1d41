/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Outside text made fit for a line of a log or a terminal.
 */
#pragma once

#include <glib.h>

/* The largest number of bytes that one byte of `text` can become in text_make_visible(). */
#define TEXT_MAX_GROWTH 4

/* Writes `text` (`length` bytes, any bytes) into `buffer` of `size` bytes (4 at least),
 * NUL-terminated.  Printable UTF-8 stays as it is; every byte of all else (control and format
 * characters, line separators, invalid UTF-8) becomes `\xNN`.  What does not fit is cut off between
 * two characters and "..." put in its place.  Allocates nothing.  Returns the bytes written without
 * the NUL. */
gsize text_make_visible(char *buffer, gsize size, const char *text, gsize length);

/* The same for a whole string, nothing cut; g_free(). */
char *text_visible(const char *text);

/* Whether `text` is valid UTF-8 without control characters (Unicode's Cc). */
gboolean text_is_plain(const char *text);
