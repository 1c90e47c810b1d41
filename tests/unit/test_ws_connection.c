/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of the WebSocket client against servers that break the rules: one test for each pitfall of
 * libwebsockets and for each rule of a connection.  Time stands still (a virtual clock) but for
 * libwebsockets' own timers.
 */
#include <stdlib.h>

#include "ws_peer.h"

/* ---- connecting ---- */

static void read_and_be_silent(Peer *peer)
{
    char c = 0;
    if (peer_accept(peer) && peer_read_request(peer)) {
        peer_stage(peer, 1);
        peer_recv_all(peer, &c, 1);
    }
}

START_TEST(silent_server)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, read_and_be_silent);
    rig_start_plain(&rig, &peer);
    WAIT_STAGE(&peer, 1);
    rig_advance(&rig, CONNECT_TIMEOUT_MS - 1);
    ck_assert_uint_eq(rig.failed, 0);
    rig_advance(&rig, 1);
    WAIT(rig.failed == 1);
    ck_assert_has(rig.why, "did not answer the WebSocket request in time");
    ck_assert_int_ge(rig.retry_ms, WS_BACKOFF_FLOOR_MS);
    ck_assert_int_eq(rig_next_ms(&rig), rig.retry_ms);
    peer_join(&peer); /* the server sees that it is over */
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

START_TEST(connect_timeout_is_configurable)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, read_and_be_silent);
    g_auto(WsClientConfig) config = rig_config("ws", "127.0.0.1", peer.port);
    config.connect_timeout_s = 3;
    rig_start(&rig, &config, NULL);
    WAIT_STAGE(&peer, 1);
    rig_advance(&rig, 3000);
    WAIT(rig.failed == 1);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

START_TEST(connection_refused)
{
    Peer peer = {0};
    Rig rig = {0};
    ck_assert(peer_listen(&peer, "127.0.0.1"));
    close(peer.listener);
    rig_start_plain(&rig, &peer);
    WAIT(rig.failed == 1);
    ck_assert_has(rig.why, "cannot connect to 127.0.0.1 port ");
    ck_assert_has(rig.why, "Connection refused");
    ck_assert(!ws_client_is_connected(rig.client));
    ck_assert(!ws_client_send(rig.client, "x"));
    rig_end(&rig);
    peer.listener = -1;
    peer_end(&peer);
}
END_TEST

