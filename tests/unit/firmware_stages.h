/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How far an update has come when a test of the firmware behaviour begins.
 */
#pragma once

#include "firmware_world.h"

#define WRITTEN   "Downloading Downloaded Installing"
#define FAILED    WRITTEN " InstallationFailed"
#define INSTALLED WRITTEN " Installed"

static G_GNUC_UNUSED World *started(void)
{
    World *world = world_new();

    world_start(world);
    return world;
}

/* Slot A is healthy, and RAUC installs. */
static G_GNUC_UNUSED World *installing(gint64 retries)
{
    World *world = started();

    world_healthy(world);
    world_request(world, 0, retries);
    did(world, "good:A install");
    in_state(world, JOB_INSTALLING);
    return world;
}

static G_GNUC_UNUSED World *activated(void)
{
    World *world = installing(0);

    firmware_rauc_progress(world->firmware, 80, "Updating slots");
    world_completed(world, -1);
    return world;
}

static G_GNUC_UNUSED World *rebooting(void)
{
    World *world = activated();

    in_state(world, JOB_REBOOTING);
    did(world, "reboot");
    return world;
}

static G_GNUC_UNUSED World *confirming(void)
{
    World *world = rebooting();

    world_boot(world, TARGET, RAUC_IDLE);
    in_state(world, JOB_CONFIRMING);
    did(world, "");
    return world;
}
