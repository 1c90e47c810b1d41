/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RAUC's service, as far as the agent can see it, and in place of src/adapter/rauc.c the adapter's
 * functions.  Its order of deeds is RAUC's: target bad, image, status file, primary slot, status
 * file, Completed.
 */
#include "world.h"

#include "ocpp/datetime.h"

#define PARTS 6 /* reports of progress while the image is written */

typedef struct {
    enum { CALL_QUERY, CALL_INSTALL, CALL_MARK } kind;
    guint rauc_life;
    RaucStatusFunc answer;
    RaucDoneFunc done;
    gpointer user_data;
    char text[128]; /* source, or the state of a mark */
    char slot[16];
} Call;

/* ---------------------------------------------------------------------------------- the service */

static RaucPresence presence(const World *world)
{
    if (!world->rauc.running)
        return RAUC_ABSENT;
    return world->rauc.step == STEP_IDLE ? RAUC_IDLE : RAUC_BUSY;
}

void rauc_tell(World *world)
{
    RaucPresence now = presence(world);

    if (!agent_lives(world) || world->agent->rauc.presence == now)
        return;
    world->agent->rauc.presence = now;
    firmware_rauc_presence(world->agent->firmware, now);
}

static void tell_later(World *world, gpointer data)
{
    (void)data;
    rauc_tell(world);
}

void rauc_begin(World *world, gpointer data)
{
    (void)data;
    if (!world->device.on || world->rauc.running ||
        world->device.slots[world->device.booted].health == NO_RAUC)
        return;
    if (world->now_ms < world->rauc.kept_away_until) {
        after(world, world->rauc.kept_away_until - world->now_ms, SCOPE_BOOT, rauc_begin, NULL);
        return;
    }
    world->rauc.running = TRUE;
    world->rauc.step = STEP_IDLE;
    after(world, draw(world, 10, 300), SCOPE_AGENT, tell_later, NULL);
}

void rauc_die(World *world, gint64 away_ms)
{
    if (!world->rauc.running)
        return;
    note(world, "RAUC dies%s", world->rauc.step == STEP_IDLE ? "" : " at work");
    world->rauc.running = FALSE;
    world->rauc.step = STEP_IDLE;
    scope_ends(world, SCOPE_RAUC);
    after(world, 1, SCOPE_AGENT, tell_later, NULL);
    after(world, away_ms, SCOPE_BOOT, rauc_begin, NULL);
}

static void completed(World *world, int code, const char *why)
{
    g_autoptr(GError) error = code < 0 ? NULL : g_error_new_literal(RAUC_ERROR, code, why);
    gboolean foreign = world->rauc.bundle >= FOREIGN;

    note(world, "RAUC: Completed(%d) %s", code >= 0, why);
    world->rauc.step = STEP_IDLE;
    scope_ends(world, SCOPE_RAUC);
    if (foreign && code < 0) /* who installs by hand reboots by hand */
        device_reboot(world, draw(world, MINUTE, 30 * MINUTE));
    rauc_tell(world);
    if (agent_lives(world) && world->agent->rauc.presence == RAUC_IDLE)
        firmware_rauc_completed(world->agent->firmware, error);
}

static void progress(World *world, int percent, const char *message)
{
    world->rauc.percent = percent;
    if (!agent_lives(world) || world->agent->rauc.presence != RAUC_BUSY)
        return;
    world->agent->rauc.percent = percent;
    firmware_rauc_progress(world->agent->firmware, percent, message);
}

/* The status file learns of the activation last: a power cut may come before. */
static void finish(World *world, gpointer data)
{
    gboolean breaks =
        bundle_of(world, world->rauc.bundle).breaks == RAUC_ERROR_OTHER && chance(world, 33);

    (void)data;
    world->device.slots[world->rauc.target].activated_s = device_wall_ms(world) / 1000;
    if (breaks)
        completed(world, RAUC_ERROR_OTHER, "the post-install handler failed");
    else
        completed(world, -1, "");
}

