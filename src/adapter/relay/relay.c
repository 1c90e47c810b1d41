/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The relay's life: which request goes where, how long one may wait, giving up, telling the
 * owner. */
#include "adapter/relay.h"

#include <string.h>
#include <sys/random.h>

#include "relay_internal.h"

#define SECRET_BYTES  16
#define SECRET_DIGITS ((gsize)2 * SECRET_BYTES)

G_DEFINE_QUARK(relay_error, relay_error)

void relay_place_clear(RelayPlace *place)
{
    g_clear_pointer(&place->secret, g_free);
    transfer_file_clear(&place->file);
    place->port = 0;
}

/* ---- telling the owner, who may free the relay then: never from within a callback of the server
 * or of a fetch ---- */

static gboolean tell(gpointer user_data)
{
    Relay *relay = user_data;

    if (relay->place.file.size >= 0 && !relay->known_told) {
        relay->known_told = TRUE;
        relay->events.known(&relay->place.file, relay->user_data);
        return G_SOURCE_CONTINUE; /* the next time the rest; the relay may be gone */
    }
    relay->telling = 0;
    if (relay->failure != NULL && !relay->failure_told) {
        relay->failure_told = TRUE;
        relay->events.failed(relay->user_data);
    }
    return G_SOURCE_REMOVE;
}

static void tell_soon(Relay *relay)
{
    if (relay->telling == 0)
        relay->telling = g_idle_add_full(G_PRIORITY_DEFAULT, tell, relay, NULL);
}

/* ---- answers ---- */

void relay_answer(RelayJob *job, const RelayAnswer *answer)
{
    g_queue_remove(&job->relay->waiting, job);
    relay_call_answer(job->call, answer);
}

void relay_answer_status(RelayJob *job, guint status, gint64 size)
{
    RelayAnswer answer = {.status = status, .size = size};

    relay_answer(job, &answer);
}

void relay_give_up(Relay *relay, const GError *error)
{
    RelayJob *job = NULL;

    if (relay->failure == NULL) {
        relay->failure = g_error_copy(error);
        tell_soon(relay);
    }
    clock_timer_clear(relay->clock, &relay->late);
    if (relay->fetch != NULL) {
        relay_count(relay);
        fetch_cancel(relay->fetch);
        relay_end_fetch(relay);
    }
    relay_store_clear(relay);
    while ((job = g_queue_peek_head(&relay->waiting)) != NULL)
        relay_answer_status(job, 204, -1);
}

/* ---- how long RAUC may wait ---- */

static gint64 waited_ms(const Relay *relay)
{
    const RelayJob *oldest = g_queue_peek_head((GQueue *)&relay->waiting);

    return oldest != NULL ? clock_boottime_ms(relay->clock) - oldest->since_ms : 0;
}

gboolean relay_is_late(const Relay *relay)
{
    return !g_queue_is_empty((GQueue *)&relay->waiting) && waited_ms(relay) >= relay->hold_ms;
}

static const char *trouble(const Relay *relay)
{
    if (relay->fetch != NULL && fetch_trouble(relay->fetch) != NULL)
        return fetch_trouble(relay->fetch);
    return relay->chunk_trouble != NULL ? relay->chunk_trouble->message : NULL;
}

GError *relay_late_error(const Relay *relay, int code, const char *why)
{
    return g_error_new(TRANSFER_ERROR, code,
                       "%s (RAUC has waited for %" G_GINT64_FORMAT
                       " s and would give up by itself)",
                       why != NULL ? why : "the server is too slow", relay->hold_ms / 1000);
}

static void too_late(gpointer user_data)
{
    Relay *relay = user_data;

    if (g_queue_is_empty(&relay->waiting))
        return;
    if (!relay_is_late(relay)) {
        clock_timer_set(relay->clock, &relay->late, relay->hold_ms - waited_ms(relay), too_late,
                        relay);
        return;
    }
    g_autoptr(GError) error = relay_late_error(relay, TRANSFER_ERROR_NETWORK, trouble(relay));
    relay_give_up(relay, error);
}

/* ---- fetching ---- */

gint64 relay_budget_left(const Relay *relay)
{
    return relay->budget < 0 ? G_MAXINT64 : MAX(relay->budget - relay->fetched, 0);
}

