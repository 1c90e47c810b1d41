/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loading the settings: the file and its fragments. */
#include "agent/settings.h"

#include <string.h>

#include "agent/settings_file.h"
#include "agent/settings_loader.h"
#include "agent/text.h"

typedef struct {
    SettingsProblem told; /* first: it is what the caller sees */
    guint file, line;     /* for the order */
} Problem;

static void problem_free(gpointer data)
{
    Problem *problem = data;
    g_free(problem->told.where);
    g_free(problem->told.what);
    g_free(problem);
}

static char *format_where(const SettingsLoader *loader, guint file, guint line, const char *group,
                          const char *key)
{
    GString *where = g_string_new(g_ptr_array_index(loader->files, file));
    if (line > 0 && line < SETTINGS_NO_LINE)
        g_string_append_printf(where, ":%u", line);
    if (group) {
        g_autofree char *name = key ? g_strdup_printf("%s.%s", group, key) : g_strdup(group);
        char visible[128];
        text_make_visible(visible, sizeof visible, name, strlen(name));
        g_string_append_printf(where, ": %s", visible);
    }
    return g_string_free(where, FALSE);
}

void settings_tell(SettingsLoader *loader, SettingsSeverity severity, guint file, guint line,
                   const char *group, const char *key, char *what)
{
    if (severity == SETTINGS_FATAL)
        loader->fatal = TRUE;
    if (loader->problems->len >= SETTINGS_MAX_PROBLEMS) {
        loader->n_left_out++;
        g_free(what);
        return;
    }
    Problem *problem = g_new0(Problem, 1);
    problem->told.where = format_where(loader, file, line, group, key);
    problem->told.what = what;
    problem->told.fatal = severity == SETTINGS_FATAL;
    problem->told.unknown = severity == SETTINGS_UNKNOWN;
    problem->file = file;
    problem->line = line;
    g_ptr_array_add(loader->problems, problem);
}

static gint compare_problems(gconstpointer a, gconstpointer b)
{
    const Problem *left = *(Problem *const *)a, *right = *(Problem *const *)b;
    if (left->file != right->file)
        return left->file < right->file ? -1 : 1;
    return left->line < right->line ? -1 : left->line > right->line;
}

static void take_line(SettingsLoader *loader, guint file, const SettingsLine *line)
{
    const SettingRow *row =
        line->group && line->key ? settings_table_find(line->group, line->key) : NULL;
    char *problem = g_strdup(line->problem);

    if (!problem && !line->key) {
        if (!settings_table_has_group(line->group))
            settings_tell(loader, SETTINGS_UNKNOWN, file, line->line, line->group, NULL,
                          g_strdup("is not a known group"));
        return;
    }
    if (!problem && !row) {
        /* An unknown group was told once, at its head. */
        if (settings_table_has_group(line->group))
            settings_tell(loader, SETTINGS_UNKNOWN, file, line->line, line->group, line->key,
                          g_strdup("is not a known key"));
        return;
    }
    if (!problem)
        problem = settings_table_set(row, loader->settings, line->value);
    if (problem)
        settings_tell(loader, SETTINGS_FATAL, file, line->line, line->group, line->key, problem);
    if (row)
        loader->origins[row - settings_table()] =
            (SettingsOrigin){problem ? SETTINGS_KEY_BAD : SETTINGS_KEY_SET, file, line->line};
}

