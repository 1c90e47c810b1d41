/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The health checks of a boot.  Commands run one after the other, in the order of their names; a
 * round ends at the first that fails, and the next round begins HEALTH_INTERVAL_MS later.
 */
#include "behaviour/health.h"

#include <string.h>

#include "adapter/command.h"

struct _HealthChecks {
    HealthConfig config;
    char *directory;
    Clock *clock;
    void (*passed)(gpointer);
    gpointer user_data;

    gboolean running;
    gint64 begun_ms;
    gboolean csms, stack, commands; /* passed */
    char *failed;                   /* how the last round of commands ended; NULL: not yet */

    GPtrArray *paths; /* of this round */
    guint next;
    Command *command;
    guint timer;
};

HealthChecks *health_checks_new(const HealthConfig *config, Clock *clock, void (*passed)(gpointer),
                                gpointer user_data)
{
    HealthChecks *health = g_new0(HealthChecks, 1);

    health->config = *config;
    health->directory = g_strdup(config->directory);
    health->clock = clock;
    health->passed = passed;
    health->user_data = user_data;
    return health;
}

static void stop_round(HealthChecks *health)
{
    clock_timer_clear(health->clock, &health->timer);
    if (health->command)
        command_cancel(g_steal_pointer(&health->command));
    g_clear_pointer(&health->paths, g_ptr_array_unref);
}

void health_checks_free(HealthChecks *health)
{
    if (!health)
        return;
    stop_round(health);
    g_free(health->directory);
    g_free(health->failed);
    g_free(health);
}

static void check_all(HealthChecks *health)
{
    if (!health->running || (health->config.csms && !health->csms) ||
        (health->config.stack && !health->stack) || (health->config.command && !health->commands))
        return;
    health->running = FALSE;
    stop_round(health);
    g_message("health checks passed");
    health->passed(health->user_data);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *list_commands(const char *directory, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, error);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    if (!dir)
        return NULL;
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        if (name[0] != '.' && g_file_test(path, G_FILE_TEST_IS_REGULAR) &&
            g_file_test(path, G_FILE_TEST_IS_EXECUTABLE))
            g_ptr_array_add(paths, g_steal_pointer(&path));
        if (paths->len > HEALTH_MAX_COMMANDS)
            break;
    }
    if (paths->len > HEALTH_MAX_COMMANDS) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s holds more than %d commands",
                    directory, HEALTH_MAX_COMMANDS);
        return NULL;
    }
    g_ptr_array_sort(paths, by_name);
    return g_steal_pointer(&paths);
}

static void begin_round(gpointer user_data);

static void round_failed(HealthChecks *health, char *words)
{
    gboolean quick = clock_boottime_ms(health->clock) - health->begun_ms < health->config.quick_ms;

    g_info("health check failed: %s", words);
    g_free(health->failed);
    health->failed = words;
    clock_timer_set(health->clock, &health->timer,
                    quick ? HEALTH_INTERVAL_MS : HEALTH_SLOW_INTERVAL_MS, begin_round, health);
}

static void run_next(HealthChecks *health);

static void command_done(gboolean ok, const char *words, gpointer user_data)
{
    HealthChecks *health = user_data;

    health->command = NULL;
    if (ok) {
        health->next++;
        run_next(health);
    } else {
        round_failed(
            health,
            g_strdup_printf("%s: %s", (const char *)health->paths->pdata[health->next], words));
    }
}

static void run_next(HealthChecks *health)
{
    const char *argv[] = {NULL, NULL};
    g_autoptr(GError) error = NULL;

    if (health->next >= health->paths->len) {
        health->commands = TRUE;
        check_all(health);
        return;
    }
    argv[0] = health->paths->pdata[health->next];
    health->command = command_start(argv, HEALTH_COMMAND_TIMEOUT_S, command_done, health, &error);
    if (!health->command)
        round_failed(health, g_strdup_printf("%s: %s", argv[0], error->message));
}

static void begin_round(gpointer user_data)
{
    HealthChecks *health = user_data;
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&health->paths, g_ptr_array_unref);
    health->paths = list_commands(health->directory, &error);
    health->next = 0;
    if (health->paths)
        run_next(health);
    else
        round_failed(health, g_strdup(error->message));
}

void health_checks_begin(HealthChecks *health)
{
    if (health->running)
        return;
    health->running = TRUE;
    health->begun_ms = clock_boottime_ms(health->clock);
    health->commands = FALSE;
    if (health->config
            .command) /* from a timer, so that `passed` never comes from within this call */
        clock_timer_set(health->clock, &health->timer, 0, begin_round, health);
    else
        clock_timer_set(health->clock, &health->timer, 0, (void (*)(gpointer))check_all, health);
}

void health_checks_end(HealthChecks *health)
{
    health->running = FALSE;
    stop_round(health);
}

void health_checks_csms(HealthChecks *health)
{
    health->csms = TRUE;
    check_all(health);
}

void health_checks_stack(HealthChecks *health)
{
    health->stack = TRUE;
    check_all(health);
}

char *health_checks_missing(const HealthChecks *health)
{
    g_autoptr(GString) words = g_string_new(NULL);

    if (!health->running)
        return NULL;
    if (health->config.csms && !health->csms)
        g_string_append(words, "csms (not registered)");
    if (health->config.stack && !health->stack)
        g_string_append_printf(words, "%sstack (Confirm was not called)", words->len ? ", " : "");
    if (health->config.command && !health->commands)
        g_string_append_printf(words, "%scommand (%s)", words->len ? ", " : "",
                               health->failed ? health->failed : "running");
    return words->len ? g_string_free(g_steal_pointer(&words), FALSE) : NULL;
}
