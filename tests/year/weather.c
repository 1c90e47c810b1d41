/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes wrong, and when.  In a storm each row of the table strikes again and again, after a
 * time drawn around its mean; in a calm nothing goes wrong any more but what was begun, and
 * everything has to come to its end.
 */
#include "world.h"

static void restore_network(World *world, gpointer data)
{
    (void)data;
    world->csms.network = TRUE;
}

static void outage(World *world)
{
    world->figures.outages++;
    world->csms.network = chance(world, 50); /* or only this one connection */
    note(world, "the connection is lost%s", world->csms.network ? "" : ", and the network");
    csms_drop(world);
    after(world,
          chance(world, 70) ? draw(world, 5 * SECOND, 10 * MINUTE)
                            : draw(world, 10 * MINUTE, 3 * HOUR),
          SCOPE_WORLD, restore_network, NULL);
}

static void sulk(World *world)
{
    world->csms.good = !world->csms.good;
}

static void registration(World *world)
{
    static const char *const STATUSES[] = {"Accepted", "Pending", "Rejected"};

    world->csms.registration = STATUSES[draw(world, 0, 2)];
    world->csms.interval_s = chance(world, 20) ? 0 : draw(world, 10, 600);
    if (g_str_equal(world->csms.registration, "Accepted"))
        world->csms.interval_s = draw(world, 600, 7200);
    world->figures.pendings += !g_str_equal(world->csms.registration, "Accepted");
}

static void kill_agent(World *world)
{
    if (!agent_lives(world))
        return;
    note(world, "the agent is killed");
    agent_kill(world);
}

static void doom_agent(World *world)
{
    world->doom_in = (guint)draw(world, 1, 60);
    world->doom_power = chance(world, 30);
}

static void reboot_by_hand(World *world)
{
    note(world, "a person reboots");
    device_reboot(world, SECOND);
}

static void kill_rauc(World *world)
{
    gint64 away =
        chance(world, 80) ? draw(world, SECOND, 10 * MINUTE) : draw(world, 10 * MINUTE, 3 * HOUR);

    world->figures.rauc_deaths++;
    world->rauc.kept_away_until = world->now_ms + away;
    rauc_die(world, away);
}

static void refuse_marks(World *world)
{
    world->rauc.refuses_until = world->now_ms + draw(world, MINUTE, 20 * MINUTE);
}

static void hide_slots(World *world)
{
    world->rauc.hides_until = world->now_ms + draw(world, MINUTE, 90 * MINUTE);
}

static void hide_primary(World *world)
{
    world->rauc.no_primary_until = world->now_ms + draw(world, 10 * SECOND, 10 * MINUTE);
}

static void slow_rauc(World *world)
{
    world->rauc.slow_until = world->now_ms + draw(world, MINUTE, 20 * MINUTE);
}

static void foreign_install(World *world)
{
    if (rauc_begin_install(world, FOREIGN + (guint)draw(world, 0, 1000000), FALSE)) {
        world->figures.foreign++;
        rauc_tell(world);
    }
}

static void cancel(World *world)
{
    g_autoptr(GError) error = NULL;

    if (!agent_lives(world) || !firmware_job(world->agent->firmware))
        return;
    note(world, "a person cancels");
    world->figures.cancels +=
        firmware_cancel(world->agent->firmware, "cancelled by a person", &error);
}

static void install_by_hand(World *world)
{
    guint number = ++world->csms.requests;
    g_autofree char *file = g_strdup_printf("/media/bundle-%u.raucb", number);
    g_autofree char *url = g_strdup_printf("https://example.com/bundle-%u.raucb", number);

    note(world, "a person installs bundle %u through the agent", number);
    world->figures.by_hand += agent_install_by_hand(world, chance(world, 50) ? file : url);
}

static void release(World *world, gpointer data)
{
    (void)data;
    world->inhibited = FALSE;
    if (agent_lives(world))
        reboot_set_inhibitors(world->agent->reboot, NULL);
}

