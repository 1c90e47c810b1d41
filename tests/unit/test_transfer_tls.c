/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Transfers over TLS: which certificates are trusted and when, and the words for what is wrong. */
#include "transfer_fixture.h"

#include "test_pki.h"

static TestPki pki;
static char *ca_file;
static gint64 not_before;

static gint64 not_before_ms(gpointer unused)
{
    (void)unused;
    return not_before;
}

static void setup(void)
{
    transfer_setup();
    ca_file = test_pki_file(&pki, "csms-ca.crt");
    config.ca_file = ca_file;
    config.not_before_ms = not_before_ms;
}

static void teardown(void)
{
    transfer_teardown();
    g_free(ca_file);
}

static void use_certificate(const char *name, int max_version)
{
    g_autofree char *certificate_name = g_strconcat(name, ".crt", NULL);
    g_autofree char *key_name = g_strconcat(name, ".key", NULL);
    g_autofree char *certificate = test_pki_file(&pki, certificate_name);
    g_autofree char *key = test_pki_file(&pki, key_name);

    http_peer_use_tls(&peer, certificate, key, max_version);
}

static void get(void)
{
    g_autofree char *url = peer_url("https://user:secret@127.0.0.1:%u/bundle");

    run(begin_url(url, 0, -1, NULL));
}

static void say_abc(void)
{
    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
}

START_TEST(right)
{
    use_certificate("csms", 0);
    say_abc();
    get();
    expect_text("abc");
}
END_TEST

START_TEST(wrong_certificate)
{
    static const struct {
        const char *name, *words;
    } cases[] = {
        {"csms-unknown", "TLS: the certificate of the server"},
        {"csms-unknown", "comes from an unknown CA"},
        {"csms-wronghost", "TLS: the certificate is not made out for this host: wrong host"},
        {"csms-expired", "is expired"},
    };

    use_certificate(cases[_i].name, 0);
    say_abc();
    get();
    expect_failure(TRANSFER_ERROR_TLS, cases[_i].words);
    ck_assert_uint_eq(http_peer_count(&peer), 0);
}
END_TEST

/* A CA that nobody named is not trusted. */
START_TEST(system_trust)
{
    config.ca_file = NULL;
    use_certificate("csms", 0);
    get();
    expect_failure(TRANSFER_ERROR_TLS, "unknown CA");
}
END_TEST

START_TEST(judged_at_the_later_time)
{
    use_certificate("csms", 0);
    say_abc();
    not_before = G_GINT64_CONSTANT(2208988800) * 1000; /* 2040 */
    get();
    expect_failure(TRANSFER_ERROR_TLS, "judged at 2040-01-01T00:00:00Z, is expired");
    not_before = 1; /* the system clock is ahead of it */
    get();
    expect_text("abc");
}
END_TEST

START_TEST(old_protocol)
{
    use_certificate("csms", TLS1_1_VERSION);
    say_abc();
    get();
    expect_failure(TRANSFER_ERROR_TLS, "older than 1.2");
}
END_TEST

START_TEST(no_tls_on_the_port)
{
    peer.greets = TRUE;
    get();
    expect_failure(TRANSFER_ERROR_TLS, "does not speak TLS on this port");
}
END_TEST

START_TEST(cut_in_the_handshake)
{
    peer.hangs_up = TRUE;
    get();
    expect_failure(TRANSFER_ERROR_NETWORK, "cut");
}
END_TEST

/* With TLS 1.3 the refusal comes after the handshake. */
START_TEST(client_certificate)
{
    g_autofree char *ca = test_pki_file(&pki, "charge-point-ca.crt");
    g_autofree char *certificate = test_pki_file(&pki, "charge-point.crt");
    g_autofree char *key = test_pki_file(&pki, "charge-point.key");

    use_certificate("csms", 0);
    ck_assert_int_eq(SSL_CTX_load_verify_file(peer.tls, ca), 1);
    SSL_CTX_set_verify(peer.tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    if (_i == 0) {
        config.client_cert_file = certificate;
        config.client_key_file = key;
    }
    say_abc();
    get();
    if (_i == 0)
        expect_text("abc");
    else
        expect_failure(TRANSFER_ERROR_TLS, "asks for a client certificate");
}
END_TEST

START_TEST(files_that_cannot_be_used)
{
    if (_i == 0)
        config.ca_file = "/nonexistent";
    else
        config.client_cert_file = config.client_key_file = "/nonexistent";
    use_certificate("csms", 0);
    say_abc();
    get();
    expect_failure(TRANSFER_ERROR_TLS, "/nonexistent");
}
END_TEST

START_TEST(redirect_stays_with_tls)
{
    HttpPeer plain;

    http_peer_init(&plain);
    http_peer_start(&plain);
    use_certificate("csms", 0);
    http_peer_say(&peer, PEER_KEEP,
                  "HTTP/1.1 302 E\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n");
    http_peer_say(&peer, PEER_KEEP,
                  "HTTP/1.1 302 E\r\nLocation: http://127.0.0.1:%u/\r\nContent-Length: 0\r\n\r\n",
                  plain.port);
    get();
    expect_failure(TRANSFER_ERROR_URL, "from https to a URL without TLS");
    ck_assert_uint_eq(http_peer_connections(&plain), 0);
    http_peer_stop(&plain);
}
END_TEST

START_TEST(redirect_to_tls_and_not_back)
{
    HttpPeer plain;
    g_autofree char *url = NULL;
    g_autofree char *authorization = NULL;

    http_peer_init(&plain);
    use_certificate("csms", 0);
    http_peer_say(&plain, PEER_KEEP,
                  "HTTP/1.1 302 E\r\nLocation: https://127.0.0.1:%u/\r\nContent-Length: 0\r\n\r\n",
                  peer.port);
    http_peer_say(&peer, PEER_KEEP,
                  "HTTP/1.1 302 E\r\nLocation: http://127.0.0.1:%u/\r\nContent-Length: 0\r\n\r\n",
                  plain.port);
    http_peer_start(&plain);
    url = g_strdup_printf("http://user:secret@127.0.0.1:%u/", plain.port);
    run(begin_url(url, 0, -1, NULL));
    expect_failure(TRANSFER_ERROR_URL, "from https to a URL without TLS");
    ck_assert_uint_eq(http_peer_count(&plain), 1);
    authorization = http_peer_field(&peer, 0, "Authorization");
    ck_assert_ptr_null(authorization);
    http_peer_stop(&plain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transfer over TLS");
    SRunner *runner = srunner_create(suite);
    TCase *cases = tcase_create("transfer over TLS");
    int failed;

    pki = test_pki_new();
    tcase_set_timeout(cases, DEADLINE_S + 30);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, right);
    tcase_add_loop_test(cases, wrong_certificate, 0, 4);
    tcase_add_test(cases, system_trust);
    tcase_add_test(cases, judged_at_the_later_time);
    tcase_add_test(cases, old_protocol);
    tcase_add_test(cases, no_tls_on_the_port);
    tcase_add_test(cases, cut_in_the_handshake);
    tcase_add_loop_test(cases, client_certificate, 0, 2);
    tcase_add_loop_test(cases, files_that_cannot_be_used, 0, 2);
    tcase_add_test(cases, redirect_stays_with_tls);
    tcase_add_test(cases, redirect_to_tls_and_not_back);
    suite_add_tcase(suite, cases);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    test_pki_clear(&pki);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
