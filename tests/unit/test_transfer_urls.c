/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which URLs and redirects are followed, and where users and passwords go. */
#include "transfer_fixture.h"

/* --- Elsewhere --- */

START_TEST(redirects)
{
    for (guint i = 0; i < TRANSFER_MAX_REDIRECTS; i++)
        http_peer_say(&peer, PEER_KEEP,
                      "HTTP/1.1 %u Else\r\nLocation: /%u?token=x\r\nContent-Length: 4\r\n\r\nElse",
                      (guint[]){301, 302, 303, 307, 308}[i], i);
    http_peer_say(&peer, PEER_KEEP,
                  "HTTP/1.1 206 P\r\nContent-Range: bytes 2-4/10\r\nContent-Length: 3\r\n\r\n234");
    run(begin(2, 3, NULL));
    expect_text("234");
    for (guint i = 0; i <= TRANSFER_MAX_REDIRECTS; i++) {
        g_autofree char *range = http_peer_field(&peer, i, "Range");

        ck_assert_str_eq(range, "bytes=2-4");
    }
    ck_assert_uint_eq(http_peer_connections(&peer), 1);
}
END_TEST

START_TEST(redirect_loop)
{
    for (guint i = 0; i <= TRANSFER_MAX_REDIRECTS; i++)
        http_peer_say(&peer, PEER_KEEP,
                      "HTTP/1.1 302 E\r\nLocation: /bundle\r\nContent-Length: 0\r\n\r\n");
    run(begin(0, -1, NULL));
    expect_failure(TRANSFER_ERROR_URL, "too many redirects");
    ck_assert_uint_eq(http_peer_count(&peer), TRANSFER_MAX_REDIRECTS + 1);
}
END_TEST

START_TEST(redirect_to_where_it_may_not_go)
{
    static const char *const places[] = {"file:///etc/passwd", "gopher://127.0.0.1/x",
                                         "scp://127.0.0.1/x",  "http://",
                                         "dict://127.0.0.1/x", "ftp://127.0.0.1/directory/"};

    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        http_peer_say(&peer, PEER_KEEP,
                      "HTTP/1.1 302 E\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", places[i]);
        run(begin(0, -1, NULL));
        expect_failure(TRANSFER_ERROR_URL, "redirects to a URL that is not possible");
    }
}
END_TEST

