/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * command_run() with a time-out that a unit test can wait for.
 */
#pragma once

#include "adapter/boot.h"

#define BOOT_MAX_ID_BYTES     128  /* the kernel's has 37 */
#define BOOT_MAX_OUTPUT_BYTES 4096 /* of a command; what it prints beyond is read and dropped */

gboolean command_run_within(const char *command_line, guint timeout_ms, GError **error);
