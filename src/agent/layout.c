/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file on the same file system as "/" is in the slot that is booted, and gone with the next
 * update.
 */
#include "agent/layout.h"

#include <glib/gstdio.h>
#include <string.h>

/* Of the file, or of the nearest folder above it that is there. */
static gboolean device_of(const char *path, dev_t *ret_device)
{
    g_autofree char *name = g_strdup(path);
    GStatBuf info;

    while (g_stat(name, &info) != 0) {
        char *parent = g_path_get_dirname(name);
        gboolean top = strcmp(parent, name) == 0;

        g_free(name);
        name = parent;
        if (top)
            return FALSE;
    }
    *ret_device = info.st_dev;
    return TRUE;
}

static gboolean same_file_system(const char *path, const char *root)
{
    dev_t a, b;

    return device_of(path, &a) && device_of(root, &b) && a == b;
}

static void check_rauc(GPtrArray *warnings, const char *rauc_config, const char *root)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *status_file = NULL;

    if (!g_key_file_load_from_file(file, rauc_config, G_KEY_FILE_NONE, NULL))
        return;
    status_file = g_key_file_get_string(file, "system", "statusfile", NULL);
    if (!status_file)
        status_file = g_key_file_get_string(file, "system", "data-directory", NULL);
    if (!status_file || strcmp(status_file, "per-slot") == 0)
        g_ptr_array_add(
            warnings, g_strdup_printf(
                          "%s: system.statusfile: RAUC keeps its status in the slots, which forget "
                          "it at an update; use a file that both slots share",
                          rauc_config));
    else if (same_file_system(status_file, root))
        g_ptr_array_add(
            warnings, g_strdup_printf(
                          "%s: %s is on the file system of the booted slot; it must be on one that "
                          "both slots share",
                          rauc_config, status_file));
}

static void check_path(GPtrArray *warnings, const char *key, const char *path, const char *root)
{
    if (same_file_system(path, root))
        g_ptr_array_add(warnings,
                        g_strdup_printf("%s: %s is on the file system of the booted slot; it must "
                                        "be on one that both slots share",
                                        key, path));
}

GPtrArray *layout_warnings(const char *store_path, const char *spool, const char *rauc_config,
                           const char *root)
{
    GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);

    check_path(warnings, "store.path", store_path, root);
    if (spool)
        check_path(warnings, "update.spool-directory", spool, root);
    check_rauc(warnings, rauc_config, root);
    return warnings;
}
