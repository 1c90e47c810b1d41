/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bundles and what becomes of them on their way; in place of the adapters' functions: relay,
 * download, commands.
 */
#include "world.h"

#include <string.h>

#include "adapter/command.h"
#include "adapter/download.h"
#include "adapter/relay.h"

#define BUNDLE_BYTES (8 << 20)

struct _Relay {
    RelayPlace place;
    RelayEvents events;
    gpointer user_data;
    GError *failure;
    RelayState state;
    guint bundle;
    char *url;
};

struct _Download {
    DownloadEvents events;
    gpointer user_data;
    guint64 serial;
    gint64 bytes;
};

struct _Command {
    guint64 serial;
    CommandDone done;
    gpointer user_data;
};

/* Of the agent that lives; one of each at a time. */
static struct {
    Relay *relay;
    Download *download;
    Command *command;
    guint64 serial;
} door;

void transfers_end(void)
{
    door.relay = NULL;
    door.download = NULL;
    door.command = NULL;
}

/* -------------------------------------------------------------------------------------- bundles */

/* `percents` add up to at most 100; the rest is the first. */
static guint choose(guint64 number, const guint *percents, guint n)
{
    guint drawn = (guint)(number % 100), below = 0;

    for (guint i = 1; i < n; i++) {
        below += percents[i];
        if (drawn < below)
            return i;
    }
    return 0;
}

/* By seed and number alone, so that nothing grows with the number of updates. */
Bundle bundle_of(const World *world, guint number)
{
    static const guint HEALTHS[] = {
        [HEALTHY] = 0, [SICK] = 8, [NO_CSMS] = 4, [NO_RAUC] = 3, [NEVER_BOOTS] = 8};
    static const guint FETCHES[] = {[FETCH_WELL] = 0,
                                    [FETCH_FLAKY] = 10,
                                    [FETCH_REFUSED] = 4,
                                    [FETCH_STALLS] = 5,
                                    [FETCH_WHOLE] = 5};
    static const int REFUSALS[] = {-1, RAUC_ERROR_SIGNATURE, RAUC_ERROR_COMPATIBLE,
                                   RAUC_ERROR_FORMAT, RAUC_ERROR_SIZE};
    static const guint REFUSED[] = {0, 3, 3, 2, 2};
    static const int BREAKS[] = {-1, RAUC_ERROR_COPY, RAUC_ERROR_OTHER};
    static const guint BROKEN[] = {0, 5, 5};
    guint64 seed = mixed(world->seed ^ ((guint64)number << 20));
    Bundle bundle = {
        .health = (Health)choose(mixed(seed + 1), HEALTHS, G_N_ELEMENTS(HEALTHS)),
        .fetch = (FetchKind)choose(mixed(seed + 2), FETCHES, G_N_ELEMENTS(FETCHES)),
        .refusal = REFUSALS[choose(mixed(seed + 3), REFUSED, G_N_ELEMENTS(REFUSED))],
        .breaks = BREAKS[choose(mixed(seed + 4), BROKEN, G_N_ELEMENTS(BROKEN))],
        .unusable = mixed(seed + 5) % 100 < 2,
    };

    /* a person who installs by hand sees to it that it boots */
    if (number >= FOREIGN)
        bundle =
            (Bundle){.health = mixed(seed) % 5 == 0 ? SICK : HEALTHY, .refusal = -1, .breaks = -1};
    return bundle;
}

guint bundle_number(const char *text)
{
    const char *name = strstr(text, "bundle-");
    World *world = world_here();

    if (name)
        return (guint)g_ascii_strtoull(name + strlen("bundle-"), NULL, 10);
    if (!g_str_has_prefix(text, "/spool/job-") || !world->spool_whole ||
        g_ascii_strtoll(text + strlen("/spool/job-"), NULL, 10) != world->spool_job)
        violation(world, "RAUC is given %s, which is not there", text);
    return world->spool_bundle;
}

