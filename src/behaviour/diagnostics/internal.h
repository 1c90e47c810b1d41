/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the diagnostics behaviour share.
 *
 *   diagnostics.c   requests, steps, what is done in each state
 *   target.c        names and URLs, pure
 */
#pragma once

#include "behaviour/diagnostics.h"

#define DIAGNOSTICS_SUFFIX         ".tar.gz"
#define DIAGNOSTICS_MAX_IDENTITY   64 /* characters of it in a name */
#define DIAGNOSTICS_STORE_RETRY_MS 5000
#define DIAGNOSTICS_MAX_RETRIES    100
#define DIAGNOSTICS_MAX_INTERVAL_S 86400

/* "CP001_20261122T102030Z.tar.gz"; g_free(). */
char *diagnostics_file_name(const char *identity, gint64 now_ms);
/* The URL of the file, where `location` is a folder, or the file itself when it ends in DIAGNOSTICS_SUFFIX; g_free().  `*ret_name`
 * (g_free()): how the file is called there.  NULL with `*ret_reason` (g_free()): the location cannot be used; then it is called `name`. */
char *diagnostics_url(const char *location, const char *name, char **ret_name, char **ret_reason);