static void inhibit(World *world)
{
    world->inhibited = TRUE;
    if (agent_lives(world))
        reboot_set_inhibitors(world->agent->reboot, "a person");
    after(world, draw(world, MINUTE, 2 * HOUR), SCOPE_WORLD, release, NULL);
}

static void lose_reboots(World *world)
{
    world->loses_reboots = !world->loses_reboots;
}

static void fail_commands(World *world)
{
    world->commands_fail = !world->commands_fail;
}

static void jump_time(World *world)
{
    gint64 jump = draw(world, -6 * HOUR, 6 * HOUR);

    if (chance(world, 5))
        jump = chance(world, 50) ? 25000 * DAY : -18000 * DAY;
    world->figures.jumps++;
    world->csms.offset_ms = chance(world, 50) ? jump : 0;
    world->csms.ahead_ms = MAX(world->csms.ahead_ms, world->csms.offset_ms);
}

static void request(World *world)
{
    csms_request(world, chance(world, 15));
    if (chance(world, 10)) /* and changes its mind */
        csms_request(world, chance(world, 30));
}

static const struct {
    gint64 mean_ms;
    void (*strike)(World *world);
    gboolean always; /* whatever the storm's force */
} ROWS[] = {
    {100 * MINUTE, request, TRUE},       {2 * HOUR, csms_ask, TRUE},
    {3 * HOUR, outage, FALSE},           {5 * HOUR, sulk, FALSE},
    {8 * HOUR, registration, FALSE},     {4 * HOUR, kill_agent, FALSE},
    {2 * HOUR, doom_agent, FALSE},       {6 * HOUR, device_power_cut, FALSE},
    {20 * HOUR, reboot_by_hand, FALSE},  {5 * HOUR, kill_rauc, FALSE},
    {8 * HOUR, refuse_marks, FALSE},     {12 * HOUR, hide_slots, FALSE},
    {12 * HOUR, hide_primary, FALSE},    {8 * HOUR, slow_rauc, FALSE},
    {30 * HOUR, foreign_install, FALSE}, {8 * HOUR, cancel, FALSE},
    {24 * HOUR, install_by_hand, FALSE}, {12 * HOUR, inhibit, FALSE},
    {10 * HOUR, lose_reboots, FALSE},    {20 * HOUR, fail_commands, FALSE},
    {24 * HOUR, jump_time, FALSE},
};

static void strike(World *world, gpointer data)
{
    guint i = *(guint *)data;

    after(world, draw(world, 0, 2 * ROWS[i].mean_ms), SCOPE_WORLD, strike,
          g_memdup2(data, sizeof(i)));
    if (!world->storm || (!ROWS[i].always && !chance(world, world->force)))
        return;
    ROWS[i].strike(world);
}

void weather_begin(World *world)
{
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++)
        after(world, draw(world, 0, 2 * ROWS[i].mean_ms), SCOPE_WORLD, strike,
              g_memdup2(&i, sizeof(i)));
}

void weather_storm(World *world)
{
    static const guint FORCES[] = {5, 25, 50, 100};

    world->storm = TRUE;
    world->force = FORCES[draw(world, 0, G_N_ELEMENTS(FORCES) - 1)];
    note(world, "--- a storm of force %u", world->force);
}

void weather_calm(World *world)
{
    RaucService *rauc = &world->rauc;

    note(world, "--- calm");
    world->storm = world->loses_reboots = world->commands_fail = FALSE;
    world->doom_in = 0;
    world->csms.network = world->csms.good = TRUE;
    world->csms.registration = "Accepted";
    world->csms.interval_s = 3600;
    world->csms.offset_ms = 0;
    rauc->refuses_until = rauc->hides_until = rauc->no_primary_until = rauc->slow_until =
        rauc->kept_away_until = 0;
    after(world, 0, SCOPE_BOOT, rauc_begin, NULL);
    release(world, NULL);
}
