/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One file of the archive, while it is written: bounded in its length, by what is left of all, and
 * by the disk. */
#include "src/adapter/collector/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CHECK_ROOM (1 << 18) /* bytes after which the disk is looked at again */

/* Nothing but names, so that it stays in the archive's folder. */
static gboolean path_is_safe(const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);

    for (char **name = names; *name; name++) {
        if (!**name || g_str_equal(*name, ".") || g_str_equal(*name, ".."))
            return FALSE;
    }
    return names[0] != NULL && !g_str_equal(path, "MANIFEST");
}

gboolean entry_begin(Entry *entry, Collector *collector, const char *path, gint64 limit)
{
    g_autofree char *full = g_build_filename(collector->root, path, NULL);
    g_autofree char *folder = g_path_get_dirname(full);

    *entry = (Entry){.collector = collector, .path = path, .fd = -1, .limit = limit};
    entry->flaw = "not a name for the archive";
    if (!path_is_safe(path))
        return FALSE;
    entry->flaw = collector_over(collector);
    if (entry->flaw)
        return FALSE;
    if (g_mkdir_with_parents(folder, 0700) == 0)
        entry->fd =
            open(full, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
    if (entry->fd < 0)
        entry->flaw = g_strerror(errno);
    return entry->fd >= 0;
}

static gboolean has_room(Entry *entry)
{
    if (entry->written < entry->checked)
        return TRUE;
    entry->checked = entry->written + CHECK_ROOM;
    return folder_room(entry->fd) > CHECK_ROOM;
}

gboolean entry_take(gpointer to, const char *data, gsize length)
{
    Entry *entry = to;
    gint64 room = entry->limit - entry->written;
    gsize taken = (gint64)length > room ? (gsize)MAX(room, 0) : length;

    if (!has_room(entry)) {
        entry->flaw = "cut: the disk is full";
        return FALSE;
    }
    while (taken > 0) {
        gssize done = write(entry->fd, data, taken);

        if (done < 0) {
            entry->flaw = errno == ENOSPC ? "cut: the disk is full" : g_strerror(errno);
            return FALSE;
        }
        entry->written += done;
        data += done;
        taken -= (gsize)done;
        length -= (gsize)done;
    }
    if (length > 0)
        entry->flaw = "cut: its first bytes";
    return length == 0;
}

void entry_drop(Entry *entry)
{
    g_autofree char *full = g_build_filename(entry->collector->root, entry->path, NULL);

    if (entry->fd < 0)
        return;
    close(entry->fd);
    entry->fd = -1;
    unlink(full);
}

void entry_end(Entry *entry, const char *from, const char *remark, const char *empty)
{
    Collector *collector = entry->collector;
    g_autofree char *why = NULL;

    if (remark && entry->flaw)
        why = g_strdup_printf("%s; %s", entry->flaw, remark);
    else
        why = g_strdup(entry->flaw ? entry->flaw : remark);
    if (entry->fd < 0 || (entry->written == 0 && empty)) {
        entry_drop(entry);
        manifest_missing(collector, from, why ? why : empty);
        return;
    }
    close(entry->fd);
    entry->fd = -1;
    collector->left = MAX(collector->left - entry->written, 0);
    manifest_entry(collector, entry->path, entry->written, from, why);
}

void entry_text(Collector *collector, const char *path, const char *text, const char *from,
                gint64 limit)
{
    Entry entry;

    if (entry_begin(&entry, collector, path, limit)) {
        redactor_begin(collector->redactor, (Sink){entry_take, &entry});
        redactor_take(collector->redactor, text, strlen(text));
        redactor_end(collector->redactor, TRUE);
    }
    entry_end(&entry, from, NULL, NULL);
}
