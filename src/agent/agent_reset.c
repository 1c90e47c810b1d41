/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CSMS's Reset (C 5.14).  An accepted one waits for the job and for the gate before reboots, is
 * still known after a restart of the agent in the same boot, and is asked for again when nothing
 * comes of it.
 */
#include "db/values.h"
#include "src/agent/agent_internal.h"

#define NOTE     "reset-boot-id" /* the boot that is to end */
#define TRIES    5
#define AGAIN_MS 60000

static void keep(Agent *agent, const char *boot_id)
{
    g_autoptr(GError) error = NULL;

    if (!values_set(agent->store, VALUES_AGENT, NOTE, boot_id, &error))
        g_warning("a restart of the agent would forget the Reset: %s", error->message);
}

void agent_reset_drop(Agent *agent)
{
    if (!agent->reset_wanted)
        return;
    agent->reset_wanted = FALSE;
    clock_timer_clear(agent->clock, &agent->reset_again);
    keep(agent, "");
}

static gboolean may_go(const Agent *agent)
{
    return agent->reset_wanted && !agent->reset_again && !firmware_rejects_reset(agent->firmware) &&
           !firmware_delays_reset(agent->firmware);
}

void agent_reset_serve(Agent *agent)
{
    if (may_go(agent))
        reboot_ask(agent->reboot, FALSE);
}

static void again(gpointer user_data)
{
    Agent *agent = user_data;

    agent->reset_again = 0;
    if (agent->reset_tries < TRIES) {
        g_warning("the reboot for the Reset does not come, asking again");
        agent_reset_serve(agent);
        return;
    }
    g_critical("the reboot for the Reset did not come, asked for %d times", TRIES);
    agent_reset_drop(agent);
}

void agent_reset_carry_out(Agent *agent)
{
    g_autoptr(GError) error = NULL;

    if (!may_go(agent))
        return; /* asked for again when the job has moved on */
    agent->reset_tries++;
    if (!agent_reboot(agent, &error))
        g_critical("cannot carry out the Reset: %s", error->message);
    clock_timer_set(agent->clock, &agent->reset_again, AGAIN_MS, again, agent);
}

gboolean agent_reset_take(gboolean hard, gpointer user_data)
{
    Agent *agent = user_data;

    if (firmware_rejects_reset(agent->firmware)) {
        g_message("Reset is Rejected: an update is under way");
        return FALSE;
    }
    g_message("Reset %s is Accepted", hard ? "Hard" : "Soft");
    agent->reset_wanted = TRUE;
    agent->reset_tries = 0;
    clock_timer_clear(agent->clock, &agent->reset_again);
    keep(agent, agent->boot_id);
    agent_reset_serve(agent);
    return TRUE;
}

void agent_reset_load(Agent *agent)
{
    g_autofree char *boot_id = NULL;
    g_autoptr(GError) error = NULL;

    if (!values_get(agent->store, VALUES_AGENT, NOTE, &boot_id, &error))
        g_warning("cannot read whether a Reset waits: %s", error->message);
    if (g_strcmp0(boot_id, agent->boot_id) != 0)
        return;
    g_message("a Reset still waits");
    agent->reset_wanted = TRUE;
    reboot_await_holders(agent->reboot);
    agent_reset_serve(agent);
}
