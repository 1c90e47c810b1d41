/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening and reading log files.  What is there may be anything: it is looked at before it is
 * opened (opening a watchdog starts it, a FIFO waits for its other end), and what is read is
 * bounded by what the file was when it was opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "src/adapter/collector/files.h"

#define UNPACK_MEMORY (16 << 20) /* of a program that unpacks */

static const char *const unpackers[N_PACKINGS] = {
    [PACKED_XZ] = "xz",
    [PACKED_ZSTD] = "zstd",
    [PACKED_BZIP2] = "bzip2",
};

/* --- Opening --- */

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    case S_IFLNK:
        return "a symbolic link";
    default:
        return "a device";
    }
}

/* Files that the kernel makes up may wait, have no end, or do something when they are read. */
static gboolean is_made_up(int fd)
{
    static const guint32 kernels[] = {
        PROC_SUPER_MAGIC, SYSFS_MAGIC,        DEBUGFS_MAGIC,       TRACEFS_MAGIC,
        BPF_FS_MAGIC,     CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, SECURITYFS_MAGIC,
    };
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(kernels); i++) {
        if ((guint32)fs.f_type == kernels[i])
            return TRUE;
    }
    return FALSE;
}

static gint64 in_ms(const struct statx_timestamp *time)
{
    return time->tv_sec * 1000 + time->tv_nsec / 1000000;
}

static char *look_at(LogFile *file, int fd)
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
        return g_strdup(g_strerror(errno));
    if (!S_ISREG(st.stx_mode))
        return g_strdup_printf("not a file but %s", kind_of(st.stx_mode));
    if (is_made_up(fd))
        return g_strdup("not on a disk: the kernel makes it up");
    file->device = makedev(st.stx_dev_major, st.stx_dev_minor);
    file->inode = st.stx_ino;
    file->size = (gint64)st.stx_size;
    file->written_ms = in_ms(&st.stx_mtime);
    file->born_ms = st.stx_mask & STATX_BTIME ? in_ms(&st.stx_btime) : file->written_ms;
    file->born_ms = MIN(file->born_ms, file->written_ms);
    return NULL;
}

LogFile *log_file_open(const char *path, char **ret_flaw)
{
    g_autofree char *name = NULL;
    LogFile *file = g_new0(LogFile, 1);
    int place = open(path, O_PATH | O_CLOEXEC);
    char *flaw = place < 0 ? g_strdup(g_strerror(errno)) : look_at(file, place);

    file->path = g_strdup(path);
    file->packing = files_packing(path);
    file->fd = -1;
    if (!flaw) {
        /* exactly what was looked at, whatever has its name now */
        name = g_strdup_printf("/proc/self/fd/%d", place);
        file->fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (file->fd < 0)
            flaw = g_strdup(g_strerror(errno));
    }
    if (place >= 0)
        close(place);
    if (!flaw)
        return file;
    log_file_free(file);
    *ret_flaw = flaw;
    return NULL;
}

void log_file_free(LogFile *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    g_free(file->path);
    g_free(file);
}

/* --- Reading --- */

/* Some bytes from `offset`, at most `size`; 0 with the reason: no more are to be had. */
static gsize read_at(const LogFile *file, const Collector *collector, char *chunk, gsize size,
                     gint64 offset, char **ret_flaw)
{
    const char *over = collector_over(collector);
    gssize length;

    if (over) {
        *ret_flaw = g_strdup(over);
        return 0;
    }
    length = pread(file->fd, chunk, size, offset);
    if (length < 0)
        *ret_flaw = g_strdup(g_strerror(errno));
    else if (length == 0)
        *ret_flaw = g_strdup("it shrank while it was read");
    return (gsize)MAX(length, 0);
}

static char *read_plain(const LogFile *file, const Collector *collector, Sink sink)
{
    g_autofree char *chunk = g_malloc(SINK_CHUNK);
    char *flaw = NULL;

    for (gint64 offset = 0; offset < file->size;) {
        gsize size = (gsize)MIN(file->size - offset, SINK_CHUNK);
        gsize length = read_at(file, collector, chunk, size, offset, &flaw);

        if (length == 0 || !sink_take(&sink, chunk, length))
            return flaw;
        offset += (gint64)length;
    }
    return NULL;
}

typedef struct {
    GConverter *converter;
    char *packed, *plain;
    gsize length; /* of `packed`, not used up */
    gint64 offset;
    gint64 deadline_us;
    gboolean whole; /* nothing was read since the end of what gzip packed */
} Gunzip;

/* One step; FALSE: over, with the reason when it is not the end of the file. */
static gboolean gunzip_step(Gunzip *gunzip, const LogFile *file, const Collector *collector,
                            Sink sink, char **ret_flaw)
{
    g_autoptr(GError) error = NULL;
    gsize used = 0, made = 0, more = 0;
    GConverterResult result;

    if (gunzip->length == 0) {
        if (gunzip->offset >= file->size) {
            if (!gunzip->whole)
                *ret_flaw = g_strdup("cannot be unpacked: its end is missing");
            return FALSE;
        }
        more = read_at(file, collector, gunzip->packed, SINK_CHUNK, gunzip->offset, ret_flaw);
        if (more == 0)
            return FALSE;
        gunzip->offset += (gint64)more;
        gunzip->length = more;
    }
    result = g_converter_convert(gunzip->converter, gunzip->packed, gunzip->length, gunzip->plain,
                                 SINK_CHUNK, G_CONVERTER_NO_FLAGS, &used, &made, &error);
    if (result == G_CONVERTER_ERROR) {
        if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT)) {
            gunzip->length = 0;
            return TRUE;
        }
        *ret_flaw = g_strdup_printf("cannot be unpacked: %s", error->message);
        return FALSE;
    }
    /* more of the same in one file is how gzip appends */
    gunzip->whole = result == G_CONVERTER_FINISHED;
    if (gunzip->whole)
        g_converter_reset(gunzip->converter);
    gunzip->length -= used;
    memmove(gunzip->packed, gunzip->packed + used, gunzip->length);
    return made == 0 || sink_take(&sink, gunzip->plain, made);
}

static char *read_gzip(const LogFile *file, const Collector *collector, Sink sink)
{
    g_autoptr(GConverter) converter =
        G_CONVERTER(g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP));
    g_autofree char *packed = g_malloc(SINK_CHUNK), *plain = g_malloc(SINK_CHUNK);
    Gunzip gunzip = {converter, packed, plain, 0, 0, command_deadline(collector), FALSE};
    char *flaw = NULL;

    while (gunzip_step(&gunzip, file, collector, sink, &flaw)) {
        if (g_get_monotonic_time() > gunzip.deadline_us || collector_over(collector))
            return g_strdup("cut: unpacking it took too long");
    }
    return flaw;
}

static char *read_by_program(const LogFile *file, const Collector *collector, Sink sink)
{
    const char *argv[] = {unpackers[file->packing], "-dc", NULL};
    Child child = {.argv = argv, .input = file->fd, .memory = UNPACK_MEMORY};
    char *words = NULL;
    ChildEnd end;

    child.deadline_us = command_deadline(collector);
    lseek(file->fd, 0, SEEK_SET);
    end = child_run(&child, &collector->stops, sink, &words);
    if (end != CHILD_OK && end != CHILD_FULL)
        return words;
    g_free(words);
    return NULL;
}

char *log_file_read(const LogFile *file, const Collector *collector, Sink sink)
{
    if (file->packing == PACKED_NOT)
        return read_plain(file, collector, sink);
    if (file->packing == PACKED_GZIP)
        return read_gzip(file, collector, sink);
    return read_by_program(file, collector, sink);
}
