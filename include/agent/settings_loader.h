/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of settings_load() share while it runs; of no use to anybody else.
 */
#pragma once

#include <glib.h>

#include "agent/settings.h"
#include "agent/settings_table.h"

#define SETTINGS_NO_LINE G_MAXUINT /* sorts behind the last line */

typedef enum { SETTINGS_FATAL, SETTINGS_WARNING, SETTINGS_UNKNOWN } SettingsSeverity;
typedef enum { SETTINGS_KEY_UNSET, SETTINGS_KEY_BAD, SETTINGS_KEY_SET } SettingsKeyState;

/* Where a key got its value last, and whether that was good: what follows from a bad value is not
 * told. */
typedef struct {
    SettingsKeyState state;
    guint file, line;
} SettingsOrigin;

typedef struct {
    Settings *settings;
    GPtrArray *files;    /* their names made visible; [0] is the main one */
    GPtrArray *problems; /* starts with a SettingsProblem */
    guint n_left_out;    /* problems above SETTINGS_MAX_PROBLEMS */
    gboolean fatal;      /* one of them was */
    SettingsOrigin origins[SETTINGS_TABLE_ROWS];
} SettingsLoader;

/* Adds a problem.  `file` is an index of `files`; `line` 0: the file as a whole; `group` and `key`
 * may be NULL; takes `what`. */
void settings_tell(SettingsLoader *loader, SettingsSeverity severity, guint file, guint line,
                   const char *group, const char *key, char *what);

/* Checks what must hold between the keys, and reads the key file and the version file
 * (settings_check.c). */
void settings_check(SettingsLoader *loader);
