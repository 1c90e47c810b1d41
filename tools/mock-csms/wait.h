/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What came from the charge point since the last fulfilled wait, and what a wait looks for in
 * it. */
#pragma once

#include <glib.h>
#include <jansson.h>

/* So many events are remembered between two waits; of more the oldest are forgotten. */
#define HISTORY_MAX 1024
/* Seconds, unless the line says otherwise. */
#define WAIT_DEFAULT_SECONDS 120
#define WAIT_MAX_SECONDS     86400

typedef struct {
    char *what;
    char **fields; /* FIELD=VALUE */
    guint seconds;
} Wait;

typedef struct {
    GQueue events; /* oldest first */
} History;

/* text: all behind the word `wait`. */
Wait *wait_parse(const char *text, GError **error);
void wait_free(Wait *wait);

void history_init(History *history);
void history_clear(History *history);
/* payload may be NULL; a reference is kept. */
void history_add(History *history, const char *what, const json_t *payload);
/* Looks for the first fit; found: it and everything older is forgotten. */
gboolean history_find(History *history, const Wait *wait);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Wait, wait_free)
