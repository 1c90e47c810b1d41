/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent's process: how it is made, and how it dies.
 *
 * It may die at every boundary: wherever it turns to the world (a status sent, RAUC called, a
 * reboot asked for, a part told that something was committed).  What the store's files hold at that
 * moment is kept; the process only unwinds then, nothing that it still does happens, and the files
 * are put back before the next one starts.
 */
#include "world.h"

#include <glib/gstdio.h>

static const char *const FILES[] = {"", "-wal"};

gboolean agent_lives(const World *world)
{
    return world->agent && !world->agent->dead;
}

/* ---------------------------------------------------------------------------------------- dying */

void agent_kill(World *world)
{
    Agent *agent = world->agent;

    if (agent->dead)
        return;
    for (guint i = 0; i < G_N_ELEMENTS(FILES); i++) {
        g_autofree char *name = g_strconcat(world->path, FILES[i], NULL);
        char *data;
        gsize size;

        if (g_file_get_contents(name, &data, &size, NULL))
            agent->files[i] = g_bytes_new_take(data, size);
    }
    agent->dead = TRUE;
    world->doom_in = 0;
}

gboolean dies_here(World *world)
{
    if (!agent_lives(world))
        return TRUE;
    if (world->doom_in == 0 || --world->doom_in > 0)
        return FALSE;
    world->figures.kills_within++;
    note(world, "the agent dies at a boundary%s", world->doom_power ? ", of a power cut" : "");
    agent_kill(world);
    world->agent->power = world->doom_power;
    return TRUE;
}

static void free_parts(Agent *agent)
{
    session_free(agent->session);
    firmware_free(agent->firmware);
    health_checks_free(agent->health);
    reboot_free(agent->reboot);
    store_close(agent->store);
    clock_free(agent->clock);
    g_clear_object(&agent->query);
    g_free(agent->told_status);
    g_free(agent);
}

static void put_files_back(World *world, Agent *agent)
{
    g_autofree char *index = g_strconcat(world->path, "-shm", NULL);

    g_unlink(index);
    for (guint i = 0; i < G_N_ELEMENTS(FILES); i++) {
        g_autofree char *name = g_strconcat(world->path, FILES[i], NULL);
        g_autoptr(GBytes) bytes = g_steal_pointer(&agent->files[i]);

        g_unlink(name);
        if (bytes)
            ck_assert(g_file_set_contents_full(name, g_bytes_get_data(bytes, NULL),
                                               (gssize)g_bytes_get_size(bytes),
                                               G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    }
}

static Agent *leave(World *world)
{
    Agent *agent = g_steal_pointer(&world->agent);

    scope_ends(world, SCOPE_AGENT);
    csms_drop(world);
    transfers_end();
    return agent;
}

void agent_bury(World *world)
{
    Agent *agent, copy;

    if (!world->agent || !world->agent->dead)
        return;
    agent = leave(world);
    copy = *agent;
    free_parts(agent);
    put_files_back(world, &copy);
    if (copy.power) {
        device_power_cut(world);
        return;
    }
    world->figures.kills++;
    rauc_stream_lost(world);
    after(world, draw(world, SECOND, chance(world, 50) ? 3 * SECOND : 20 * SECOND), SCOPE_BOOT,
          agent_start, NULL);
}

void agent_stop(World *world)
{
    agent_bury(world);
    if (!world->agent)
        return;
    world->doom_in = 0;
    free_parts(leave(world));
}

/* ------------------------------------------------------------------------------------ making it */

static void open_store(World *world)
{
    StoreOrigin wanted = g_access(world->path, F_OK) == 0 ? STORE_OPENED : STORE_CREATED, origin;
    g_autofree char *detail = NULL;
    g_autofree char *kept = NULL;
    g_autoptr(GError) error = NULL;

    world->agent->store = store_open(world->path, 0, &origin, &detail, &error);
    if (!world->agent->store || origin != wanted)
        violation(world, "the store was not opened: %s", error ? error->message : detail);
    if (!values_get(world->agent->store, VALUES_AGENT, "csms-time", &kept, &error))
        violation(world, "%s", error->message);
    world->agent->kept_csms_ms = kept ? g_ascii_strtoll(kept, NULL, 10) : 0;
}

/* A process's own clock: it has not heard the CSMS's time yet. */
static void make_clock(World *world)
{
    Clock *clock = clock_new_virtual(device_wall_ms(world));

    clock_virtual_advance(clock, world->now_ms - world->device.booted_ms);
    clock_virtual_set_wall(clock, device_wall_ms(world), world->device.synchronised);
    world->agent->clock = clock;
}

static void holders_return(World *world, gpointer data)
{
    (void)data;
    if (world->inhibited)
        reboot_set_inhibitors(world->agent->reboot, "a person");
}

static void rauc_is_seen(World *world, gpointer data)
{
    (void)data;
    rauc_tell(world);
}

void agent_start(World *world, gpointer data)
{
    Agent *agent;

    (void)data;
    if (world->agent || world->device.going_down)
        return;
    agent = world->agent = g_new0(Agent, 1);
    agent->rauc = (Rauc){.world = world, .presence = RAUC_ABSENT};
    agent->transfers.world = world;
    make_clock(world);
    open_store(world);
    note(world, "the agent starts");
    wiring_make(world);
    firmware_start(agent->firmware);
    if (!agent_lives(world))
        return;
    if (firmware_job(agent->firmware))
        reboot_await_holders(agent->reboot);
    session_outbox_changed(agent->session);
    ledger_look(world);
    after(world, draw(world, 10, SECOND), SCOPE_AGENT, holders_return, NULL);
    after(world, draw(world, 10, 500), SCOPE_AGENT, rauc_is_seen, NULL);
    after(world, draw(world, 50, 3 * SECOND), SCOPE_AGENT, csms_connect_later, NULL);
}
