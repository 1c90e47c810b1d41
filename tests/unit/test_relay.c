/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relay between a client that asks as RAUC does and a server that fails as servers do.  The
 * contract is what RAUC was measured to need: whole 206 answers, requests held over an outage, 204
 * to everything as the end.
 */
#include "relay_upstream.h"

#include <poll.h>

#include "adapter/fetch.h"
#include "adapter/relay.h"
#include "src/adapter/relay/relay_http.h"

#define BUNDLE_BYTES (6 << 20)
#define READ_BYTES   ((gint64)128 << 10) /* as RAUC does mostly */
#define READ_AHEAD   (1 << 20)
#define HOLD_MS      270000

static Clock *test_clock;
static Transfers *transfers;
static Relay *relay;
static Upstream upstream;
static guint8 *bundle;
static char *source;
static guint known, failed;
static gboolean free_in_event;
static Client clients[RELAY_MAX_CONNECTIONS + 4];

static void on_known(const TransferFile *file, gpointer user_data)
{
    ck_assert_ptr_eq(user_data, &known);
    ck_assert_int_eq(file->size, BUNDLE_BYTES);
    known++;
    if (free_in_event)
        g_clear_pointer(&relay, relay_free);
}

static void on_failed(gpointer user_data)
{
    ck_assert_ptr_eq(user_data, &known);
    ck_assert_ptr_nonnull(relay_failure(relay));
    failed++;
    if (free_in_event)
        g_clear_pointer(&relay, relay_free);
}

static const RelayEvents events = {on_known, on_failed};

static RelayConfig config_now(void)
{
    return (RelayConfig){.url = source, .read_ahead = READ_AHEAD, .hold_ms = HOLD_MS, .budget = -1};
}

static void relay_start(const RelayConfig *config)
{
    RelayPlace place = {.file = TRANSFER_FILE_UNKNOWN};
    g_autoptr(GError) error = NULL;

    relay = relay_new(transfers, test_clock, config, &place, &events, &known, &error);
    ck_assert_msg(relay != NULL, "%s", error != NULL ? error->message : "?");
}

static void setup(void)
{
    TransferConfig config = {.connect_timeout_s = 10, .low_speed_limit = 1};
    g_autoptr(GRand) random = g_rand_new_with_seed(3);

    if (fixture_log == NULL)
        fixture_log_start();
    bundle = g_malloc(BUNDLE_BYTES);
    for (gsize i = 0; i < BUNDLE_BYTES; i += 4) {
        guint32 word = g_rand_int(random);

        memcpy(bundle + i, &word, 4);
    }
    known = failed = 0;
    free_in_event = FALSE;
    memset(clients, 0, sizeof(clients));
    upstream_start(&upstream, bundle, BUNDLE_BYTES);
    source = g_strdup_printf("http://127.0.0.1:%u/bundle.raucb", upstream.server.port);
    test_clock = clock_new_virtual(1700000000000);
    transfers = transfers_new(&config);
    RelayConfig relay_config = config_now();
    relay_start(&relay_config);
}

static void teardown(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(clients); i++)
        client_close(&clients[i]);
    g_clear_pointer(&relay, relay_free);
    transfers_free(transfers);
    run_ready();
    clock_free(test_clock);
    upstream_end(&upstream);
    g_free(source);
    g_free(bundle);
}

static void restart(const RelayConfig *config)
{
    g_clear_pointer(&relay, relay_free);
    relay_start(config);
}

static const char *bundle_path(void)
{
    return strchr(relay_url(relay) + strlen("http://"), '/');
}

static Client *open_client(guint number)
{
    client_close(&clients[number]);
    client_open(&clients[number], relay_place(relay)->port);
    return &clients[number];
}

static void ask_range(Client *client, gint64 offset, gint64 length)
{
    g_autofree char *range =
        g_strdup_printf("%" G_GINT64_FORMAT "-%" G_GINT64_FORMAT, offset, offset + length - 1);

    client_ask(client, "GET", bundle_path(), range);
}

static void check_range(const Client *client, gint64 offset, gint64 length)
{
    gsize got = 0;
    const guint8 *bytes = client_body(client, &got);
    g_autofree char *expected =
        g_strdup_printf("bytes %" G_GINT64_FORMAT "-%" G_GINT64_FORMAT "/%d", offset,
                        offset + length - 1, BUNDLE_BYTES);
    g_autofree char *range = client_header(client, "Content-Range");

    ck_assert_uint_eq(client->status, 206);
    ck_assert_str_eq(range, expected);
    ck_assert_int_eq(client->length, length);
    ck_assert_uint_eq(got, length);
    ck_assert_mem_eq(bytes, bundle + offset, (gsize)length);
}

