/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files behind /bundles/, and byte ranges in them (RFC 9110, 14). No sockets here. */
#pragma once

#include <glib.h>

typedef struct {
    int fd;
    guint64 size;
    char *etag;          /* quoted */
    char *last_modified; /* HTTP date */
} Bundle;

typedef enum {
    RANGE_WHOLE, /* no range, one that makes no sense, or several: the whole file */
    RANGE_PART,
    RANGE_UNSATISFIABLE,
} RangeResult;

/* Opens a regular file below folder; a name that leads out of it, also by a symbolic link, is not
 * found. */
gboolean bundle_open(Bundle *bundle, const char *folder, const char *name);
void bundle_close(Bundle *bundle);

/* header: the value of Range, or NULL. ret_first and ret_last are set for RANGE_PART. */
RangeResult bundle_range(const char *header, guint64 size, guint64 *ret_first, guint64 *ret_last);
