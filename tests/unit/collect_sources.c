/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the collector, for tests/component/test_collector.py: `collect_sources KEY=VALUE...` with
 * the names of CollectorConfig's fields; `source`, `secret`, `text` (NAME:TEXT) and `missing`
 * (NAME:WHY) may come more than once.  `clean=FOLDER`, alone, removes what killed runs have left
 * there.  Prints the most memory that it used, in kB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/collector.h"

typedef struct {
    CollectorConfig config;
    GPtrArray *sources, *secrets;
    GArray *texts;
} Arguments;

static const char **string_field(Arguments *arguments, const char *key)
{
    if (g_str_equal(key, "output"))
        return &arguments->config.output;
    if (g_str_equal(key, "work_directory"))
        return &arguments->config.work_directory;
    return g_str_equal(key, "name") ? &arguments->config.name : NULL;
}

static gint64 *number_field(Arguments *arguments, const char *key)
{
    if (g_str_equal(key, "from_ms"))
        return &arguments->config.from_ms;
    if (g_str_equal(key, "to_ms"))
        return &arguments->config.to_ms;
    return g_str_equal(key, "size_limit") ? &arguments->config.size_limit : NULL;
}

static void add_text(Arguments *arguments, const char *key, char *value)
{
    CollectorText text = {.name = value};
    char *colon = strchr(value, ':');

    if (!colon)
        g_error("%s without a colon", key);
    *colon = '\0';
    *(g_str_equal(key, "text") ? &text.text : &text.missing) = colon + 1;
    g_array_append_val(arguments->texts, text);
}

static void take(Arguments *arguments, const char *key, char *value)
{
    const char **string = string_field(arguments, key);
    gint64 *number = number_field(arguments, key);

    if (string)
        *string = value;
    else if (number)
        *number = g_ascii_strtoll(value, NULL, 10);
    else if (g_str_equal(key, "source"))
        g_ptr_array_add(arguments->sources, value);
    else if (g_str_equal(key, "secret"))
        g_ptr_array_add(arguments->secrets, value);
    else if (g_str_equal(key, "text") || g_str_equal(key, "missing"))
        add_text(arguments, key, value);
    else if (g_str_equal(key, "clean"))
        collector_clean(value);
    else
        g_error("what is %s?", key);
}

/* Of this program: rusage would know of what was before exec. */
static gint64 memory_kb(void)
{
    g_autofree char *status = NULL;
    const char *line;

    if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL))
        return -1;
    line = strstr(status, "VmHWM:");
    return line ? g_ascii_strtoll(line + strlen("VmHWM:"), NULL, 10) : -1;
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) sources = g_ptr_array_new(), secrets = g_ptr_array_new();
    g_autoptr(GArray) texts = g_array_new(FALSE, FALSE, sizeof(CollectorText));
    Arguments arguments = {.sources = sources, .secrets = secrets, .texts = texts};
    g_autoptr(GError) error = NULL;

    arguments.config.from_ms = G_MININT64;
    arguments.config.to_ms = G_MAXINT64;
    arguments.config.size_limit = 20 << 20;
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');

        if (!value)
            return EXIT_FAILURE;
        *value = '\0';
        take(&arguments, argv[i], value + 1);
    }
    if (!arguments.config.output)
        return EXIT_SUCCESS;
    g_ptr_array_add(sources, NULL);
    g_ptr_array_add(secrets, NULL);
    arguments.config.sources = (const char *const *)sources->pdata;
    arguments.config.secrets = (const char *const *)secrets->pdata;
    arguments.config.texts = (const CollectorText *)(void *)texts->data;
    arguments.config.n_texts = texts->len;
    if (!collector_run(&arguments.config, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return EXIT_FAILURE;
    }
    printf("%" G_GINT64_FORMAT "\n", memory_kb());
    return EXIT_SUCCESS;
}
