/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent's parts, wired as src/agent/agent.c does it; each event is a boundary at which the
 * process may die.  In place of src/adapter/systemd.c: logind.
 */
#include "world.h"

#include "adapter/systemd.h"

#define TIME_KEEP_MS  3600000  /* AGENT_TIME_KEEP_MS */
#define TIME_AHEAD_MS 86400000 /* AGENT_TIME_AHEAD_MS */

/* ------------------------------------------------------------------------------------- firmware */

static void on_changed(gpointer user_data)
{
    World *world = user_data;
    Agent *agent = world->agent;

    if (!agent_lives(world))
        return;
    if (agent->firmware)
        ledger_look(world);
    if (dies_here(world))
        return;
    if (agent->reset_wanted && !firmware_rejects_reset(agent->firmware) &&
        !firmware_delays_reset(agent->firmware))
        reboot_ask(agent->reboot, FALSE);
}

static void on_firmware_outbox(gpointer user_data)
{
    World *world = user_data;

    if (!dies_here(world))
        session_outbox_changed(world->agent->session);
}

static void on_wants_reboot(gboolean wants, gboolean granted, gpointer user_data)
{
    World *world = user_data;

    if (dies_here(world))
        return;
    if (wants)
        reboot_ask(world->agent->reboot, granted);
    else if (!world->agent->reset_wanted)
        reboot_withdraw(world->agent->reboot);
}

static void on_reboot_near(gpointer user_data)
{
    World *world = user_data;

    reboot_ask_ahead(world->agent->reboot);
}

static gboolean on_reboot(gpointer user_data, GError **error)
{
    World *world = user_data;

    if (dies_here(world))
        return TRUE;
    ledger_reboots(world);
    if (world->commands_fail) {
        note(world, "the reboot command cannot be started");
        g_set_error_literal(error, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED, "no such command");
        return FALSE;
    }
    note(world, "the agent asks for a reboot%s",
         world->loses_reboots ? ", which does not come" : "");
    if (!world->loses_reboots)
        device_reboot(world, draw(world, 200, 20 * SECOND));
    dies_here(world);
    return TRUE;
}

static void restart_rauc(World *world, gpointer data)
{
    (void)data;
    if (world->rauc.running)
        rauc_die(world, draw(world, 500, 5 * SECOND));
}

static gboolean on_restart_rauc(gpointer user_data, GError **error)
{
    World *world = user_data;

    if (dies_here(world))
        return TRUE;
    if (world->commands_fail) {
        g_set_error_literal(error, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED, "no such command");
        return FALSE;
    }
    note(world, "the agent restarts RAUC");
    after(world, draw(world, 100, 2 * SECOND), SCOPE_BOOT, restart_rauc, NULL);
    dies_here(world);
    return TRUE;
}

static void on_wants_health(gboolean wants, gpointer user_data)
{
    World *world = user_data;

    if (dies_here(world))
        return;
    if (wants)
        health_checks_begin(world->agent->health);
    else
        health_checks_end(world->agent->health);
}

static void on_health_passed(gpointer user_data)
{
    World *world = user_data;

    if (!dies_here(world))
        firmware_set_healthy(world->agent->firmware, TRUE);
}

/* --------------------------------------------------------------------------------------- reboot */

static void on_reboot_allowed(gpointer user_data)
{
    World *world = user_data;
    Agent *agent = world->agent;
    g_autoptr(GError) error = NULL;

    if (dies_here(world))
        return;
    if (firmware_wants_reboot(agent->firmware)) {
        agent->reset_wanted = FALSE;
        firmware_reboot_allowed(agent->firmware);
        return;
    }
    if (!agent->reset_wanted || firmware_rejects_reset(agent->firmware) ||
        firmware_delays_reset(agent->firmware))
        return;
    agent->reset_wanted = FALSE;
    on_reboot(world, &error);
}

static void logind_answers(World *world, gpointer data)
{
    Agent *agent = world->agent;
    g_autoptr(GCancellable) query = g_steal_pointer(&agent->query);

    (void)data;
    if (query && !g_cancellable_is_cancelled(query))
        agent->query_done(NULL, agent->query_data);
}

