/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands that read the settings: run, check-config. */
#include <stdio.h>

#include "agent/agent.h"
#include "agent/commands_parts.h"
#include "agent/layout.h"
#include "agent/settings.h"

static GPtrArray *warnings_of(const Settings *settings)
{
    const char *spool = settings->transport == TRANSPORT_STREAM ? NULL : settings->spool_directory;

    return layout_warnings(settings->store_path, spool, LAYOUT_RAUC_CONFIG, "/");
}

int commands_run(const CommandOptions *options)
{
    g_autoptr(GPtrArray) problems = NULL;
    g_autoptr(Settings) settings = settings_load(options->config, &problems);
    g_autoptr(GPtrArray) warnings = NULL;

    for (guint i = 0; i < problems->len; i++) {
        const SettingsProblem *problem = g_ptr_array_index(problems, i);
        if (problem->fatal)
            g_critical("%s: %s", problem->where, problem->what);
        else
            g_warning("%s: %s", problem->where, problem->what);
    }
    if (!settings)
        return EXIT_USAGE;
    warnings = warnings_of(settings);
    for (guint i = 0; i < warnings->len; i++)
        g_warning("%s", (const char *)g_ptr_array_index(warnings, i));
    return agent_run(settings, options->config);
}

/* Unlike `run` this one refuses unknown keys: who asks for a check wants to hear of the misspelt
 * ones. */
int commands_check_config(const CommandOptions *options)
{
    g_autoptr(GPtrArray) problems = NULL;
    g_autoptr(Settings) settings = settings_load(options->config, &problems);
    g_autoptr(GPtrArray) warnings = NULL;
    gboolean good = settings != NULL;

    for (guint i = 0; i < problems->len; i++) {
        const SettingsProblem *problem = g_ptr_array_index(problems, i);
        gboolean is_error = problem->fatal || problem->unknown;
        fprintf(stderr, "%s%s: %s\n", is_error ? "" : "warning: ", problem->where, problem->what);
        good = good && !is_error;
    }
    if (!good)
        return EXIT_USAGE;
    warnings = warnings_of(settings);
    for (guint i = 0; i < warnings->len; i++)
        fprintf(stderr, "warning: %s\n", (const char *)g_ptr_array_index(warnings, i));
    g_autofree char *line = g_strdup_printf("%s: the settings are good\n", options->config);
    return commands_print(line);
}
