/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent: owns every part and wires them together.
 */
#pragma once

#include "agent/settings.h"

/* Runs until SIGTERM or SIGINT.  `settings` is borrowed.  Returns an exit code of agent/commands.h;
 * EXIT_FAILED when another agent uses the same store. */
int agent_run(const Settings *settings);
