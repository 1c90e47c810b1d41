/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One run of the collector, and what its parts are to each other. */
#pragma once

#include "adapter/collector.h"
#include "src/adapter/collector/child.h"
#include "src/adapter/collector/redact.h"

#define FOLDER_PREFIX "collect-" /* and six letters or digits: all that is ours in a folder */
#define ROOM_KEPT     (G_GINT64_CONSTANT(8) << 20)   /* bytes that stay free on the disk */
#define ROOM_NEEDED   (G_GINT64_CONSTANT(256) << 10) /* and that must be there to begin */
#define COMMAND_MAX   (G_GINT64_CONSTANT(1) << 20)   /* bytes of one command */
#define SYSTEM_MAX    (G_GINT64_CONSTANT(256) << 10) /* bytes of one entry of the fixed list */
#define MANIFEST_MIN  (G_GINT64_CONSTANT(8) << 10)   /* also when the limit is less */
#define MANIFEST_MAX  (G_GINT64_CONSTANT(64) << 10)
#define COMMANDS_S    150 /* all commands together */
#define SCAN_LOGS_S   220 /* finding what of the logs is in the window */
#define COPY_LOGS_S   220 /* copying that, and the journal */
#define PACK_S        290
#define SECOND_US     G_GINT64_CONSTANT(1000000)

typedef struct {
    const CollectorConfig *config;
    Stops stops;
    char *folder;       /* work_directory/collect-XXXXXX */
    int folder_fd;      /* locked: it is in use */
    char *root;         /* the folder of the archive, in it */
    Redactor *redactor; /* of one stream at a time */
    GString *manifest;
    gint64 manifest_left; /* bytes */
    gint64 left;          /* bytes of all entries */
    gint64 deadline_us;   /* of what is done now */
} Collector;

/* Why nothing more is to be read now; NULL: go on. */
const char *collector_over(const Collector *collector);
/* What is done from now on may take so long. */
void collector_allow(Collector *collector, int seconds);

/* --- folder.c: where the entries are until they are packed --- */

gboolean folder_make(Collector *collector, GError **error);
void folder_remove(Collector *collector);
/* Bytes that may still be written to the disk of this file or folder. */
gint64 folder_room(int fd);

/* --- entry.c: one file of the archive --- */

typedef struct {
    Collector *collector;
    const char *path; /* in the archive's folder */
    int fd;
    gint64 limit, written, checked;
    const char *flaw; /* why it is not, or not whole; NULL: it is */
} Entry;

/* Begins one of at most `limit` bytes and of what is left of all; without one: has the flaw. */
gboolean entry_begin(Entry *entry, Collector *collector, const char *path, gint64 limit);
/* A SinkTake: the first bytes up to the limit. */
gboolean entry_take(gpointer entry, const char *data, gsize length);
/* Closes it and notes it in the MANIFEST, with the remark and the flaw; without any byte it is
 * removed and `empty` is said. */
void entry_end(Entry *entry, const char *from, const char *remark, const char *empty);
/* Closes and removes it. */
void entry_drop(Entry *entry);
/* A text as an entry. */
void entry_text(Collector *collector, const char *path, const char *text, const char *from,
                gint64 limit);

/* --- manifest.c --- */

/* A name from outside for the MANIFEST or the archive: without secrets and control characters, and
 * not long; g_free(). */
char *manifest_clean(Collector *collector, const char *text);
void manifest_begin(Collector *collector);
void manifest_entry(Collector *collector, const char *path, gint64 bytes, const char *from,
                    const char *remark);
void manifest_missing(Collector *collector, const char *what, const char *why);
gboolean manifest_write(Collector *collector, GError **error);

/* --- what is collected --- */

/* When a command that is started now has to be over. */
gint64 command_deadline(const Collector *collector);
/* A command's output, or in the MANIFEST why there is none. */
void command_entry(Collector *collector, const char *path, const char *const *argv, gint64 limit);
/* A command of the settings, the `number`th one. */
void command_source(Collector *collector, const char *line, guint number);
void system_collect(Collector *collector);
/* The kernel's ring into a file of this path, as it is.  What is wrong with it, or NULL;
 * g_free(). */
char *system_dmesg(Collector *collector, const char *path);
/* Into the entry journal.log; at most `limit` bytes, the newest. */
void journal_collect(Collector *collector, gint64 limit);
/* The log files of the settings, dmesg, and the journal. */
void logs_collect(Collector *collector);

/* --- pack.c --- */

gboolean archive_pack(Collector *collector, GError **error);
