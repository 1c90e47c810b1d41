/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Internal to db/ and to its tests: the schema's versions.
 *
 * PRAGMA user_version is the version: 0 is an empty file, N has the migrations 1 to N.  The table
 * of migrations is made from db/migrations at build (db/embed-migrations.sh).
 */
#pragma once

#include <glib.h>

#include "db/store.h"

typedef struct {
    const char *name; /* "0001-initial.sql" */
    const char *sql;
} StoreMigration;

extern const StoreMigration store_migrations[];
extern const int store_n_migrations;

/* store_open() with another table of migrations, `version` of them: so that tests have an older and
 * a newer agent. */
Store *store_open_with(const char *path, const StoreMigration *migrations, int version,
                       StoreOrigin *ret_origin, char **ret_detail, GError **error);

/* The version of the open file.  STORE_ERROR_CORRUPT when it is not a store of this agent.  Does
 * not look at the schema: a newer agent's may use what this SQLite does not know. */
gboolean migrate_read_version(Store *store, int *ret_version, GError **error);

/* The name of the copy of version `version`; g_free(). */
char *migrate_copy_name(const Store *store, int version);

/* An fsynced copy of the open store under that name, or no change at all. */
gboolean migrate_keep_copy(Store *store, int version, GError **error);

/* Applies the migrations after `from` up to `to` in one transaction.  Foreign keys must be off, so
 * that a migration can replace a table; they are checked before the commit. */
gboolean migrate_run(Store *store, const StoreMigration *migrations, int from, int to,
                     GError **error);
