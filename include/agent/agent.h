/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent: owns every part and wires them together.
 */
#pragma once

#include "agent/settings.h"

/* Runs until SIGTERM or SIGINT.  `settings`, as read from `config_file`, are borrowed.  Returns an
 * exit code of agent/commands.h; EXIT_FAILED when another agent uses the same store. */
int agent_run(const Settings *settings, const char *config_file);