void systemd_query_shutdown_inhibitors(GCancellable *cancellable,
                                       void (*done)(const char *who, gpointer user_data),
                                       gpointer user_data)
{
    World *world = world_here();

    if (dies_here(world))
        return;
    g_set_object(&world->agent->query, cancellable);
    world->agent->query_done = done;
    world->agent->query_data = user_data;
    after(world, draw(world, 1, 100), SCOPE_AGENT, logind_answers, NULL);
}

/* -------------------------------------------------------------------------------------- session */

static void keep_csms_time(World *world, gint64 csms_ms)
{
    Agent *agent = world->agent;
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, csms_ms);
    g_autoptr(GError) error = NULL;

    if (ABS(csms_ms - agent->kept_csms_ms) < TIME_KEEP_MS ||
        (clock_wall_synchronised(agent->clock) &&
         csms_ms > clock_wall_ms(agent->clock) + TIME_AHEAD_MS))
        return;
    if (!values_set(agent->store, VALUES_AGENT, "csms-time", text, &error))
        violation(world, "the CSMS time cannot be kept: %s", error->message);
    agent->kept_csms_ms = csms_ms;
}

static void on_csms_time(gint64 csms_ms, gpointer user_data)
{
    World *world = user_data;

    if (dies_here(world))
        return;
    clock_set_csms_time(world->agent->clock, csms_ms);
    keep_csms_time(world, csms_ms);
    firmware_time_changed(world->agent->firmware);
}

static void on_registration(OcppRegistrationStatus status, gpointer user_data)
{
    World *world = user_data;

    if (dies_here(world))
        return;
    if (status == OCPP_REGISTRATION_ACCEPTED || status == OCPP_REGISTRATION_PENDING)
        health_checks_csms(world->agent->health);
}

static gboolean take(World *world, const FirmwareRequest *request, GError **error)
{
    gint64 newest = world->ledger.newest_job;
    gboolean taken;

    ledger_asked(world, request);
    taken = firmware_request(world->agent->firmware, request, error);
    if (taken && agent_lives(world))
        ledger_taken(world, request, newest);
    return taken;
}

static gboolean on_update_firmware(const SessionUpdateFirmware *request, gpointer user_data,
                                   GError **error)
{
    FirmwareRequest firmware = {.location = request->location,
                                .has_retrieve_date = request->has_retrieve_date,
                                .retrieve_date_ms = request->retrieve_date_ms,
                                .retries = request->retries,
                                .retry_interval_s = request->retry_interval_s};

    if (dies_here(user_data))
        return TRUE;
    return take(user_data, &firmware, error);
}

gboolean agent_install_by_hand(World *world, const char *source)
{
    FirmwareRequest request = {
        .location = source, .retries = -1, .retry_interval_s = -1, .by_hand = TRUE};
    g_autoptr(GError) error = NULL;

    return agent_lives(world) && take(world, &request, &error);
}

static const char *on_firmware_status(gpointer user_data)
{
    return firmware_triggered_status(((World *)user_data)->agent->firmware);
}

static gboolean on_reset(gboolean hard, gpointer user_data)
{
    World *world = user_data;
    Agent *agent = world->agent;

    (void)hard;
    if (dies_here(world) || firmware_rejects_reset(agent->firmware))
        return FALSE;
    agent->reset_wanted = TRUE;
    if (!firmware_delays_reset(agent->firmware))
        reboot_ask(agent->reboot, FALSE);
    return TRUE;
}

static void on_outbox(guint rows, gpointer user_data)
{
    World *world = user_data;

    if (!dies_here(world))
        reboot_set_outbox(world->agent->reboot, rows);
}

static gboolean on_get_diagnostics(const SessionGetDiagnostics *request, char **ret_file_name,
                                   gpointer user_data, GError **error)
{
    (void)request, (void)user_data, (void)error;
    *ret_file_name = NULL; /* the window is empty */
    return TRUE;
}

static const char *on_diagnostics_status(gpointer user_data)
{
    (void)user_data;
    return "Idle";
}

