/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding log files.  Not by glob(3): that keeps all that it finds, and what somebody puts into a
 * folder must not decide how much memory is used.
 */
#include <dirent.h>
#include <fnmatch.h>
#include <string.h>

#include "src/adapter/collector/files.h"

#define MAX_NUMBER_DIGITS 4 /* x.log.1 */
#define MIN_DATE_DIGITS   6 /* x.log-20261122 */

static const char *const packed_endings[N_PACKINGS] = {
    [PACKED_GZIP] = ".gz",
    [PACKED_XZ] = ".xz",
    [PACKED_ZSTD] = ".zst",
    [PACKED_BZIP2] = ".bz2",
};

Packing files_packing(const char *name)
{
    for (Packing packing = PACKED_GZIP; packing < N_PACKINGS; packing++) {
        if (g_str_has_suffix(name, packed_endings[packing]))
            return packing;
    }
    return PACKED_NOT;
}

/* --- Names of rotated files --- */

static gsize unpacked_length(const char *name)
{
    Packing packing = files_packing(name);

    return strlen(name) - (packing == PACKED_NOT ? 0 : strlen(packed_endings[packing]));
}

gboolean files_packed_of(const char *packed, const char *plain)
{
    gsize length = strlen(plain);

    return strlen(packed) > length && unpacked_length(packed) == length &&
           g_str_has_prefix(packed, plain);
}

/* Where the mark of a rotation (".1", "-20261122", "-2026-11-22") begins in the first `length`
 * bytes of the name; `length`: there is none. */
static gsize rotation(const char *name, gsize length)
{
    gsize digits = 0, at = length;

    for (; at > 0 && (g_ascii_isdigit(name[at - 1]) || name[at - 1] == '-'); at--)
        digits += name[at - 1] != '-';
    if (at > 0 && name[at - 1] == '.' &&
        ((digits >= 1 && digits <= MAX_NUMBER_DIGITS && digits == length - at) ||
         digits >= MIN_DATE_DIGITS))
        return at - 1;
    return at > 0 && name[at] == '-' && digits >= MIN_DATE_DIGITS ? at : length;
}

static char *base_of(const char *path)
{
    gsize length = unpacked_length(path);
    gsize base = rotation(path, length);

    /* a name that is all mark has no base */
    if (base == 0 || path[base - 1] == '/')
        base = length;
    return g_strndup(path, base);
}

/* Oldest first: dates, then numbers from the highest, then the log itself. */
static int compare_marks(const char *a, gsize a_length, const char *b, gsize b_length)
{
    gboolean a_number = a_length > 0 && *a == '.' && a_length <= MAX_NUMBER_DIGITS + 1;
    gboolean b_number = b_length > 0 && *b == '.' && b_length <= MAX_NUMBER_DIGITS + 1;
    int a_rank = a_length == 0 ? 2 : a_number, b_rank = b_length == 0 ? 2 : b_number;
    int order;

    if (a_rank != b_rank)
        return a_rank - b_rank;
    if (a_number)
        return (int)(g_ascii_strtoll(b + 1, NULL, 10) - g_ascii_strtoll(a + 1, NULL, 10));
    order = strncmp(a, b, MIN(a_length, b_length));
    return order != 0 ? order : (int)a_length - (int)b_length;
}

static int compare_ancestors(gconstpointer a, gconstpointer b, gpointer base_length)
{
    const char *a_name = *(char *const *)a, *b_name = *(char *const *)b;
    gsize base = GPOINTER_TO_SIZE(base_length);
    int order = compare_marks(a_name + base, unpacked_length(a_name) - base, b_name + base,
                              unpacked_length(b_name) - base);

    /* the packed one, which may not be whole yet, before the one that it is made from */
    return order != 0 ? order : (int)files_packing(b_name) - (int)files_packing(a_name);
}

static gboolean is_ancestor(const char *name, const char *base)
{
    gsize length, base_length = strlen(base);

    if (!g_str_has_prefix(name, base))
        return FALSE;
    length = unpacked_length(name);
    return length == base_length || (length > base_length && rotation(name, length) == base_length);
}

static void keep_newest(GPtrArray *names, gsize base_length, guint max)
{
    g_ptr_array_sort_with_data(names, compare_ancestors, GSIZE_TO_POINTER(base_length));
    if (names->len > max)
        g_ptr_array_remove_range(names, 0, names->len - max);
}

GPtrArray *files_ancestors(const char *base, guint max)
{
    g_autofree char *folder = g_path_get_dirname(base);
    g_autofree char *name = g_path_get_basename(base);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    DIR *dir = opendir(folder);

    if (!dir)
        return names;
    for (struct dirent *child = readdir(dir); child; child = readdir(dir)) {
        if (!is_ancestor(child->d_name, name))
            continue;
        g_ptr_array_add(names, g_strdup(child->d_name));
        if (names->len >= 2 * max + 1)
            keep_newest(names, strlen(name), max);
    }
    closedir(dir);
    keep_newest(names, strlen(name), max);
    return names;
}

/* --- The glob --- */

typedef struct {
    const Collector *collector;
    GPtrArray *found;
    guint max, looked_at;
    const char *flaw;
} Search;

static gboolean go_on(Search *search)
{
    if (!search->flaw && ++search->looked_at > FILES_MAX_ENTRIES)
        search->flaw = "too many names to look at";
    if (!search->flaw)
        search->flaw = collector_over(search->collector);
    return !search->flaw;
}

static void add_found(Search *search, const char *path)
{
    g_autofree char *base = base_of(path);

    if (g_ptr_array_find_with_equal_func(search->found, base, g_str_equal, NULL))
        return;
    if (search->found->len < search->max)
        g_ptr_array_add(search->found, g_steal_pointer(&base));
    else
        search->flaw = "more logs match it than are taken";
}

static void walk(Search *search, const char *folder, char *const *names);

static void step(Search *search, const char *folder, const char *name, char *const *rest)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    if (*rest)
        walk(search, path, rest);
    else
        add_found(search, path);
}

/* As deep as the glob has slashes: a loop of folders ends with these. */
static void walk(Search *search, const char *folder, char *const *names)
{
    DIR *dir;

    if (!go_on(search))
        return;
    if (!strpbrk(*names, "*?[\\")) {
        step(search, folder, *names, names + 1);
        return;
    }
    dir = opendir(folder);
    if (!dir)
        return;
    for (struct dirent *child = readdir(dir); child && go_on(search); child = readdir(dir)) {
        if (fnmatch(*names, child->d_name, FNM_PERIOD) == 0)
            step(search, folder, child->d_name, names + 1);
    }
    closedir(dir);
}

static int compare_paths(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *files_find(const Collector *collector, const char *glob, guint max,
                      const char **ret_flaw)
{
    g_autofree char *plain = g_canonicalize_filename(glob, "/");
    g_auto(GStrv) names = g_strsplit(plain + 1, "/", -1);
    Search search = {.collector = collector, .max = max};

    search.found = g_ptr_array_new_with_free_func(g_free);
    walk(&search, "/", names);
    g_ptr_array_sort(search.found, compare_paths);
    *ret_flaw = search.flaw;
    return search.found;
}