static void power_goes(World *world, gpointer data)
{
    (void)data;
    device_power_cut(world);
}

static void set_primary(World *world, gpointer data)
{
    RaucService *rauc = &world->rauc;

    (void)data;
    rauc->step = STEP_PRIMARY;
    device_mark(world, "active", rauc->target);
    note(world, "RAUC: %s is primary", slot_name(rauc->target));
    ledger_activated(world, rauc->bundle);
    if (world->storm &&
        chance(world, 4)) /* between the loader's switch and the agent's hearing of it */
        after(world, draw(world, 0, 1200), SCOPE_BOOT, power_goes, NULL);
    after(world, draw(world, 0, SECOND), SCOPE_RAUC, finish, NULL);
}

static void written(World *world)
{
    RaucService *rauc = &world->rauc;
    Slot *slot = &world->device.slots[rauc->target];

    rauc->step = STEP_WRITTEN;
    slot->bundle = rauc->bundle;
    slot->health = bundle_of(world, rauc->bundle).health;
    slot->pending = FALSE;
    slot->installed_count++;
    slot->installed_s = device_wall_ms(world) / 1000;
    after(world, draw(world, 0, SECOND), SCOPE_RAUC, set_primary, NULL);
}

static gboolean stream_is_lost(World *world)
{
    if (!world->rauc.relayed || relay_serves(world))
        return FALSE;
    completed(world, RAUC_ERROR_RETRIEVAL, "the stream is lost");
    return TRUE;
}

static void write_part(World *world, gpointer data)
{
    RaucService *rauc = &world->rauc;
    Bundle bundle = bundle_of(world, rauc->bundle);

    (void)data;
    if (stream_is_lost(world))
        return;
    if (bundle.breaks == RAUC_ERROR_COPY && rauc->part == 3 && chance(world, 33)) {
        completed(world, RAUC_ERROR_COPY, "Input/output error");
        return;
    }
    if (rauc->relayed && rauc->part == 3 && bundle.fetch == FETCH_STALLS && rauc->attempt % 2 == 0)
        return; /* until somebody ends it */
    relay_moves(world, 1 << 20);
    if (rauc->part++ >= PARTS) {
        written(world);
        return;
    }
    after(world, draw(world, 2 * SECOND, 60 * SECOND), SCOPE_RAUC, write_part, NULL);
    progress(world, 40 + (int)rauc->part * 9, "Copying image to rootfs");
}

static void begin_writing(World *world)
{
    RaucService *rauc = &world->rauc;
    Slot *slot = &world->device.slots[rauc->target];

    device_mark(world, "bad", rauc->target);
    rauc->step = STEP_WRITE;
    rauc->part = 0;
    slot->pending = TRUE;
    slot->confirmed = FALSE;
    slot->health = GARBAGE;
    note(world, "RAUC: writes %s", slot_name(rauc->target));
    after(world, draw(world, SECOND, 20 * SECOND), SCOPE_RAUC, write_part, NULL);
    progress(world, 40, "Updating slots");
}

static void verified(World *world, gpointer data)
{
    RaucService *rauc = &world->rauc;
    Bundle bundle = bundle_of(world, rauc->bundle);
    gboolean fails =
        bundle.fetch == FETCH_REFUSED || (bundle.fetch == FETCH_FLAKY && rauc->attempt % 2 == 0);

    (void)data;
    if (stream_is_lost(world))
        return;
    if (rauc->relayed && bundle.fetch == FETCH_WHOLE) {
        completed(world, RAUC_ERROR_STREAM, "Failed to set up nbd device");
    } else if (rauc->relayed && fails) {
        relay_gives_up(world, bundle.fetch == FETCH_REFUSED ? TRANSFER_ERROR_REFUSED
                                                            : TRANSFER_ERROR_NETWORK);
        completed(world, RAUC_ERROR_RETRIEVAL, "HTTP 204");
    } else if (bundle.refusal >= 0) {
        completed(world, bundle.refusal, "RAUC refuses the bundle");
    } else {
        begin_writing(world);
    }
}

