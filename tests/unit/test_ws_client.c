/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of the pure parts of the WebSocket client: request path, Basic auth, back-off, URL, text
 * from the peer, fragments.
 */
#include <check.h>
#include <string.h>

#include "src/adapter/ws_internal.h"

static const struct {
    const char *url_path, *identity, *request_path;
} paths[] = {
    {"", "CP001", "/CP001"},
    {"/", "CP001", "/CP001"},
    {"/ocpp/j", "CP001", "/ocpp/j/CP001"},
    {"/ocpp/j/", "CP001", "/ocpp/j/CP001"},
    {"/ocpp//", "CP001", "/ocpp/CP001"},
    {"/ocpp", "RDAM 123", "/ocpp/RDAM%20123"}, /* J 3.1.1 */
    {"/ocpp", "a/b?c#d%e", "/ocpp/a%2Fb%3Fc%23d%25e"},
    {"/ocpp", "A:b.c-d_e~f", "/ocpp/A%3Ab.c-d_e~f"},
    {"/ocpp", "S\xC3\xA4ule", "/ocpp/S%C3%A4ule"},
    {"/a%20b;c=1", "x", "/a%20b;c=1/x"},
    {"/a b\r\nX: y", "x", "/a%20b%0D%0AX:%20y/x"},
};

START_TEST(request_path)
{
    g_autofree char *path = ws_client_request_path(paths[_i].url_path, paths[_i].identity);
    ck_assert_str_eq(path, paths[_i].request_path);
}
END_TEST

