/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Collects what an engineer wants to see of this charger into one `.tar.gz`: sources (journal, log
 * files, commands), what the system says of itself, and what the caller adds.  Blocking, and made
 * for a process of its own (the sub-command `diagnostics`, which the agent starts as a child): it
 * shares no memory, no loop and no fate with the agent.
 *
 * Everything is bounded: each entry, all of them together (`size_limit`, the newest is kept), each
 * command in time (COLLECTOR_COMMAND_S) and output, memory at all times (16 MB).  What was cut,
 * failed, hung or is not there is a line of the archive's MANIFEST; only an archive that cannot be
 * written is an error.
 *
 * The window: of a log file and its rotated ancestors (x.log, x.log.1, x.log.2.gz, oldest first,
 * read as one) the lines from the first that is stamped inside the window to the last one.  Lines
 * between those two belong to it whatever they are stamped with (a clock that jumped); a line
 * without a stamp belongs to the one before it; files of a log without any stamp at all are each
 * taken whole when they were written within the window, as far as the times of the file tell.  Both
 * edges are in the window.  A stamp is at the line's beginning; one without a zone is local time.
 *
 * Secrets, what stands before the `@` of a URL, and values of Authorization headers are hidden in
 * everything, the MANIFEST and the names of files too.  SIGTERM, SIGINT and SIGHUP are held back
 * until the folder is removed.
 */
#pragma once

#include <glib.h>

#define COLLECTOR_ERROR (collector_error_quark())
GQuark collector_error_quark(void);

typedef enum {
    COLLECTOR_ERROR_LOCAL, /* no room, no folder, no tar: the message says which */
} CollectorError;

#define COLLECTOR_COMMAND_S 20
#define COLLECTOR_TOTAL_S                                                                          \
    900 /* longer than a run takes, whatever is collected (a hanging disk excepted) */
#define COLLECTOR_MAX_SOURCES 64
#define COLLECTOR_MAX_FILES   256 /* of all globs together */

/* What a source is, from its text in the settings: `journal`, an absolute path (a glob of log
 * files), `command:LINE` (split by the rules of a shell, run without one). */
typedef enum { COLLECTOR_JOURNAL, COLLECTOR_FILES, COLLECTOR_COMMAND } CollectorKind;
/* FALSE: not one of these.  `*ret_rest` points into `text`: the glob or the line; NULL for the
 * journal. */
gboolean collector_source_parse(const char *text, CollectorKind *ret_kind, const char **ret_rest);

/* Something the caller has already: `name` is a path in the archive, e.g. "agent/history.json". */
typedef struct {
    const char *name;
    const char *text;
    const char *missing; /* instead of `text`: why it is not there, for the MANIFEST */
} CollectorText;

typedef struct {
    const char *output; /* the archive; written beside itself and renamed, mode 0600 */
    const char
        *work_directory; /* where a folder `collect-XXXXXX` is made, filled and removed again */
    const char *name;    /* the only folder in the archive, e.g. "CP001_20261122T102030Z" */
    const char *const *sources; /* NULL-terminated */
    gint64 from_ms, to_ms;      /* of the system clock; G_MININT64 and G_MAXINT64: open */
    gint64 size_limit;          /* bytes, of all entries before compression */
    const CollectorText *texts; /* in front of all else, and not cut */
    guint n_texts;
    const char *const *
        secrets; /* NULL-terminated; wherever these words occur in what is collected they are replaced by "***" */
} CollectorConfig;

gboolean collector_run(const CollectorConfig *config, GError **error);
/* Removes what runs that were killed have left in `work_directory`, and nothing of runs that live.
 * An output that was begun has such a name in its own folder: to be called for that one too. */
void collector_clean(const char *work_directory);
