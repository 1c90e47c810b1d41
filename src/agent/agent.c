/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent: makes every part, and passes on what one part says to the ones that it concerns.  No
 * part knows another; all of their meeting is here, one small function an event.
 */
#include "src/agent/agent_internal.h"

#include <glib-unix.h>

#include "adapter/boot.h"
#include "adapter/systemd.h"
#include "agent/commands.h"
#include "db/values.h"

void agent_show(Agent *agent)
{
    g_autofree char *line = agent_status_line(agent);

    control_changed(agent->control);
    systemd_notify(line);
}

/* ----------------------------------------------------------------------------------------- RAUC */

static void on_rauc_presence(RaucPresence presence, gpointer user_data)
{
    Agent *agent = user_data;

    firmware_rauc_presence(agent->firmware, presence);
    agent_show(agent);
}

static void on_rauc_progress(int percent, const char *message, gpointer user_data)
{
    Agent *agent = user_data;

    firmware_rauc_progress(agent->firmware, percent, message);
}

static void on_rauc_completed(const GError *error, gpointer user_data)
{
    Agent *agent = user_data;

    firmware_rauc_completed(agent->firmware, error);
}

/* --------------------------------------------------------------------------------- firmware job */

static void on_firmware_changed(gpointer user_data)
{
    Agent *agent = user_data;

    agent_reset_serve(agent);
    agent_show(agent);
}

static void on_firmware_outbox(gpointer user_data)
{
    Agent *agent = user_data;

    session_outbox_changed(agent->session);
}

static void on_wants_reboot(gboolean wants, gboolean granted, gpointer user_data)
{
    Agent *agent = user_data;

    if (wants)
        reboot_ask(agent->reboot, granted);
    else if (!agent->reset_wanted)
        reboot_withdraw(agent->reboot);
}

static void on_reboot_near(gpointer user_data)
{
    Agent *agent = user_data;

    reboot_ask_ahead(agent->reboot);
}

gboolean agent_reboot(gpointer user_data, GError **error)
{
    Agent *agent = user_data;

    g_message("asking for the reboot: %s", agent->settings->reboot_command);
    return command_run(agent->settings->reboot_command, error);
}

/* It is as good as the one that a Reset waits for. */
static gboolean on_firmware_reboot(gpointer user_data, GError **error)
{
    if (!agent_reboot(user_data, error))
        return FALSE;
    agent_reset_drop(user_data);
    return TRUE;
}

static gboolean on_restart_rauc(gpointer user_data, GError **error)
{
    Agent *agent = user_data;

    g_message("restarting RAUC: %s", agent->settings->restart_command);
    return command_run(agent->settings->restart_command, error);
}

static void on_wants_health(gboolean wants, gpointer user_data)
{
    Agent *agent = user_data;

    if (wants)
        health_checks_begin(agent->health);
    else
        health_checks_end(agent->health);
}

static void on_health_passed(gpointer user_data)
{
    Agent *agent = user_data;

    firmware_set_healthy(agent->firmware, TRUE);
}

/* --------------------------------------------------------------------------------------- reboot */

static void on_reboot_allowed(gpointer user_data)
{
    Agent *agent = user_data;

    if (firmware_wants_reboot(agent->firmware)) {
        firmware_reboot_allowed(agent->firmware);
    } else {
        agent_reset_carry_out(agent);
    }
}

/* -------------------------------------------------------------------------------------- session */

static void keep_csms_time(Agent *agent, gint64 csms_ms)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, csms_ms);
    g_autoptr(GError) error = NULL;

    if (ABS(csms_ms - agent->kept_csms_ms) < AGENT_TIME_KEEP_MS)
        return;
    /* It will be what certificates are judged by: one wrong answer must not make all of them look
     * expired for good. */
    if (clock_wall_synchronised(agent->clock) &&
        csms_ms > clock_wall_ms(agent->clock) + AGENT_TIME_AHEAD_MS) {
        g_warning("the CSMS time is far ahead of the synchronised system clock; it is not kept");
        return;
    }
    if (!values_set(agent->store, VALUES_AGENT, "csms-time", text, &error)) {
        if (!agent->told_time)
            g_warning("cannot keep the CSMS time: %s", error->message);
        agent->told_time = TRUE;
        return;
    }
    agent->told_time = FALSE;
    agent->kept_csms_ms = csms_ms;
    if (agent->tls)
        tls_set_not_before(agent->tls, csms_ms);
}

