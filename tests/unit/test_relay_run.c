/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relay before a server without ranges, which is FTP here: a row of reads is one request to the
 * end of the file, held while nobody reads and taken up again when it is lost, and given up for a
 * real jump.
 */
#include "relay_upstream.h"

#include "adapter/relay.h"
#include "ftp_peer.h"

#define BUNDLE_BYTES ((gint64)12 << 20)
#define STEP         ((gint64)128 << 10) /* as RAUC reads a row */
#define READ_AHEAD   (4 << 20)
#define HOLD_MS      270000
#define CHUNK        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.cacnk"

static Clock *test_clock;
static Transfers *transfers;
static Relay *relay;
static FtpPeer peer;
static guint8 *bundle;
static char *source;
static guint failed;
static Client clients[4];

static void on_known(const TransferFile *file, G_GNUC_UNUSED gpointer unused)
{
    ck_assert_int_eq(file->size, BUNDLE_BYTES);
}

static void on_failed(G_GNUC_UNUSED gpointer unused)
{
    failed++;
}

static RelayConfig config_now(void)
{
    return (RelayConfig){.url = source, .read_ahead = READ_AHEAD, .hold_ms = HOLD_MS, .budget = -1};
}

static void open_clients(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(clients); i++) {
        client_close(&clients[i]);
        client_open(&clients[i], relay_place(relay)->port);
    }
}

static void relay_start(const RelayConfig *config)
{
    static const RelayEvents events = {on_known, on_failed};
    RelayPlace place = {.file = TRANSFER_FILE_UNKNOWN};
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&relay, relay_free);
    relay = relay_new(transfers, test_clock, config, &place, &events, NULL, &error);
    ck_assert_msg(relay != NULL, "%s", error != NULL ? error->message : "?");
    open_clients();
}

static void setup(void)
{
    TransferConfig config = {.connect_timeout_s = 10, .low_speed_limit = 1};
    g_autoptr(GRand) random = g_rand_new_with_seed(3);

    signal(SIGPIPE, SIG_IGN);
    fixture_log_start();
    bundle = g_malloc(BUNDLE_BYTES);
    for (gint64 i = 0; i < BUNDLE_BYTES; i += 4) {
        guint32 word = g_rand_int(random);

        memcpy(bundle + i, &word, 4);
    }
    ftp_peer_start(&peer);
    g_hash_table_insert(peer.files, (char *)"bundle.raucb",
                        g_bytes_new_static(bundle, (gsize)BUNDLE_BYTES));
    source =
        g_strdup_printf("ftp://" FTP_PEER_USER ":" FTP_PEER_PASSWORD "@127.0.0.1:%u/bundle.raucb",
                        peer.server.port);
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
    ck_assert_uint_le(peer.most_sessions, 2); /* the one before may not have heard of its end */
    ftp_peer_end(&peer);
    g_free(source);
    g_free(bundle);
}

/* ---- RAUC ---- */

static void ask(guint number, gint64 offset, gint64 length)
{
    const char *path = strchr(relay_url(relay) + strlen("http://"), '/');
    g_autofree char *range =
        g_strdup_printf("%" G_GINT64_FORMAT "-%" G_GINT64_FORMAT, offset, offset + length - 1);

    client_ask(&clients[number], "GET", path, range);
}

/* An outage is over as soon as it began. */
static void wait_answer(guint number, gint64 offset, gint64 length)
{
    gint64 end = g_get_monotonic_time() + DEADLINE_US;
    gsize got = 0;

    while (!client_done(&clients[number])) {
        RelayState state;

        ck_assert_int_lt(g_get_monotonic_time(), end);
        relay_state(relay, &state);
        if (state.trouble != NULL)
            clock_virtual_advance(test_clock, 100);
        g_main_context_iteration(NULL, FALSE);
        g_usleep(50);
    }
    const guint8 *bytes = client_body(&clients[number], &got);
    ck_assert_uint_eq(clients[number].status, 206);
    ck_assert_uint_eq(got, length);
    ck_assert_mem_eq(bytes, bundle + offset, (gsize)length);
}

static void read_one(gint64 offset, gint64 length)
{
    ask(0, offset, length);
    wait_answer(0, offset, length);
}

static void read_row(gint64 from, gint64 to)
{
    for (gint64 at = from; at < to; at += STEP)
        read_one(at, MIN(STEP, to - at));
}

/* What comes before the row: two requests. */
static void read_beginning(void)
{
    read_one(0, 4);
    read_one(BUNDLE_BYTES - 8, 8);
    read_one(BUNDLE_BYTES - 1602, 1594);
    read_one(0, 16384);
    read_one(BUNDLE_BYTES - 90000, 40000);
}

static RelayState state_now(void)
{
    RelayState state;

    relay_state(relay, &state);
    return state;
}

/* ---- Tests ---- */

