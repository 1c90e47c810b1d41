/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One entry per action that was named in a command. */
#include "faults.h"

typedef struct {
    gboolean mute;
    gboolean drop;
    char *code;
    guint count;
} Entry;

struct Faults {
    gboolean mute_all;
    GHashTable *entries; /* action -> Entry */
};

static void entry_free(gpointer data)
{
    Entry *entry = data;

    g_free(entry->code);
    g_free(entry);
}

Faults *faults_new(void)
{
    Faults *faults = g_new0(Faults, 1);

    faults->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
    return faults;
}

void faults_free(Faults *faults)
{
    if (faults == NULL)
        return;
    g_hash_table_unref(faults->entries);
    g_free(faults);
}

static Entry *entry_for(Faults *faults, const char *action)
{
    Entry *entry = g_hash_table_lookup(faults->entries, action);

    if (entry == NULL) {
        entry = g_new0(Entry, 1);
        g_hash_table_insert(faults->entries, g_strdup(action), entry);
    }
    return entry;
}

void faults_mute(Faults *faults, const char *action, gboolean on)
{
    if (action == NULL)
        faults->mute_all = on;
    else
        entry_for(faults, action)->mute = on;
}

void faults_error(Faults *faults, const char *action, const char *code, guint count)
{
    Entry *entry = entry_for(faults, action);

    g_free(entry->code);
    entry->code = g_strdup(code);
    entry->count = count;
}

void faults_drop(Faults *faults, const char *action)
{
    entry_for(faults, action)->drop = TRUE;
}

Fault faults_take(Faults *faults, const char *action, char **ret_code)
{
    Entry *entry = g_hash_table_lookup(faults->entries, action);

    if (entry != NULL && entry->drop) {
        entry->drop = FALSE;
        return FAULT_DROP;
    }
    if (faults->mute_all || (entry != NULL && entry->mute))
        return FAULT_MUTE;
    if (entry == NULL || entry->count == 0)
        return FAULT_NONE;
    if (entry->count != G_MAXUINT)
        entry->count--;
    *ret_code = g_strdup(entry->code);
    return FAULT_ERROR;
}