static void read_range(Client *client, gint64 offset, gint64 length)
{
    ask_range(client, offset, length);
    run_until(client_done(client));
    check_range(client, offset, length);
}

/* Status of an answer; 0: none, the connection was closed. */
static guint status_of(Client *client, const char *method, const char *path, const char *range)
{
    client_ask(client, method, path, range);
    client->status = 0;
    run_until(client_done(client));
    return client->status;
}

static void check_gone(void)
{
    Client *client = open_client(RELAY_MAX_CONNECTIONS + 3);

    for (guint i = 0; i < 30; i++)
        ck_assert_uint_eq(status_of(client, "GET", bundle_path(), i % 2 ? "0-3" : "4096-8191"),
                          204);
    ck_assert_uint_eq(failed, 1);
}

static gint64 served(void)
{
    RelayState state;

    relay_state(relay, &state);
    return state.served;
}

START_TEST(probe_then_tail_then_all)
{
    Client *client = open_client(0);

    read_range(client, 0, 4);
    run_until(known == 1);
    read_range(client, BUNDLE_BYTES - 8, 8);
    read_range(client, BUNDLE_BYTES - 5000, 4992);
    for (gint64 at = 0; at < BUNDLE_BYTES; at += READ_BYTES)
        read_range(client, at, READ_BYTES);
    /* The last bytes are in the socket a turn before they are counted. */
    run_until(served() >= BUNDLE_BYTES + 4 + 8 + 4992);
    RelayState state;
    relay_state(relay, &state);
    ck_assert_int_eq(state.size, BUNDLE_BYTES);
    ck_assert_int_eq(state.position, BUNDLE_BYTES);
    ck_assert_int_eq(state.served, BUNDLE_BYTES + 4 + 8 + 4992);
    ck_assert_int_le(state.fetched, BUNDLE_BYTES + 5004);
    ck_assert_uint_eq(state.asked, 3 + 48);
    ck_assert_uint_lt(state.requests, 40);
    ck_assert_ptr_null(state.trouble);
    ck_assert_ptr_null(relay_failure(relay));
    ck_assert_uint_eq(known, 1);
}
END_TEST

START_TEST(suffix_and_open_ranges)
{
    Client *client = open_client(0);

    ck_assert_uint_eq(status_of(client, "GET", bundle_path(), "-8"), 206);
    check_range(client, BUNDLE_BYTES - 8, 8);
    g_autofree char *open_end = g_strdup_printf("%d-", BUNDLE_BYTES - 100);
    ck_assert_uint_eq(status_of(client, "GET", bundle_path(), open_end), 206);
    check_range(client, BUNDLE_BYTES - 100, 100);
    g_autofree char *behind = g_strdup_printf("%d-%d", BUNDLE_BYTES - 5, BUNDLE_BYTES + 5);
    ck_assert_uint_eq(status_of(client, "GET", bundle_path(), behind), 206);
    check_range(client, BUNDLE_BYTES - 5, 5);
    ck_assert_uint_eq(status_of(client, "HEAD", bundle_path(), NULL), 200);
    ck_assert_int_eq(client->length, BUNDLE_BYTES);
    ck_assert_uint_eq(status_of(client, "HEAD", bundle_path(), "0-9"), 206);
    ck_assert_int_eq(client->length, 10);
    read_range(client, 4096, 100);
}
END_TEST

static const struct {
    const char *range;
    guint status;
} refused_ranges[] = {
    {"9999999-", 416},
    {"6291456-6291456", 416},
    {"0-", 416},
    {"0-600000", 416},
    {"-0", 416},
    {"5-4", 400},
    {"", 400},
    {"-", 400},
    {"a-b", 400},
    {"0-3,5-6", 400},
    {"0-3 ", 206},
    {"+0-3", 400},
    {"0--3", 400},
    {"0x0-3", 400},
    {"99999999999999999999-", 400},
};

START_TEST(refused_range)
{
    Client *client = open_client(0);

    read_range(client, 0, 4);
    for (gsize i = 0; i < G_N_ELEMENTS(refused_ranges); i++) {
        guint status = status_of(client, "GET", bundle_path(), refused_ranges[i].range);

        ck_assert_msg(status == refused_ranges[i].status, "%s: %u", refused_ranges[i].range,
                      status);
    }
    ck_assert_ptr_null(relay_failure(relay));
    read_range(client, 10, 10);
}
END_TEST