static void on_csms_time(gint64 csms_ms, gpointer user_data)
{
    Agent *agent = user_data;

    clock_set_csms_time(agent->clock, csms_ms);
    keep_csms_time(agent, csms_ms);
    firmware_time_changed(agent->firmware);
    agent_check_store(agent);
}

static void on_registration(OcppRegistrationStatus status, gpointer user_data)
{
    Agent *agent = user_data;

    if (status == OCPP_REGISTRATION_ACCEPTED || status == OCPP_REGISTRATION_PENDING)
        health_checks_csms(agent->health);
    agent_show(agent);
}

static gboolean on_update_firmware(const SessionUpdateFirmware *request, gpointer user_data,
                                   GError **error)
{
    Agent *agent = user_data;
    FirmwareRequest firmware = {.location = request->location,
                                .has_retrieve_date = request->has_retrieve_date,
                                .retrieve_date_ms = request->retrieve_date_ms,
                                .retries = request->retries,
                                .retry_interval_s = request->retry_interval_s};

    return firmware_request(agent->firmware, &firmware, error);
}

static const char *on_firmware_status(gpointer user_data)
{
    Agent *agent = user_data;

    return firmware_triggered_status(agent->firmware);
}

static void on_outbox(guint rows, gpointer user_data)
{
    Agent *agent = user_data;

    reboot_set_outbox(agent->reboot, rows);
}

/* -------------------------------------------------------------------------------------- control */

static GVariant *on_status(gpointer user_data)
{
    return agent_status(user_data);
}

static GVariant *on_history(guint limit, gpointer user_data)
{
    return agent_history(user_data, limit);
}

static GVariant *on_report(gpointer user_data)
{
    return agent_report(user_data);
}

static gboolean on_install(const char *source, gpointer user_data, GError **error)
{
    Agent *agent = user_data;
    FirmwareRequest request = {
        .location = source, .retries = -1, .retry_interval_s = -1, .by_hand = TRUE};

    return firmware_request(agent->firmware, &request, error);
}

static gboolean on_cancel(gpointer user_data, GError **error)
{
    Agent *agent = user_data;

    return firmware_cancel(agent->firmware, "cancelled by a person", error);
}

/* Kept for this boot: the stack calls once, and a restart of the agent must not forget it. */
static gboolean on_confirm(gpointer user_data, GError **error)
{
    Agent *agent = user_data;

    if (!values_set(agent->store, VALUES_AGENT, "confirmed-boot-id", agent->boot_id, error))
        return FALSE;
    health_checks_stack(agent->health);
    return TRUE;
}

static gboolean on_allow_reboot(gpointer user_data, GError **error)
{
    Agent *agent = user_data;

    if (!reboot_is_asked(agent->reboot)) {
        g_set_error_literal(error, FIRMWARE_ERROR, FIRMWARE_ERROR_STATE,
                            "no reboot waits for permission");
        return FALSE;
    }
    reboot_permit(agent->reboot);
    return TRUE;
}

static void on_inhibitors(gpointer user_data)
{
    Agent *agent = user_data;
    g_autofree char *who = control_inhibitors(agent->control);

    reboot_set_inhibitors(agent->reboot, who);
    agent_show(agent);
}

/* ----------------------------------------------------------------------------- making the parts */

static gint64 not_before_ms(gpointer user_data)
{
    return MAX(((Agent *)user_data)->kept_csms_ms, tls_build_time_ms());
}

Transfers *agent_make_transfers(Agent *agent, gint64 rate_limit)
{
    const Settings *settings = agent->settings;
    TransferConfig config = {.ca_file = settings->download_ca_file,
                             .client_cert_file = settings->download_client_cert_file,
                             .client_key_file = settings->download_client_key_file,
                             .netrc_file = settings->netrc_file,
                             .known_hosts_file = settings->known_hosts_file,
                             .proxy = settings->proxy,
                             .connect_timeout_s = (guint)settings->connect_timeout_s,
                             .low_speed_limit = (guint)settings->low_speed_limit,
                             .rate_limit = rate_limit,
                             .not_before_ms = not_before_ms,
                             .user_data = agent};

    return transfers_new(&config);
}

