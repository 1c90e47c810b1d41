/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locations as a CSMS sends them, of a bundle to fetch or a folder to upload to.  Pure.
 */
#pragma once

#include <glib.h>

/* The URL to use (spaces percent-encoded), to be freed with g_free(), or NULL with `*ret_reason` in
 * words.  Only http, https, ftp, ftps and sftp with a host: never a local path. */
char *location_to_url(const char *location, char **ret_reason);
/* A location without user, password and query, for logs and history; g_free(). */
char *location_for_people(const char *location);
