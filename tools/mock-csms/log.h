/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mock's log: one JSON object a line, flushed line by line, and for people short lines on
 * stderr.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

typedef struct Log Log;

/* path: a file that is made or emptied, or NULL for standard output. human: also tell stderr. */
Log *log_new(const char *path, gboolean human, GError **error);
void log_free(Log *log);

/* Writes {"time":<monotonic ms>,"event":event, ...fields}. Takes fields over (NULL: none). */
void log_event(Log *log, const char *event, json_t *fields);

/* A JSON string of any bytes: what is not UTF-8 is replaced. length -1: up to the NUL. */
json_t *log_text(const char *text, gssize length);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Log, log_free)