static void make_firmware(Agent *agent)
{
    static const FirmwareMarkGood MARKS[] = {[MARK_GOOD_ALWAYS] = FIRMWARE_MARK_ALWAYS,
                                             [MARK_GOOD_JOBS] = FIRMWARE_MARK_JOBS,
                                             [MARK_GOOD_NEVER] = FIRMWARE_MARK_NEVER};
    static const FirmwareTransport TRANSPORTS[] = {[TRANSPORT_AUTO] = FIRMWARE_TRANSPORT_AUTO,
                                                   [TRANSPORT_STREAM] = FIRMWARE_TRANSPORT_STREAM,
                                                   [TRANSPORT_DOWNLOAD] =
                                                       FIRMWARE_TRANSPORT_DOWNLOAD};
    static const FirmwareEvents EVENTS = {.changed = on_firmware_changed,
                                          .outbox = on_firmware_outbox,
                                          .wants_reboot = on_wants_reboot,
                                          .reboot_near = on_reboot_near,
                                          .reboot = on_firmware_reboot,
                                          .restart_rauc = on_restart_rauc,
                                          .wants_health = on_wants_health};
    const Settings *settings = agent->settings;
    FirmwareConfig config = {
        .boot_id = agent->boot_id,
        .firmware_version = settings->firmware_version,
        .default_retries = (guint)settings->default_retries,
        .default_retry_interval_s = (guint)settings->default_retry_interval_s,
        .stall_timeout_ms = settings->stall_timeout_s * 1000,
        .silent_timeout_ms = settings->silent_timeout_s * 1000,
        .absent_timeout_ms = settings->absent_timeout_s * 1000,
        .health_timeout_ms = settings->health_timeout_s * 1000,
        .last_csms_ms = agent->kept_csms_ms,
        .mark_good = MARKS[settings->mark_good],
        .report_before_reboot = settings->report_installed == REPORT_BEFORE_REBOOT,
        .transport = TRANSPORTS[settings->transport],
        .spool_directory = settings->spool_directory,
        .hold_ms = settings->hold_s * 1000,
        .download_timeout_ms = settings->download_timeout_s * 1000,
        .data_budget = settings->data_budget,
        .read_ahead = (gsize)settings->read_ahead,
        .give_up_early = settings->give_up_early,
        .identity = settings->identity,
        .spread_s = (guint)settings->spread_s,
    };

    agent->firmware = firmware_new(&config, agent->store, agent->rauc, agent->transfers,
                                   agent->clock, &EVENTS, agent);
}

static void make_session(Agent *agent)
{
    static const SessionEvents EVENTS = {.send = agent_send,
                                         .registration = on_registration,
                                         .csms_time = on_csms_time,
                                         .update_firmware = on_update_firmware,
                                         .get_diagnostics = agent_get_diagnostics,
                                         .firmware_status = on_firmware_status,
                                         .diagnostics_status = agent_diagnostics_status,
                                         .reset = agent_reset_take,
                                         .outbox = on_outbox,
                                         .ping_interval = agent_set_ping_interval};
    const Settings *settings = agent->settings;
    SessionConfig config = {
        .vendor = settings->vendor,
        .model = settings->model,
        .serial_number = settings->serial_number,
        .firmware_version = settings->firmware_version,
        .connectors = (guint)settings->connectors,
        .call_timeout_ms = settings->call_timeout_s * 1000,
        .boot_notification_on_reconnect = settings->boot_notification_on_reconnect,
        .security_profile = (guint)settings->security_profile,
        .ping_interval_s = (guint)settings->ping_interval_s,
    };

    agent->session = session_new(&config, agent->store, agent->clock, &EVENTS, agent);
}

static void load_confirmation(Agent *agent)
{
    g_autofree char *boot_id = NULL;
    g_autoptr(GError) error = NULL;

    if (!values_get(agent->store, VALUES_AGENT, "confirmed-boot-id", &boot_id, &error))
        g_warning("cannot read whether this boot was confirmed: %s", error->message);
    if (g_strcmp0(boot_id, agent->boot_id) == 0)
        health_checks_stack(agent->health);
}

