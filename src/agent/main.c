/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program: everything is in agent/commands.h. */
#include "agent/commands.h"

int main(int argc, char **argv)
{
    return commands_main(argc, argv);
}