char *bundle_location(World *world, guint number)
{
    return g_strdup_printf(bundle_of(world, number).unusable
                               ? "C:\\bundle-%u.bin"
                               : "https://example.com/bundle-%u.raucb",
                           number);
}

/* ---------------------------------------------------------------------------------------- relay */

GQuark relay_error_quark(void)
{
    return g_quark_from_static_string("relay-error");
}

void relay_place_clear(RelayPlace *place)
{
    g_clear_pointer(&place->secret, g_free);
    g_clear_pointer(&place->file.etag, g_free);
}

Relay *relay_new(Transfers *transfers, Clock *clock, const RelayConfig *config,
                 const RelayPlace *place, const RelayEvents *events, gpointer user_data,
                 GError **error)
{
    World *world = transfers->world;
    Relay *relay;

    (void)clock;
    if (place->port && world->storm && chance(world, 5)) {
        g_set_error_literal(error, RELAY_ERROR, RELAY_ERROR_PORT, "the port is taken");
        return NULL;
    }
    relay = g_new0(Relay, 1);
    relay->place = (RelayPlace){.port = place->port ? place->port : 40000,
                                .secret = g_strdup(place->secret ? place->secret : "s"),
                                .file = {.size = BUNDLE_BYTES, .modified = -1}};
    relay->events = *events;
    relay->user_data = user_data;
    relay->bundle = bundle_number(config->url);
    relay->url = g_strdup_printf("http://127.0.0.1:40000/s/bundle-%u.raucb", relay->bundle);
    relay->state = (RelayState){.size = -1, .last_ms = -1};
    if (agent_lives(world))
        door.relay = relay;
    return relay;
}

void relay_free(Relay *relay)
{
    if (!relay)
        return;
    if (door.relay == relay) {
        door.relay = NULL;
        rauc_stream_lost(world_here());
    }
    relay_place_clear(&relay->place);
    g_clear_error(&relay->failure);
    g_free(relay->url);
    g_free(relay);
}

const char *relay_url(const Relay *relay)
{
    return relay->url;
}

const RelayPlace *relay_place(const Relay *relay)
{
    return &relay->place;
}

void relay_state(const Relay *relay, RelayState *ret_state)
{
    *ret_state = relay->state;
}

void relay_abort(Relay *relay, const GError *reason)
{
    if (!relay->failure)
        relay->failure = g_error_copy(reason);
    if (door.relay == relay)
        rauc_stream_lost(world_here());
}

const GError *relay_failure(const Relay *relay)
{
    return relay->failure;
}

gboolean relay_serves(World *world)
{
    return agent_lives(world) && door.relay && !door.relay->failure &&
           door.relay->bundle == world->rauc.bundle;
}

void relay_gives_up(World *world, int code)
{
    if (!relay_serves(world))
        return;
    door.relay->failure = g_error_new_literal(TRANSFER_ERROR, code, "the server does not deliver");
    door.relay->events.failed(door.relay->user_data);
}

void relay_moves(World *world, gint64 bytes)
{
    if (!world->rauc.relayed || !relay_serves(world))
        return;
    if (door.relay->state.size < 0) {
        door.relay->state.size = BUNDLE_BYTES;
        door.relay->events.known(&door.relay->place.file, door.relay->user_data);
    }
    door.relay->state.fetched += bytes;
    door.relay->state.last_ms = clock_boottime_ms(world->agent->clock);
}

/* ------------------------------------------------------------------------------------- download */

static gboolean is_current(const Download *download, const guint64 *serial)
{
    return download && download->serial == *serial;
}

