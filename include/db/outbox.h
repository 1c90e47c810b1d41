/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The outbox: notifications that the CSMS must get, in order, at least once.  A row is written in
 * the transaction of the step that it tells of, and leaves when the CSMS has answered (a CALLERROR
 * is an answer).
 */
#pragma once

#include <glib.h>

#include "db/store.h"

/* More rows than this can only come from a CSMS that never answers; the push fails then, the step
 * with it. */
#define OUTBOX_MAX_ROWS 1000

typedef struct {
    gint64 id;
    gint64 job_id; /* 0: not of a job */
    char *action;
    char *payload; /* JSON text */
} OutboxRow;

gboolean outbox_push(Store *store, gint64 job_id, const char *action, const char *payload,
                     GError **error);
/* The oldest row; `*ret_row` is NULL when empty. */
gboolean outbox_head(Store *store, OutboxRow **ret_row, GError **error);
/* OutboxRow*, the oldest first, all of them; g_ptr_array_unref(). */
GPtrArray *outbox_list(Store *store, GError **error);
/* A row that is gone already is no error.  Ids rise and are never given out again. */
gboolean outbox_remove(Store *store, gint64 id, GError **error);
gboolean outbox_count(Store *store, guint *ret_count, GError **error);
void outbox_row_free(OutboxRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OutboxRow, outbox_row_free)
