/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is the location of an UpdateFirmware an URL that can be fetched from?  Pure.
 */
#pragma once

#include <glib.h>

/* The URL to use (spaces percent-encoded), to be freed with g_free(), or NULL with `*ret_reason` in
 * words.  Only http, https, ftp, ftps and sftp with a host: never a local path. */
char *location_to_url(const char *location, char **ret_reason);