/* A full accept queue drops connection requests, as a firewall does. */
START_TEST(no_answer_to_connect)
{
    Peer peer = {0};
    Rig rig = {0};
    int filler[8];
    ck_assert(peer_listen(&peer, "127.0.0.1"));
    ck_assert_int_eq(listen(peer.listener, 0), 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(peer.port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    for (gsize i = 0; i < G_N_ELEMENTS(filler); i++) {
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(filler[i], (struct sockaddr *)&to, sizeof(to));
    }
    rig_start_plain(&rig, &peer);
    WAIT(rig_next_ms(&rig) == CONNECT_TIMEOUT_MS);
    turn_idle();
    rig_advance(&rig, CONNECT_TIMEOUT_MS);
    WAIT(rig.failed == 1);
    ck_assert_has(rig.why, "no answer from 127.0.0.1");
    ck_assert_has(rig.why, "timeout");
    rig_end(&rig);
    for (gsize i = 0; i < G_N_ELEMENTS(filler); i++) {
        close(filler[i]);
    }
    peer_end(&peer);
}
END_TEST

static void hang_up_on_request(Peer *peer)
{
    if (peer_accept(peer)) {
        peer_read_request(peer);
    }
}

static void answer_garbage(Peer *peer)
{
    if (peer_accept(peer) && peer_read_request(peer)) {
        peer_say(peer, "SSH-2.0-OpenSSH_9\r\n\r\n");
    }
}

static void answer_endless_header(Peer *peer)
{
    if (peer_accept(peer) && peer_read_request(peer)) {
        peer_say(peer, "HTTP/1.1 101 Switching Protocols\r\n");
        while (peer_say(peer, "X-Filler: 0123456789012345678901234567890123456789\r\n")) {
        }
    }
}

static void no_subprotocol(Peer *peer)
{
    if (peer_accept(peer) && peer_read_request(peer)) {
        peer_upgrade(peer, NULL);
        peer_read_until_closed(peer);
    }
}

static void other_subprotocol(Peer *peer)
{
    if (peer_accept(peer) && peer_read_request(peer)) {
        peer_upgrade(peer, "ocpp2.0.1");
        peer_read_until_closed(peer);
    }
}

static void wrong_accept_key(Peer *peer)
{
    if (peer_accept(peer) && peer_read_request(peer)) {
        peer_say(peer,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Protocol: ocpp1.6\r\nSec-WebSocket-Accept: "
                 "AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
        peer_read_until_closed(peer);
    }
}

static void answer_status(Peer *peer, const char *status, const char *headers)
{
    if (peer_accept(peer) && peer_read_request(peer)) {
        g_autofree char *answer =
            g_strdup_printf("HTTP/1.1 %s\r\n%sContent-Length: 4\r\n\r\nwhat", status, headers);
        peer_say(peer, answer);
        char c = 0;
        peer_recv_all(peer, &c, 1);
    }
}

static void answer_401(Peer *peer)
{
    answer_status(peer, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n");
}

static void answer_404(Peer *peer)
{
    answer_status(peer, "404 Not Found", "");
}

static void answer_503(Peer *peer)
{
    answer_status(peer, "503 Service Unavailable", "Retry-After: 1\r\n");
}

static void answer_200(Peer *peer)
{
    answer_status(peer, "200 OK", "");
}

static void answer_no_number(Peer *peer)
{
    answer_status(peer, "x", "");
}

static const struct {
    void (*script)(Peer *);
    const char *says;
} refusals[] = {
    {hang_up_on_request, "closed the connection during the WebSocket handshake"},
    {answer_garbage, "WebSocket handshake"},
    {answer_endless_header, "WebSocket handshake"},
    {no_subprotocol, "does not select the sub-protocol ocpp1.6, but none"},
    {other_subprotocol, "does not select the sub-protocol ocpp1.6, but ocpp2.0.1"},
    {wrong_accept_key, "Accept hash wrong"},
    {answer_401, "the CSMS refused identity or password (HTTP 401)"},
    {answer_404, "the CSMS does not know the identity CP001 (HTTP 404)"},
    {answer_503, "HTTP status 503"},
    {answer_200, "HTTP status 200"},
    {answer_no_number, "not HTTP"},
};

START_TEST(refusal)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, refusals[_i].script);
    rig_start_plain(&rig, &peer);
    WAIT(rig.failed == 1);
    ck_assert_has(rig.why, refusals[_i].says);
    ck_assert_uint_eq(rig.connected + rig.disconnected, 0);
    ck_assert_int_eq(rig_next_ms(&rig), rig.retry_ms);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

static void redirect(Peer *peer)
{
    g_autofree char *location =
        g_strdup_printf("Location: http://127.0.0.1:%u/elsewhere\r\n", peer->port);
    answer_status(peer, "302 Found", location);
    peer_accept(peer); /* who follows comes back here */
}

START_TEST(redirect_is_not_followed)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, redirect);
    rig_start_plain(&rig, &peer);
    WAIT(rig.failed == 1);
    ck_assert_has(rig.why, "redirects to another URL (HTTP 302)");
    rig_end(&rig);
    peer_end(&peer);
    ck_assert_uint_eq(peer.connections, 1);
}
END_TEST

static void open_and_read(Peer *peer)
{
    if (peer_open(peer)) {
        peer_read_until_closed(peer);
    }
}

START_TEST(request)
{
    static const guint8 key[] = {0x00, 0x01, 0x02, 0x00, 0xFF, '\r', '\n', 0x00};
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, open_and_read);
    g_auto(WsClientConfig) config = rig_config("ws", "127.0.0.1", peer.port);
    g_free(config.identity);
    config.identity = g_strdup("RDAM 123");
    config.authorization_key = g_bytes_new_static(key, sizeof(key));
    rig_start(&rig, &config, NULL);
    WAIT(rig.connected == 1);
    rig_end(&rig);
    peer_join(&peer);

    ck_assert(g_str_has_prefix(peer.request, "GET /ocpp/RDAM%20123 HTTP/1.1\r\n"));
    g_autofree char *protocol = peer_header(&peer, "Sec-WebSocket-Protocol");
    ck_assert_str_eq(protocol, "ocpp1.6");
    g_autofree char *host = peer_header(&peer, "Host");
    g_autofree char *expected_host = g_strdup_printf("127.0.0.1:%u", peer.port);
    ck_assert_str_eq(host, expected_host);
    g_autofree char *authorization = peer_header(&peer, "Authorization");
    ck_assert(g_str_has_prefix(authorization, "Basic "));
    gsize length = 0;
    g_autofree guchar *credentials = g_base64_decode(authorization + 6, &length);
    ck_assert_uint_eq(length, strlen("RDAM 123:") + sizeof(key));
    ck_assert_mem_eq(credentials, "RDAM 123:", strlen("RDAM 123:"));
    ck_assert_mem_eq(credentials + strlen("RDAM 123:"), key, sizeof(key));
    peer_end(&peer);
}
END_TEST

