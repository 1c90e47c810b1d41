/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store: one SQLite file (page_size 1024, WAL, synchronous=FULL, foreign keys on), with
 * numbered migrations embedded at build.  Nothing outside db/ holds SQL.  The tables are in
 * db/jobs.h, db/outbox.h, db/values.h.
 *
 * A commit that returned TRUE survives a power cut.  All calls are for one thread.
 */
#pragma once

#include <glib.h>

#define STORE_ERROR (store_error_quark())
GQuark store_error_quark(void);

typedef enum {
    STORE_ERROR_OPEN,     /* another process has the store: a second agent, or a program that keeps
                             SQLite's lock */
    STORE_ERROR_WRITE,    /* SQLite said no: disk full, I/O error, read-only */
    STORE_ERROR_CONFLICT, /* a rule of the schema: second active job and the like */
    STORE_ERROR_CORRUPT /* damage found while running; the next store_open() sets the file aside if
                           it is still there */
} StoreError;

#define STORE_MAX_VALUE 65536

/* What was found at the path; store_open() succeeds in all of these.  Only the newest file set
 * aside of each kind is kept. */
typedef enum {
    STORE_OPENED,        /* this version's store */
    STORE_CREATED,       /* there was none */
    STORE_MIGRATED,      /* an older version's; an fsynced copy is kept as `<path>.v<N>` */
    STORE_OWN_COPY,      /* a newer agent's: set aside as `<path>.newer-v<N>`, this version's copy
                            `<path>.v<own>` was opened */
    STORE_NEWER_ASIDE,   /* a newer agent's: set aside, no copy of ours: fresh */
    STORE_CORRUPT_ASIDE, /* damaged: set aside as `<path>.corrupt`, fresh */
    STORE_VOLATILE /* the path is not usable at all: in memory, lost at exit; `detail` says why */
} StoreOrigin;

typedef struct _Store Store;

/* Opens (creates the folder's last component when missing, mode 0700; the file 0600), checks
 * (integrity_check), migrates. Never fails for the file's sake: see StoreOrigin.  `*ret_detail`
 * (may be NULL) receives a sentence for the log, or NULL; g_free().  What is neither a regular file
 * nor absent (symbolic link, FIFO, device, folder) is an unusable path.
 *
 * NULL with STORE_ERROR_OPEN only when another process uses the store (`<path>.lock` is locked, or
 * SQLite's lock is held while the schema has to be written): two agents must not share one.  The
 * caller ends and is started again.
 *
 * `schema_version`: 0 for this build's newest; tests pass lower ones to make old stores. */
Store *store_open(const char *path, int schema_version, StoreOrigin *ret_origin, char **ret_detail,
                  GError **error);
void store_close(Store *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_close)

/* FALSE for STORE_VOLATILE. */
gboolean store_is_durable(const Store *store);
/* A call has failed with STORE_ERROR_CORRUPT since the store was opened. */
gboolean store_is_damaged(const Store *store);
int store_version(const Store *store);

/* The copies that older versions of the agent would open forget jobs and outbox, and keep the
 * configuration.  For the moment when a job has ended as installed (and at a start without an
 * active job; nothing happens when there is nothing to do): should the loader fall back to an older
 * agent months later, that must not take up the update which brought its successor and report its
 * failure after the CSMS heard Installed. */
gboolean store_settle_copies(Store *store, GError **error);

/* One transaction; they do not nest.  Calls of db/jobs.h and db/outbox.h outside of one are
 * transactions of their own. A call that fails inside of a transaction dooms it: every further call
 * fails, and so does store_commit(). store_commit() that fails has rolled back. store_rollback() is
 * safe at any time. */
gboolean store_begin(Store *store, GError **error);
gboolean store_commit(Store *store, GError **error);
void store_rollback(Store *store);