START_TEST(wrong_paths_and_methods)
{
    static const char *const paths[] = {"/", "/bundle.raucb", "/x/bundle.raucb"};
    g_autofree char *longer = g_strconcat(bundle_path(), "x", NULL);
    g_autofree char *query = g_strconcat(bundle_path(), "?a=b", NULL);
    g_autofree char *wrong = g_strdup(bundle_path());
    Client *client = open_client(0);

    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++)
        ck_assert_uint_eq(status_of(client, "GET", paths[i], "0-3"), 404);
    ck_assert_uint_eq(status_of(client, "GET", longer, "0-3"), 404);
    ck_assert_uint_eq(status_of(client, "GET", query, "0-3"), 404);
    wrong[32] = wrong[32] == 'a' ? 'b' : 'a';
    ck_assert_uint_eq(status_of(client, "GET", wrong, "0-3"), 404);
    ck_assert_uint_eq(status_of(client, "DELETE", bundle_path(), NULL), 405);
    ck_assert(client->closed);
    ck_assert_uint_eq(upstream_requests(&upstream), 0);
    read_range(open_client(0), 0, 4);
}
END_TEST

START_TEST(held_request_blocks_no_other)
{
    for (guint i = 0; i < 4; i++)
        open_client(i);
    read_range(&clients[0], 0, READ_BYTES);
    upstream_become(&upstream, UPSTREAM_IS_GONE, 0);
    ask_range(&clients[0], 5 << 20, READ_BYTES);
    ask_range(&clients[1], 1 << 20, 4096);
    for (guint i = 0; i < 10; i++) {
        read_range(&clients[2], (gint64)4096 * i, 4096);
        read_range(&clients[3], 65536, 4096);
    }
    ck_assert(!client_done(&clients[0]));
    ck_assert(!client_done(&clients[1]));
    upstream_become(&upstream, UPSTREAM_SERVES, 0);
    gint64 waited_ms = 0;
    while (!client_done(&clients[0]) || !client_done(&clients[1])) {
        run_ready();
        g_usleep(1000);
        clock_virtual_advance(test_clock, 10);
        waited_ms += 10;
        ck_assert_int_lt(waited_ms, HOLD_MS);
    }
    check_range(&clients[0], 5 << 20, READ_BYTES);
    check_range(&clients[1], 1 << 20, 4096);
}
END_TEST

/* Back-off and hold pass in the virtual clock; what the network does, in its own time. */
static void pass_until_retries(guint more)
{
    guint before = upstream_requests(&upstream);

    while (upstream_requests(&upstream) < before + more) {
        clock_virtual_advance(test_clock, 100);
        run_ready();
        g_usleep(200);
    }
}

#define LONG_BYTES ((gint64)512 << 10)

/* Much of a long fetch is there, and the request of a connection that the main loop looks at after
 * it: they have had one turn. */
static void begin_a_long_fetch(void)
{
    RelayState state;

    read_range(open_client(0), 0, 4);
    gint64 sent = upstream_sent(&upstream);
    guint requests = upstream_requests(&upstream);
    upstream_stop(&upstream, TRUE);
    ask_range(&clients[0], 0, LONG_BYTES);
    run_until(upstream_requests(&upstream) == requests + 1);
    run_ready();
    open_client(1);
    run_ready();
    client_ask(&clients[1], "GET", "/", NULL);
    upstream_stop(&upstream, FALSE);
    gint64 end = g_get_monotonic_time() + DEADLINE_US;
    while (upstream_sent(&upstream) < sent + READ_BYTES)
        ck_assert_int_lt(g_get_monotonic_time(), end);
    g_main_context_iteration(NULL, FALSE);
    relay_state(relay, &state);
    ck_assert_int_gt(state.fetched, 4);
    ck_assert_int_lt(state.fetched, READ_BYTES);
}

/* However fast the server is, the other requests have their turns. */
START_TEST(long_fetch_gives_way)
{
    begin_a_long_fetch();
    run_until(client_done(&clients[1]));
    ck_assert_uint_eq(clients[1].status, 404);
    run_until(client_done(&clients[0]));
    check_range(&clients[0], 0, LONG_BYTES);
}
END_TEST

START_TEST(freed_while_a_fetch_gives_way)
{
    begin_a_long_fetch();
    g_clear_pointer(&relay, relay_free);
    run_ready();
}
END_TEST

START_TEST(outage_is_bridged)
{
    Client *client = open_client(0);

    read_range(client, 0, 4);
    upstream_become(&upstream, UPSTREAM_STATUS, 503);
    ask_range(client, 0, READ_BYTES);
    pass_until_retries(8);
    ck_assert(!client_done(client));
    RelayState state;
    relay_state(relay, &state);
    ck_assert_ptr_nonnull(state.trouble);
    upstream_become(&upstream, UPSTREAM_SERVES, 0);
    pass_until_retries(1);
    run_until(client_done(client));
    check_range(client, 0, READ_BYTES);
    relay_state(relay, &state);
    ck_assert_ptr_null(state.trouble);
}
END_TEST

