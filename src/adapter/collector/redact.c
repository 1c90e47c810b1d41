/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hiding secrets: see redact.h.
 *
 * A window slides over the stream.  Its last bytes are held back until what follows them is known:
 * as many as the longest thing that is looked for.  Every byte is either shown or hidden; a run of
 * hidden ones shows its first three as asterisks, so secrets that overlap leave nothing of either.
 */
#include "src/adapter/collector/redact.h"

#include <string.h>

#define SHOWN  3 /* asterisks in the place of a secret */
#define BLANKS 8 /* quotes and blanks around the colon of a header */

static const char header_name[] = "authorization";

struct _Redactor {
    char **secrets;
    guint8 special[256]; /* something that is looked for begins with this byte */
    gsize ahead;         /* bytes held back */
    Sink sink;
    gboolean wanted;
    gboolean cut; /* the window's end is that of a stream that was cut */
    char *window;
    gsize length;
    guint64 base; /* of the stream: where the window begins */
    guint64 secret_until, url_from, url_until, header_from;
    gboolean in_header;
    char header_quote; /* ends the header's value; 0: only the end of the line does */
    char previous;     /* byte before the one that is looked at */
    gsize run;         /* hidden bytes in a row */
    gsize filled;
    char out[4096];
};

static gsize window_size(const Redactor *redactor)
{
    return SINK_CHUNK + redactor->ahead;
}

Redactor *redactor_new(const char *const *secrets)
{
    Redactor *redactor = g_new0(Redactor, 1);

    redactor->secrets = g_strdupv((char **)secrets);
    redactor->ahead = REDACT_URL_MAX + sizeof(":\\/\\/");
    for (char **secret = redactor->secrets; secret && *secret; secret++) {
        redactor->ahead = MAX(redactor->ahead, strlen(*secret));
        redactor->special[(guint8) * *secret] = **secret != '\0';
    }
    redactor->special[':'] = redactor->special['a'] = redactor->special['A'] = 1;
    redactor->window = g_malloc(window_size(redactor));
    return redactor;
}

void redactor_free(Redactor *redactor)
{
    if (!redactor)
        return;
    g_strfreev(redactor->secrets);
    g_free(redactor->window);
    g_free(redactor);
}

void redactor_begin(Redactor *redactor, Sink sink)
{
    redactor->sink = sink;
    redactor->wanted = TRUE;
    redactor->length = redactor->filled = redactor->run = 0;
    redactor->base = redactor->secret_until = redactor->url_from = redactor->url_until = 0;
    redactor->in_header = redactor->cut = FALSE;
    redactor->previous = '\n';
}

static void flush(Redactor *redactor)
{
    if (redactor->filled > 0 && redactor->wanted)
        redactor->wanted = sink_take(&redactor->sink, redactor->out, redactor->filled);
    redactor->filled = 0;
}

static void put(Redactor *redactor, char byte)
{
    if (redactor->filled == sizeof(redactor->out))
        flush(redactor);
    redactor->out[redactor->filled++] = byte;
}

static void look_for_secrets(Redactor *redactor, gsize at)
{
    gsize left = redactor->length - at;

    for (char **secret = redactor->secrets; secret && *secret; secret++) {
        gsize length = strlen(*secret);

        if (length > left && redactor->cut)
            length = left;
        if (length <= left && memcmp(redactor->window + at, *secret, length) == 0)
            redactor->secret_until = MAX(redactor->secret_until, redactor->base + at + length);
    }
}

static gboolean ends_url(char byte)
{
    return (guchar)byte <= ' ' || byte == '"' || byte == '\'' || byte == '<' || byte == '>' ||
           byte == '\\' || byte == '`';
}

/* Whether the slash at `end` is inside of a password, where it should not be, and not behind the
 * host: no port number stands before it. */
static gboolean slash_in_password(const char *start, const char *end)
{
    const char *colon = memchr(start, ':', (gsize)(end - start));

    if (!colon || *start == '[')
        return FALSE;
    for (const char *digit = colon + 1; digit < end; digit++) {
        if (!g_ascii_isdigit(*digit))
            return TRUE;
    }
    return FALSE;
}

/* Behind "://", also as JSON may write it, with its slashes escaped; NULL: none. */
static const char *behind_slashes(const char *colon, const char *end)
{
    const char *c = colon + 1;

    for (int i = 0; i < 2; i++) {
        if (c < end && *c == '\\')
            c++;
        if (c >= end || *c++ != '/')
            return NULL;
    }
    return c;
}

