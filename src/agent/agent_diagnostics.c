/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent's part in diagnostics: wires GetDiagnostics to its behaviour, starts the collecting
 * child, and tells what only the agent knows (its report: name in the archive -> text).
 */
#include "src/agent/agent_internal.h"

#include <glib/gstdio.h>

#include "agent/diagnostics_child.h"
#include "agent/show.h"
#include "db/outbox.h"
#include "ocpp/datetime.h"

#define REPORT_HISTORY 1000 /* steps */
#define FRAMES_FILE    "frames.txt"

static char *outbox_text(Agent *agent)
{
    GString *text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = outbox_list(agent->store, &error);

    if (rows == NULL)
        g_string_append_printf(text, "%s\n", error->message);
    for (guint i = 0; rows != NULL && i < rows->len; i++) {
        const OutboxRow *row = g_ptr_array_index(rows, i);

        g_string_append_printf(text, "job=%" G_GINT64_FORMAT " %s %s\n", row->job_id, row->action,
                               row->payload);
    }
    return g_string_free(text, FALSE);
}

static void add_text(GVariantBuilder *builder, const char *name, char *text)
{
    g_variant_builder_add(builder, "{ss}", name, text);
    g_free(text);
}

static void add_json(GVariantBuilder *builder, const char *name, GVariant *floating)
{
    g_autoptr(GVariant) value = g_variant_ref_sink(floating);

    add_text(builder, name, show_json(value));
}

GVariant *agent_report(Agent *agent)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
    add_json(&builder, "agent/status.json", agent_status(agent));
    add_json(&builder, "agent/history.json", agent_history(agent, REPORT_HISTORY));
    add_text(&builder, "agent/outbox.txt", outbox_text(agent));
    if (agent->frames != NULL)
        add_text(&builder, "agent/frames.txt", frames_text(agent->frames));
    return g_variant_builder_end(&builder);
}

/* ------------------------------------------------------------------------------------ the child */

static char *date_of(gint64 ms)
{
    return ms == G_MININT64 || ms == G_MAXINT64 ? NULL : ocpp_datetime_format(ms);
}

static char **on_collect(const char *path, gint64 from_ms, gint64 to_ms, gpointer user_data,
                         GError **error)
{
    Agent *agent = user_data;
    g_autofree char *note = g_strconcat(path, DIAGNOSTICS_NOTE_SUFFIX, NULL);
    g_autofree char *from = date_of(from_ms);
    g_autofree char *to = date_of(to_ms);
    DiagnosticsChild child = {agent->config_file, note, from, to, path};

    if (!diagnostics_child_leave_note(note, agent_report(agent), error))
        return NULL;
    return diagnostics_child_command(&child);
}

static void on_changed(gpointer user_data)
{
    Agent *agent = user_data;
    const Report *report = diagnostics_report(agent->diagnostics);

    if (agent->frames != NULL && report != NULL && report_state_is_end(report->state))
        frames_write(agent->frames);
    control_changed(agent->control);
}

static void on_outbox(gpointer user_data)
{
    Agent *agent = user_data;

    session_outbox_changed(agent->session);
}

/* ---------------------------------------------------------------------------------- the session */

gboolean agent_get_diagnostics(const SessionGetDiagnostics *request, char **ret_file_name,
                               gpointer user_data, GError **error)
{
    Agent *agent = user_data;
    DiagnosticsRequest diagnostics = {.location = request->location,
                                      .start_ms = request->start_ms,
                                      .stop_ms = request->stop_ms,
                                      .retries = request->retries,
                                      .retry_interval_s = request->retry_interval_s};

    return diagnostics_request(agent->diagnostics, &diagnostics, ret_file_name, error);
}

const char *agent_diagnostics_status(gpointer user_data)
{
    Agent *agent = user_data;

    return diagnostics_triggered_status(agent->diagnostics);
}

/* ----------------------------------------------------------------------------- making the parts */

static void make_frames(Agent *agent)
{
    const Settings *settings = agent->settings;
    g_autofree char *path = g_build_filename(settings->spool_directory, FRAMES_FILE, NULL);

    if (settings->diagnostics_frames == 0)
        return;
    g_mkdir(settings->spool_directory, 0700); /* when it fails, writing tells */
    agent->frames = frames_new(path, (gsize)settings->diagnostics_frames, agent->clock);
}

void agent_make_diagnostics(Agent *agent)
{
    static const UploadMethod METHODS[] = {
        [UPLOAD_METHOD_PUT] = UPLOAD_PUT, [UPLOAD_METHOD_POST] = UPLOAD_POST};
    static const DiagnosticsEvents EVENTS = {
        .changed = on_changed, .outbox = on_outbox, .collect = on_collect};
    const Settings *settings = agent->settings;
    DiagnosticsConfig config = {
        .identity = settings->identity,
        .boot_id = agent->boot_id,
        .spool_directory = settings->spool_directory,
        .default_retries = (guint)settings->default_retries,
        .default_retry_interval_s = (guint)settings->default_retry_interval_s,
        .method = METHODS[settings->upload_method],
    };

    make_frames(agent);
    agent->uploads = agent_make_transfers(agent, settings->diagnostics_rate_limit);
    agent->diagnostics =
        diagnostics_new(&config, agent->store, agent->uploads, agent->clock, &EVENTS, agent);
}

void agent_free_diagnostics(Agent *agent)
{
    g_clear_pointer(&agent->diagnostics, diagnostics_free);
    g_clear_pointer(&agent->uploads, transfers_free);
    g_clear_pointer(&agent->frames, frames_free);
}
