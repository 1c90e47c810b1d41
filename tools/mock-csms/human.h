/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log's events as short lines for a person at a terminal. */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* Prints one line for the event, or none for one that tells a person nothing. */
void human_print(FILE *file, const char *event, const json_t *fields);
