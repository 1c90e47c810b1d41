/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bundle ends in a CMS signature and eight bytes, big-endian, that say how long that is.
 */
#include "adapter/bundle.h"

#include <fcntl.h>
#include <openssl/cms.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRAILER 8

static gboolean read_at(int fd, gint64 offset, guint8 *bytes, gsize length)
{
    return pread(fd, bytes, length, offset) == (gssize)length;
}

static BundleFormat format_of_signature(const guint8 *der, gsize length)
{
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &der, (long)length);
    int detached = cms ? CMS_is_detached(cms) : -1;

    CMS_ContentInfo_free(cms);
    if (detached < 0)
        return BUNDLE_UNKNOWN;
    return detached ? BUNDLE_PLAIN : BUNDLE_EMBEDDED;
}

static BundleFormat format_of_file(int fd)
{
    struct stat info;
    guint8 trailer[TRAILER];
    guint64 length = 0;
    g_autofree guint8 *signature = NULL;

    if (fstat(fd, &info) != 0 || info.st_size < TRAILER ||
        !read_at(fd, info.st_size - TRAILER, trailer, TRAILER))
        return BUNDLE_UNKNOWN;
    for (guint i = 0; i < TRAILER; i++)
        length = length << 8 | trailer[i];
    if (length == 0 || length > BUNDLE_MAX_SIGNATURE || (gint64)length > info.st_size - TRAILER)
        return BUNDLE_UNKNOWN;
    signature = g_malloc(length);
    if (!read_at(fd, info.st_size - TRAILER - (gint64)length, signature, length))
        return BUNDLE_UNKNOWN;
    return format_of_signature(signature, length);
}

BundleFormat bundle_format(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    BundleFormat format = fd >= 0 ? format_of_file(fd) : BUNDLE_UNKNOWN;

    if (fd >= 0)
        close(fd);
    return format;
}