GError *relay_budget_error(const Relay *relay)
{
    return g_error_new(TRANSFER_ERROR, TRANSFER_ERROR_BUDGET,
                       "the data budget is used up: %" G_GINT64_FORMAT
                       " bytes were fetched, %" G_GINT64_FORMAT " were allowed",
                       relay->fetched, relay->budget);
}

gboolean relay_is_busy(const Relay *relay)
{
    return relay->fetch != NULL && !relay->run.held;
}

void relay_begin_fetch(Relay *relay, const FetchRequest *request, const FetchEvents *events)
{
    relay_run_drop(relay);
    relay->fetch_counted = 0;
    relay->requests_counted = 0;
    relay->fetch = fetch_begin(relay->transfers, relay->clock, request, events, relay);
}

void relay_count(Relay *relay)
{
    gint64 received = fetch_received(relay->fetch);
    guint requests = fetch_requests(relay->fetch);

    relay->fetched += received - relay->fetch_counted;
    relay->requests += requests - relay->requests_counted;
    relay->fetch_counted = received;
    relay->requests_counted = requests;
}

void relay_end_fetch(Relay *relay)
{
    relay->fetch = NULL;
    g_clear_handle_id(&relay->turn, g_source_remove);
    relay_run_close(relay);
    relay_cache_end(relay->cache);
    if (relay->place.file.size >= 0 && !relay->known_told)
        tell_soon(relay);
}

/* What RAUC waits for first; ahead of it only when it waits for nothing. */
void relay_pump(Relay *relay)
{
    if (relay->failure != NULL)
        return;
    relay_bundle_serve(relay);
    if (relay_is_busy(relay) || relay_bundle_fetch(relay) || relay->failure != NULL ||
        relay_store_fetch(relay))
        return;
    if (!relay->tired)
        relay_bundle_prefetch(relay);
}

/* ---- requests ---- */

static RelayJob *new_job(Relay *relay, RelayCall *call)
{
    RelayJob *job = g_new0(RelayJob, 1);

    job->relay = relay;
    job->call = call;
    job->since_ms = clock_boottime_ms(relay->clock);
    relay_call_set_data(call, job);
    g_queue_push_tail(&relay->waiting, job);
    return job;
}

static void ask_bundle(RelayJob *job, const RelayRequest *request)
{
    Relay *relay = job->relay;

    job->ranged = request->range != NULL;
    if (job->ranged && !relay_range_parse(request->range, &job->asked)) {
        relay_answer_status(job, 400, -1);
    } else if (relay->local_fd >= 0) {
        relay_local_serve(job, request->head);
    } else if (!job->ranged && !request->head && relay->served > 0) {
        relay_answer_status(job, 404, -1); /* RAUC streams: this is somebody else */
    } else if (!job->ranged && !request->head) {
        g_autoptr(GError) error =
            g_error_new_literal(RELAY_ERROR, RELAY_ERROR_WHOLE,
                                "RAUC asked for the bundle as a whole: it cannot stream");

        relay_give_up(relay, error);
    }
}

static void on_asked(RelayCall *call, const RelayRequest *request, gpointer user_data)
{
    Relay *relay = user_data;
    const char *chunk = NULL;
    RelayTarget target = relay_target(request->path, relay->place.secret, &chunk);
    RelayJob *job = new_job(relay, call);

    if (target == RELAY_TARGET_NONE) {
        relay_answer_status(job, 404, -1);
        return;
    }
    relay->asked++;
    relay_call_trust(call);
    if (relay->failure != NULL) {
        relay_answer_status(job, 204, -1);
        return;
    }
    relay->tired = FALSE;
    if (target == RELAY_TARGET_STORE)
        job->chunk = g_strdup(chunk);
    else
        ask_bundle(job, request);
    relay_pump(relay);
    if (!g_queue_is_empty(&relay->waiting) && relay->late == 0)
        clock_timer_set(relay->clock, &relay->late, relay->hold_ms - waited_ms(relay), too_late,
                        relay);
}

static void on_ended(RelayCall *call, gint64 sent, gpointer user_data)
{
    Relay *relay = user_data;
    RelayJob *job = relay_call_data(call);

    if (job == NULL) /* refused before it came to us */
        return;
    g_queue_remove(&relay->waiting, job);
    relay->served += sent;
    if (sent > 0)
        relay->last_ms = clock_boottime_ms(relay->clock);
    if (job->pinned)
        relay_cache_unpin(relay->cache, &job->range, sent == job->range.length);
    relay_store_ended(job);
    g_clear_pointer(&job->bytes, g_bytes_unref);
    g_free(job->chunk);
    g_free(job);
    if (relay->http != NULL) /* else it is being freed */
        relay_pump(relay);
}

