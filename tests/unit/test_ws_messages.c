/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of an open WebSocket connection: messages both ways, pings, closing, coming back.
 */
#include "ws_peer.h"

static void open_and_read(Peer *peer)
{
    if (peer_open(peer)) {
        peer_read_until_closed(peer);
    }
}

/* ---- receiving ---- */

#define LONG_MESSAGE 100000

static char *long_message(void)
{
    char *text = g_malloc(LONG_MESSAGE + 1);
    for (int i = 0; i < LONG_MESSAGE; i++) {
        text[i] = (char)('a' + i % 26);
    }
    text[LONG_MESSAGE] = '\0';
    return text;
}

static void send_fragments(Peer *peer)
{
    g_autofree char *text = long_message();
    gsize sent = 0;
    if (!peer_open(peer)) {
        return;
    }
    for (guint i = 0; sent < LONG_MESSAGE; i++) {
        gsize size = MIN((gsize)(i * 37 % 4999), LONG_MESSAGE - sent);
        peer_frame(peer, FALSE, i == 0 ? OP_TEXT : OP_CONTINUATION, text + sent, size);
        sent += size;
        if (i == 3) {
            peer_frame(peer, TRUE, OP_PING, "between", 7);
        }
    }
    peer_frame(peer, TRUE, OP_CONTINUATION, "", 0);
    peer_text(peer, "next");
    peer_read_until_closed(peer);
}

START_TEST(fragments_are_gathered)
{
    Peer peer = {0};
    Rig rig = {0};
    g_autofree char *expected = long_message();
    peer_start(&peer, send_fragments);
    rig_start_plain(&rig, &peer);
    WAIT(rig.messages == 2);
    ck_assert_str_eq(rig_text(&rig, 0)->str, expected);
    ck_assert_str_eq(rig_text(&rig, 1)->str, "next");
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

/* One frame of 100 KB, one of a character cut in two, one empty, one with a NUL. */
static void send_odd_messages(Peer *peer)
{
    g_autofree char *text = long_message();
    if (peer_open(peer)) {
        peer_text(peer, text);
        peer_frame(peer, FALSE, OP_TEXT, "\xC3", 1);
        peer_frame(peer, TRUE, OP_CONTINUATION, "\xA9", 1);
        peer_text(peer, "");
        peer_frame(peer, TRUE, OP_TEXT, "a\0b", 3);
        peer_read_until_closed(peer);
    }
}

START_TEST(odd_messages)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, send_odd_messages);
    rig_start_plain(&rig, &peer);
    WAIT(rig.messages == 4 || rig.disconnected == 1);
    ck_assert_uint_eq(rig.disconnected, 0);
    ck_assert_uint_eq(rig_text(&rig, 0)->len, LONG_MESSAGE);
    ck_assert_str_eq(rig_text(&rig, 1)->str, "\xC3\xA9");
    ck_assert_uint_eq(rig_text(&rig, 2)->len, 0);
    ck_assert_uint_eq(rig_text(&rig, 3)->len, 3);
    ck_assert_mem_eq(rig_text(&rig, 3)->str, "a\0b", 3);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

/* Answer and first message in one packet. */
static void send_with_the_answer(Peer *peer)
{
    if (peer_accept(peer) && peer_read_request(peer)) {
        g_autofree char *answer = peer_upgrade_text(peer, WS_SUBPROTOCOL);
        g_autofree char *both = g_strconcat(answer, "\x81\x05hello", NULL);
        peer_say(peer, both);
        peer_read_until_closed(peer);
    }
}

START_TEST(message_with_the_answer)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, send_with_the_answer);
    rig_start_plain(&rig, &peer);
    WAIT(rig.messages == 1);
    ck_assert_uint_eq(rig.connected, 1);
    ck_assert_str_eq(rig_text(&rig, 0)->str, "hello");
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

static void send_too_large(Peer *peer)
{
    g_autofree char *text = long_message();
    if (peer_open(peer)) {
        peer_text(peer, text);
        peer_read_until_closed(peer);
    }
}

static void send_too_many_fragments(Peer *peer)
{
    g_autofree char *text = long_message();
    if (peer_open(peer)) {
        peer_frame(peer, FALSE, OP_TEXT, "", 0);
        for (int i = 0; i < 101; i++) {
            peer_frame(peer, FALSE, OP_CONTINUATION, text, 1000);
        }
        peer_read_until_closed(peer);
    }
}