static void download_ends(World *world, gpointer data)
{
    Download *download = door.download;
    Bundle bundle = bundle_of(world, world->spool_bundle);
    gboolean unlucky = (bundle.fetch == FETCH_FLAKY || bundle.fetch == FETCH_STALLS) &&
                       world->spool_tries++ % 2 == 0;
    g_autoptr(GError) error = NULL;

    if (!is_current(download, data) || dies_here(world))
        return;
    if (bundle.fetch == FETCH_REFUSED)
        error = g_error_new_literal(TRANSFER_ERROR, TRANSFER_ERROR_REFUSED, "HTTP 404");
    else if (unlucky && !world->spool_whole)
        error = g_error_new_literal(TRANSFER_ERROR, TRANSFER_ERROR_NETWORK, "cut");
    world->spool_whole = world->spool_whole || !error;
    download->events.done(error ? NULL : "/spool/bundle", error ? NULL : "abcd", error,
                          chance(world, 10) ? 30 : 0, download->user_data);
}

static void download_moves(World *world, gpointer data)
{
    Download *download = door.download;
    gboolean stalls = bundle_of(world, world->spool_bundle).fetch == FETCH_STALLS;

    if (!is_current(download, data))
        return;
    download->bytes = BUNDLE_BYTES / 2;
    download->events.progress(download->bytes, BUNDLE_BYTES, download->user_data);
    after(world, stalls ? 270 * SECOND : draw(world, SECOND, 300 * SECOND), SCOPE_AGENT,
          download_ends, g_memdup2(data, sizeof(guint64)));
}

Download *download_begin(Transfers *transfers, Clock *clock, const DownloadRequest *request,
                         const DownloadEvents *events, gpointer user_data)
{
    World *world = transfers->world;
    Download *download = g_new0(Download, 1);

    (void)clock;
    download->events = *events;
    download->user_data = user_data;
    download->serial = ++door.serial;
    if (dies_here(world))
        return download;
    if (world->spool_job != request->job) {
        world->spool_job = request->job;
        world->spool_bundle = bundle_number(request->url);
        world->spool_tries = 0;
        world->spool_whole = FALSE;
    }
    door.download = download;
    after(world, draw(world, 100, 60 * SECOND), SCOPE_AGENT, download_moves,
          g_memdup2(&download->serial, sizeof(download->serial)));
    return download;
}

void download_free(Download *download)
{
    if (door.download == download)
        door.download = NULL;
    g_free(download);
}

void download_position(const Download *download, gint64 *ret_bytes, gint64 *ret_size)
{
    *ret_bytes = download->bytes;
    *ret_size = BUNDLE_BYTES;
}

gint64 download_received(const Download *download)
{
    return download->bytes;
}

const char *download_trouble(const Download *download)
{
    (void)download;
    return NULL;
}

void download_clean(const char *directory, gint64 keep)
{
    World *world = world_here();

    (void)directory;
    if (agent_lives(world) && world->spool_job != keep)
        world->spool_job = 0;
}

char *download_path(const char *directory, gint64 job)
{
    return g_strdup_printf("%s/job-%" G_GINT64_FORMAT ".raucb", directory, job);
}

/* ------------------------------------------------------------------------------------- commands */

static void command_ends(World *world, gpointer data)
{
    Command *command = door.command;
    Health health = world->device.slots[world->device.booted].health;
    gboolean ok = health != SICK && !(world->storm && chance(world, 10));

    if (!command || command->serial != *(guint64 *)data || dies_here(world))
        return;
    door.command = NULL;
    command->done(ok, ok ? "exit code 0" : "exit code 1", command->user_data);
    g_free(command);
}

Command *command_start(const char *const *argv, guint timeout_s, CommandDone done,
                       gpointer user_data, GError **error)
{
    World *world = world_here();
    Command *command = g_new0(Command, 1);

    (void)argv, (void)timeout_s, (void)error;
    *command = (Command){++door.serial, done, user_data};
    if (!agent_lives(world))
        return command;
    door.command = command;
    after(world, draw(world, 100, 5 * SECOND), SCOPE_AGENT, command_ends,
          g_memdup2(&command->serial, sizeof(command->serial)));
    return command;
}

void command_cancel(Command *command)
{
    if (door.command == command)
        door.command = NULL;
    g_free(command);
}