static void make_parts(Agent *agent)
{
    static const RaucEvents RAUC_EVENTS = {
        .presence = on_rauc_presence, .progress = on_rauc_progress, .completed = on_rauc_completed};
    static const ControlHandlers CONTROL_HANDLERS = {.status = on_status,
                                                     .history = on_history,
                                                     .report = on_report,
                                                     .install = on_install,
                                                     .cancel = on_cancel,
                                                     .confirm = on_confirm,
                                                     .allow_reboot = on_allow_reboot,
                                                     .inhibitors_changed = on_inhibitors};
    const Settings *settings = agent->settings;
    RebootConfig reboot = {.permission_required = settings->reboot_permission == REBOOT_REQUIRED,
                           .wait_limit_ms = settings->reboot_wait_limit_s * 1000,
                           .report_wait_ms = settings->report_wait_s * 1000};
    HealthConfig health = {.csms = (settings->health & HEALTH_CSMS) != 0,
                           .command = (settings->health & HEALTH_COMMAND) != 0,
                           .stack = (settings->health & HEALTH_STACK) != 0,
                           .directory = settings->health_directory,
                           .quick_ms = settings->health_timeout_s * 1000};

    agent->reboot = reboot_new(&reboot, agent->clock, on_reboot_allowed, agent);
    agent->health = health_checks_new(&health, agent->clock, on_health_passed, agent);
    load_confirmation(agent);
    agent->rauc = rauc_new(&RAUC_EVENTS, agent);
    agent->transfers = agent_make_transfers(agent, settings->rate_limit);
    make_firmware(agent);
    agent_make_diagnostics(agent);
    make_session(agent);
    agent->control = control_new(&CONTROL_HANDLERS, agent);
}

static void clear_parts(Agent *agent)
{
    clock_timer_clear(agent->clock, &agent->watchdog);
    clock_timer_clear(agent->clock, &agent->connect);
    clock_timer_clear(agent->clock, &agent->reset_again);
    clock_timer_clear(agent->clock, &agent->store_timer);
    g_clear_pointer(&agent->ws, ws_client_free);
    g_clear_pointer(&agent->control, control_free);
    g_clear_pointer(&agent->session, session_free);
    agent_free_diagnostics(agent);
    g_clear_pointer(&agent->firmware, firmware_free);
    g_clear_pointer(&agent->transfers, transfers_free);
    g_clear_pointer(&agent->rauc, rauc_free);
    g_clear_pointer(&agent->health, health_checks_free);
    g_clear_pointer(&agent->reboot, reboot_free);
    g_clear_pointer(&agent->tls, tls_free);
    g_clear_pointer(&agent->boot_id, g_free);
    g_clear_pointer(&agent->link_trouble, g_free);
}

/* -------------------------------------------------------------------------------------- running */

static gboolean on_signal(gpointer user_data)
{
    Agent *agent = user_data;

    g_message("ending");
    agent->ending = TRUE;
    g_main_loop_quit(agent->loop);
    return G_SOURCE_CONTINUE;
}

static void feed_watchdog(gpointer user_data)
{
    Agent *agent = user_data;

    systemd_notify("WATCHDOG=1");
    clock_timer_set(agent->clock, &agent->watchdog, systemd_watchdog_interval_ms(), feed_watchdog,
                    agent);
}

static gboolean start(Agent *agent, GError **error)
{
    agent->boot_id = boot_id_read(agent->settings->boot_id_file, error);
    if (!agent->boot_id)
        return FALSE;
    make_parts(agent);
    firmware_start(agent->firmware);
    if (firmware_job(agent->firmware))
        reboot_await_holders(agent->reboot);
    agent_reset_load(agent);
    diagnostics_start(agent->diagnostics);
    session_outbox_changed(agent->session);
    agent_connect(agent);
    agent_watch_store(agent);
    if (systemd_watchdog_interval_ms() > 0)
        feed_watchdog(agent);
    systemd_notify("READY=1");
    return TRUE;
}

/* Until somebody ends it; anew with each store that takes the place of one of no use. */
static int run(Agent *agent)
{
    for (;;) {
        g_autoptr(GError) error = NULL;

        if (!start(agent, &error)) {
            g_critical("%s", error->message);
            return EXIT_FAILED;
        }
        g_main_loop_run(agent->loop);
        if (agent->ending)
            systemd_notify("STOPPING=1");
        clear_parts(agent);
        if (agent->ending)
            return EXIT_DONE;
        if (!agent_renew_store(agent))
            return EXIT_FAILED;
    }
}

int agent_run(const Settings *settings, const char *config_file)
{
    Agent agent = {.settings = settings,
                   .config_file = config_file,
                   .loop = g_main_loop_new(NULL, FALSE),
                   .clock = clock_new()};
    int code = EXIT_FAILED;

    if (agent_open_store(&agent)) {
        guint term = g_unix_signal_add(SIGTERM, on_signal, &agent);
        guint interrupt = g_unix_signal_add(SIGINT, on_signal, &agent);

        code = run(&agent);
        g_source_remove(term);
        g_source_remove(interrupt);
    }
    clear_parts(&agent);
    store_close(agent.next_store);
    store_close(agent.store);
    clock_free(agent.clock);
    g_main_loop_unref(agent.loop);
    return code;
}
