/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What `status` and `history` show.
 */
#include "src/agent/agent_internal.h"

#include "ocpp/datetime.h"
#include "db/jobs.h"

static void add(GVariantBuilder *builder, const char *name, const char *value)
{
    if (value)
        g_variant_builder_add(builder, "{sv}", name, g_variant_new_string(value));
}

static void add_number(GVariantBuilder *builder, const char *name, gint64 value)
{
    g_variant_builder_add(builder, "{sv}", name, g_variant_new_int64(value));
}

static void add_flag(GVariantBuilder *builder, const char *name, gboolean value)
{
    g_variant_builder_add(builder, "{sv}", name, g_variant_new_boolean(value));
}

static void add_time(GVariantBuilder *builder, const char *name, gint64 ms)
{
    g_autofree char *text = ms > 0 ? ocpp_datetime_format(ms) : NULL;

    add(builder, name, text);
}

static void add_taken(GVariantBuilder *builder, const char *name, char *value)
{
    add(builder, name, value);
    g_free(value);
}

static void add_transfer(Agent *agent, GVariantBuilder *builder)
{
    FirmwareTransfer transfer;

    if (!firmware_transfer(agent->firmware, &transfer))
        return;
    add(builder, "transport", transfer.way);
    add_number(builder, "bytes", transfer.bytes);
    if (transfer.size >= 0)
        add_number(builder, "size", transfer.size);
    if (transfer.size > 0)
        add_number(builder, "transfer-percent", transfer.bytes * 100 / transfer.size);
    add_number(builder, "bytes-per-second", transfer.rate);
    if (transfer.left_s >= 0)
        add_number(builder, "seconds-left", transfer.left_s);
    add(builder, "transfer-trouble", transfer.trouble);
}

static GVariant *job_variant(Agent *agent, const Job *job)
{
    GVariantBuilder builder;
    const char *message = NULL;
    int percent = firmware_progress(agent->firmware, &message);

    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    add_number(&builder, "id", job->id);
    add(&builder, "state", job_state_name(job->state));
    add(&builder, "last-status", job->last_status);
    add(&builder, "reason", job->reason);
    add_taken(&builder, "location", location_for_people(job->location));
    if (job->has_retrieve_date)
        add_time(&builder, "retrieve-date", job->retrieve_date_ms);
    add_number(&builder, "attempts", job->attempts);
    add_number(&builder, "retries", job->retries);
    if (job->fetched_bytes > 0)
        add_number(&builder, "fetched-bytes", job->fetched_bytes);
    if (job == firmware_job(agent->firmware))
        add_transfer(agent, &builder);
    if (percent >= 0 && job == firmware_job(agent->firmware)) {
        add_number(&builder, "progress", percent);
        add(&builder, "progress-message", message);
    }
    add(&builder, "target-slot", job->target_slot);
    add_time(&builder, "ended", job->ended_ms);
    return g_variant_builder_end(&builder);
}

static GVariant *report_variant(Agent *agent, const Report *report)
{
    GVariantBuilder builder;
    gint64 sent = diagnostics_sent(agent->diagnostics);

    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    add_number(&builder, "id", report->id);
    add(&builder, "state", report_state_name(report->state));
    add(&builder, "reason", report->reason);
    add_taken(&builder, "location", location_for_people(report->location));
    add(&builder, "file-name", report->file_name);
    add_number(&builder, "attempts", report->attempts);
    add_number(&builder, "retries", report->retries);
    if (sent >= 0)
        add_number(&builder, "bytes", sent);
    add_time(&builder, "ended", report->ended_ms);
    return g_variant_builder_end(&builder);
}

static const char *presence_name(RaucPresence presence)
{
    static const char *const NAMES[] = {
        [RAUC_ABSENT] = "absent", [RAUC_IDLE] = "idle", [RAUC_BUSY] = "installing"};

    return NAMES[presence];
}

static void add_connection(Agent *agent, GVariantBuilder *builder)
{
    gboolean connected = session_is_connected(agent->session);

    add_flag(builder, "connected", connected);
    if (!connected)
        add(builder, "connection-trouble", agent->link_trouble);
    add(builder, "registration",
        ocpp_registration_status_name(session_registration(agent->session)));
    if (session_bad_frames(agent->session) > 0)
        add_number(builder, "ignored-messages", session_bad_frames(agent->session));
}

GVariant *agent_status(Agent *agent)
{
    const Job *job = firmware_job(agent->firmware);
    const Job *last = firmware_last_job(agent->firmware);
    const Report *report = diagnostics_report(agent->diagnostics);
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    add(&builder, "version", VERSION);
    add(&builder, "identity", agent->settings->identity);
    add(&builder, "firmware-version", agent->settings->firmware_version);
    add_connection(agent, &builder);
    add(&builder, "rauc", presence_name(rauc_presence(agent->rauc)));
    add_flag(&builder, "boot-marked-good", firmware_boot_marked(agent->firmware));
    add_flag(&builder, "store-durable", store_is_durable(agent->store));
    add_taken(&builder, "health-waits-for", health_checks_missing(agent->health));
    add_taken(&builder, "reboot-waits-for", reboot_waits_for(agent->reboot));
    if (job)
        g_variant_builder_add(&builder, "{sv}", "job", job_variant(agent, job));
    if (firmware_has_waiting(agent->firmware))
        add_flag(&builder, "request-waiting", TRUE);
    if (last)
        g_variant_builder_add(&builder, "{sv}", "last-job", job_variant(agent, last));
    if (report)
        g_variant_builder_add(&builder, "{sv}", "diagnostics", report_variant(agent, report));
    return g_variant_builder_end(&builder);
}

GVariant *agent_history(Agent *agent, guint limit)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) entries = history_list(agent->store, limit, &error);
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
    if (!entries)
        g_warning("cannot read the history: %s", error->message);
    for (guint i = 0; entries && i < entries->len; i++) {
        const HistoryEntry *entry = entries->pdata[i];
        GVariantBuilder row;

        g_variant_builder_init(&row, G_VARIANT_TYPE_VARDICT);
        add_time(&row, "time", MAX(entry->time_ms, 1));
        add_number(&row, "job", entry->job_id);
        add(&row, "from", job_state_name(entry->from));
        add(&row, "to", job_state_name(entry->to));
        add(&row, "event", entry->event);
        add(&row, "detail", entry->detail);
        g_variant_builder_add_value(&builder, g_variant_builder_end(&row));
    }
    return g_variant_builder_end(&builder);
}

char *agent_status_line(Agent *agent)
{
    const Job *job = firmware_job(agent->firmware);
    const char *link = session_is_connected(agent->session)
                           ? ocpp_registration_status_name(session_registration(agent->session))
                           : "not connected";

    if (job)
        return g_strdup_printf("STATUS=%s; job %" G_GINT64_FORMAT " %s", link, job->id,
                               job_state_name(job->state));
    return g_strdup_printf("STATUS=%s", link);
}
