/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides secrets in a stream of text: the words that it was given, what stands before the `@` of a
 * URL, and the value of an Authorization header (up to the end of the line or of the quotes that it
 * stands in).  What is hidden becomes "***", or fewer asterisks where it was shorter: what comes
 * out is never longer than what went in.
 */
#pragma once

#include "src/adapter/collector/sink.h"

#define REDACT_URL_MAX                                                                             \
    2048 /* bytes of user name and password that are looked through for their `@` */

typedef struct _Redactor Redactor;

/* `secrets`: NULL-terminated, copied; empty ones hide nothing. */
Redactor *redactor_new(const char *const *secrets);
void redactor_free(Redactor *redactor);

/* Begins a stream into `sink`. */
void redactor_begin(Redactor *redactor, Sink sink);
/* A SinkTake. */
gboolean redactor_take(gpointer redactor, const char *data, gsize length);
/* Writes what was held back; unless the stream is `whole`, its end is hidden where a secret may
 * have been cut there.  FALSE: the sink wanted no more. */
gboolean redactor_end(Redactor *redactor, gboolean whole);
/* One text, whole; free with g_free(). */
char *redactor_text(Redactor *redactor, const char *text);