static void send_binary(Peer *peer)
{
    if (peer_open(peer)) {
        peer_frame(peer, TRUE, OP_BINARY, "x", 1);
        peer_read_until_closed(peer);
    }
}

static void send_bad_utf8(Peer *peer)
{
    if (peer_open(peer)) {
        peer_text(peer, "good");
        peer_frame(peer, TRUE, OP_TEXT, "\xC3(", 2);
        peer_read_until_closed(peer);
    }
}

static const struct {
    void (*script)(Peer *);
    guint16 code;
    const char *says;
} violations[] = {
    {send_too_large, 1009, "too large"},
    {send_too_many_fragments, 1009, "too large"},
    {send_binary, 1003, "binary"},
    {send_bad_utf8, 1007, "not UTF-8"},
};

START_TEST(violation)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, violations[_i].script);
    g_auto(WsClientConfig) config = rig_config("ws", "127.0.0.1", peer.port);
    config.max_message_bytes = LONG_MESSAGE - 1;
    rig_start(&rig, &config, NULL);
    WAIT(rig.disconnected == 1);
    ck_assert_has(rig.why, violations[_i].says);
    ck_assert(!ws_client_is_connected(rig.client));
    ck_assert_int_gt(rig_next_ms(&rig), 0);
    peer_join(&peer);
    ck_assert_uint_eq(peer.close_code, violations[_i].code);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

/* Never answers the close, never reads, never stops sending. */
static void flood(Peer *peer)
{
    if (peer_open(peer)) {
        peer_frame(peer, TRUE, OP_BINARY, "x", 1);
        while (peer_text(peer, "more")) {
        }
    }
}

START_TEST(close_ends_without_the_peers_help)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, flood);
    rig_start_plain(&rig, &peer);
    WAIT(rig.disconnected == 1);
    ck_assert_uint_eq(rig.messages, 0);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

static void break_off(Peer *peer)
{
    peer_open(peer);
}

static void send_reserved_opcode(Peer *peer)
{
    if (peer_open(peer)) {
        peer_frame(peer, TRUE, 5, "x", 1);
        peer_read_until_closed(peer);
    }
}

static void close_without_code(Peer *peer)
{
    if (peer_open(peer)) {
        peer_frame(peer, TRUE, OP_CLOSE, "", 0);
        peer_read_until_closed(peer);
    }
}

static void close_with_1001(Peer *peer)
{
    if (peer_open(peer)) {
        peer_close(peer, 1001, "back\tsoon");
        peer_read_until_closed(peer);
    }
}

static const struct {
    void (*script)(Peer *);
    const char *says;
} ends[] = {
    {break_off, "broke off without a close"},
    {send_reserved_opcode, "broke off without a close"},
    {close_without_code, "without a code"},
    {close_with_1001, "with code 1001 back?soon"},
};

START_TEST(end_and_reconnect)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, ends[_i].script);
    rig_start_plain(&rig, &peer);
    WAIT(rig.disconnected == 1);
    ck_assert_has(rig.why, ends[_i].says);
    ck_assert_uint_eq(rig.connected, 1);
    ck_assert_uint_eq(rig.failed, 0);
    peer_join(&peer);

    peer_start(&peer, open_and_read);
    gint64 retry_ms = rig_next_ms(&rig);
    ck_assert_int_ge(retry_ms, WS_BACKOFF_FLOOR_MS);
    ck_assert_int_le(retry_ms, WS_BACKOFF_FIRST_MS);
    rig_advance(&rig, retry_ms);
    WAIT(rig.connected == 2);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

/* ---- sending ---- */

#define MANY 1000

static void expect_numbers(Peer *peer)
{
    if (!peer_open(peer)) {
        return;
    }
    while (peer->texts < MANY && peer_read_frame(peer) == OP_TEXT) {
        peer->in_order =
            peer->in_order && g_ascii_strtoull(peer->payload->str, NULL, 10) == peer->texts;
        peer->texts++;
    }
    peer_stage(peer, 1);
    peer_read_until_closed(peer);
}

