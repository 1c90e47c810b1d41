/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The picture of the slots: read from RAUC's reply, and asked questions about.  Pure.
 */
#include <string.h>

#include "rauc_internal.h"

void rauc_slot_free(gpointer data)
{
    RaucSlot *slot = data;

    g_free(slot->name);
    g_free(slot->class_);
    g_free(slot->bootname);
    g_free(slot->state);
    g_free(slot->parent);
    g_free(slot->boot_status);
    g_free(slot->status);
    g_free(slot->version);
    g_free(slot->hash);
    g_free(slot->installed_timestamp);
    g_free(slot->activated_timestamp);
    g_free(slot);
}

void rauc_status_free(RaucStatus *status)
{
    if (!status)
        return;
    g_ptr_array_unref(status->slots);
    g_free(status->primary);
    g_free(status);
}

/* Where each text of RAUC's dictionary goes. */
static const struct {
    const char *key;
    gsize offset;
} fields[] = {
    {"class", G_STRUCT_OFFSET(RaucSlot, class_)},
    {"bootname", G_STRUCT_OFFSET(RaucSlot, bootname)},
    {"state", G_STRUCT_OFFSET(RaucSlot, state)},
    {"parent", G_STRUCT_OFFSET(RaucSlot, parent)},
    {"boot-status", G_STRUCT_OFFSET(RaucSlot, boot_status)},
    {"status", G_STRUCT_OFFSET(RaucSlot, status)},
    {"bundle.version", G_STRUCT_OFFSET(RaucSlot, version)},
    {"bundle.hash", G_STRUCT_OFFSET(RaucSlot, hash)},
    {"installed.timestamp", G_STRUCT_OFFSET(RaucSlot, installed_timestamp)},
    {"activated.timestamp", G_STRUCT_OFFSET(RaucSlot, activated_timestamp)},
};

static RaucSlot *slot_parse(const char *name, GVariant *dict)
{
    RaucSlot *slot = g_new0(RaucSlot, 1);
    guint32 count;

    slot->name = g_strdup(name);
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        const char *text;

        if (g_variant_lookup(dict, fields[i].key, "&s", &text) && strlen(text) <= RAUC_MAX_FIELD)
            *(char **)G_STRUCT_MEMBER_P(slot, fields[i].offset) = g_strdup(text);
    }
    if (g_variant_lookup(dict, "installed.count", "u", &count))
        slot->installed_count = count;
    return slot;
}

RaucStatus *rauc_status_parse(GVariant *reply)
{
    g_autoptr(GVariant) list = NULL;
    RaucStatus *status;
    gsize count;

    if (!g_variant_is_of_type(reply, G_VARIANT_TYPE("(a(sa{sv}))")))
        return NULL;
    status = g_new0(RaucStatus, 1);
    status->slots = g_ptr_array_new_with_free_func(rauc_slot_free);
    list = g_variant_get_child_value(reply, 0);
    count = g_variant_n_children(list);
    for (gsize i = 0; i < count && status->slots->len < RAUC_MAX_SLOTS; i++) {
        g_autoptr(GVariant) dict = NULL;
        const char *name;
        g_autoptr(GVariant) entry = g_variant_get_child_value(list, i);

        g_variant_get(entry, "(&s@a{sv})", &name, &dict);
        if (*name && strlen(name) <= RAUC_MAX_FIELD && !rauc_status_slot(status, name))
            g_ptr_array_add(status->slots, slot_parse(name, dict));
    }
    return status;
}

const RaucSlot *rauc_status_slot(const RaucStatus *status, const char *name)
{
    for (guint i = 0; i < status->slots->len; i++) {
        const RaucSlot *slot = g_ptr_array_index(status->slots, i);

        if (g_strcmp0(slot->name, name) == 0)
            return slot;
    }
    return NULL;
}

const RaucSlot *rauc_status_booted(const RaucStatus *status)
{
    for (guint i = 0; i < status->slots->len; i++) {
        const RaucSlot *slot = g_ptr_array_index(status->slots, i);

        if (g_strcmp0(slot->state, "booted") == 0)
            return slot;
    }
    return NULL;
}

const RaucSlot *rauc_status_target(const RaucStatus *status)
{
    const RaucSlot *booted = rauc_status_booted(status), *target = NULL;

    if (!booted || !booted->class_)
        return NULL;
    for (guint i = 0; i < status->slots->len; i++) {
        const RaucSlot *slot = g_ptr_array_index(status->slots, i);

        if (!slot->bootname || g_strcmp0(slot->state, "booted") == 0 ||
            g_strcmp0(slot->class_, booted->class_) != 0)
            continue;
        if (!target || strcmp(slot->name, target->name) < 0)
            target = slot;
    }
    return target;
}
