/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The types of settings: how a value is read from its text, by the bounds of its row.
 */
#pragma once

#include <glib.h>

typedef struct SettingRow SettingRow;

typedef struct {
    /* Reads `text` into `field`.  NULL when good, else what is wrong and what is allowed
     * (g_free()), `field` untouched. */
    char *(*parse)(const SettingRow *row, const char *text, gpointer field);
    /* Appends the field as text that parse() reads. */
    void (*show)(const SettingRow *row, gconstpointer field, GString *text);
    GDestroyNotify free; /* the field is a pointer that it owns; NULL: a value */
} SettingType;

typedef struct {
    const char *name;
    guint value;
} SettingChoice;

struct SettingRow {
    const char *group, *key;
    const SettingType *type;
    gsize offset;                 /* of the field in Settings */
    gint64 min, max;              /* numbers: bounds; strings: characters at most */
    const char *fallback;         /* the default's text; NULL: none */
    const SettingChoice *choices; /* ends with a NULL name */
    gboolean required;
};

extern const SettingType SETTING_TEXT;    /* char*: no control characters */
extern const SettingType SETTING_URL;     /* char*: ws or wss, no user, query or fragment */
extern const SettingType SETTING_PATH;    /* char*: absolute */
extern const SettingType SETTING_COMMAND; /* char*: a command line by shell rules */
extern const SettingType SETTING_NUMBER;  /* gint64 */
extern const SettingType SETTING_SECONDS; /* gint64 */
extern const SettingType SETTING_SIZE; /* gint64: bytes, written with K, M or G (1024) or without */
extern const SettingType SETTING_BOOLEAN; /* gboolean: true, false */
extern const SettingType SETTING_CHOICE;  /* an enum, one of `choices` */
extern const SettingType SETTING_SOURCES; /* char**: sources of diagnostics, ';' between them */
extern const SettingType
    SETTING_FLAGS; /* an enum of flags, a list of `choices` with ';' between them */