gboolean rauc_begin_install(World *world, guint bundle, gboolean relayed)
{
    RaucService *rauc = &world->rauc;

    if (!rauc->running || rauc->step != STEP_IDLE)
        return FALSE;
    rauc->attempt = rauc->bundle == bundle ? rauc->attempt + 1 : 0;
    rauc->step = STEP_VERIFY;
    rauc->bundle = bundle;
    rauc->relayed = relayed;
    rauc->target = 1 - world->device.booted;
    rauc->percent = 0;
    world->figures.installs++;
    if (bundle >= FOREIGN)
        ledger_foreign_install(world);
    note(world, "RAUC: InstallBundle of bundle %u%s%s", bundle, relayed ? " through the relay" : "",
         bundle >= FOREIGN ? ", by somebody else" : "");
    after(world, draw(world, SECOND, 20 * SECOND), SCOPE_RAUC, verified, NULL);
    return TRUE;
}

/* RAUC asks for some seconds, then gives up. */
static void look_at_stream(World *world, gpointer data)
{
    (void)data;
    if (world->rauc.step == STEP_VERIFY || world->rauc.step == STEP_WRITE)
        stream_is_lost(world);
}

void rauc_stream_lost(World *world)
{
    if (world->rauc.running && world->rauc.relayed)
        after(world, 5 * SECOND, SCOPE_RAUC, look_at_stream, NULL);
}

/* ---------------------------------------------------------------------------------- the adapter */

RaucPresence rauc_presence(const Rauc *rauc)
{
    return rauc->presence;
}

int rauc_percent(const Rauc *rauc)
{
    return rauc->percent;
}

static char *stamp(gint64 seconds)
{
    return seconds == 0 ? NULL : ocpp_datetime_format(seconds * 1000);
}

static void add_slot(World *world, RaucStatus *status, int number)
{
    const Device *device = &world->device;
    const Slot *seen = &device->slots[number];
    RaucSlot *slot = g_new0(RaucSlot, 1);
    gboolean in_order = FALSE;

    for (int i = 0; i < device->n_order; i++)
        in_order = in_order || device->order[i] == number;
    slot->name = g_strdup(slot_name(number));
    slot->class_ = g_strdup("rootfs");
    slot->bootname = g_strdup(number == 0 ? "A" : "B");
    slot->state = g_strdup(number == device->booted ? "booted" : "inactive");
    slot->boot_status = g_strdup(in_order && device->left[number] > 0 ? "good" : "bad");
    if (seen->installed_count > 0 || seen->pending) {
        slot->status = g_strdup(seen->pending ? "pending" : "ok");
        slot->version = g_strdup_printf("fw-%u", seen->bundle);
        slot->hash = g_strdup_printf("%064u", seen->bundle);
    }
    slot->installed_count = seen->installed_count;
    slot->installed_timestamp = stamp(seen->installed_s);
    slot->activated_timestamp = stamp(seen->activated_s);
    g_ptr_array_add(status->slots, slot);
}

static void answer_query(World *world, const Call *call)
{
    RaucStatus *status;
    int primary = device_primary(&world->device);
    g_autoptr(GError) error = NULL;

    if (world->rauc.step != STEP_IDLE)
        error = g_error_new_literal(RAUC_ERROR, RAUC_ERROR_BUSY, "already processing");
    else if (world->now_ms < world->rauc.hides_until)
        error = g_error_new_literal(RAUC_ERROR, RAUC_ERROR_OTHER, "the backend failed");
    if (error) {
        call->answer(NULL, error, call->user_data);
        return;
    }
    status = g_new0(RaucStatus, 1);
    status->slots = g_ptr_array_new_with_free_func(rauc_slot_free);
    if (primary >= 0 && world->now_ms >= world->rauc.no_primary_until)
        status->primary = g_strdup(slot_name(primary));
    add_slot(world, status, 0);
    add_slot(world, status, 1);
    call->answer(status, NULL, call->user_data);
}

