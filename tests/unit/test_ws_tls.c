/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of wss:// and of the TLS settings: whom the client trusts, when, and what it says when it
 * does not.
 */
#include "test_pki.h"
#include "ws_peer.h"

static TestPki pki;

static void open_and_read(Peer *peer)
{
    if (peer_open(peer)) {
        peer_text(peer, "hello");
        peer_read_until_closed(peer);
    }
}

static Tls *new_tls(const char *client_name)
{
    g_autofree char *ca = test_pki_file(&pki, "csms-ca.crt");
    g_autofree char *certificate =
        client_name != NULL ? test_pki_file(&pki, "charge-point.crt") : NULL;
    g_autofree char *key = client_name != NULL ? test_pki_file(&pki, "charge-point.key") : NULL;
    TlsConfig config = {ca, certificate, key};
    g_autoptr(GError) error = NULL;
    Tls *tls = tls_new(&config, &error);
    ck_assert_msg(tls != NULL, "%s", error != NULL ? error->message : "?");
    return tls;
}

static int only_http2_or_http1(G_GNUC_UNUSED SSL *ssl, const unsigned char **out,
                               unsigned char *out_length, const unsigned char *in,
                               unsigned int in_length, G_GNUC_UNUSED void *user_data)
{
    static const unsigned char wanted[] = "\x02h2\x08http/1.1";
    return SSL_select_next_proto((unsigned char **)out, out_length, wanted, sizeof(wanted) - 1, in,
                                 in_length) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_NOACK;
}

/* A server that would rather have HTTP/2, as many proxies do. */
static SSL_CTX *server_context(const char *name)
{
    g_autofree char *certificate_name = g_strconcat(name, ".crt", NULL);
    g_autofree char *key_name = g_strconcat(name, ".key", NULL);
    g_autofree char *certificate = test_pki_file(&pki, certificate_name);
    g_autofree char *key = test_pki_file(&pki, key_name);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    ck_assert_int_eq(SSL_CTX_use_certificate_chain_file(context, certificate), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM), 1);
    SSL_CTX_set_alpn_select_cb(context, only_http2_or_http1, NULL);
    return context;
}

static const struct {
    const char *certificate, *host;
    TlsFailure failure;
    const char *says;
} servers[] = {
    {"csms", "localhost", TLS_FAILURE_NONE, NULL},
    {"csms", "127.0.0.1", TLS_FAILURE_NONE, NULL},
    {"csms-unknown", "localhost", TLS_FAILURE_CERTIFICATE, "unknown CA"},
    {"csms-wronghost", "localhost", TLS_FAILURE_CERTIFICATE, "wrong host"},
    {"csms-wronghost", "127.0.0.1", TLS_FAILURE_CERTIFICATE, "wrong host"},
    {"csms-expired", "localhost", TLS_FAILURE_CERTIFICATE, "expired"},
};

START_TEST(server_certificate)
{
    Peer peer = {0};
    Rig rig = {0};
    g_autoptr(Tls) tls = new_tls(NULL);
    ck_assert(peer_listen(&peer, "127.0.0.1"));
    peer.tls = server_context(servers[_i].certificate);
    peer_start(&peer, open_and_read);
    g_auto(WsClientConfig) config = rig_config("wss", servers[_i].host, peer.port);
    rig_start(&rig, &config, tls);
    WAIT(rig.messages == 1 || rig.failed == 1);

    const char *words = NULL;
    ck_assert_int_eq(tls_failure(tls, &words), servers[_i].failure);
    if (servers[_i].failure != TLS_FAILURE_NONE) {
        ck_assert_uint_eq(rig.connected, 0);
        ck_assert_has(words, servers[_i].says);
        ck_assert_has(rig.why, words);
        ck_assert_has(words, servers[_i].host);
    } else {
        ck_assert_uint_eq(rig.failed, 0);
    }
    rig_end(&rig);
    peer_join(&peer);
    if (servers[_i].failure == TLS_FAILURE_NONE) {
        ck_assert_uint_eq(peer.close_code, 1001);
        /* A literal address does not belong into SNI. */
        ck_assert_pstr_eq(peer.sni, _i == 0 ? "localhost" : NULL);
    }
    peer_end(&peer);
}
END_TEST

START_TEST(ipv6_certificate)
{
    Peer peer = {0};
    Rig rig = {0};
    g_autoptr(Tls) tls = new_tls(NULL);
    if (!peer_listen(&peer, "::1")) {
        peer_end(&peer); /* no IPv6 here */
        return;
    }
    peer.tls = server_context(_i == 0 ? "csms" : "csms-wronghost");
    peer_start(&peer, open_and_read);
    g_auto(WsClientConfig) config = rig_config("wss", "[::1]", peer.port);
    rig_start(&rig, &config, tls);
    WAIT(rig.connected == 1 || rig.failed == 1);
    ck_assert_uint_eq(rig.connected, _i == 0 ? 1 : 0);
    rig_end(&rig);
    peer_join(&peer);
    ck_assert_ptr_null(peer.sni);
    peer_end(&peer);
}
END_TEST

