/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * diagnostics: collects the archive, for a person or as the agent's child for GetDiagnostics.
 * Nothing of it runs in the agent: what hangs, fails or grows here is not the charger's trouble.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "adapter/collector.h"
#include "agent/client.h"
#include "agent/commands_parts.h"
#include "agent/diagnostics_child.h"
#include "agent/settings.h"
#include "behaviour/diagnostics.h"
#include "ocpp/datetime.h"

#define NICE       10 /* the charging stack comes first */
#define MAX_NETRC  65536
#define SECRET_MIN 4 /* characters; a shorter word would blacken the text and hide nothing */

/* --- secrets: words that must not be in the archive --- */

static void add_secret(GPtrArray *secrets, const char *word)
{
    if (strlen(word) >= SECRET_MIN)
        g_ptr_array_add(secrets, g_strdup(word));
}

static void add_key(GPtrArray *secrets, GBytes *key)
{
    gsize length;
    const guint8 *bytes;
    g_autoptr(GString) hex = g_string_new(NULL);

    if (!key)
        return;
    bytes = g_bytes_get_data(key, &length);
    for (gsize i = 0; i < length; i++)
        g_string_append_printf(hex, "%02x", bytes[i]);
    g_autofree char *upper = g_ascii_strup(hex->str, -1);
    g_autofree char *text = g_strndup((const char *)bytes, length);
    add_secret(secrets, hex->str);
    add_secret(secrets, upper);
    add_secret(secrets, text);
}

static void add_url_password(GPtrArray *secrets, const char *url)
{
    g_autoptr(GUri) uri = url ? g_uri_parse(url, G_URI_FLAGS_HAS_PASSWORD, NULL) : NULL;

    if (uri && g_uri_get_password(uri))
        add_secret(secrets, g_uri_get_password(uri));
}

static void add_netrc(GPtrArray *secrets, const char *path)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) words = NULL;

    if (!path || !g_file_get_contents(path, &text, NULL, NULL) || strlen(text) > MAX_NETRC)
        return;
    words = g_strsplit_set(text, " \t\r\n", -1);
    for (guint i = 0; words[i] && words[i + 1]; i++) {
        if (g_str_equal(words[i], "password"))
            add_secret(secrets, words[i + 1]);
    }
}

static GPtrArray *secrets_of(const Settings *settings)
{
    GPtrArray *secrets = g_ptr_array_new_with_free_func(g_free);

    add_key(secrets, settings->authorization_key);
    add_url_password(secrets, settings->proxy);
    add_netrc(secrets, settings->netrc_file);
    g_ptr_array_add(secrets, NULL);
    return secrets;
}

/* --- what the agent knows --- */

/* For a person: the agent is asked first, and then this program begins anew, as it does for the
 * agent.  GDBus leaves threads behind, and signals and children are the collector's only where
 * there is one thread. */
static int begin_anew(const CommandOptions *options, const char *output)
{
    g_autofree char *note = g_strconcat(output, DIAGNOSTICS_NOTE_SUFFIX, NULL);
    DiagnosticsChild child = {options->config, note, options->from, options->to, output};
    g_autoptr(GError) trouble = NULL, error = NULL;
    g_autoptr(Client) client = client_new(&trouble);
    g_autoptr(GVariant) texts = client ? client_report(client, &trouble) : NULL;
    g_auto(GStrv) argv = diagnostics_child_command(&child);

    if (!diagnostics_child_leave_note(
            note, texts ? texts : diagnostics_child_no_texts(trouble->message), &error))
        return commands_fail(error);
    execv(argv[0], argv);
    g_set_error(&error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot begin: %s",
                g_strerror(errno));
    unlink(note);
    return commands_fail(error);
}

static GArray *texts_of(GVariant *note, const char *settings)
{
    GArray *texts = g_array_new(FALSE, FALSE, sizeof(CollectorText));
    CollectorText own = {.name = "agent/settings.conf", .text = settings};
    GVariantIter iter;
    const char *name, *text;

    g_array_append_val(texts, own);
    g_variant_iter_init(&iter, note);
    while (g_variant_iter_next(&iter, "{&s&s}", &name, &text)) {
        CollectorText entry = {.name = name, .text = text};

        g_array_append_val(texts, entry);
    }
    return texts;
}

/* --- the command --- */

static gboolean parse_date(const char *text, gint64 *ret_ms)
{
    return !text || ocpp_datetime_parse(text, ret_ms);
}

static int collect(const CommandOptions *options, Settings *settings, CollectorConfig *config)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) note = diagnostics_child_take_note(options->report);
    g_autofree char *text = settings_text(settings);
    g_autoptr(GArray) texts = texts_of(note, text);
    g_autoptr(GPtrArray) secrets = secrets_of(settings);
    g_autofree char *folder = g_path_get_dirname(config->output);

    config->sources = (const char *const *)settings->diagnostics_sources;
    config->size_limit = settings->diagnostics_size_limit;
    config->work_directory = folder;
    config->texts = (const CollectorText *)(gpointer)texts->data;
    config->n_texts = texts->len;
    config->secrets = (const char *const *)secrets->pdata;
    if (!collector_run(config, &error))
        return commands_fail(error);
    g_autofree char *line = g_strdup_printf("%s\n", config->output);
    return commands_print(line);
}

int commands_diagnostics(const CommandOptions *options)
{
    g_autoptr(GPtrArray) problems = NULL;
    g_autoptr(Settings) settings = settings_load(options->config, &problems);
    CollectorConfig config = {.from_ms = G_MININT64, .to_ms = G_MAXINT64};
    char *const *arguments = options->arguments;

    if (arguments[0] && arguments[1])
        return commands_usage("diagnostics: one FILE at most");
    if (!parse_date(options->from, &config.from_ms) || !parse_date(options->to, &config.to_ms))
        return commands_usage("diagnostics: dates are written as 2026-11-22T10:20:30Z");
    for (guint i = 0; !settings && i < problems->len; i++) {
        const SettingsProblem *problem = g_ptr_array_index(problems, i);
        if (problem->fatal)
            fprintf(stderr, "%s: %s\n", problem->where, problem->what);
    }
    if (!settings)
        return EXIT_USAGE;
    g_autofree char *file = diagnostics_file_name(settings->identity, g_get_real_time() / 1000);
    g_autofree char *name = g_strndup(file, strlen(file) - strlen(DIAGNOSTICS_SUFFIX));
    config.output = arguments[0] ? arguments[0] : file;
    config.name = name;
    if (!options->report)
        return begin_anew(options, config.output);
    setpriority(PRIO_PROCESS, 0, NICE);
    return collect(options, settings, &config);
}