START_TEST(cut_in_mid_body_is_bridged)
{
    Client *client = open_client(0);

    read_range(client, 0, 4);
    g_mutex_lock(&upstream.server.lock);
    upstream.cut_after = 50000;
    g_mutex_unlock(&upstream.server.lock);
    ask_range(client, 0, READ_BYTES);
    run_until(upstream_requests(&upstream) == 2);
    pass_until_retries(1);
    run_until(client_done(client));
    check_range(client, 0, READ_BYTES);
    ck_assert_ptr_nonnull(strstr(upstream.ranges->str, "50004-"));
}
END_TEST

START_TEST(hold_ends)
{
    Client *client = open_client(0);

    read_range(client, 0, 4);
    upstream_become(&upstream, UPSTREAM_STATUS, 503);
    ask_range(client, 0, READ_BYTES);
    run_until(upstream_requests(&upstream) == 2);
    clock_virtual_advance(test_clock, HOLD_MS - 1000);
    run_ready();
    ck_assert(!client_done(client));
    ck_assert_uint_eq(failed, 0);
    clock_virtual_advance(test_clock, 1000);
    run_until(client_done(client) && failed == 1);
    ck_assert_uint_eq(client->status, 204);
    ck_assert(transfer_error_is_transient(relay_failure(relay)));
    ck_assert_ptr_nonnull(strstr(relay_failure(relay)->message, "270 s"));
    upstream_become(&upstream, UPSTREAM_SERVES, 0);
    check_gone();
}
END_TEST

/* Black hole: nothing comes, nothing breaks. */
START_TEST(silent_server)
{
    Client *client = open_client(0);

    read_range(client, 0, 4);
    upstream_become(&upstream, UPSTREAM_HANGS, 0);
    ask_range(client, 0, READ_BYTES);
    run_until(upstream_requests(&upstream) == 2);
    clock_virtual_advance(test_clock, HOLD_MS);
    run_until(client_done(client) && failed == 1);
    ck_assert_uint_eq(client->status, 204);
    check_gone();
}
END_TEST

static void check_first_contact(int code)
{
    Client *client = open_client(0);

    ck_assert_uint_eq(status_of(client, "GET", bundle_path(), "0-3"), 204);
    run_until(failed == 1);
    ck_assert_msg(g_error_matches(relay_failure(relay), TRANSFER_ERROR, code), "%s",
                  relay_failure(relay)->message);
    check_gone();
}

START_TEST(refused_at_first)
{
    upstream_become(&upstream, UPSTREAM_STATUS, 404);
    check_first_contact(TRANSFER_ERROR_REFUSED);
}
END_TEST

START_TEST(busy_at_first)
{
    upstream_become(&upstream, UPSTREAM_STATUS, 503);
    check_first_contact(TRANSFER_ERROR_SERVER);
}
END_TEST

START_TEST(no_ranges)
{
    upstream_become(&upstream, UPSTREAM_NO_RANGES, 0);
    check_first_contact(TRANSFER_ERROR_RANGES);
}
END_TEST

START_TEST(changed_file)
{
    Client *client = open_client(0);

    read_range(client, 0, 4);
    g_mutex_lock(&upstream.server.lock);
    upstream.etag = "\"two\"";
    g_mutex_unlock(&upstream.server.lock);
    ask_range(client, 0, 4096);
    run_until(client_done(client) && failed == 1);
    ck_assert_uint_eq(client->status, 204);
    ck_assert_msg(g_error_matches(relay_failure(relay), TRANSFER_ERROR, TRANSFER_ERROR_CHANGED),
                  "%s", relay_failure(relay)->message);
    check_gone();
}
END_TEST

START_TEST(whole_bundle)
{
    Client *client = open_client(0);

    ck_assert_uint_eq(status_of(client, "GET", bundle_path(), NULL), 204);
    run_until(failed == 1);
    ck_assert(g_error_matches(relay_failure(relay), RELAY_ERROR, RELAY_ERROR_WHOLE));
    ck_assert_uint_eq(upstream_requests(&upstream), 0);
    check_gone();
}
END_TEST

START_TEST(budget)
{
    RelayConfig config = config_now();
    config.budget = 300000;
    restart(&config);
    Client *client = open_client(0);

    for (gint64 at = 0; at < 2 * READ_BYTES; at += READ_BYTES)
        read_range(client, at, READ_BYTES);
    ask_range(client, 256 << 10, READ_BYTES);
    run_until(client_done(client) && failed == 1);
    ck_assert_uint_eq(client->status, 204);
    ck_assert(g_error_matches(relay_failure(relay), TRANSFER_ERROR, TRANSFER_ERROR_BUDGET));
    ck_assert_ptr_nonnull(strstr(relay_failure(relay)->message, "data budget"));
    RelayState state;
    relay_state(relay, &state);
    ck_assert_int_le(state.fetched, 300000);
    check_gone();
}
END_TEST

