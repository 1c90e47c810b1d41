/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that the settings name or consist of, read with a bound, and a key file taken apart into
 * lines with their numbers (GKeyFile itself knows no line numbers and gives up at the first error).
 */
#pragma once

#include <glib.h>

#define SETTINGS_FILE_ERROR (settings_file_error_quark())
GQuark settings_file_error_quark(void);

typedef enum {
    SETTINGS_FILE_ERROR_OPEN,    /* not there, not readable, not a regular file */
    SETTINGS_FILE_ERROR_CONTENT, /* too large, or a NUL byte in it */
} SettingsFileError;

/* Opens a regular file for reading; a FIFO, device or directory is refused and nothing waits.  -1
 * with `error`, whose words fit behind a file's name: "cannot be read: No such file or directory".
 */
int settings_file_open(const char *path, GError **error);

/* The content of a regular file of at most `max` bytes, NUL-terminated; g_free(). */
char *settings_file_read(const char *path, gsize max, GError **error);

/* One `key=value` line, `[group]` line or wrong line.  Comments and blank lines make none. */
typedef struct {
    guint line; /* from 1 */
    char *
        group; /* NULL before the first group and for wrong lines that hold neither group nor key */
    char *key; /* NULL: a group's line, or a wrong one */
    char *value; /* decoded, without white space around it; NULL: a group's line, or a wrong one */
    char *problem; /* NULL, or what is wrong with the line */
} SettingsLine;

/* The lines of a key file in their order: SettingsLine*; g_ptr_array_unref().  A key that was
 * already set in this file is a wrong line. */
GPtrArray *settings_file_parse(const char *text);
