/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What RAUC shows of an A/B device with a rescue system: rootfs.0 (A) is the old slot, rootfs.1 (B)
 * the one that is written.
 */
#pragma once

#include <glib.h>
#include <string.h>

#include "adapter/rauc.h"
#include "db/jobs.h"

#define OLD    "rootfs.0"
#define TARGET "rootfs.1"
#define RESCUE "rescue.0"

static RaucSlot *slots_add(RaucStatus *status, const char *name, const char *bootname,
                           const char *booted)
{
    RaucSlot *slot = g_new0(RaucSlot, 1);

    slot->name = g_strdup(name);
    slot->class_ = g_strndup(name, strlen(name) - 2);
    slot->bootname = g_strdup(bootname);
    slot->state = g_strdup(g_strcmp0(name, booted) == 0 ? "booted" : "inactive");
    slot->boot_status = g_strdup("good");
    g_ptr_array_add(status->slots, slot);
    return slot;
}

/* `record` is the target's.  NULL for booted or primary: RAUC cannot tell. */
static RaucStatus *slots_status(const char *booted, const char *primary,
                                const JobSlotRecord *record)
{
    RaucStatus *status = g_new0(RaucStatus, 1);
    RaucSlot *target;

    status->slots = g_ptr_array_new_with_free_func(rauc_slot_free);
    status->primary = g_strdup(primary);
    slots_add(status, OLD, "A", booted);
    target = slots_add(status, TARGET, "B", booted);
    slots_add(status, RESCUE, "R", booted);
    target->installed_count = record->installed_count;
    target->installed_timestamp = g_strdup(record->installed_timestamp);
    target->activated_timestamp = g_strdup(record->activated_timestamp);
    target->version = g_strdup(record->version);
    target->hash = g_strdup(record->hash);
    return status;
}

static RaucSlot *slots_get(RaucStatus *status, const char *name)
{
    return (RaucSlot *)rauc_status_slot(status, name);
}

static void slots_set(char **field, const char *text)
{
    g_free(*field);
    *field = g_strdup(text);
}