START_TEST(goes_on_at_the_same_place)
{
    g_autofree char *url = g_strdup(relay_url(relay));
    RelayConfig config = config_now();
    RelayPlace place = {.file = TRANSFER_FILE_UNKNOWN};
    Client *client = open_client(0);

    read_range(client, 0, READ_BYTES);
    run_until(known == 1);
    place.port = relay_place(relay)->port;
    place.secret = g_strdup(relay_place(relay)->secret);
    transfer_file_copy(&place.file, &relay_place(relay)->file);
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(relay_new(transfers, test_clock, &config, &place, &events, &known, &error));
    ck_assert(g_error_matches(error, RELAY_ERROR, RELAY_ERROR_PORT));
    g_clear_pointer(&relay, relay_free);
    relay = relay_new(transfers, test_clock, &config, &place, &events, &known, NULL);
    ck_assert_ptr_nonnull(relay);
    ck_assert_str_eq(relay_url(relay), url);
    /* What is known already is no first contact: an outage is waited out. */
    upstream_become(&upstream, UPSTREAM_STATUS, 503);
    client = open_client(0);
    ask_range(client, 1000, 1000);
    pass_until_retries(3);
    upstream_become(&upstream, UPSTREAM_SERVES, 0);
    pass_until_retries(1);
    run_until(client_done(client));
    check_range(client, 1000, 1000);
    ck_assert_uint_eq(known, 1);
    relay_place_clear(&place);
}
END_TEST

START_TEST(abort_while_held)
{
    g_autoptr(GError) reason =
        g_error_new_literal(TRANSFER_ERROR, TRANSFER_ERROR_LOCAL, "cancelled by the CSMS");

    for (guint i = 0; i < 3; i++)
        open_client(i);
    read_range(&clients[0], 0, 4);
    upstream_become(&upstream, UPSTREAM_HANGS, 0);
    for (guint i = 0; i < 3; i++)
        ask_range(&clients[i], (gint64)i << 20, 4096);
    run_until(upstream_requests(&upstream) == 2);
    relay_abort(relay, reason);
    for (guint i = 0; i < 3; i++) {
        run_until(client_done(&clients[i]));
        ck_assert_uint_eq(clients[i].status, 204);
    }
    run_until(failed == 1);
    ck_assert_str_eq(relay_failure(relay)->message, "cancelled by the CSMS");
    check_gone();
    relay_abort(relay, reason);
    run_ready();
    ck_assert_uint_eq(failed, 1);
}
END_TEST

START_TEST(freed_by_its_events)
{
    free_in_event = TRUE;
    ask_range(open_client(0), 0, 4);
    run_until(relay == NULL);
    ck_assert_uint_eq(known, 1);
    RelayConfig config = config_now();
    relay_start(&config);
    upstream_become(&upstream, UPSTREAM_STATUS, 404);
    ask_range(open_client(0), 0, 4);
    run_until(relay == NULL);
    ck_assert_uint_eq(failed, 1);
}
END_TEST

START_TEST(local_bundle)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("rauc-ocpp-agent-relay-XXXXXX", &path, NULL);
    RelayConfig config = config_now();
    gsize length = 0;

    ck_assert_int_eq(write(fd, bundle, BUNDLE_BYTES), BUNDLE_BYTES);
    close(fd);
    config.local_bundle = path;
    restart(&config);
    Client *client = open_client(0);
    ck_assert_uint_eq(status_of(client, "GET", bundle_path(), NULL), 200);
    ck_assert_mem_eq(client_body(client, &length), bundle, BUNDLE_BYTES);
    ck_assert_uint_eq(length, BUNDLE_BYTES);
    read_range(client, 0, 4);
    read_range(client, BUNDLE_BYTES - 8, 8);
    read_range(client, 1234567, 3000000);
    ck_assert_uint_eq(status_of(client, "GET", bundle_path(), "9999999-"), 416);
    ck_assert_uint_eq(upstream_requests(&upstream), 0);
    /* The file became shorter: no answer may look whole. */
    ck_assert_int_eq(truncate(path, 1000), 0);
    ck_assert_uint_eq(status_of(client, "GET", bundle_path(), "0-99999"), 206);
    ck_assert(client->closed);
    g_unlink(path);
    g_autoptr(GError) error = NULL;
    RelayPlace place = {.file = TRANSFER_FILE_UNKNOWN};
    ck_assert_ptr_null(relay_new(transfers, test_clock, &config, &place, &events, &known, &error));
    ck_assert(g_error_matches(error, TRANSFER_ERROR, TRANSFER_ERROR_LOCAL));
}
END_TEST

