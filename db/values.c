/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two tables of names and values. */
#include "db/values.h"

#include "sql.h"

typedef struct {
    const char *set, *get, *all;
} Statements;

/* Setting a value to what it is already writes nothing to flash. */
#define STATEMENTS(table)                                                                          \
    {                                                                                              \
        "INSERT INTO " table " (name, value) VALUES (?, ?) ON CONFLICT (name)"                     \
        " DO UPDATE SET value = excluded.value WHERE value <> excluded.value",                     \
            "SELECT value FROM " table " WHERE name = ?",                                          \
            "SELECT name, value FROM " table " ORDER BY name"                                      \
    }

static const Statements statements[] = {
    [VALUES_CONFIGURATION] = STATEMENTS("configuration"),
    [VALUES_AGENT] = STATEMENTS("agent"),
};

gboolean values_set(Store *store, ValuesTable table, const char *name, const char *value,
                    GError **error)
{
    g_auto(Sql) sql = SQL_INIT;

    if (!sql_open(&sql, store, "store a value", statements[table].set, error))
        return FALSE;
    sql_bind_text(&sql, name);
    sql_bind_text(&sql, value);
    return sql_finish(&sql, error);
}

gboolean values_get(Store *store, ValuesTable table, const char *name, char **ret_value,
                    GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    g_autofree char *value = NULL;
    gboolean row;

    if (!sql_open(&sql, store, "load a value", statements[table].get, error))
        return FALSE;
    sql_bind_text(&sql, name);
    if (!sql_step(&sql, &row, error))
        return FALSE;
    if (row)
        value = sql_get_text(&sql, FALSE);
    if (!sql_intact(&sql, error))
        return FALSE;
    *ret_value = g_steal_pointer(&value);
    return TRUE;
}

/* All pairs are read before the first call, so that `each` may use the store. */
gboolean values_each(Store *store, ValuesTable table,
                     void (*each)(const char *name, const char *value, gpointer user_data),
                     gpointer user_data, GError **error)
{
    g_auto(Sql) sql = SQL_INIT;
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(g_free);
    gboolean row = TRUE;

    if (!sql_open(&sql, store, "load the values", statements[table].all, error))
        return FALSE;
    while (row) {
        if (!sql_step(&sql, &row, error))
            return FALSE;
        if (!row)
            break;
        g_ptr_array_add(pairs, sql_get_text(&sql, FALSE));
        g_ptr_array_add(pairs, sql_get_text(&sql, FALSE));
        if (!sql_intact(&sql, error))
            return FALSE;
    }
    for (guint i = 0; i + 1 < pairs->len; i += 2)
        each(pairs->pdata[i], pairs->pdata[i + 1], user_data);
    return TRUE;
}