START_TEST(a_row_is_one_request)
{
    read_beginning();
    ck_assert_uint_eq(ftp_peer_count(&peer), 2);
    read_row(0, 5 << 20);
    read_one(BUNDLE_BYTES - 50000, 40000); /* the tree once more */
    read_row(5 << 20, BUNDLE_BYTES);
    ck_assert_uint_eq(ftp_peer_count(&peer), 3);
    ck_assert_uint_eq(state_now().requests, 3);
    ck_assert_uint_eq(peer.logins, 2);
    ck_assert_int_eq(state_now().position, BUNDLE_BYTES);
    ck_assert_int_le(state_now().fetched, BUNDLE_BYTES * 103 / 100);
    ck_assert_uint_eq(failed, 0);
}
END_TEST

/* The first byte of the row and the last one that RAUC wants are in no window of before. */
START_TEST(a_row_to_the_very_end)
{
    read_one(0, 4);
    read_row(0, BUNDLE_BYTES);
    read_one(BUNDLE_BYTES - 8, 8);
    ck_assert_uint_le(ftp_peer_count(&peer), 3);
    ck_assert_uint_eq(failed, 0);
}
END_TEST

START_TEST(a_small_gap_is_read_over)
{
    read_beginning();
    read_row(0, 1 << 20);
    guint before = ftp_peer_count(&peer);
    for (gint64 at = 1 << 20; at < 6 << 20; at += STEP * 5 / 2)
        read_one(at, STEP);
    ck_assert_uint_eq(ftp_peer_count(&peer), before);
}
END_TEST

/* What is jumped over is there when it is wanted after all. */
START_TEST(reads_overtake_each_other)
{
    read_beginning();
    read_row(0, 1 << 20);
    guint before = ftp_peer_count(&peer);
    for (gint64 at = 1 << 20; at < 6 << 20; at += 2 * STEP) {
        read_one(at + STEP, STEP);
        read_one(at, STEP);
    }
    ck_assert_uint_eq(ftp_peer_count(&peer), before);
}
END_TEST

START_TEST(a_jump_gives_it_up)
{
    read_beginning();
    read_row(0, 1 << 20);
    guint before = ftp_peer_count(&peer);
    read_one(8 << 20, 4096);
    ck_assert_uint_eq(ftp_peer_count(&peer), before + 1);
    read_row(1 << 20, 4 << 20);
    ck_assert_uint_le(ftp_peer_count(&peer), before + 2);
    read_one(7 << 20, 4096);
    read_one(6 << 20, 4096);
    ck_assert_uint_le(ftp_peer_count(&peer), before + 4);
    ck_assert_uint_eq(failed, 0);
}
END_TEST

/* Jumps are bounded: their bytes and no more. */
START_TEST(jumps_are_exact)
{
    read_one(0, 4);
    gint64 before = state_now().fetched;
    for (gint64 i = 1; i < 10; i++)
        read_one(i << 20, 4096);
    ck_assert_int_eq(state_now().fetched, before + (gint64)9 * 4096);
}
END_TEST

static void read_until_held(void)
{
    read_beginning();
    read_row(0, 2 << 20);
    run_ready();
}

static void let_pass(gint64 ms)
{
    clock_virtual_advance(test_clock, ms);
    run_ready();
    open_clients(); /* the relay has closed the idle ones */
}

START_TEST(held_for_long)
{
    read_until_held();
    let_pass((gint64)10 * HOLD_MS);
    ck_assert_ptr_null(state_now().trouble);
    read_row(2 << 20, 4 << 20);
    ck_assert_uint_eq(ftp_peer_count(&peer), 3);
    ck_assert_uint_eq(failed, 0);
}
END_TEST

/* The server has closed what nobody read for long. */
START_TEST(lost_while_held)
{
    read_until_held();
    ftp_peer_cut(&peer, FALSE);
    let_pass((gint64)10 * HOLD_MS);
    read_row(2 << 20, BUNDLE_BYTES);
    ck_assert_uint_eq(ftp_peer_count(&peer), 4);
    ck_assert_int_le(state_now().fetched, BUNDLE_BYTES * 103 / 100);
    ck_assert_uint_eq(failed, 0);
}
END_TEST

START_TEST(cuts_and_an_outage)
{
    read_until_held();
    for (gint64 at = 2 << 20; at < BUNDLE_BYTES; at += 1 << 20) {
        ftp_peer_cut(&peer, at % (2 << 20) == 0);
        ask(1, at, STEP);
        if (at % (2 << 20) == 0)
            run_until(state_now().trouble != NULL || client_done(&clients[1]));
        peer.gone = FALSE;
        wait_answer(1, at, STEP);
        read_row(at, at + (1 << 20));
    }
    ck_assert_uint_eq(failed, 0);
}
END_TEST

