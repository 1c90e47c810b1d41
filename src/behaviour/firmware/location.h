/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is the location of an UpdateFirmware an URL that may be given to RAUC?  Pure.
 */
#pragma once

#include <glib.h>

/* The URL to use (spaces percent-encoded), to be freed with g_free(), or NULL with `*ret_reason` in
 * words.  Only http, https, ftp, ftps and sftp with a host: RAUC would install a local path.  User
 * or password in it are refused: RAUC writes URLs into its log. */
char *location_for_rauc(const char *location, char **ret_reason);