START_TEST(credentials_stay_with_their_server)
{
    g_autofree char *url = peer_url("http://us%%65r:p%%40ss:w@rd@127.0.0.1:%u/bundle?key=geheim");
    g_autofree char *expected = NULL;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;
    g_autofree char *third = NULL;
    g_autofree char *request = NULL;
    g_autofree char *encoded = g_base64_encode((const guchar *)"user:p@ss:w@rd", 14);
    HttpPeer foreign;

    expected = g_strconcat("Basic ", encoded, NULL);
    http_peer_init(&foreign);
    http_peer_say(&peer, PEER_KEEP,
                  "HTTP/1.1 302 E\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n");
    http_peer_say(&peer, PEER_KEEP,
                  "HTTP/1.1 302 E\r\nLocation: http://127.0.0.1:%u/x\r\nContent-Length: 0\r\n\r\n",
                  foreign.port);
    http_peer_say(&foreign, PEER_KEEP, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    http_peer_start(&foreign);
    run(begin_url(url, 0, -1, NULL));
    expect_failure(TRANSFER_ERROR_REFUSED, "403");
    first = http_peer_field(&peer, 0, "Authorization");
    second = http_peer_field(&peer, 1, "Authorization");
    third = http_peer_field(&foreign, 0, "Authorization");
    request = http_peer_request(&foreign, 0);
    ck_assert_str_eq(first, expected);
    ck_assert_str_eq(second, expected);
    ck_assert_ptr_null(third);
    ck_assert_ptr_null(strstr(request, "Referer"));
    http_peer_stop(&foreign);
}
END_TEST

START_TEST(secrets_are_in_no_message)
{
    static const char *const urls[] = {
        "http://Cleo:Nut%%2f@127.0.0.1:%u/bundle?key=Nut",
        "http://Cleo:Nut%%00@127.0.0.1:%u/bundle",
        "http://Cleo:Nut@127.0.0.1:%u:99/bundle",
        "gopher://Cleo:Nut@127.0.0.1:%u/bundle",
        "http://Cleo:Nut@not a host:%u/bundle",
    };

    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");
    for (gsize i = 0; i < G_N_ELEMENTS(urls); i++) {
        g_autofree char *port = g_strdup_printf("%u", peer.port);
        g_auto(GStrv) pieces = g_strsplit(urls[i], "%u", 2);
        g_autofree char *joined = g_strjoinv(port, pieces);
        g_auto(GStrv) halves = g_strsplit(joined, "%%", -1);
        g_autofree char *url = g_strjoinv("%", halves);

        run(begin_url(url, 0, -1, NULL));
        ck_assert_ptr_nonnull(failure);
        ck_assert_msg(!strstr(failure->message, "Nut") && !strstr(failure->message, "Cleo"), "%s",
                      failure->message);
    }
}
END_TEST

START_TEST(urls_that_are_of_no_use)
{
    static const char *const urls[] = {"",
                                       "bundle.raucb",
                                       "/etc/passwd",
                                       "file:///etc/passwd",
                                       "http://",
                                       "https://host:99999/x",
                                       "ftp://host/",
                                       "ftp://host/directory/",
                                       "ftp://host/directory%2F",
                                       "ftp://host/file;type=a",
                                       "sftp://host/directory/",
                                       "http://host/a\r\nHost: b",
                                       "http://u:%zz%00@host/"};
    g_autofree char *large = g_strnfill(TRANSFER_MAX_URL, 'x');
    g_autofree char *url = g_strconcat("http://host/", large, NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(urls); i++) {
        run(begin_url(urls[i], 0, -1, NULL));
        expect_failure(TRANSFER_ERROR_URL, "cannot use this URL");
    }
    run(begin_url(url, 0, -1, NULL));
    expect_failure(TRANSFER_ERROR_URL, "too long");
}
END_TEST

START_TEST(urls_that_are_a_little_wrong)
{
    g_autofree char *url = peer_url("HTTP://127.0.0.1:%u/a b#part");
    g_autofree char *request = NULL;

    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    run(begin_url(url, 0, -1, NULL));
    expect_text("abc");
    request = http_peer_request(&peer, 0);
    ck_assert(g_str_has_prefix(request, "GET /a%20b HTTP/1.1\r\n"));
}
END_TEST

START_TEST(user_from_a_netrc_file)
{
    g_autofree char *folder = g_dir_make_tmp("rauc-ocpp-agent-netrc-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "netrc", NULL);
    g_autofree char *url = peer_url("http://other:own@127.0.0.1:%u/");
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    ck_assert(
        g_file_set_contents(file, "machine 127.0.0.1 login user password secret\n", -1, NULL));
    config.netrc_file = file;
    for (guint i = 0; i < 2; i++)
        http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    run(begin(0, -1, NULL));
    expect_text("abc");
    run(begin_url(url, 0, -1, NULL));
    first = http_peer_field(&peer, 0, "Authorization");
    second = http_peer_field(&peer, 1, "Authorization");
    ck_assert_str_eq(first, "Basic dXNlcjpzZWNyZXQ=");
    ck_assert_str_eq(second, "Basic b3RoZXI6b3du");
    g_unlink(file);
    g_rmdir(folder);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {redirects,
                                  redirect_loop,
                                  redirect_to_where_it_may_not_go,
                                  credentials_stay_with_their_server,
                                  secrets_are_in_no_message,
                                  urls_that_are_of_no_use,
                                  urls_that_are_a_little_wrong,
                                  user_from_a_netrc_file};

    return run_suite("URLs of transfers", transfer_setup, transfer_teardown, tests,
                     G_N_ELEMENTS(tests));
}
