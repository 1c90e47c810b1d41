/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a RAUC bundle on this device says of itself.  It is not verified here: RAUC does that.
 */
#pragma once

#include <glib.h>

typedef enum {
    BUNDLE_UNKNOWN, /* no bundle, or not to be read */
    BUNDLE_PLAIN, /* the signature stands beside what it covers: the whole file has to be hashed */
    BUNDLE_EMBEDDED, /* verity or crypt: the signature holds the manifest */
} BundleFormat;

/* RAUC before 1.15.2 checks no more than the first 2 GB of a plain bundle (CVE-2026-34155). */
#define BUNDLE_PLAIN_MAX (G_GINT64_CONSTANT(2) << 30)

/* Looks at the signature at the end of the file, BUNDLE_MAX_SIGNATURE bytes at most. */
#define BUNDLE_MAX_SIGNATURE (64 << 10)
BundleFormat bundle_format(const char *path);
