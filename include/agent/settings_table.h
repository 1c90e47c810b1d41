/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one table of settings: group, key, type, bounds, default and place of each.
 */
#pragma once

#include <glib.h>

#include "agent/settings.h"
#include "agent/settings_types.h"

#define SETTINGS_TABLE_ROWS  56
#define SETTINGS_MAX_VERSION 50 /* characters of firmwareVersion (C 6.3) */

/* SETTINGS_TABLE_ROWS rows, group by group. */
const SettingRow *settings_table(void);
/* NULL when there is none. */
const SettingRow *settings_table_find(const char *group, const char *key);
gboolean settings_table_has_group(const char *group);

/* The field of `row` in `settings`. */
gpointer settings_table_field(const SettingRow *row, Settings *settings);
/* Reads `text` into the field; as SettingType.parse(). */
char *settings_table_set(const SettingRow *row, Settings *settings, const char *text);
