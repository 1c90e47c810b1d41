/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sub-commands of the program, a table: name, help, function.  `run` is the daemon; all others
 * but check-config talk to it over D-Bus (agent/control.h). Exit codes: 0 done, 1 failed, 2 usage
 * or settings error.
 */
#pragma once

#define EXIT_DONE   0
#define EXIT_FAILED 1
#define EXIT_USAGE  2

/* `argv[0]` is the program.  Returns the exit code. */
int commands_main(int argc, char **argv);