#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char *store_path(const char *name)
{
    return g_strdup_printf("/%s/bundle.castr/%s", relay_place(relay)->secret, name);
}

START_TEST(casync_store)
{
    static const char *const wrong[] = {
        "0123/" DIGITS,
        "0123/" DIGITS ".cacn",
        "0123/" DIGITS ".cacnkx",
        "4567/" DIGITS ".cacnk",
        "012/" DIGITS "0.cacnk",
        "0123/g" DIGITS ".cacnk",
        "",
    };
    g_autofree char *right = store_path("0123/" DIGITS ".cacnk");
    g_autofree char *missing = store_path("ffff/ffff456789abcdef0123456789abcdef0123456789abcdef"
                                          "0123456789abcdef.cacnk");
    Client *client = open_client(0);
    gsize length = 0;

    g_hash_table_insert(upstream.files, (gpointer) "/bundle.castr/0123/" DIGITS ".cacnk",
                        g_bytes_new_static(bundle + 5, 300000));
    ck_assert_uint_eq(status_of(client, "GET", right, NULL), 200);
    ck_assert_mem_eq(client_body(client, &length), bundle + 5, 300000);
    ck_assert_uint_eq(length, 300000);
    ck_assert_uint_eq(status_of(client, "GET", missing, NULL), 404);
    ck_assert_uint_eq(upstream_requests(&upstream), 2);
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *path = store_path(wrong[i]);

        ck_assert_uint_eq(status_of(open_client(1), "GET", path, NULL), 404);
    }
    ck_assert_uint_eq(upstream_requests(&upstream), 2);
    ck_assert_ptr_null(relay_failure(relay));
    /* An outage is waited out here too, and another request is answered meanwhile. */
    upstream_become(&upstream, UPSTREAM_STATUS, 503);
    client_ask(client, "GET", right, NULL);
    pass_until_retries(4);
    ck_assert(!client_done(client));
    upstream_become(&upstream, UPSTREAM_SERVES, 0);
    pass_until_retries(1);
    run_until(client_done(client));
    ck_assert_uint_eq(client->status, 200);
    upstream_become(&upstream, UPSTREAM_STATUS, 503);
    client_ask(client, "GET", right, NULL);
    pass_until_retries(1);
    clock_virtual_advance(test_clock, HOLD_MS);
    run_until(client_done(client) && failed == 1);
    ck_assert_uint_eq(client->status, 204);
}
END_TEST

START_TEST(casync_chunk_too_long)
{
    g_autofree char *path = store_path("0123/" DIGITS ".cacnk");
    g_autofree guint8 *large = g_malloc0(RELAY_MAX_CHUNK_BYTES + 1);

    g_hash_table_insert(upstream.files, (gpointer) "/bundle.castr/0123/" DIGITS ".cacnk",
                        g_bytes_new_static(large, RELAY_MAX_CHUNK_BYTES + 1));
    ck_assert_uint_eq(status_of(open_client(0), "GET", path, NULL), 204);
    run_until(failed == 1);
    ck_assert(g_error_matches(relay_failure(relay), TRANSFER_ERROR, TRANSFER_ERROR_PROTOCOL));
    g_clear_pointer(&relay, relay_free);
    g_clear_pointer(&transfers, transfers_free);
    TransferConfig config = {.connect_timeout_s = 10, .low_speed_limit = 1};
    transfers = transfers_new(&config);
    upstream_end(&upstream);
    upstream_start(&upstream, bundle, BUNDLE_BYTES);
}
END_TEST

/* A client that goes away while its chunk is fetched. */
START_TEST(casync_client_goes)
{
    g_autofree char *path = store_path("0123/" DIGITS ".cacnk");

    upstream_become(&upstream, UPSTREAM_HANGS, 0);
    client_ask(open_client(0), "GET", path, NULL);
    run_until(upstream_requests(&upstream) == 1);
    client_close(&clients[0]);
    upstream_become(&upstream, UPSTREAM_SERVES, 0);
    read_range(open_client(1), 0, 4);
}
END_TEST

