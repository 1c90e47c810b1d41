/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A world for the firmware behaviour: a real store in a folder of its own, a clock that stands
 * still, and a fake RAUC.
 *
 * The fake takes the place of the adapter's functions at link time.  It is here only for what the
 * real RAUC cannot be made to do at a chosen moment: refuse a mark for ever, answer late, hang for
 * hours, lie about the primary slot as GRUB's backend does.  Its answers come from world_run(), as
 * the adapter's come from the main loop, never from within a call.
 */
#pragma once

#include "slots_fixture.h"
#include "store_fixture.h"
#include "transport_fake.h"

#include "behaviour/firmware.h"

#define SECOND G_GINT64_CONSTANT(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

#define WALL_1970 G_GINT64_CONSTANT(1000000)
#define WALL_2030 G_GINT64_CONSTANT(1893456000000)

typedef struct {
    enum { CALL_QUERY, CALL_INSTALL, CALL_MARK } kind;
    RaucStatusFunc answer;
    RaucDoneFunc done;
    gpointer user_data;
    char *state, *slot;
} FakeCall;

struct _Rauc {
    RaucPresence presence;
    GQueue calls;  /* not answered yet */
    gboolean late; /* answers nothing until this is FALSE again */

    const char *booted, *primary;
    gboolean lies;  /* until the booted slot is marked good */
    gboolean hides; /* the primary slot, until then */
    gboolean mute;  /* is there, and does not tell its slots */
    JobSlotRecord target;
    gboolean target_bad;
    gboolean alone;                           /* knows no slot but the booted one */
    const char *old_status, *old_boot_status; /* of slot A, where they are not what they were */
    const char *refuse;                       /* marks: "active", "bad", "good" */
    gboolean busy_for_others;
    char *source; /* of the last InstallBundle */
};

typedef struct {
    Store *store;
    Clock *clock;
    struct _Rauc rauc;
    Firmware *firmware;
    FirmwareConfig config;
    char *boot_id;
    guint boots;
    gboolean downloads; /* end well at once */
    gboolean wants_health, wants_reboot, holds_reboot, no_commands;
    guint reboots_near;
    const char *slow_at; /* a message that comes 10 s late, once */
    GString *deeds;      /* what was done to RAUC and to the system */
    GString *wire;       /* the statuses of the outbox, in order */
    GString *log;        /* warnings and worse */
} World;

static const JobSlotRecord RECORD_BEFORE = {1, (char *)"10:00", (char *)"10:00", (char *)"0.9",
                                            (char *)"aa"};
static const JobSlotRecord RECORD_NEW = {2, (char *)"11:00", (char *)"11:00", (char *)"2.0",
                                         (char *)"bb"};

/* --- RAUC --- */

static void fake_push(Rauc *rauc, FakeCall call)
{
    g_queue_push_tail(&rauc->calls, g_memdup2(&call, sizeof(call)));
}

RaucPresence rauc_presence(const Rauc *rauc)
{
    return rauc->presence;
}

int rauc_percent(const Rauc *rauc)
{
    (void)rauc;
    return 20;
}

void rauc_query(Rauc *rauc, RaucStatusFunc done, gpointer user_data)
{
    fake_push(rauc, (FakeCall){.kind = CALL_QUERY, .answer = done, .user_data = user_data});
}

void rauc_install(Rauc *rauc, const char *source, RaucDoneFunc done, gpointer user_data)
{
    g_free(rauc->source);
    rauc->source = g_strdup(source);
    fake_push(rauc, (FakeCall){.kind = CALL_INSTALL, .done = done, .user_data = user_data});
}

void rauc_mark(Rauc *rauc, const char *state, const char *slot, RaucDoneFunc done,
               gpointer user_data)
{
    fake_push(rauc, (FakeCall){CALL_MARK, NULL, done, user_data, g_strdup(state), g_strdup(slot)});
}