/* FALSE when the file itself cannot be read. */
static gboolean load_file(SettingsLoader *loader, const char *path)
{
    g_autoptr(GError) error = NULL;
    guint file = loader->files->len;
    g_ptr_array_add(loader->files, text_visible(path));

    g_autofree char *text = settings_file_read(path, SETTINGS_MAX_FILE_BYTES, &error);
    if (!text) {
        settings_tell(loader, SETTINGS_FATAL, file, 0, NULL, NULL, g_strdup(error->message));
        return FALSE;
    }
    g_autoptr(GPtrArray) lines = settings_file_parse(text);
    for (guint i = 0; i < lines->len; i++)
        take_line(loader, file, g_ptr_array_index(lines, i));
    return TRUE;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* No such directory means no fragments. */
static void load_fragments(SettingsLoader *loader, const char *main_file)
{
    g_autofree char *path = g_strconcat(main_file, ".d", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &error);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *problem = NULL;

    if (!dir && !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        problem = "cannot be read as a directory of fragments";
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        if (*name != '.' && g_str_has_suffix(name, ".conf"))
            g_ptr_array_add(names, g_strdup(name));
        if (names->len > SETTINGS_MAX_FRAGMENTS) {
            problem = "holds more than " G_STRINGIFY(SETTINGS_MAX_FRAGMENTS) " fragments";
            break;
        }
    }
    if (problem) {
        g_ptr_array_add(loader->files, text_visible(path));
        settings_tell(loader, SETTINGS_FATAL, loader->files->len - 1, 0, NULL, NULL,
                      g_strdup(problem));
        return;
    }
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *fragment = g_build_filename(path, g_ptr_array_index(names, i), NULL);
        load_file(loader, fragment);
    }
}

static Settings *settings_new_default(void)
{
    Settings *settings = g_new0(Settings, 1);
    for (guint i = 0; i < SETTINGS_TABLE_ROWS; i++) {
        const SettingRow *row = &settings_table()[i];
        if (row->fallback) {
            g_autofree char *problem = settings_table_set(row, settings, row->fallback);
            g_assert(!problem);
        }
    }
    return settings;
}

/* After the sort, so that it is the last line. */
static void tell_left_out(SettingsLoader *loader)
{
    if (loader->n_left_out == 0)
        return;
    Problem *problem = g_new0(Problem, 1);
    problem->told.where = g_strdup(g_ptr_array_index(loader->files, 0));
    problem->told.what = g_strdup_printf("and %u more problems", loader->n_left_out);
    problem->told.fatal = loader->fatal;
    g_ptr_array_add(loader->problems, problem);
}

Settings *settings_load(const char *file, GPtrArray **ret_problems)
{
    g_autoptr(Settings) settings = settings_new_default();
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    SettingsLoader loader = {.settings = settings, .files = files};
    loader.problems = g_ptr_array_new_with_free_func(problem_free);

    /* Without the main file there is nothing to say about the rest. */
    if (load_file(&loader, file)) {
        load_fragments(&loader, file);
        settings_check(&loader);
    }
    g_ptr_array_sort(loader.problems, compare_problems);
    tell_left_out(&loader);
    *ret_problems = loader.problems;
    return loader.fatal ? NULL : g_steal_pointer(&settings);
}

char *settings_text(Settings *settings)
{
    GString *text = g_string_new(NULL);
    const char *group = "";

    for (guint i = 0; i < SETTINGS_TABLE_ROWS; i++) {
        const SettingRow *row = &settings_table()[i];
        if (!g_str_equal(row->group, group))
            g_string_append_printf(text, "%s[%s]\n", i > 0 ? "\n" : "", row->group);
        group = row->group;
        g_autoptr(GString) value = g_string_new(NULL);
        row->type->show(row, settings_table_field(row, settings), value);
        g_string_replace(value, "\\", "\\\\", 0);
        g_string_append_printf(text, "%s%s=%s\n", value->len > 0 ? "" : "#", row->key, value->str);
    }
    return g_string_free(text, FALSE);
}

void settings_free(Settings *settings)
{
    if (!settings)
        return;
    for (guint i = 0; i < SETTINGS_TABLE_ROWS; i++) {
        const SettingRow *row = &settings_table()[i];
        if (row->type->free != NULL)
            row->type->free(*(gpointer *)settings_table_field(row, settings));
    }
    g_bytes_unref(settings->authorization_key); /* takes NULL */
    g_free(settings);
}