/* A first connection that failed must not spoil the next one. */
START_TEST(recovers_after_a_bad_certificate)
{
    Peer peer = {0};
    Rig rig = {0};
    g_autoptr(Tls) tls = new_tls(NULL);
    ck_assert(peer_listen(&peer, "127.0.0.1"));
    peer.tls = server_context("csms-expired");
    peer_start(&peer, open_and_read);
    g_auto(WsClientConfig) config = rig_config("wss", "localhost", peer.port);
    rig_start(&rig, &config, tls);
    WAIT(rig.failed == 1);
    peer_join(&peer);
    SSL_CTX_free(peer.tls);
    peer.tls = server_context("csms");
    peer_start(&peer, open_and_read);
    rig_advance(&rig, rig.retry_ms);
    WAIT(rig.connected == 1);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

START_TEST(client_certificate)
{
    Peer peer = {0};
    Rig rig = {0};
    gboolean present = _i == 0;
    g_autoptr(Tls) tls = new_tls(present ? "charge-point" : NULL);
    g_autofree char *ca = test_pki_file(&pki, "charge-point-ca.crt");
    ck_assert(peer_listen(&peer, "127.0.0.1"));
    peer.tls = server_context("csms");
    SSL_CTX_set_verify(peer.tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    ck_assert_int_eq(SSL_CTX_load_verify_file(peer.tls, ca), 1);
    if (_i == 2) {
        SSL_CTX_set_max_proto_version(peer.tls, TLS1_2_VERSION);
    }
    peer_start(&peer, open_and_read);
    g_auto(WsClientConfig) config = rig_config("wss", "localhost", peer.port);
    rig_start(&rig, &config, tls);
    WAIT(rig.connected == 1 || rig.failed == 1);
    ck_assert_uint_eq(rig.connected, present ? 1 : 0);
    if (!present) {
        ck_assert_has(rig.why, "TLS: the CSMS refused with the alert");
    }
    rig_end(&rig);
    peer_join(&peer);
    ck_assert_pstr_eq(peer.client_name, present ? "CP001" : NULL);
    peer_end(&peer);
}
END_TEST

static void speak_plain_http(Peer *peer)
{
    char c = 0;
    if (peer_accept(peer) && peer_recv_all(peer, &c, 1)) {
        peer_say(peer, "HTTP/1.1 400 Bad Request\r\n\r\n");
    }
}

static void old_version(SSL_CTX *context)
{
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
}

static void other_suite(SSL_CTX *context)
{
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-CHACHA20-POLY1305");
}

static void good_suite(SSL_CTX *context)
{
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES256-GCM-SHA384");
}

static const struct {
    void (*prepare)(SSL_CTX *);
    TlsFailure failure;
    const char *says;
} disagreements[] = {
    {good_suite, TLS_FAILURE_NONE, NULL},
    {old_version, TLS_FAILURE_VERSION, "protocol version"},
    {other_suite, TLS_FAILURE_CIPHER, "handshake failure"},
    {NULL, TLS_FAILURE_OTHER, "does not speak TLS"},
};

START_TEST(agreement)
{
    Peer peer = {0};
    Rig rig = {0};
    g_autoptr(Tls) tls = new_tls(NULL);
    ck_assert(peer_listen(&peer, "127.0.0.1"));
    if (disagreements[_i].prepare != NULL) {
        peer.tls = server_context("csms");
        disagreements[_i].prepare(peer.tls);
    }
    peer_start(&peer, peer.tls != NULL ? open_and_read : speak_plain_http);
    g_auto(WsClientConfig) config = rig_config("wss", "localhost", peer.port);
    rig_start(&rig, &config, tls);
    WAIT(rig.connected == 1 || rig.failed == 1);
    const char *words = NULL;
    ck_assert_int_eq(tls_failure(tls, &words), disagreements[_i].failure);
    if (disagreements[_i].failure != TLS_FAILURE_NONE) {
        ck_assert_has(words, disagreements[_i].says);
        ck_assert_has(rig.why, words);
    }
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

START_TEST(judged_at_the_known_time)
{
    Peer peer = {0};
    Rig rig = {0};
    const gint64 in_2038_ms = G_GINT64_CONSTANT(2145916800000),
                 now_ms = G_GINT64_CONSTANT(1750000000000);
    g_autoptr(Tls) tls = new_tls(NULL);
    /* A clock that starts in 1970 counts no more than the time this program was built at. */
    gint64 build_ms = tls_judged_at_ms(tls, 0);
    ck_assert_int_ge(build_ms, 0);
    ck_assert_int_eq(tls_judged_at_ms(tls, build_ms + 1), build_ms + 1);
    tls_set_not_before(tls, now_ms);
    ck_assert_int_eq(tls_judged_at_ms(tls, 0), MAX(now_ms, build_ms));
    tls_set_not_before(tls, in_2038_ms);
    ck_assert_int_eq(tls_judged_at_ms(tls, 0), in_2038_ms);

    ck_assert(peer_listen(&peer, "127.0.0.1"));
    peer.tls = server_context("csms"); /* until 2037 */
    peer_start(&peer, open_and_read);
    g_auto(WsClientConfig) config = rig_config("wss", "localhost", peer.port);
    rig_start(&rig, &config, tls);
    WAIT(rig.failed == 1);
    ck_assert_has(rig.why, "judged at 2038-01-01T00:00:00Z, is expired");
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

START_TEST(wss_needs_tls)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Clock) clock = clock_new_virtual(0);
    g_auto(WsClientConfig) config = rig_config("wss", "localhost", 1);
    ck_assert_ptr_null(ws_client_new(&config, NULL, clock, &rig_events, NULL, &error));
    ck_assert(g_error_matches(error, WS_CLIENT_ERROR, WS_CLIENT_ERROR_URL));
}
END_TEST

/* TLS, ended by the user while the connection still holds on to it. */
START_TEST(tls_freed_in_callback)
{
    Peer peer = {0};
    Rig rig = {.free_in = "message"};
    Tls *tls = new_tls(NULL);
    ck_assert(peer_listen(&peer, "127.0.0.1"));
    peer.tls = server_context("csms");
    peer_start(&peer, open_and_read);
    g_auto(WsClientConfig) config = rig_config("wss", "localhost", peer.port);
    rig_start(&rig, &config, tls);
    WAIT(rig.messages == 1);
    tls_free(tls);
    while (peer.thread != NULL && g_atomic_int_get(&peer.stage) == 0 &&
           g_main_context_pending(NULL)) {
        g_main_context_iteration(NULL, FALSE);
    }
    peer_join(&peer);
    turn_idle();
    ck_assert_uint_eq(peer.close_code, 1001);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

static const struct {
    const char *ca, *certificate, *key, *says;
} bad_files[] = {
    {"no-such-file", NULL, NULL, "No such file"},
    {"csms.key", NULL, NULL, "csms.key as the CA certificate"},
    {NULL, "charge-point.crt", NULL, "go together"},
    {NULL, NULL, "charge-point.key", "go together"},
    {NULL, "charge-point.key", "charge-point.key", "as the charge point's certificate"},
    {NULL, "charge-point.crt", "charge-point.crt", "as the charge point's key"},
    {NULL, "charge-point.crt", "csms.key", "mismatch"},
    {NULL, "charge-point.crt", "no-such-file", "No such file"},
};

static char *file_or_null(const char *name)
{
    return name != NULL ? test_pki_file(&pki, name) : NULL;
}

START_TEST(bad_file)
{
    g_autofree char *ca = file_or_null(bad_files[_i].ca);
    g_autofree char *certificate = file_or_null(bad_files[_i].certificate);
    g_autofree char *key = file_or_null(bad_files[_i].key);
    TlsConfig config = {ca, certificate, key};
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tls_new(&config, &error));
    ck_assert(g_error_matches(error, TLS_ERROR, TLS_ERROR_FILE));
    ck_assert_has(error->message, bad_files[_i].says);
}
END_TEST

START_TEST(key_with_passphrase)
{
    g_autofree char *folder = g_dir_make_tmp("tls-XXXXXX", NULL);
    g_autofree char *key = g_build_filename(folder, "locked.key", NULL);
    g_autofree char *plain = test_pki_file(&pki, "charge-point.key");
    g_autofree char *certificate = test_pki_file(&pki, "charge-point.crt");
    const char *argv[] = {"openssl",  "pkey",   "-in",  plain, "-aes256",
                          "-passout", "pass:x", "-out", key,   NULL};
    ck_assert(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                           NULL, NULL));
    TlsConfig config = {NULL, certificate, key};
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tls_new(&config, &error)); /* asks nobody */
    ck_assert_has(error->message, "locked.key as the charge point's key");
    g_unlink(key);
    g_rmdir(folder);
}
END_TEST

