/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two small tables of names and values: the OCPP configuration keys that a CSMS has changed, and
 * the agent's own notes (last CSMS time, boot that was marked good, availability).
 */
#pragma once

#include <glib.h>

#include "db/store.h"

typedef enum { VALUES_CONFIGURATION, VALUES_AGENT } ValuesTable;

/* Setting what is set already writes nothing. */
gboolean values_set(Store *store, ValuesTable table, const char *name, const char *value,
                    GError **error);
/* `*ret_value` is NULL when there is none; g_free(). */
gboolean values_get(Store *store, ValuesTable table, const char *name, char **ret_value,
                    GError **error);
/* Calls `each` for every pair, in the order of the names; it may use the store. */
gboolean values_each(Store *store, ValuesTable table,
                     void (*each)(const char *name, const char *value, gpointer user_data),
                     gpointer user_data, GError **error);