START_TEST(many_messages_in_order)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, expect_numbers);
    rig_start_plain(&rig, &peer);
    WAIT(rig.connected == 1);
    for (guint sent = 0; sent < MANY;) {
        g_autofree char *text = g_strdup_printf("%u %*s", sent, (int)(sent * 7 % 5000), "");
        if (ws_client_send(rig.client, text)) {
            sent++;
        } else {
            g_main_context_iteration(NULL, TRUE);
        }
    }
    WAIT_STAGE(&peer, 1);
    rig_end(&rig);
    peer_join(&peer);
    ck_assert_uint_eq(peer.texts, MANY);
    ck_assert(peer.in_order);
    peer_end(&peer);
}
END_TEST

START_TEST(queue_is_bounded)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, open_and_read);
    rig_start_plain(&rig, &peer);
    ck_assert(!ws_client_send(rig.client, "too early"));
    WAIT(rig.connected == 1);
    for (guint i = 0; i < WS_MAX_SEND_QUEUE; i++) {
        ck_assert(ws_client_send(rig.client, "x"));
    }
    ck_assert(!ws_client_send(rig.client, "one too many"));
    rig_end(&rig); /* sends the queue first */
    peer_join(&peer);
    ck_assert_uint_eq(peer.texts, WS_MAX_SEND_QUEUE);
    ck_assert_uint_eq(peer.close_code, 1001);
    peer_end(&peer);
}
END_TEST

/* ---- ending ---- */

static void say_hello(Peer *peer)
{
    if (peer_open(peer)) {
        peer_text(peer, "hello");
        peer_read_until_closed(peer);
        peer_stage(peer, 1);
    }
}

static void read_and_tell(Peer *peer)
{
    open_and_read(peer);
    peer_stage(peer, 1);
}

static const struct {
    const char *callback;
    void (*script)(Peer *);
    guint16 code;
} frees[] = {
    {"connected", read_and_tell, 1001},
    {"message", say_hello, 1001},
    {"disconnected", break_off, 0},
    {"failed", NULL, 0},
};

static gboolean is_free(const Rig *rig)
{
    return rig->client == NULL;
}

START_TEST(free_in_callback)
{
    Peer peer = {0};
    Rig rig = {.free_in = frees[_i].callback};
    ck_assert(peer_listen(&peer, "127.0.0.1"));
    if (frees[_i].script != NULL) {
        peer_start(&peer, frees[_i].script);
    } else {
        shutdown(peer.listener, SHUT_RDWR);
    }
    rig_start_plain(&rig, &peer);
    WAIT(is_free(&rig));
    if (frees[_i].code != 0) {
        WAIT_STAGE(&peer, 1); /* the server's script is at its end */
    }
    peer_join(&peer);
    turn_idle();
    ck_assert_uint_eq(peer.close_code, frees[_i].code);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

static void freeze(Peer *peer)
{
    if (peer_open(peer)) {
        peer_stage(peer, 1);
        while (g_atomic_int_get(&peer->stage) < 2) {
            g_usleep(1000);
        }
    }
}

START_TEST(free_does_not_wait_for_a_frozen_peer)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, freeze);
    rig_start_plain(&rig, &peer);
    WAIT(rig.connected == 1);
    gint64 before = g_get_monotonic_time();
    rig_end(&rig);
    /* Twice WS_GOODBYE_MS: for a busy machine; without a bound it would be for ever. */
    ck_assert_int_lt(g_get_monotonic_time() - before, (gint64)2 * WS_GOODBYE_MS * 1000);
    peer_stage(&peer, 2);
    peer_end(&peer);
}
END_TEST

/* ---- pings ---- */

static void freeze_then_work(Peer *peer)
{
    freeze(peer);
    if (peer_open(peer)) {
        peer_read_until_closed(peer);
    }
}

START_TEST(frozen_server_is_found)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, freeze_then_work);
    g_auto(WsClientConfig) config = rig_config("ws", "127.0.0.1", peer.port);
    config.ping_interval_s = 1;
    rig_start(&rig, &config, NULL);
    WAIT(rig.disconnected == 1);
    ck_assert_has(rig.why, "no pong from the CSMS for");
    peer_stage(&peer, 2);
    rig_advance(&rig, rig_next_ms(&rig));
    WAIT(rig.connected == 2);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