START_TEST(garbage)
{
    static const char *const texts[] = {
        "\r\n\r\n\r\n",
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%00%ff%2e%2e/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "CONNECT 127.0.0.1:22 HTTP/1.1\r\n\r\n",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        Client *client = open_client(0);

        client_say(client, texts[i]);
        /* An answer, a closed connection, or the end of a stranger's patience. */
        for (guint turn = 0; turn < 200 && !client_done(client); turn++) {
            run_ready();
            g_usleep(100);
        }
        if (!client_done(client)) {
            clock_virtual_advance(test_clock, RELAY_STRANGER_IDLE_MS);
            run_until(client_done(client));
        }
        if (!client->closed)
            ck_assert_msg(client->status >= 400, "%zu: %u", i, client->status);
    }
    ck_assert_uint_eq(upstream_requests(&upstream), 0);
    read_range(open_client(0), 0, 4);
}
END_TEST

START_TEST(huge_head)
{
    g_autofree char *value = g_strnfill(100000, 'x');
    g_autofree char *text = g_strdup_printf(
        "GET %s HTTP/1.1\r\nHost: a\r\nX-Y: %s\r\nRange: bytes=0-3\r\n\r\n", bundle_path(), value);
    g_autofree char *uri = g_strdup_printf("GET /%s HTTP/1.1\r\n\r\n", value);

    client_say(open_client(0), text);
    client_say(open_client(1), uri);
    for (guint i = 0; i < 2; i++) {
        run_until(client_done(&clients[i]));
        ck_assert(clients[i].closed || clients[i].status == 206 || clients[i].status >= 400);
    }
    read_range(open_client(2), 0, 4);
}
END_TEST

/* A client that says a request byte by byte, and one that takes an answer so. */
START_TEST(slow_clients)
{
    g_autofree char *text =
        g_strdup_printf("GET %s HTTP/1.1\r\nHost: a\r\nRange: bytes=0-3\r\n\r\n", bundle_path());
    Client *client = open_client(0);

    for (const char *at = text; *at != '\0'; at++) {
        char one[] = {*at, '\0'};

        client_say(client, one);
        run_ready();
    }
    run_until(client_done(client));
    check_range(client, 0, 4);
    /* Never a whole request: only so long. */
    client = open_client(1);
    client_say(client, "GET / HT");
    run_ready();
    clock_virtual_advance(test_clock, RELAY_STRANGER_IDLE_MS + 1000);
    run_until(client_done(client));
    ck_assert(client->closed);
    /* The one that asked for something right may rest. */
    read_range(&clients[0], 8, 8);
    run_ready();
    clock_virtual_advance(test_clock, RELAY_IDLE_MS - 1000);
    run_ready();
    read_range(&clients[0], 16, 8);
    run_ready();
    clock_virtual_advance(test_clock, RELAY_IDLE_MS + 1000);
    run_until(client_done(&clients[0]));
    ck_assert(clients[0].closed);
}
END_TEST

/* Turns of the main loop in a while: many when it spins. */
static guint count_turns(void)
{
    gint64 end = g_get_monotonic_time() + 100000;
    guint tick = g_timeout_add(5, fixture_tick, NULL);
    guint turns = 0;

    for (; g_get_monotonic_time() < end; turns++)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(tick);
    return turns;
}

/* A relay that has more to say than a socket holds. */
static Client *ask_for_much(char **ret_path)
{
    int fd = g_file_open_tmp("rauc-ocpp-agent-relay-XXXXXX", ret_path, NULL);
    RelayConfig config = config_now();

    ck_assert_int_eq(ftruncate(fd, 64 << 20), 0);
    close(fd);
    config.local_bundle = *ret_path;
    restart(&config);
    Client *client = open_client(0);
    client_ask(client, "GET", bundle_path(), NULL);
    struct pollfd readable = {.fd = client->fd, .events = POLLIN};
    run_until(poll(&readable, 1, 0) == 1);
    count_turns();
    return client;
}

START_TEST(client_that_takes_nothing)
{
    g_autofree char *path = NULL;
    Client *client = ask_for_much(&path);
    RelayState state;

    client_say(client, "GET / HTTP/1.1\r\n\r\n");
    ck_assert_uint_lt(count_turns(), 200);
    shutdown(client->fd, SHUT_WR);
    ck_assert_uint_lt(count_turns(), 200);
    relay_state(relay, &state);
    ck_assert_int_eq(state.served, 0);
    clock_virtual_advance(test_clock, RELAY_SEND_MS + 1000);
    relay_state(relay, &state);
    ck_assert_int_gt(state.served, 0);
    ck_assert_int_lt(state.served, 64 << 20);
    run_until(client_done(client));
    ck_assert(client->closed);
    g_unlink(path);
}
END_TEST