static void look_for_url(Redactor *redactor, gsize at)
{
    const char *end = redactor->window + redactor->length, *sign = NULL;
    const char *start = behind_slashes(redactor->window + at, end);

    if (!start || redactor->base + at < redactor->url_until)
        return;
    end = start + MIN(end - start, REDACT_URL_MAX);
    for (const char *c = start; c < end && !ends_url(*c); c++) {
        if (*c == '@')
            sign = c;
        else if (strchr("/?#", *c) && (sign || !slash_in_password(start, c)))
            break;
    }
    if (!sign)
        return;
    redactor->url_from = redactor->base + (guint64)(start - redactor->window);
    redactor->url_until = redactor->base + (guint64)(sign - redactor->window);
}

/* Skips blanks and quotes (also those that are escaped in another text); the last quote is in
 * `*quote`. */
static const char *skip_blanks(const char *from, const char *end, char *quote)
{
    if (end - from > BLANKS)
        end = from + BLANKS;
    for (; from < end && strchr(" \t\\\"'", *from) && *from; from++) {
        if (*from == '"' || *from == '\'')
            *quote = *from;
    }
    return from;
}

static void look_for_header(Redactor *redactor, gsize at)
{
    const gsize name = sizeof(header_name) - 1;
    const char *end = redactor->window + redactor->length, *value;
    char before = redactor->previous == '"' || redactor->previous == '\'' ? redactor->previous : 0;
    char quote = 0, closing = 0;

    if (redactor->length - at <= name ||
        g_ascii_strncasecmp(redactor->window + at, header_name, name) != 0)
        return;
    value = skip_blanks(redactor->window + at + name, end, &closing);
    if (value == end || *value != ':')
        return;
    value = skip_blanks(value + 1, end, &quote);
    redactor->in_header = TRUE;
    redactor->header_from = redactor->base + (guint64)(value - redactor->window);
    /* 'Authorization: x', "Authorization": "x" */
    redactor->header_quote = quote ? quote : (closing ? 0 : before);
}

static gboolean in_header(Redactor *redactor, guint64 place, char byte)
{
    if (!redactor->in_header || place < redactor->header_from)
        return FALSE;
    if (byte == '\n' ||
        (redactor->header_quote && byte == redactor->header_quote && redactor->previous != '\\'))
        redactor->in_header = FALSE;
    return redactor->in_header;
}

static void scan(Redactor *redactor, gsize limit)
{
    for (gsize at = 0; at < limit; at++) {
        guint64 place = redactor->base + at;
        char byte = redactor->window[at];
        gboolean hidden;

        if (redactor->special[(guint8)byte]) {
            look_for_secrets(redactor, at);
            if (byte == ':')
                look_for_url(redactor, at);
            else if (!redactor->in_header && (byte == 'a' || byte == 'A'))
                look_for_header(redactor, at);
        }
        hidden = in_header(redactor, place, byte);
        hidden = hidden || place < redactor->secret_until ||
                 (place >= redactor->url_from && place < redactor->url_until);
        if (!hidden)
            put(redactor, byte);
        else if (redactor->run < SHOWN)
            put(redactor, '*');
        redactor->run = hidden ? redactor->run + 1 : 0;
        redactor->previous = byte;
    }
    redactor->length -= limit;
    memmove(redactor->window, redactor->window + limit, redactor->length);
    redactor->base += limit;
}

gboolean redactor_take(gpointer to, const char *data, gsize length)
{
    Redactor *redactor = to;

    while (length > 0 && redactor->wanted) {
        gsize taken = MIN(length, window_size(redactor) - redactor->length);

        memcpy(redactor->window + redactor->length, data, taken);
        redactor->length += taken;
        data += taken;
        length -= taken;
        if (redactor->length == window_size(redactor))
            scan(redactor, SINK_CHUNK);
    }
    return redactor->wanted;
}

gboolean redactor_end(Redactor *redactor, gboolean whole)
{
    redactor->cut = !whole;
    scan(redactor, redactor->length);
    flush(redactor);
    return redactor->wanted;
}

static gboolean append(gpointer to, const char *data, gsize length)
{
    g_string_append_len(to, data, (gssize)length);
    return TRUE;
}

char *redactor_text(Redactor *redactor, const char *text)
{
    GString *shown = g_string_new(NULL);

    redactor_begin(redactor, (Sink){append, shown});
    redactor_take(redactor, text, strlen(text));
    redactor_end(redactor, TRUE);
    return g_string_free(shown, FALSE);
}