static RaucStatus *fake_status(const Rauc *rauc)
{
    const char *other = g_strcmp0(rauc->booted, OLD) == 0 ? TARGET : OLD;
    const char *primary = rauc->lies ? other : rauc->primary;
    RaucStatus *status = slots_status(rauc->booted, rauc->hides ? NULL : primary, &rauc->target);

    if (rauc->target_bad)
        slots_set(&slots_get(status, TARGET)->boot_status, "bad");
    if (rauc->alone)
        slots_set(&slots_get(status, other)->bootname, NULL);
    slots_set(&slots_get(status, OLD)->status, rauc->old_status);
    if (rauc->old_boot_status)
        slots_set(&slots_get(status, OLD)->boot_status, rauc->old_boot_status);
    return status;
}

static void fake_mark(Rauc *rauc, const char *state, const char *slot)
{
    if (g_str_equal(state, "active"))
        rauc->primary = g_str_equal(slot, OLD) ? OLD : TARGET;
    if (g_str_equal(state, "good") && g_str_equal(slot, rauc->booted))
        rauc->lies = rauc->hides = FALSE;
    if (g_str_equal(state, "bad") && g_str_equal(slot, TARGET)) {
        rauc->target_bad = TRUE;
        rauc->primary = OLD;
    }
}

/* --- The firmware behaviour's surroundings --- */

static void on_changed(gpointer user_data)
{
    (void)user_data;
}

static void on_wants_reboot(gboolean wants, G_GNUC_UNUSED gboolean granted, gpointer user_data)
{
    (void)granted;
    ((World *)user_data)->wants_reboot = wants;
}

static void on_reboot_near(gpointer user_data)
{
    ((World *)user_data)->reboots_near++;
}

static gboolean run_command(World *world, const char *deed, GError **error)
{
    g_string_append_printf(world->deeds, "%s ", deed);
    if (!world->no_commands)
        return TRUE;
    g_set_error_literal(error, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT, "no such command");
    return FALSE;
}

static gboolean on_reboot(gpointer user_data, GError **error)
{
    return run_command(user_data, "reboot", error);
}

static gboolean on_restart_rauc(gpointer user_data, GError **error)
{
    return run_command(user_data, "restart-rauc", error);
}

static void on_wants_health(gboolean wants, gpointer user_data)
{
    ((World *)user_data)->wants_health = wants;
}

static World *logging;

static GLogWriterOutput keep_log(GLogLevelFlags level, const GLogField *fields, gsize n,
                                 gpointer unused)
{
    (void)unused;
    for (gsize i = 0; logging && i < n; i++)
        if (g_str_equal(fields[i].key, "MESSAGE") && level <= G_LOG_LEVEL_WARNING)
            g_string_append_printf(logging->log, "%s: %s\n",
                                   level & G_LOG_LEVEL_CRITICAL ? "critical" : "warning",
                                   (const char *)fields[i].value);
        else if (logging && logging->slow_at && g_str_equal(fields[i].key, "MESSAGE") &&
                 strstr(fields[i].value, logging->slow_at)) {
            logging->slow_at = NULL;
            clock_virtual_advance(logging->clock, 10 * SECOND);
        }
    return G_LOG_WRITER_HANDLED;
}

static void world_run(World *world);

static void world_start(World *world)
{
    static const FirmwareEvents EVENTS = {.changed = on_changed,
                                          .outbox = on_changed,
                                          .wants_reboot = on_wants_reboot,
                                          .reboot_near = on_reboot_near,
                                          .reboot = on_reboot,
                                          .restart_rauc = on_restart_rauc,
                                          .wants_health = on_wants_health};

    world->wants_health = world->wants_reboot = FALSE;
    world->config.boot_id = world->boot_id;
    world->config.firmware_version = g_strcmp0(world->rauc.booted, TARGET) == 0 ? "2.0" : "1.0";
    world->firmware = firmware_new(&world->config, world->store, &world->rauc, NULL, world->clock,
                                   &EVENTS, world);
    firmware_start(world->firmware);
    if (world->rauc.presence != RAUC_ABSENT)
        firmware_rauc_presence(world->firmware, world->rauc.presence);
    world_run(world);
}

static void fake_call_free(FakeCall *call)
{
    g_free(call->state);
    g_free(call->slot);
    g_free(call);
}