START_TEST(whoever_is_held_keeps_nobody_busy)
{
    Client *client = open_client(0);

    read_range(client, 0, 4);
    upstream_become(&upstream, UPSTREAM_HANGS, 0);
    ask_range(client, 0, 4096);
    run_until(upstream_requests(&upstream) == 2);
    client_say(client, "GET / HTTP/1.1\r\n\r\n");
    ck_assert_uint_lt(count_turns(), 200);
    ck_assert(!client_done(client));
    shutdown(client->fd, SHUT_WR);
    run_until(client_done(client));
    ck_assert_uint_lt(count_turns(), 200);
}
END_TEST

START_TEST(too_many_connections)
{
    /* Strangers make room for RAUC. */
    for (guint i = 0; i < RELAY_MAX_CONNECTIONS; i++)
        open_client(i);
    run_ready();
    read_range(open_client(RELAY_MAX_CONNECTIONS), 0, 4);
    run_until(client_done(&clients[0]));
    ck_assert(clients[0].closed);
    /* RAUC's own connections do not. */
    for (guint i = 1; i < RELAY_MAX_CONNECTIONS; i++)
        read_range(&clients[i], (gint64)8 * i, 8);
    Client *one_more = open_client(RELAY_MAX_CONNECTIONS + 1);
    run_until(client_done(one_more));
    ck_assert(one_more->closed);
    for (guint i = 1; i <= RELAY_MAX_CONNECTIONS; i++)
        read_range(&clients[i], (gint64)80 * i, 8);
}
END_TEST

/* Requests one after the other without waiting, as HTTP/1.1 allows. */
START_TEST(pipelined)
{
    g_autofree char *one =
        g_strdup_printf("GET %s HTTP/1.1\r\nHost: a\r\nRange: bytes=0-3\r\n\r\n", bundle_path());
    g_autofree char *both = g_strconcat(one, one, NULL);
    Client *client = open_client(0);

    client_say(client, both);
    run_until(client_done(client));
    gsize whole = client->body + 4;
    run_until(client->in->len >= 2 * whole || (client_done(client) && client->closed));
    ck_assert_mem_eq(client->in->data + client->body, bundle, 4);
    if (client->in->len >= 2 * whole)
        ck_assert_mem_eq(client->in->data, client->in->data + whole, whole);
}
END_TEST

START_TEST(random_reads_on_four_connections)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(7);
    gint64 offsets[4];
    gint64 lengths[4];

    for (guint i = 0; i < 4; i++)
        open_client(i);
    for (guint round = 0; round < 100; round++) {
        for (guint i = 0; i < 4; i++) {
            offsets[i] = g_rand_int_range(random, 0, BUNDLE_BYTES - 1);
            lengths[i] = MIN(g_rand_int_range(random, 1, round % 2 ? 300000 : 3000),
                             BUNDLE_BYTES - offsets[i]);
            ask_range(&clients[i], offsets[i], lengths[i]);
        }
        for (guint i = 0; i < 4; i++) {
            run_until(client_done(&clients[i]));
            check_range(&clients[i], offsets[i], lengths[i]);
        }
    }
    ck_assert_ptr_null(relay_failure(relay));
}
END_TEST

/* The smallest buffer serves the largest reads. */
START_TEST(small_buffer)
{
    RelayConfig config = config_now();
    config.read_ahead = 1;
    restart(&config);
    for (guint i = 0; i < 4; i++)
        open_client(i);
    for (gint64 at = 1; at + 4 * READ_BYTES < BUNDLE_BYTES; at += 4 * READ_BYTES) {
        for (guint i = 0; i < 4; i++)
            ask_range(&clients[i], at + i * READ_BYTES, READ_BYTES);
        for (guint i = 0; i < 4; i++) {
            run_until(client_done(&clients[i]));
            check_range(&clients[i], at + i * READ_BYTES, READ_BYTES);
        }
    }
    ck_assert_uint_eq(status_of(&clients[0], "GET", bundle_path(), "0-131072"), 416);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        probe_then_tail_then_all,
        suffix_and_open_ranges,
        refused_range,
        wrong_paths_and_methods,
        held_request_blocks_no_other,
        long_fetch_gives_way,
        freed_while_a_fetch_gives_way,
        outage_is_bridged,
        cut_in_mid_body_is_bridged,
        hold_ends,
        silent_server,
        refused_at_first,
        busy_at_first,
        no_ranges,
        changed_file,
        whole_bundle,
        budget,
        goes_on_at_the_same_place,
        abort_while_held,
        freed_by_its_events,
        local_bundle,
        casync_store,
        casync_chunk_too_long,
        casync_client_goes,
        garbage,
        huge_head,
        slow_clients,
        client_that_takes_nothing,
        whoever_is_held_keeps_nobody_busy,
        too_many_connections,
        pipelined,
        random_reads_on_four_connections,
        small_buffer,
    };

    return run_suite("relay", setup, teardown, tests, G_N_ELEMENTS(tests));
}