START_TEST(no_key_no_header)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, open_and_read);
    rig_start_plain(&rig, &peer);
    WAIT(rig.connected == 1);
    rig_end(&rig);
    peer_join(&peer);
    ck_assert_ptr_null(peer_header(&peer, "Authorization"));
    ck_assert_ptr_null(peer_header(&peer, "Origin"));
    peer_end(&peer);
}
END_TEST

/* The name has ::1 and 127.0.0.1 on most machines; only the latter is served. */
START_TEST(every_address_is_tried)
{
    Peer peer = {0};
    Rig rig = {0};
    peer_start(&peer, open_and_read);
    g_auto(WsClientConfig) config = rig_config("ws", "localhost", peer.port);
    rig_start(&rig, &config, NULL);
    WAIT(rig.connected == 1);
    ck_assert_uint_eq(rig.failed, 0);
    rig_end(&rig);
    peer_join(&peer);
    g_autofree char *host = peer_header(&peer, "Host");
    ck_assert(g_str_has_prefix(host, "localhost:"));
    peer_end(&peer);
}
END_TEST

START_TEST(ipv6_literal)
{
    Peer peer = {0};
    Rig rig = {0};
    if (!peer_listen(&peer, "::1")) {
        peer.port = 0; /* no IPv6 here */
        peer_end(&peer);
        return;
    }
    peer_start(&peer, open_and_read);
    g_auto(WsClientConfig) config = rig_config("ws", "[::1]", peer.port);
    rig_start(&rig, &config, NULL);
    WAIT(rig.connected == 1);
    rig_end(&rig);
    peer_join(&peer);
    g_autofree char *host = peer_header(&peer, "Host");
    ck_assert(g_str_has_prefix(host, "[::1]:"));
    peer_end(&peer);
}
END_TEST