static void on_ping_interval(guint seconds, gpointer user_data)
{
    (void)seconds, (void)user_data;
}

static gboolean on_send(const char *text, gpointer user_data)
{
    World *world = user_data;
    gboolean sends = agent_lives(world) && world->agent->connected;

    if (dies_here(world) || !sends)
        return FALSE;
    csms_receive(world, text);
    dies_here(world);
    return TRUE;
}

void agent_connected(World *world)
{
    world->agent->connected = TRUE;
    if (world->boot_on_reconnect && g_strcmp0(world->agent->told_status, "Accepted") == 0)
        g_clear_pointer(&world->agent->told_status, g_free); /* it has to ask again */
    session_connected(world->agent->session);
}

void agent_disconnected(World *world)
{
    if (!agent_lives(world) || !world->agent->connected)
        return;
    world->agent->connected = FALSE;
    session_disconnected(world->agent->session);
    after(world, draw(world, 100, 30 * SECOND), SCOPE_AGENT, csms_connect_later, NULL);
}

/* ----------------------------------------------------------------------------- making the parts */

static void make_firmware(World *world)
{
    static const FirmwareEvents EVENTS = {.changed = on_changed,
                                          .outbox = on_firmware_outbox,
                                          .wants_reboot = on_wants_reboot,
                                          .reboot_near = on_reboot_near,
                                          .reboot = on_reboot,
                                          .restart_rauc = on_restart_rauc,
                                          .wants_health = on_wants_health};
    const Device *device = &world->device;
    g_autofree char *version = g_strdup_printf("fw-%u", device->slots[device->booted].bundle);
    FirmwareConfig config = {.boot_id = device->boot_id,
                             .firmware_version = version,
                             .default_retries = 2,
                             .default_retry_interval_s = 60,
                             .stall_timeout_ms = 10 * MINUTE,
                             .silent_timeout_ms = HOUR,
                             .absent_timeout_ms = HOUR,
                             .health_timeout_ms = HOUR,
                             .last_csms_ms = world->agent->kept_csms_ms,
                             .mark_good = FIRMWARE_MARK_ALWAYS,
                             .transport = world->transport,
                             .spool_directory = "/spool",
                             .hold_ms = 270 * SECOND,
                             .data_budget = 0,
                             .read_ahead = 1 << 20,
                             .identity = "CP1"};

    world->agent->firmware =
        firmware_new(&config, world->agent->store, &world->agent->rauc, &world->agent->transfers,
                     world->agent->clock, &EVENTS, world);
}

static void make_session(World *world)
{
    static const SessionEvents EVENTS = {.send = on_send,
                                         .registration = on_registration,
                                         .csms_time = on_csms_time,
                                         .update_firmware = on_update_firmware,
                                         .get_diagnostics = on_get_diagnostics,
                                         .firmware_status = on_firmware_status,
                                         .diagnostics_status = on_diagnostics_status,
                                         .reset = on_reset,
                                         .outbox = on_outbox,
                                         .ping_interval = on_ping_interval};
    const Device *device = &world->device;
    g_autofree char *version = g_strdup_printf("fw-%u", device->slots[device->booted].bundle);
    SessionConfig config = {.vendor = "Demo",
                            .model = "Charger",
                            .firmware_version = version,
                            .connectors = 1,
                            .call_timeout_ms = CALL_TIMEOUT_MS,
                            .boot_notification_on_reconnect = world->boot_on_reconnect,
                            .ping_interval_s = 60};

    world->agent->session =
        session_new(&config, world->agent->store, world->agent->clock, &EVENTS, world);
}

void wiring_make(World *world)
{
    static const RebootConfig REBOOT = {.wait_limit_ms = 0, .report_wait_ms = 300 * SECOND};
    HealthConfig health = {
        .csms = TRUE, .command = TRUE, .directory = world->health_folder, .quick_ms = HOUR};
    Agent *agent = world->agent;

    agent->reboot = reboot_new(&REBOOT, agent->clock, on_reboot_allowed, world);
    agent->health = health_checks_new(&health, agent->clock, on_health_passed, world);
    make_firmware(world);
    make_session(world);
}
