/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does what must outlive an update lie outside both slots?  The agent's store and spool, and RAUC's
 * status file.
 */
#pragma once

#include <glib.h>

#define LAYOUT_RAUC_CONFIG "/etc/rauc/system.conf"

/* `spool`: NULL where nothing is downloaded.  Warnings in words, char*; empty when nothing is wrong
 * or nothing can be told.  `root` is where the booted slot is mounted ("/"), `rauc_config` RAUC's
 * system.conf (need not be there).  Looks at file systems only, never opens the store. */
GPtrArray *layout_warnings(const char *store_path, const char *spool, const char *rauc_config,
                           const char *root);
