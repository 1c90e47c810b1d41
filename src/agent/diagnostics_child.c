/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line and the note of the collecting process. */
#include "agent/diagnostics_child.h"

#include <glib/gstdio.h>

#define OWN_PROGRAM "/proc/self/exe"
#define NOTE_TYPE   "a{ss}"

char **diagnostics_child_command(const DiagnosticsChild *child)
{
    const struct {
        const char *option, *value;
    } OPTIONS[] = {{"--report", child->note}, {"--from", child->from}, {"--to", child->to}};
    const char *argv[5 + 2 * G_N_ELEMENTS(OPTIONS) + 2] = {OWN_PROGRAM, "--config", child->config,
                                                           "diagnostics"};
    guint n = 4;

    for (guint i = 0; i < G_N_ELEMENTS(OPTIONS); i++) {
        if (OPTIONS[i].value == NULL)
            continue;
        argv[n++] = OPTIONS[i].option;
        argv[n++] = OPTIONS[i].value;
    }
    argv[n++] = "--"; /* a file's name may begin with '-' */
    argv[n++] = child->output;
    return g_strdupv((char **)argv);
}

gboolean diagnostics_child_leave_note(const char *path, GVariant *texts, GError **error)
{
    g_autoptr(GVariant) note = g_variant_ref_sink(texts);

    /* A file of that name, and what it may point to, is replaced and not written to. */
    return g_file_set_contents_full(path, g_variant_get_data(note),
                                    (gssize)g_variant_get_size(note),
                                    G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}

GVariant *diagnostics_child_no_texts(const char *why)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE(NOTE_TYPE));
    g_variant_builder_add(&builder, "{ss}", "agent/missing.txt", why);
    return g_variant_builder_end(&builder);
}

GVariant *diagnostics_child_take_note(const char *path)
{
    g_autofree char *data = NULL;
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(GError) error = NULL;
    gsize length;

    if (!g_file_get_contents(path, &data, &length, &error))
        return g_variant_ref_sink(diagnostics_child_no_texts(error->message));
    g_unlink(path);
    bytes = g_bytes_new_take(g_steal_pointer(&data), length);
    return g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(NOTE_TYPE), bytes, FALSE));
}