/* ---- for the owner ---- */

static char *new_secret(void)
{
    guint8 random[SECRET_BYTES];
    GString *secret = g_string_new(NULL);

    if (getrandom(random, sizeof(random), 0) != (gssize)sizeof(random))
        g_error("the kernel has no random numbers");
    for (gsize i = 0; i < sizeof(random); i++)
        g_string_append_printf(secret, "%02x", random[i]);
    return g_string_free(secret, FALSE);
}

static void take_place(Relay *relay, const RelayPlace *place)
{
    gboolean usable = place->secret != NULL && strlen(place->secret) == SECRET_DIGITS &&
                      strspn(place->secret, "0123456789abcdef") == SECRET_DIGITS;

    relay->place.secret = usable ? g_strdup(place->secret) : new_secret();
    relay->place.file = TRANSFER_FILE_UNKNOWN;
    transfer_file_copy(&relay->place.file, &place->file);
    relay->known_told = place->file.size >= 0;
}

Relay *relay_new(Transfers *transfers, Clock *clock, const RelayConfig *config,
                 const RelayPlace *place, const RelayEvents *events, gpointer user_data,
                 GError **error)
{
    static const RelayHttpEvents http_events = {on_asked, on_ended};
    g_autoptr(Relay) relay = g_new0(Relay, 1);

    relay->transfers = transfers;
    relay->clock = clock;
    relay->source = g_strdup(config->url);
    relay->hold_ms = config->hold_ms;
    relay->budget = config->budget;
    relay->events = *events;
    relay->user_data = user_data;
    relay->local_fd = -1;
    relay->chunk_file = TRANSFER_FILE_UNKNOWN;
    relay->last_ms = clock_boottime_ms(clock);
    g_queue_init(&relay->waiting);
    take_place(relay, place);
    relay->cache = relay_cache_new(config->read_ahead);
    relay_run_init(relay);
    /* What is ahead of a stream leaves room for the others, and a run costs no more in small
     * windows. */
    relay_window_init(&relay->window, MIN(RELAY_WINDOW_MAX, relay_cache_longest(relay->cache) / 2 *
                                                                (relay->run.wanted ? 1 : 3)));
    if (config->local_bundle != NULL && !relay_local_open(relay, config->local_bundle, error))
        return NULL;
    relay->http = relay_http_new(place->port, clock, &http_events, relay, error);
    if (relay->http == NULL)
        return NULL;
    relay->place.port = relay_http_port(relay->http);
    relay->url = g_strdup_printf("http://127.0.0.1:%u/%s/bundle.raucb", relay->place.port,
                                 relay->place.secret);
    return g_steal_pointer(&relay);
}

void relay_free(Relay *relay)
{
    if (relay == NULL)
        return;
    g_clear_handle_id(&relay->telling, g_source_remove);
    g_clear_handle_id(&relay->turn, g_source_remove);
    if (relay->fetch != NULL)
        fetch_cancel(relay->fetch);
    relay->fetch = NULL;
    relay_run_clear(relay);
    relay_http_free(g_steal_pointer(&relay->http));
    relay_store_clear(relay);
    relay_local_close(relay);
    clock_timer_clear(relay->clock, &relay->late);
    relay_cache_free(relay->cache);
    relay_place_clear(&relay->place);
    g_clear_error(&relay->failure);
    g_free(relay->source);
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
    gint64 more = relay->fetch != NULL ? fetch_received(relay->fetch) - relay->fetch_counted : 0;
    guint requests =
        relay->fetch != NULL ? fetch_requests(relay->fetch) - relay->requests_counted : 0;

    *ret_state = (RelayState){
        .size = relay->local_fd >= 0 ? relay->local_size : relay->place.file.size,
        .position = relay->window.position,
        .fetched = relay->fetched + more,
        .served = relay->served,
        .requests = relay->requests + requests,
        .asked = relay->asked,
        .last_ms = relay->last_ms,
        .retry_after_s = relay->failure != NULL ? relay->retry_after_s : 0,
        .trouble = trouble(relay),
    };
}

void relay_abort(Relay *relay, const GError *reason)
{
    relay_give_up(relay, reason);
}

const GError *relay_failure(const Relay *relay)
{
    return relay->failure;
}
