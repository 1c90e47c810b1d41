/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The charger: two slots, a boot loader that counts attempts in U-Boot's way, power, reboots.
 */
#include "world.h"

const char *slot_name(int slot)
{
    return slot == 0 ? "rootfs.0" : "rootfs.1";
}

int device_primary(const Device *device)
{
    for (int i = 0; i < device->n_order; i++)
        if (device->left[device->order[i]] > 0)
            return device->order[i];
    return -1;
}

static void put_first(Device *device, int slot)
{
    device->order[0] = slot;
    device->order[1] = 1 - slot;
    device->n_order = 2;
}

static void take_out(Device *device, int slot)
{
    int kept = 0;

    for (int i = 0; i < device->n_order; i++)
        if (device->order[i] != slot)
            device->order[kept++] = device->order[i];
    device->n_order = kept;
    device->left[slot] = 0;
}

/* As RAUC's U-Boot backend: good refills the attempts, bad takes the slot out of the order, active
 * puts it first. */
void device_mark(World *world, const char *state, int slot)
{
    Device *device = &world->device;

    if (g_str_equal(state, "bad")) {
        take_out(device, slot);
        return;
    }
    device->left[slot] = device->attempts;
    if (g_str_equal(state, "active"))
        put_first(device, slot);
    if (g_str_equal(state, "good")) {
        ledger_marked_good(world, &device->slots[slot]);
        device->slots[slot].confirmed = TRUE;
    }
}

gint64 device_wall_ms(const World *world)
{
    return world->now_ms + world->device.wall_offset_ms;
}

static gboolean boots(Health health)
{
    return health != NEVER_BOOTS && health != GARBAGE;
}

/* What the loader ends up in; images that do not boot use up their attempts, and when none is left
 * all are refilled.  Without an order it has its own, A before B: so RAUC's example of a script for
 * U-Boot. */
static int choose_slot(World *world)
{
    Device *device = &world->device;

    for (guint i = 0; i < 20; i++) {
        int slot = device_primary(device);

        if (slot < 0) {
            device->left[0] = device->left[1] = device->attempts;
            if (device->n_order == 0)
                put_first(device, 0);
            continue;
        }
        device->left[slot]--;
        if (boots(device->slots[slot].health))
            return slot;
    }
    violation(world, "no slot boots: %d (%d left, health %d), %d (%d left, health %d)", 0,
              device->left[0], device->slots[0].health, 1, device->left[1],
              device->slots[1].health);
}

static void boot(World *world, gpointer data)
{
    Device *device = &world->device;

    (void)data;
    device->on = TRUE;
    device->going_down = FALSE;
    device->booted = choose_slot(world);
    device->boots++;
    device->booted_ms = world->now_ms;
    g_free(device->boot_id);
    device->boot_id = g_strdup_printf("boot-%u", device->boots);
    device->synchronised = chance(world, 40);
    /* a charger without a battery behind its clock begins in 1970, or a little wrong */
    device->wall_offset_ms = device->synchronised ? EPOCH_MS
                             : chance(world, 70)  ? 100 * SECOND - world->now_ms
                                                  : EPOCH_MS + draw(world, -DAY, DAY);
    note(world, "boot %u into %s (bundle %u, health %d), %d attempts left", device->boots,
         slot_name(device->booted), device->slots[device->booted].bundle,
         device->slots[device->booted].health, device->left[device->booted]);
    world->figures.reboots++;
    if (device->slots[device->booted].health != NO_RAUC)
        after(world, draw(world, 500, 20 * SECOND), SCOPE_BOOT, rauc_begin, NULL);
    after(world, draw(world, SECOND, 30 * SECOND), SCOPE_BOOT, agent_start, NULL);
}

/* All that lives in memory is gone. */
static void off(World *world, gint64 for_ms)
{
    world->device.on = FALSE;
    world->rauc.running = FALSE;
    world->rauc.step = STEP_IDLE;
    if (world->agent)
        world->agent->connected = FALSE;
    for (Scope scope = SCOPE_BOOT; scope < N_SCOPES; scope++)
        scope_ends(world, scope);
    after(world, for_ms, SCOPE_WORLD, boot, NULL);
}

void device_power_cut(World *world)
{
    if (!world->device.on)
        return;
    if (world->agent) { /* burying it comes back here */
        agent_kill(world);
        world->agent->power = TRUE;
        agent_bury(world);
        return;
    }
    note(world, "POWER CUT");
    world->figures.power_cuts++;
    off(world,
        chance(world, 80) ? draw(world, 5 * SECOND, 60 * SECOND) : draw(world, HOUR, 8 * HOUR));
}

static void go_down(World *world, gpointer data)
{
    (void)data;
    note(world, "the system goes down");
    agent_stop(world);
    off(world, draw(world, 5 * SECOND, 90 * SECOND));
}

void device_reboot(World *world, gint64 delay_ms)
{
    if (!world->device.on || world->device.going_down)
        return;
    world->device.going_down = TRUE;
    after(world, delay_ms, SCOPE_BOOT, go_down, NULL);
}

void device_init(World *world)
{
    Device *device = &world->device;

    device->attempts = chance(world, 33) ? 1 : 3;
    for (int i = 0; i < 2; i++) {
        device->slots[i] = (Slot){.bundle = 0, .health = HEALTHY, .confirmed = TRUE};
        device->left[i] = device->attempts;
    }
    put_first(device, 0);
    after(world, 0, SCOPE_WORLD, boot, NULL);
}