/* Answers three pings, then tells. */
static void count_pings(Peer *peer)
{
    int opcode = 0;
    if (!peer_open(peer)) {
        return;
    }
    while (peer->pings < 3 && (opcode = peer_read_frame(peer)) >= 0) {
        if (opcode == OP_PING) {
            peer->pings++;
            peer_frame(peer, TRUE, OP_PONG, peer->payload->str, peer->payload->len);
        }
    }
    peer_text(peer, "three");
    peer_read_until_closed(peer);
}

START_TEST(ping_interval_changes_live)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, count_pings);
    rig_start_plain(&rig, &peer); /* without pings */
    WAIT(rig.connected == 1);
    ws_client_set_ping_interval(rig.client, 1);
    WAIT(rig.messages == 1 || rig.disconnected == 1);
    ck_assert_str_eq(rig_text(&rig, 0)->str, "three");
    ck_assert_uint_eq(rig.disconnected, 0);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

/* Takes a first ping, does not answer it, and sees whether anything else comes in the time of
 * several pings. */
static void stop_after_ping(Peer *peer)
{
    struct timeval patience = {.tv_sec = 5};
    guint8 byte = 0;
    if (peer_open(peer) && peer_read_frame(peer) == OP_PING) {
        peer_stage(peer, 1);
        setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        peer->in_order = recv(peer->fd, &byte, 1, 0) == -1 && errno == EAGAIN;
        peer_text(peer, "still here");
        peer_read_until_closed(peer);
    }
}

START_TEST(pings_stop_live)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, stop_after_ping);
    g_auto(WsClientConfig) config = rig_config("ws", "127.0.0.1", peer.port);
    config.ping_interval_s = 1;
    rig_start(&rig, &config, NULL);
    WAIT_STAGE(&peer, 1);
    ws_client_set_ping_interval(rig.client, 0);
    WAIT(rig.messages == 1 || rig.disconnected == 1);
    ck_assert_uint_eq(rig.disconnected, 0);
    rig_end(&rig);
    peer_join(&peer);
    ck_assert(peer.in_order);
    peer_end(&peer);
}
END_TEST

/* ---- idle ---- */

/* Milliseconds that the main loop would sleep now; -1: until something comes. */
static int sleep_ms(void)
{
    GMainContext *context = g_main_context_default();
    GPollFD fds[32];
    int priority = 0, timeout_ms = 0;
    turn_idle();
    ck_assert(g_main_context_acquire(context));
    ck_assert(!g_main_context_prepare(context, &priority));
    g_main_context_query(context, G_MAXINT, &timeout_ms, fds, G_N_ELEMENTS(fds));
    g_main_context_check(context, G_MAXINT, fds, 0);
    g_main_context_release(context);
    return timeout_ms;
}

START_TEST(nothing_wakes_an_idle_connection)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, open_and_read);
    rig_start_plain(&rig, &peer);
    WAIT(rig.connected == 1);
    ck_assert_int_eq(sleep_ms(), -1);
    ws_client_set_ping_interval(rig.client, 600);
    ck_assert_int_gt(sleep_ms(), 500000);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

static Suite *messages_suite(void)
{
    Suite *suite = suite_create("ws_messages");
    TCase *tests = tcase_create("messages");
    tcase_set_timeout(tests, DEADLINE_S);
    tcase_add_test(tests, fragments_are_gathered);
    tcase_add_test(tests, odd_messages);
    tcase_add_test(tests, message_with_the_answer);
    tcase_add_loop_test(tests, violation, 0, G_N_ELEMENTS(violations));
    tcase_add_test(tests, close_ends_without_the_peers_help);
    tcase_add_loop_test(tests, end_and_reconnect, 0, G_N_ELEMENTS(ends));
    tcase_add_test(tests, many_messages_in_order);
    tcase_add_test(tests, queue_is_bounded);
    tcase_add_loop_test(tests, free_in_callback, 0, G_N_ELEMENTS(frees));
    tcase_add_test(tests, free_does_not_wait_for_a_frozen_peer);
    tcase_add_test(tests, frozen_server_is_found);
    tcase_add_test(tests, ping_interval_changes_live);
    tcase_add_test(tests, pings_stop_live);
    tcase_add_test(tests, nothing_wakes_an_idle_connection);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    SRunner *runner = srunner_create(messages_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