static void world_stop(World *world)
{
    FakeCall *call;

    g_clear_pointer(&world->firmware, firmware_free);
    while ((call = g_queue_pop_head(&world->rauc.calls)))
        fake_call_free(call); /* as the adapter: not called any more */
}

/* A device in slot A, RAUC idle, the agent not started yet. */
static World *world_new(void)
{
    World *world = g_new0(World, 1);

    world->store = open_store(STORE_CREATED);
    world->clock = clock_new_virtual(WALL_1970);
    world->boot_id = g_strdup("boot-0");
    world->deeds = g_string_new(NULL);
    world->wire = g_string_new(NULL);
    world->log = g_string_new(NULL);
    world->config = (FirmwareConfig){.default_retry_interval_s = 60,
                                     .stall_timeout_ms = 10 * MINUTE,
                                     .silent_timeout_ms = HOUR,
                                     .absent_timeout_ms = HOUR,
                                     .health_timeout_ms = HOUR,
                                     .spool_directory = "/spool",
                                     .identity = "CP1"};
    world->rauc.presence = RAUC_IDLE;
    world->rauc.booted = world->rauc.primary = OLD;
    world->rauc.target = RECORD_BEFORE;
    logging = world;
    g_log_set_writer_func(keep_log, NULL, NULL); /* each test is a process of its own */
    return world;
}

static void world_free(World *world)
{
    world_stop(world);
    store_close(world->store);
    clock_free(world->clock);
    g_free(world->boot_id);
    g_free(world->rauc.source);
    g_string_free(world->deeds, TRUE);
    g_string_free(world->wire, TRUE);
    logging = NULL;
    g_string_free(world->log, TRUE);
    g_free(world);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)

/* --- Letting things happen --- */

static void answer_install(World *world, const FakeCall *call)
{
    g_autoptr(GError) busy = NULL;

    if (world->rauc.busy_for_others)
        busy = g_error_new_literal(RAUC_ERROR, RAUC_ERROR_BUSY, "Already processing");
    else
        g_string_append(world->deeds, "install ");
    world->rauc.presence = RAUC_BUSY;
    firmware_rauc_presence(world->firmware, RAUC_BUSY);
    call->done(busy, call->user_data);
}

static void answer_mark(World *world, const FakeCall *call)
{
    const char *slot = g_str_equal(call->slot, "booted") ? world->rauc.booted : call->slot;
    gboolean refuses = world->rauc.refuse && strstr(world->rauc.refuse, call->state);
    g_autoptr(GError) error = NULL;

    g_string_append_printf(world->deeds, "%s%s:%s ", refuses ? "!" : "", call->state,
                           g_str_equal(slot, OLD)      ? "A"
                           : g_str_equal(slot, TARGET) ? "B"
                                                       : slot);
    if (refuses)
        error = g_error_new_literal(RAUC_ERROR, RAUC_ERROR_OTHER, "the backend failed");
    else
        fake_mark(&world->rauc, call->state, slot);
    call->done(error, call->user_data);
}

static void answer(World *world, const FakeCall *call)
{
    if (call->kind == CALL_QUERY && (world->rauc.presence == RAUC_BUSY || world->rauc.mute)) {
        g_autoptr(GError) error = g_error_new_literal(RAUC_ERROR, RAUC_ERROR_BUSY, "busy");

        call->answer(NULL, error, call->user_data);
    } else if (call->kind == CALL_QUERY) {
        call->answer(fake_status(&world->rauc), NULL, call->user_data);
    } else if (call->kind == CALL_INSTALL) {
        answer_install(world, call);
    } else {
        answer_mark(world, call);
    }
}

/* Answers, and gives leave to reboot, until nothing moves. */
static void world_run(World *world)
{
    for (guint i = 0;; i++) {
        FakeCall *call = world->rauc.late ? NULL : g_queue_pop_head(&world->rauc.calls);

        ck_assert_uint_lt(i, 1000);
        if (call) {
            answer(world, call);
            fake_call_free(call);
        } else if (transport.download && world->downloads) {
            download_ends(-1, 0);
        } else if (world->wants_reboot && !world->holds_reboot) {
            world->wants_reboot = FALSE;
            firmware_reboot_allowed(world->firmware);
        } else {
            return;
        }
    }
}