START_TEST(limited_rate)
{
    TransferConfig config = {.connect_timeout_s = 10, .low_speed_limit = 1, .rate_limit = 8 << 20};
    RelayConfig relay_config = config_now();

    g_clear_pointer(&relay, relay_free);
    transfers_free(transfers);
    transfers = transfers_new(&config);
    relay_start(&relay_config);
    read_until_held();
    read_row(2 << 20, 5 << 20);
    ck_assert_uint_eq(ftp_peer_count(&peer), 3);
}
END_TEST

START_TEST(wrong_password)
{
    g_autofree char *wrong = g_strdup_printf(
        "ftp://" FTP_PEER_USER ":guess@127.0.0.1:%u/bundle.raucb", peer.server.port);
    RelayConfig config = config_now();

    config.url = wrong;
    relay_start(&config);
    ask(0, 0, 4);
    run_until(failed == 1);
    ck_assert(g_error_matches(relay_failure(relay), TRANSFER_ERROR, TRANSFER_ERROR_REFUSED));
    ck_assert_ptr_null(strstr(relay_failure(relay)->message, "guess"));
}
END_TEST

/* Not a byte more than may be spent, and all of them are of use. */
START_TEST(budget)
{
    RelayConfig config = config_now();
    gint64 at = 0;

    config.budget = 3000001;
    relay_start(&config);
    read_one(0, 4);
    while (failed == 0) {
        ask(0, at, STEP);
        run_until(client_done(&clients[0]));
        run_ready();
        if (clients[0].status != 206)
            break;
        at += STEP;
    }
    run_until(failed == 1);
    ck_assert(g_error_matches(relay_failure(relay), TRANSFER_ERROR, TRANSFER_ERROR_BUDGET));
    ck_assert_int_eq(state_now().fetched, config.budget);
    ck_assert_int_gt(at, config.budget - STEP);
}
END_TEST

START_TEST(abort_while_held)
{
    g_autoptr(GError) reason = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CANCELLED, "enough");

    read_until_held();
    relay_abort(relay, reason);
    run_until(failed == 1);
    ask(0, 4 << 20, STEP);
    run_until(client_done(&clients[0]));
    ck_assert_uint_eq(clients[0].status, 204);
}
END_TEST

/* One connection to the server at a time: what is held gives way. */
START_TEST(a_chunk_while_held)
{
    const char *secret = relay_place(relay)->secret;
    g_autofree char *path = g_strdup_printf("/%s/bundle.castr/0123/" CHUNK, secret);
    gsize got = 0;

    g_mutex_lock(&peer.server.lock);
    g_hash_table_insert(peer.files, (char *)CHUNK, g_bytes_new_static("chunk", 5));
    g_mutex_unlock(&peer.server.lock);
    read_until_held();
    client_ask(&clients[1], "GET", path, NULL);
    run_until(client_done(&clients[1]));
    ck_assert_uint_eq(clients[1].status, 200);
    ck_assert_mem_eq(client_body(&clients[1], &got), "chunk", 5);
    read_row(2 << 20, 4 << 20);
    ck_assert_uint_eq(ftp_peer_count(&peer), 5);
}
END_TEST

static void read_at_random(gsize read_ahead, gint longest, guint32 seed)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    RelayConfig config = config_now();

    config.read_ahead = read_ahead;
    relay_start(&config);
    for (guint round = 0; round < 20; round++) {
        gint64 offset[G_N_ELEMENTS(clients)];
        gint64 length[G_N_ELEMENTS(clients)];
        gint64 at = g_rand_int_range(random, 0, (gint32)BUNDLE_BYTES);

        for (guint i = 0; i < G_N_ELEMENTS(clients); i++) {
            if (round % 4 == 0)
                at = g_rand_int_range(random, 0, (gint32)BUNDLE_BYTES);
            offset[i] = MIN(at, BUNDLE_BYTES - 1);
            length[i] = MIN(g_rand_int_range(random, 1, longest), BUNDLE_BYTES - offset[i]);
            at += length[i] + (round % 3 == 0 ? 0 : g_rand_int_range(random, 0, 100000));
            ask(i, offset[i], length[i]);
        }
        for (guint i = 0; i < G_N_ELEMENTS(clients); i++)
            wait_answer(i, offset[i], length[i]);
    }
    ck_assert_uint_eq(failed, 0);
}

START_TEST(any_pattern)
{
    for (guint32 seed = 0; seed < 3; seed++) {
        read_at_random(READ_AHEAD, 300000, seed);
        read_at_random(1 << 20, 300000, seed);
        read_at_random(1, 100000, seed);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_row_is_one_request,
        a_row_to_the_very_end,
        a_small_gap_is_read_over,
        reads_overtake_each_other,
        a_jump_gives_it_up,
        jumps_are_exact,
        held_for_long,
        lost_while_held,
        cuts_and_an_outage,
        limited_rate,
        wrong_password,
        budget,
        abort_while_held,
        a_chunk_while_held,
        any_pattern,
    };

    return run_suite("relay_run", setup, teardown, tests, G_N_ELEMENTS(tests));
}