START_TEST(basic_auth_vector)
{
    static const guint8 key[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xFF, 0xFF,
                                 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    g_autoptr(GBytes) bytes = g_bytes_new_static(key, sizeof(key));
    g_autofree char *header = ws_client_basic_auth("AL1000", bytes);
    ck_assert_str_eq(header, "Basic QUwxMDAwOgABAgMEBQYH////////////////");
}
END_TEST

START_TEST(basic_auth_colon_and_empty)
{
    g_autoptr(GBytes) empty = g_bytes_new_static("", 0);
    g_autofree char *header = ws_client_basic_auth("a:b", empty);
    g_autofree char *expected = g_strconcat("Basic ", "YTpiOg==", NULL);
    ck_assert_str_eq(header, expected);
}
END_TEST

static const struct {
    guint attempt;
    gint64 outage_ms;
    gboolean refused;
    gint64 ceiling_ms;
} backoffs[] = {
    {0, 0, FALSE, 1000},
    {1, 0, FALSE, 2000},
    {4, 0, FALSE, 16000},
    {5, 0, FALSE, 30000},
    {50, WS_BACKOFF_LONG_AFTER_MS - 1, FALSE, 30000},
    {50, WS_BACKOFF_LONG_AFTER_MS, FALSE, 300000},
    {G_MAXUINT, G_MAXINT64, FALSE, 300000},
    {2, 0, TRUE, 4000},
    {5, 0, TRUE, 32000},
    {9, 0, TRUE, 300000},
    {G_MAXUINT, 0, TRUE, 300000},
};

START_TEST(backoff_bounds)
{
    guint attempt = backoffs[_i].attempt;
    gint64 outage_ms = backoffs[_i].outage_ms, ceiling_ms = backoffs[_i].ceiling_ms;
    gboolean refused = backoffs[_i].refused;
    ck_assert_int_eq(ws_client_backoff_ms(attempt, outage_ms, refused, 0), WS_BACKOFF_FLOOR_MS);
    ck_assert_int_eq(ws_client_backoff_ms(attempt, outage_ms, refused, G_MAXUINT32), ceiling_ms);
    ck_assert_int_eq(ws_client_backoff_ms(attempt, outage_ms, refused, 1u << 31),
                     (ceiling_ms + 1) / 2);
}
END_TEST

START_TEST(backoff_is_uniform)
{
    /* Full jitter: the mean over evenly spread random numbers is half the ceiling. */
    gint64 sum = 0;
    for (guint i = 0; i < 1000; i++) {
        sum += ws_client_backoff_ms(10, 0, FALSE, i * (G_MAXUINT32 / 1000));
    }
    ck_assert_int_ge(sum / 1000, 14900);
    ck_assert_int_le(sum / 1000, 15100);
}
END_TEST

static const struct {
    const char *url, *host;
    guint16 port;
    const char *authority, *path;
    gboolean tls;
} urls[] = {
    {"ws://csms.example", "csms.example", 80, "csms.example", "/CP%201", FALSE},
    {"wss://csms.example/ocpp/", "csms.example", 443, "csms.example", "/ocpp/CP%201", TRUE},
    {"wss://csms.example:80/x", "csms.example", 80, "csms.example:80", "/x/CP%201", TRUE},
    {"ws://csms.example:80/x", "csms.example", 80, "csms.example", "/x/CP%201", FALSE},
    {"WS://127.0.0.1:9000/x", "127.0.0.1", 9000, "127.0.0.1:9000", "/x/CP%201", FALSE},
    {"ws://[::1]:9000/x", "::1", 9000, "[::1]:9000", "/x/CP%201", FALSE},
    {"wss://[2001:db8::1]/x", "2001:db8::1", 443, "[2001:db8::1]", "/x/CP%201", TRUE},
    {"wss://s\xC3\xA4ule.example/x", "xn--sule-loa.example", 443, "xn--sule-loa.example",
     "/x/CP%201", TRUE},
};

START_TEST(good_url)
{
    WsEndpoint endpoint = {0};
    ck_assert(ws_endpoint_parse(&endpoint, urls[_i].url, "CP 1", NULL));
    ck_assert_str_eq(endpoint.host, urls[_i].host);
    ck_assert_uint_eq(endpoint.port, urls[_i].port);
    ck_assert_str_eq(endpoint.authority, urls[_i].authority);
    ck_assert_str_eq(endpoint.path, urls[_i].path);
    ck_assert_int_eq(endpoint.tls, urls[_i].tls);
    ws_endpoint_clear(&endpoint);
}
END_TEST

static const struct {
    const char *url, *identity, *says;
} bad_urls[] = {
    {NULL, "CP001", "missing"},
    {"", "CP001", "no URL"},
    {"csms.example", "CP001", "no URL"},
    {"http://csms.example/", "CP001", "ws://"},
    {"ws:///x", "CP001", "host"},
    {"ws://a b/x", "CP001", "host"},
    {"ws://a%00b/x", "CP001", ""},
    {"ws://[fe80::1%25eth0]/x", "CP001", "host"},
    {"ws://csms.example:0/x", "CP001", "port"},
    {"ws://csms.example:65536/x", "CP001", ""},
    {"ws://user:secret@csms.example/x", "CP001", "no user"},
    {"ws://csms.example/x?a=b", "CP001", "?"},
    {"ws://csms.example/x#a", "CP001", "#"},
    {"ws://csms.example/x", NULL, "identity"},
    {"ws://csms.example/x", "", "identity"},
    {"ws://csms.example/x", "a\nb", "control"},
    {"ws://csms.example/x", "a\xFF", "UTF-8"},
};

START_TEST(bad_url)
{
    WsEndpoint endpoint = {0};
    g_autoptr(GError) error = NULL;
    ck_assert(!ws_endpoint_parse(&endpoint, bad_urls[_i].url, bad_urls[_i].identity, &error));
    ck_assert(g_error_matches(error, WS_CLIENT_ERROR, WS_CLIENT_ERROR_URL));
    ck_assert_msg(strstr(error->message, bad_urls[_i].says) != NULL, "%s", error->message);
    ck_assert_ptr_null(strstr(error->message, "secret"));
    ck_assert_ptr_null(endpoint.host);
}
END_TEST

START_TEST(url_lengths)
{
    WsEndpoint endpoint = {0};
    g_autofree char *label = g_strnfill(60, 'a');
    g_autofree char *fits = g_strdup_printf("ws://%s.%.57s/x", label, label);
    g_autofree char *too_long = g_strdup_printf("ws://%s.%.59s/x", label, label);
    g_autofree char *path = g_strnfill(WS_MAX_URL, 'p');
    g_autofree char *long_path = g_strconcat("ws://a/", path, NULL);
    g_autofree char *identity = g_strnfill(WS_MAX_IDENTITY + 1, 'i');
    ck_assert(ws_endpoint_parse(&endpoint, fits, identity + 1, NULL));
    ws_endpoint_clear(&endpoint);
    ck_assert(!ws_endpoint_parse(&endpoint, too_long, "CP001", NULL));
    ck_assert(!ws_endpoint_parse(&endpoint, long_path, "CP001", NULL));
    ck_assert(!ws_endpoint_parse(&endpoint, "ws://a/", identity, NULL));
}
END_TEST

START_TEST(printable)
{
    g_autofree char *line = ws_printable("a\r\nb\x1b[2J\xFF \xC3\xA9\0z", 14);
    ck_assert_str_eq(line, "a??b?[2J\xEF\xBF\xBD \xC3\xA9\xEF\xBF\xBDz");
    g_autofree char *long_text = g_strnfill(5000, 'x');
    g_autofree char *cut = ws_printable(long_text, 5000);
    ck_assert_uint_le(strlen(cut), 200);
}
END_TEST

static WsInboxResult add(WsInbox *inbox, const char *data, gsize length, gboolean first,
                         gboolean last, GString *message)
{
    WsPiece piece = {.data = data, .length = length, .first = first, .last = last};
    const char *text = NULL;
    gsize text_length = 0;
    WsInboxResult result = ws_inbox_add(inbox, &piece, &text, &text_length);
    if (result == WS_INBOX_COMPLETE) {
        g_string_truncate(message, 0);
        g_string_append_len(message, text, (gssize)text_length);
    }
    return result;
}

START_TEST(inbox_gathers)
{
    GString *message = g_string_new(NULL);
    WsInbox *inbox = ws_inbox_new(10);
    ck_assert_int_eq(add(inbox, "01234", 5, TRUE, FALSE, message), WS_INBOX_MORE);
    ck_assert_int_eq(add(inbox, "56789", 5, FALSE, FALSE, message), WS_INBOX_MORE);
    ck_assert_int_eq(add(inbox, "", 0, FALSE, TRUE, message), WS_INBOX_COMPLETE);
    ck_assert_str_eq(message->str, "0123456789");
    ck_assert_int_eq(add(inbox, "", 0, TRUE, TRUE, message), WS_INBOX_COMPLETE);
    ck_assert_uint_eq(message->len, 0);
    /* The rest of a message that was cut off is forgotten when a new one begins. */
    ck_assert_int_eq(add(inbox, "abc", 3, TRUE, FALSE, message), WS_INBOX_MORE);
    ck_assert_int_eq(add(inbox, "xyz", 3, TRUE, TRUE, message), WS_INBOX_COMPLETE);
    ck_assert_str_eq(message->str, "xyz");
    ws_inbox_free(inbox);
    g_string_free(message, TRUE);
}
END_TEST

START_TEST(inbox_is_bounded)
{
    const char *text = NULL;
    gsize length = 0;
    WsInbox *inbox = ws_inbox_new(10);
    WsPiece announced = {.data = "abc", .length = 3, .rest = 8, .first = TRUE};
    ck_assert_int_eq(ws_inbox_add(inbox, &announced, &text, &length), WS_INBOX_TOO_LARGE);
    announced.rest = G_MAXSIZE;
    ck_assert_int_eq(ws_inbox_add(inbox, &announced, &text, &length), WS_INBOX_TOO_LARGE);
    announced.rest = 7;
    ck_assert_int_eq(ws_inbox_add(inbox, &announced, &text, &length), WS_INBOX_MORE);
    WsPiece more = {.data = "defghijk", .length = 8, .last = TRUE};
    ck_assert_int_eq(ws_inbox_add(inbox, &more, &text, &length), WS_INBOX_TOO_LARGE);
    ws_inbox_free(inbox);
}
END_TEST

static const struct {
    const char *data;
    gsize length;
    WsInboxResult result;
} utf8[] = {
    {"\xC3\xA9", 2, WS_INBOX_COMPLETE},     {"a\0b", 3, WS_INBOX_COMPLETE},
    {"\0", 1, WS_INBOX_COMPLETE},           {"\xFF", 1, WS_INBOX_NOT_UTF8},
    {"a\0\xFF", 3, WS_INBOX_NOT_UTF8},      {"\xC3", 1, WS_INBOX_NOT_UTF8},
    {"\xED\xA0\x80", 3, WS_INBOX_NOT_UTF8}, {"\xC0\x80", 2, WS_INBOX_NOT_UTF8},
};

START_TEST(inbox_utf8)
{
    GString *message = g_string_new(NULL);
    WsInbox *inbox = ws_inbox_new(100);
    ck_assert_int_eq(add(inbox, utf8[_i].data, utf8[_i].length, TRUE, TRUE, message),
                     utf8[_i].result);
    /* A character may be cut in two by a fragment's end. */
    ck_assert_int_eq(add(inbox, utf8[_i].data, 1, TRUE, FALSE, message), WS_INBOX_MORE);
    ck_assert_int_eq(add(inbox, utf8[_i].data + 1, utf8[_i].length - 1, FALSE, TRUE, message),
                     utf8[_i].result);
    ws_inbox_free(inbox);
    g_string_free(message, TRUE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ws_client");
    TCase *tests = tcase_create("ws_client");
    tcase_add_loop_test(tests, request_path, 0, G_N_ELEMENTS(paths));
    tcase_add_test(tests, basic_auth_vector);
    tcase_add_test(tests, basic_auth_colon_and_empty);
    tcase_add_loop_test(tests, backoff_bounds, 0, G_N_ELEMENTS(backoffs));
    tcase_add_test(tests, backoff_is_uniform);
    tcase_add_loop_test(tests, good_url, 0, G_N_ELEMENTS(urls));
    tcase_add_loop_test(tests, bad_url, 0, G_N_ELEMENTS(bad_urls));
    tcase_add_test(tests, url_lengths);
    tcase_add_test(tests, printable);
    tcase_add_test(tests, inbox_gathers);
    tcase_add_test(tests, inbox_is_bounded);
    tcase_add_loop_test(tests, inbox_utf8, 0, G_N_ELEMENTS(utf8));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