static void world_pass(World *world, gint64 ms)
{
    world_run(world);
    while (ms > 0) {
        gint64 step = MIN(ms, SECOND);

        clock_virtual_advance(world->clock, step);
        world_run(world);
        ms -= step;
    }
}

static G_GNUC_UNUSED void world_presence(World *world, RaucPresence presence)
{
    world->rauc.presence = presence;
    firmware_rauc_presence(world->firmware, presence);
    world_run(world);
}

static G_GNUC_UNUSED void world_healthy(World *world)
{
    ck_assert(world->wants_health);
    firmware_set_healthy(world->firmware, TRUE);
    world_run(world);
}

/* The agent's process ends and begins again in the same boot. */
static G_GNUC_UNUSED void world_restart(World *world)
{
    world_stop(world);
    store_close(world->store);
    world->store = open_store(STORE_OPENED);
    world_start(world);
}

static G_GNUC_UNUSED void world_boot(World *world, const char *slot, RaucPresence presence)
{
    world_stop(world);
    store_close(world->store);
    world->store = open_store(STORE_OPENED);
    clock_free(world->clock);
    world->clock = clock_new_virtual(WALL_1970);
    g_free(world->boot_id);
    world->boot_id = g_strdup_printf("boot-%u", ++world->boots);
    world->rauc.booted = slot;
    world->rauc.presence = presence;
    world_start(world);
}

static G_GNUC_UNUSED void world_request(World *world, gint64 date_ms, gint64 retries)
{
    FirmwareRequest request = {.location = "http://bundles.example.com/2.0.raucb",
                               .has_retrieve_date = date_ms > 0,
                               .retrieve_date_ms = date_ms,
                               .retries = retries,
                               .retry_interval_s = -1};
    GError *error = NULL;

    ok(firmware_request(world->firmware, &request, &error));
    world_run(world);
}

/* RAUC's install ends: activated, or with an error. */
static G_GNUC_UNUSED void world_completed(World *world, int failure)
{
    g_autoptr(GError) error = NULL;

    if (failure >= 0) {
        error = g_error_new_literal(RAUC_ERROR, failure, "no luck");
    } else {
        world->rauc.target = RECORD_NEW;
        world->rauc.target_bad = FALSE;
        world->rauc.primary = TARGET;
    }
    world->rauc.presence = RAUC_IDLE;
    firmware_rauc_presence(world->firmware, RAUC_IDLE);
    firmware_rauc_completed(world->firmware, error);
    world_run(world);
}

/* --- Looking --- */

/* What was done since the last look. */
#define did(world, expected)                                                                       \
    do {                                                                                           \
        g_strchomp((world)->deeds->str);                                                           \
        ck_assert_str_eq((world)->deeds->str, expected);                                           \
        g_string_truncate((world)->deeds, 0);                                                      \
    } while (0)

/* All statuses so far. */
static G_GNUC_UNUSED const char *world_wire(World *world)
{
    GError *error = NULL;

    for (;;) {
        g_autoptr(OutboxRow) row = NULL;
        const char *status;

        ok(outbox_head(world->store, &row, &error));
        if (!row)
            return world->wire->str;
        status = strchr(row->payload, ':') + 2;
        g_string_append_printf(world->wire, "%s%.*s", world->wire->len ? " " : "",
                               (int)strcspn(status, "\""), status);
        ok(outbox_remove(world->store, row->id, &error));
    }
}

static G_GNUC_UNUSED const Job *world_job(const World *world)
{
    return firmware_job(world->firmware) ? firmware_job(world->firmware)
                                         : firmware_last_job(world->firmware);
}

#define in_state(world, expected)                                                                  \
    ck_assert_str_eq(world_job(world) ? job_state_name(world_job(world)->state) : "no job",        \
                     job_state_name(expected))

#define logged(world, text)                                                                        \
    ck_assert_msg(strstr((world)->log->str, text), "not in the log: %s\n%s", text,                 \
                  (world)->log->str)
