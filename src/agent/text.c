/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Outside text made fit for a line of a log or a terminal. */
#include "agent/text.h"

#include <string.h>

static const char ELLIPSIS[] = "...";
#define ELLIPSIS_LENGTH (sizeof ELLIPSIS - 1)
#define ESCAPE_LENGTH   4 /* \xNN */

/* Not g_unichar_isprint() alone: that one also lets the line and paragraph separators through.
 * Format characters are escaped because some of them turn the direction of writing, and so what a
 * reader believes to see. */
static gboolean is_visible(gunichar c)
{
    if (!g_unichar_isprint(c))
        return FALSE;
    GUnicodeType type = g_unichar_type(c);
    return type != G_UNICODE_LINE_SEPARATOR && type != G_UNICODE_PARAGRAPH_SEPARATOR;
}

/* The bytes of the character at `text`, 1 for a byte that begins none. */
static gsize next_character(const char *text, gsize length, gboolean *ret_visible)
{
    gunichar c = g_utf8_get_char_validated(text, (gssize)length);
    if (c == (gunichar)-1 || c == (gunichar)-2) {
        *ret_visible = FALSE;
        return 1;
    }
    *ret_visible = is_visible(c);
    return c == 0 ? 1 : (gsize)g_unichar_to_utf8(c, NULL);
}

static void put_escaped(char *buffer, const char *bytes, gsize n)
{
    static const char digits[] = "0123456789abcdef";
    for (gsize i = 0; i < n; i++) {
        guchar byte = (guchar)bytes[i];
        *buffer++ = '\\';
        *buffer++ = 'x';
        *buffer++ = digits[byte >> 4];
        *buffer++ = digits[byte & 15];
    }
}

gsize text_make_visible(char *buffer, gsize size, const char *text, gsize length)
{
    g_return_val_if_fail(size > ELLIPSIS_LENGTH, 0);
    gsize room = size - 1, at = 0;
    gsize cut = 0; /* the end of the last character behind which the ellipsis has room */

    while (length > 0) {
        gboolean visible;
        gsize n = next_character(text, length, &visible);
        gsize wanted = visible ? n : n * ESCAPE_LENGTH;
        if (at + wanted > room) {
            memcpy(buffer + cut, ELLIPSIS, ELLIPSIS_LENGTH);
            at = cut + ELLIPSIS_LENGTH;
            break;
        }
        if (visible)
            memcpy(buffer + at, text, n);
        else
            put_escaped(buffer + at, text, n);
        at += wanted;
        if (at + ELLIPSIS_LENGTH <= room)
            cut = at;
        text += n;
        length -= n;
    }
    buffer[at] = '\0';
    return at;
}

char *text_visible(const char *text)
{
    gsize length = strlen(text);
    gsize size = length * TEXT_MAX_GROWTH + ELLIPSIS_LENGTH + 1;
    char *visible = g_malloc(size);
    text_make_visible(visible, size, text, length);
    return visible;
}

gboolean text_is_plain(const char *text)
{
    if (!g_utf8_validate(text, -1, NULL))
        return FALSE;
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        if (g_unichar_iscntrl(g_utf8_get_char(p)))
            return FALSE;
    }
    return TRUE;
}
