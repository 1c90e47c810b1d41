/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the system says of itself: the same list everywhere, each from a file or a command. */
#include "src/adapter/collector/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MAX_ARGUMENTS 4
#define DMESG_MAX     (G_GINT64_CONSTANT(32) << 20) /* the largest ring that a kernel is built with */

/* Of a file, or of a command and, when there is none such, of a file. */
typedef struct {
    const char *path;
    const char *argv[MAX_ARGUMENTS];
    const char *file;
} SystemItem;

static const SystemItem items[] = {
    {"system/rauc-status.txt", {"rauc", "status", "--detailed", NULL}, NULL},
    {"system/uname.txt", {"uname", "-a", NULL}, "/proc/version"},
    {"system/os-release.txt", {NULL}, "/etc/os-release"},
    {"system/uptime.txt", {"uptime", NULL}, "/proc/uptime"},
    {"system/cmdline.txt", {NULL}, "/proc/cmdline"},
    {"system/meminfo.txt", {NULL}, "/proc/meminfo"},
    {"system/df.txt", {"df", "-k", NULL}, NULL},
    {"system/mounts.txt", {NULL}, "/proc/mounts"},
    {"system/ip-address.txt", {"ip", "address", NULL}, "/proc/net/fib_trie"},
    {"system/ip-route.txt", {"ip", "route", NULL}, "/proc/net/route"},
};

/* Of /proc, where a file has no size. */
static void read_file(Collector *collector, const char *file)
{
    char chunk[4096];
    gssize length;
    int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return;
    do {
        length = read(fd, chunk, sizeof(chunk));
    } while (length > 0 && redactor_take(collector->redactor, chunk, (gsize)length));
    close(fd);
}

static void file_entry(Collector *collector, const SystemItem *item)
{
    Entry entry;

    if (entry_begin(&entry, collector, item->path, MIN(SYSTEM_MAX, collector->left / 4))) {
        redactor_begin(collector->redactor, (Sink){entry_take, &entry});
        read_file(collector, item->file);
        redactor_end(collector->redactor, TRUE);
    }
    entry_end(&entry, item->file, NULL, "not there, or empty");
}

void system_collect(Collector *collector)
{
    for (gsize i = 0; i < G_N_ELEMENTS(items); i++) {
        const SystemItem *item = &items[i];
        g_autofree char *program = item->argv[0] ? child_find(item->argv[0]) : NULL;

        if (item->file && !program)
            file_entry(collector, item);
        else
            command_entry(collector, item->path, item->argv, SYSTEM_MAX);
    }
}

typedef struct {
    int fd;
    gint64 written;
} DmesgFile;

static gboolean take_dmesg(gpointer to, const char *data, gsize length)
{
    DmesgFile *file = to;

    file->written += (gint64)length;
    return file->written <= DMESG_MAX && folder_room(file->fd) > (gint64)length &&
           write(file->fd, data, length) == (gssize)length;
}

char *system_dmesg(Collector *collector, const char *path)
{
    static const char *const argv[] = {"dmesg", NULL};
    Child child = {.argv = argv, .input = -1};
    DmesgFile file = {open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), 0};
    char *words = NULL;
    ChildEnd end;

    if (file.fd < 0)
        return g_strdup(g_strerror(errno));
    child.deadline_us = command_deadline(collector);
    end = child_run(&child, &collector->stops, (Sink){take_dmesg, &file}, &words);
    close(file.fd);
    if (end == CHILD_FULL) {
        g_free(words);
        return g_strdup("cut: its first bytes");
    }
    return words;
}