START_TEST(proxy_of_the_environment_is_ignored)
{
    Peer peer = {0};
    Rig rig = {0};
    g_setenv("http_proxy", "http://proxy.invalid:1", TRUE);
    peer_start(&peer, open_and_read);
    rig_start_plain(&rig, &peer);
    WAIT(rig.connected == 1);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

static GLogWriterOutput collect_log(G_GNUC_UNUSED GLogLevelFlags level, const GLogField *fields,
                                    gsize n_fields, gpointer user_data)
{
    for (gsize i = 0; i < n_fields; i++) {
        g_string_append_len(user_data, fields[i].value, fields[i].length);
    }
    return G_LOG_WRITER_HANDLED;
}

START_TEST(no_secret_in_the_log)
{
    static const char key[] = "TopSecretKey0123";
    Peer peer = {0};
    Rig rig = {0};
    GString *log = g_string_new(NULL);
    g_log_set_writer_func(collect_log, log, NULL);
    peer_start(&peer, answer_401);
    g_auto(WsClientConfig) config = rig_config("ws", "127.0.0.1", peer.port);
    config.authorization_key = g_bytes_new_static(key, strlen(key));
    rig_start(&rig, &config, NULL);
    WAIT(rig.failed == 1);
    rig_end(&rig);
    peer_end(&peer);
    g_autofree char *encoded = g_base64_encode((const guchar *)"CP001:TopSecretKey0123", 22);
    ck_assert_ptr_null(strstr(log->str, key));
    ck_assert_ptr_null(strstr(log->str, encoded));
    /* Not freed: GLib may still log. */
}
END_TEST

START_TEST(back_off_follows_the_table)
{
    /* With a known seed every delay is known; a connection resets the row only when it lived
     * WS_STABLE_MS. */
    Peer peer = {0};
    Rig rig = {0};
    GRand *random = g_rand_new_with_seed(42);
    g_random_set_seed(42);
    ck_assert(peer_listen(&peer, "127.0.0.1"));
    int refusing = peer.listener;
    listen(refusing, 16);
    peer_start(&peer, answer_404);
    rig_start_plain(&rig, &peer);
    for (guint attempt = 0; attempt < 6; attempt++) {
        WAIT(rig.failed == attempt + 1);
        ck_assert_int_eq(rig.retry_ms, ws_client_backoff_ms(attempt, 0, TRUE, g_rand_int(random)));
        peer_join(&peer);
        peer_start(&peer, attempt < 5 ? answer_404 : open_and_read);
        rig_advance(&rig, rig.retry_ms);
    }
    WAIT(rig.connected == 1);
    shutdown(peer.fd, SHUT_RDWR);
    WAIT(rig.disconnected == 1);
    ck_assert_int_eq(rig_next_ms(&rig), ws_client_backoff_ms(6, 0, FALSE, g_rand_int(random)));

    peer_join(&peer);
    peer_start(&peer, open_and_read);
    rig_advance(&rig, rig_next_ms(&rig));
    WAIT(rig.connected == 2);
    rig_advance(&rig, WS_STABLE_MS);
    shutdown(peer.fd, SHUT_RDWR);
    WAIT(rig.disconnected == 2);
    ck_assert_int_eq(rig_next_ms(&rig), ws_client_backoff_ms(0, 0, FALSE, g_rand_int(random)));
    g_rand_free(random);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

static Suite *connection_suite(void)
{
    Suite *suite = suite_create("ws_connection");
    TCase *connect_case = tcase_create("connect");
    tcase_set_timeout(connect_case, DEADLINE_S);
    tcase_add_test(connect_case, silent_server);
    tcase_add_test(connect_case, connect_timeout_is_configurable);
    tcase_add_test(connect_case, connection_refused);
    tcase_add_test(connect_case, no_answer_to_connect);
    tcase_add_loop_test(connect_case, refusal, 0, G_N_ELEMENTS(refusals));
    tcase_add_test(connect_case, redirect_is_not_followed);
    tcase_add_test(connect_case, request);
    tcase_add_test(connect_case, no_key_no_header);
    tcase_add_test(connect_case, every_address_is_tried);
    tcase_add_test(connect_case, ipv6_literal);
    tcase_add_test(connect_case, proxy_of_the_environment_is_ignored);
    tcase_add_test(connect_case, no_secret_in_the_log);
    tcase_add_test(connect_case, back_off_follows_the_table);
    suite_add_tcase(suite, connect_case);
    return suite;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    SRunner *runner = srunner_create(connection_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