static void answer_install(World *world, const Call *call)
{
    guint bundle = bundle_number(call->text);
    gboolean relayed = g_str_has_prefix(call->text, "http://127.0.0.1");
    g_autoptr(GError) busy = NULL;

    if (!rauc_begin_install(world, bundle, relayed))
        busy = g_error_new_literal(RAUC_ERROR, RAUC_ERROR_BUSY, "already processing");
    rauc_tell(world);
    if (!dies_here(world))
        call->done(busy, call->user_data);
}

static void answer_mark(World *world, const Call *call)
{
    int slot = g_str_equal(call->slot, "booted")       ? world->device.booted
               : g_str_equal(call->slot, slot_name(0)) ? 0
                                                       : 1;
    g_autoptr(GError) error = NULL;

    if (world->rauc.step != STEP_IDLE) {
        error = g_error_new_literal(RAUC_ERROR, RAUC_ERROR_BUSY, "already processing");
    } else if (world->now_ms < world->rauc.refuses_until) {
        error = g_error_new_literal(RAUC_ERROR, RAUC_ERROR_OTHER, "the backend failed");
        world->figures.refused_marks++;
        ledger_taint(world);
    } else {
        device_mark(world, call->text, slot);
    }
    note(world, "RAUC: mark %s %s%s", call->text, slot_name(slot), error ? ": refused" : "");
    if (!dies_here(world))
        call->done(error, call->user_data);
}

static void answer_gone(const Call *call)
{
    g_autoptr(GError) gone = g_error_new_literal(RAUC_ERROR, RAUC_ERROR_GONE, "RAUC is not there");

    if (call->kind == CALL_QUERY)
        call->answer(NULL, gone, call->user_data);
    else
        call->done(gone, call->user_data);
}

static void answer(World *world, gpointer data)
{
    static void (*const ANSWERS[])(World *, const Call *) = {
        [CALL_QUERY] = answer_query, [CALL_INSTALL] = answer_install, [CALL_MARK] = answer_mark};
    const Call *call = data;

    if (dies_here(world)) /* before RAUC hears of it */
        return;
    /* a service that came after the call knows nothing of it; Completed ends a life, too, but not
     * its calls */
    if (!world->rauc.running || world->agent->rauc.presence == RAUC_ABSENT)
        answer_gone(call);
    else
        ANSWERS[call->kind](world, call);
}

static void ask(World *world, Call call)
{
    gint64 delay = world->now_ms < world->rauc.slow_until ? draw(world, SECOND, 50 * SECOND)
                                                          : draw(world, 1, 400);

    after(world, delay, SCOPE_AGENT, answer, g_memdup2(&call, sizeof(call)));
}

void rauc_query(Rauc *rauc, RaucStatusFunc done, gpointer user_data)
{
    if (agent_lives(rauc->world))
        ask(rauc->world, (Call){.kind = CALL_QUERY, .answer = done, .user_data = user_data});
}

void rauc_install(Rauc *rauc, const char *source, RaucDoneFunc done, gpointer user_data)
{
    Call call = {.kind = CALL_INSTALL, .done = done, .user_data = user_data};

    g_strlcpy(call.text, source, sizeof(call.text));
    if (!dies_here(rauc->world))
        ask(rauc->world, call);
}

void rauc_mark(Rauc *rauc, const char *state, const char *slot, RaucDoneFunc done,
               gpointer user_data)
{
    Call call = {.kind = CALL_MARK, .done = done, .user_data = user_data};

    g_strlcpy(call.text, state, sizeof(call.text));
    g_strlcpy(call.slot, slot, sizeof(call.slot));
    if (!dies_here(rauc->world))
        ask(rauc->world, call);
}