START_TEST(system_trust)
{
    TlsConfig config = {NULL, NULL, NULL};
    g_autoptr(Tls) tls = tls_new(&config, NULL);
    ck_assert_ptr_nonnull(tls);
    ck_assert_ptr_nonnull(tls_context(tls));
    tls_free(NULL);
}
END_TEST

static Suite *tls_suite(void)
{
    Suite *suite = suite_create("ws_tls");
    TCase *tests = tcase_create("tls");
    tcase_set_timeout(tests, DEADLINE_S);
    tcase_add_loop_test(tests, server_certificate, 0, G_N_ELEMENTS(servers));
    tcase_add_loop_test(tests, ipv6_certificate, 0, 2);
    tcase_add_test(tests, recovers_after_a_bad_certificate);
    tcase_add_loop_test(tests, client_certificate, 0, 3);
    tcase_add_loop_test(tests, agreement, 0, G_N_ELEMENTS(disagreements));
    tcase_add_test(tests, judged_at_the_known_time);
    tcase_add_test(tests, wss_needs_tls);
    tcase_add_test(tests, tls_freed_in_callback);
    tcase_add_loop_test(tests, bad_file, 0, G_N_ELEMENTS(bad_files));
    tcase_add_test(tests, key_with_passphrase);
    tcase_add_test(tests, system_trust);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    pki = test_pki_new();
    SRunner *runner = srunner_create(tls_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    test_pki_clear(&pki);
    return failed == 0 ? 0 : 1;
}
