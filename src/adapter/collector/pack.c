/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packing: by tar, as every system with RAUC has it (GNU's or busybox').  It writes to us and we to
 * the disk, so that the archive is ours alone from its first byte and stops before the disk is
 * full.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/adapter/collector/internal.h"

typedef struct {
    char *path, *folder;
    int fd;
    int code; /* errno of a failure */
} Archive;

static gboolean take(gpointer to, const char *data, gsize length)
{
    Archive *archive = to;

    if (folder_room(archive->fd) < (gint64)length)
        archive->code = ENOSPC;
    while (length > 0 && archive->code == 0) {
        gssize done = write(archive->fd, data, length);

        if (done < 0) {
            archive->code = errno;
        } else {
            data += done;
            length -= (gsize)done;
        }
    }
    return archive->code == 0;
}

static gboolean fail(const char *what, const char *path, int code, GError **error)
{
    g_set_error(error, COLLECTOR_ERROR, COLLECTOR_ERROR_LOCAL, "cannot %s %s: %s", what, path,
                g_strerror(code));
    return FALSE;
}

/* The MANIFEST first: it can be read without unpacking all. */
static char **tar_argv(const Collector *collector)
{
    g_autoptr(GStrvBuilder) argv = g_strv_builder_new();
    g_autoptr(GDir) dir = g_dir_open(collector->root, 0, NULL);
    g_autofree char *manifest = g_build_filename(collector->config->name, "MANIFEST", NULL);
    const char *name;

    g_strv_builder_add_many(argv, "tar", "-C", collector->folder, "-czf", "-", "--", manifest,
                            NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(collector->config->name, name, NULL);

        if (!g_str_equal(name, "MANIFEST"))
            g_strv_builder_add(argv, path);
    }
    return g_strv_builder_end(argv);
}

static gboolean run_tar(Collector *collector, Archive *archive, GError **error)
{
    g_auto(GStrv) argv = tar_argv(collector);
    Child child = {.argv = (const char *const *)argv, .input = -1};
    g_autofree char *words = NULL;
    ChildEnd end;

    child.deadline_us = g_get_monotonic_time() + PACK_S * SECOND_US;
    end = child_run(&child, &collector->stops, (Sink){take, archive}, &words);
    if (archive->code != 0)
        return fail("write", archive->path, archive->code, error);
    if (end == CHILD_OK)
        return TRUE;
    g_set_error(error, COLLECTOR_ERROR, COLLECTOR_ERROR_LOCAL, "tar failed: %s",
                words ? words : "no reason");
    return FALSE;
}

/* In its place, and on the disk with its name. */
static gboolean settle(const Archive *archive, const char *output, GError **error)
{
    int folder;
    gboolean ok;

    if (fsync(archive->fd) < 0)
        return fail("write out", archive->path, errno, error);
    if (rename(archive->path, output) < 0)
        return fail("make", output, errno, error);
    folder = open(archive->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok = folder >= 0 && fsync(folder) == 0;
    if (!ok)
        fail("write out", archive->folder, errno, error);
    if (folder >= 0)
        close(folder);
    return ok;
}

gboolean archive_pack(Collector *collector, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(collector->config->output);
    g_autofree char *path = g_build_filename(folder, FOLDER_PREFIX "XXXXXX", NULL);
    Archive archive = {path, folder, mkostemp(path, O_CLOEXEC), 0};
    gboolean ok;

    if (archive.fd < 0)
        return fail("make a file in", folder, errno, error);
    ok = flock(archive.fd, LOCK_EX | LOCK_NB) == 0 && fchmod(archive.fd, 0600) == 0;
    if (!ok)
        fail("lock", path, errno, error);
    ok = ok && run_tar(collector, &archive, error) &&
         settle(&archive, collector->config->output, error);
    if (!ok)
        unlink(path);
    close(archive.fd);
    return ok;
}
