/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One request each: what is asked, which answers are right, and what is said of the wrong ones. */
#include "transfer_fixture.h"

#define DATE_TEXT "Mon, 01 Jan 2024 00:00:00 GMT"
#define DATE      1704067200

static const TransferFile known_file = {10, (char *)"\"a\"", DATE};

/* --- What is asked --- */

START_TEST(whole)
{
    g_autofree char *request = NULL;
    g_autofree char *agent = NULL;

    http_peer_say(&peer, PEER_KEEP,
                  "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nLast-Modified: " DATE_TEXT
                  "\r\nContent-Length: 10\r\n\r\n0123456789");
    run(begin(0, -1, NULL));
    expect_text("0123456789");
    ck_assert_int_eq(told.size, 10);
    ck_assert_str_eq(told.etag, "\"a\"");
    ck_assert_int_eq(told.modified, DATE);
    request = http_peer_request(&peer, 0);
    agent = http_peer_field(&peer, 0, "User-Agent");
    ck_assert(g_str_has_prefix(request, "GET /bundle HTTP/1.1\r\n"));
    ck_assert(g_str_has_prefix(agent, "rauc-ocpp-agent/"));
    ck_assert(!strstr(request, "Range") && !strstr(request, "Accept-Encoding") &&
              !strstr(request, "Authorization"));
}
END_TEST

START_TEST(nothing_at_all)
{
    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    run(begin(0, -1, NULL));
    expect_text("");
    ck_assert_uint_eq(begins, 1);
    ck_assert_int_eq(told.size, 0);
}
END_TEST

START_TEST(without_a_size)
{
    http_peer_say(&peer, PEER_KEEP,
                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    run(begin(0, -1, NULL));
    expect_text("abc");
    ck_assert_int_eq(told.size, -1);
    http_peer_say(&peer, PEER_CLOSE, "HTTP/1.1 200 OK\r\n\r\nabc");
    run(begin(0, -1, NULL));
    expect_text("abc");
}
END_TEST

/* Each on the connection of the one before. */
START_TEST(parts)
{
    static const struct {
        gint64 offset, length;
        const char *range, *answer, *text;
    } cases[] = {
        {2, 3, "bytes=2-4", "2-4", "234"}, {0, 4, "bytes=0-3", "0-3", "0123"},
        {7, -1, "bytes=7-", "7-9", "789"}, {8, 100, "bytes=8-107", "8-9", "89"},
        {9, 1, "bytes=9-9", "9-9", "9"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *range = NULL;

        http_peer_say(&peer, PEER_KEEP,
                      "HTTP/1.1 206 Part\r\nContent-Range: bytes %s/10\r\nContent-Length: %zu\r\n"
                      "\r\n%s",
                      cases[i].answer, strlen(cases[i].text), cases[i].text);
        run(begin(cases[i].offset, cases[i].length, NULL));
        expect_text(cases[i].text);
        ck_assert_int_eq(told.size, 10);
        range = http_peer_field(&peer, i, "Range");
        ck_assert_str_eq(range, cases[i].range);
    }
    ck_assert_uint_eq(http_peer_connections(&peer), 1);
}
END_TEST

START_TEST(if_range)
{
    static const struct {
        TransferFile known;
        const char *if_range;
    } cases[] = {
        {{10, (char *)"\"a\"", DATE}, "\"a\""},
        {{10, (char *)"W/\"a\"", DATE}, DATE_TEXT},
        {{10, NULL, DATE}, DATE_TEXT},
        {{10, (char *)"W/\"a\"", -1}, NULL},
        {{10, NULL, -1}, NULL},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *field = NULL;

        http_peer_say(&peer, PEER_KEEP,
                      "HTTP/1.1 206 Part\r\nETag: \"a\"\r\nContent-Range: bytes 2-4/10\r\n"
                      "Content-Length: 3\r\n\r\n234");
        run(begin(2, 3, &cases[i].known));
        expect_text("234");
        field = http_peer_field(&peer, i, "If-Range");
        ck_assert_msg(g_strcmp0(field, cases[i].if_range) == 0, "%s", field);
    }
}
END_TEST

/* --- Wrong answers --- */

typedef struct {
    const char *name;
    gint64 offset, length;
    const TransferFile *known;
    const char *answer;
    TransferError code;
    const char *words;
} Wrong;

#define PART(range, rest)                                                                          \
    "HTTP/1.1 206 Part\r\nContent-Range: " range "\r\n" rest "\r\n0123456789ABCDEF"
#define HEAD(status, rest) "HTTP/1.1 " status " X\r\n" rest "Content-Length: 0\r\n\r\n"

static const Wrong wrongs[] = {
    {"no ranges", 2, 3, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789",
     TRANSFER_ERROR_RANGES, "middle"},
    {"no ranges at the beginning", 0, 4, NULL,
     "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", TRANSFER_ERROR_RANGES, "middle"},
    {"no ranges of the same file", 2, 3, &known_file,
     "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 10\r\n\r\n0123456789",
     TRANSFER_ERROR_RANGES, "middle"},
    {"another ETag and all of it", 2, 3, &known_file,
     "HTTP/1.1 200 OK\r\nETag: \"b\"\r\nContent-Length: 10\r\n\r\n0123456789",
     TRANSFER_ERROR_CHANGED, "ETag"},
    {"another ETag", 2, 3, &known_file,
     PART("bytes 2-4/10", "ETag: \"b\"\r\nContent-Length: 3\r\n"), TRANSFER_ERROR_CHANGED, "ETag"},
    {"another time", 2, 3, &known_file,
     PART("bytes 2-4/10", "Last-Modified: Mon, 01 Jan 2024 00:00:01 GMT\r\nContent-Length: 3\r\n"),
     TRANSFER_ERROR_CHANGED, "time of modification"},
    {"another size", 2, 3, &known_file, PART("bytes 2-4/11", "Content-Length: 3\r\n"),
     TRANSFER_ERROR_CHANGED, "it had 10 bytes and has 11"},
    {"another size of the whole", 0, -1, &known_file,
     "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789A", TRANSFER_ERROR_CHANGED,
     "it had 10 bytes and has 11"},
    {"beyond the end of another size", 9, 3, &known_file,
     HEAD("416", "Content-Range: bytes */5\r\n"), TRANSFER_ERROR_CHANGED, "has 5"},
    {"beyond the end of the same", 9, 3, &known_file, HEAD("416", "Content-Range: bytes */10\r\n"),
     TRANSFER_ERROR_PROTOCOL, "416"},
    {"beyond the end", 9, 3, NULL, HEAD("416", ""), TRANSFER_ERROR_PROTOCOL, "416"},
    {"a part from elsewhere", 2, 3, NULL, PART("bytes 3-5/10", "Content-Length: 3\r\n"),
     TRANSFER_ERROR_PROTOCOL, "another part"},
    {"a longer part", 2, 3, NULL, PART("bytes 2-5/10", "Content-Length: 4\r\n"),
     TRANSFER_ERROR_PROTOCOL, "another part"},
    {"a shorter part", 2, 3, NULL, PART("bytes 2-3/10", "Content-Length: 2\r\n"),
     TRANSFER_ERROR_PROTOCOL, "another part"},
    {"not the length of its part", 2, 3, NULL, PART("bytes 2-4/10", "Content-Length: 4\r\n"),
     TRANSFER_ERROR_PROTOCOL, "another part"},
    {"a part without its place", 2, 3, NULL, HEAD("206", ""), TRANSFER_ERROR_PROTOCOL,
     "which part"},
    {"a part of an unknown whole", 2, 3, NULL, PART("bytes 2-4/*", "Content-Length: 3\r\n"),
     TRANSFER_ERROR_PROTOCOL, "which part"},
    {"a part with nonsense", 2, 3, NULL, PART("bytes -2-4/10", "Content-Length: 3\r\n"),
     TRANSFER_ERROR_PROTOCOL, "which part"},
    {"a part larger than the whole", 2, 3, NULL, PART("bytes 2-4/4", "Content-Length: 3\r\n"),
     TRANSFER_ERROR_PROTOCOL, "which part"},
    {"a part with an overflow", 2, 3, NULL,
     PART("bytes 2-4/99999999999999999999", "Content-Length: 3\r\n"), TRANSFER_ERROR_PROTOCOL,
     "which part"},
    {"several parts", 2, 3, NULL,
     "HTTP/1.1 206 Parts\r\nContent-Type: multipart/byteranges; boundary=x\r\n\r\n--x\r\n",
     TRANSFER_ERROR_PROTOCOL, "which part"},
    {"a part for the whole", 0, -1, NULL, PART("bytes 0-9/10", "Content-Length: 10\r\n"),
     TRANSFER_ERROR_PROTOCOL, "whole was asked for"},
    {"too many bytes", 2, 3, NULL,
     PART("bytes 2-4/10", "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n"),
     TRANSFER_ERROR_PROTOCOL, "more bytes"},
    {"compressed", 0, -1, NULL,
     "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
     TRANSFER_ERROR_PROTOCOL, "compressed"},
    {"a compressed part", 2, 3, NULL,
     PART("bytes 2-4/10", "Content-Encoding: br\r\nContent-Length: 3\r\n"), TRANSFER_ERROR_PROTOCOL,
     "compressed"},
    {"a file too large", 0, -1, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 1099511627777\r\n\r\n",
     TRANSFER_ERROR_PROTOCOL, "too large"},
    {"no HTTP", 0, -1, NULL, "SSH-2.0-OpenSSH_9.2\r\n", TRANSFER_ERROR_PROTOCOL, "HTTP/0.9"},
    {"no content", 0, -1, NULL, "HTTP/1.1 204 None\r\n\r\n", TRANSFER_ERROR_PROTOCOL, "204"},
    {"not modified", 0, -1, NULL, "HTTP/1.1 304 Not modified\r\n\r\n", TRANSFER_ERROR_PROTOCOL,
     "304"},
    {"unauthorized", 0, -1, NULL, HEAD("401", "WWW-Authenticate: Basic realm=\"x\"\r\n"),
     TRANSFER_ERROR_REFUSED, "password (HTTP status 401)"},
    {"forbidden", 0, -1, NULL, HEAD("403", ""), TRANSFER_ERROR_REFUSED, "forbidden"},
    {"not found", 0, -1, NULL, "HTTP/1.1 404 X\r\nContent-Length: 5\r\n\r\nNope!",
     TRANSFER_ERROR_REFUSED, "no such file on the server (HTTP status 404)"},
    {"a teapot", 0, -1, NULL, HEAD("418", ""), TRANSFER_ERROR_REFUSED, "418"},
    {"time is over", 0, -1, NULL, HEAD("408", ""), TRANSFER_ERROR_SERVER, "408"},
    {"too many requests", 0, -1, NULL, HEAD("429", ""), TRANSFER_ERROR_SERVER, "429"},
    {"broken", 0, -1, NULL, HEAD("500", ""), TRANSFER_ERROR_SERVER, "500"},
    {"unknown to us", 0, -1, NULL, HEAD("599", ""), TRANSFER_ERROR_SERVER, "599"},
    {"cut before the answer", 0, -1, NULL, "", TRANSFER_ERROR_NETWORK, "cut before an answer"},
    {"cut in the head", 0, -1, NULL, "HTTP/1.1 200 OK\r\nConte", TRANSFER_ERROR_NETWORK, ""},
    {"cut in the body", 0, -1, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012",
     TRANSFER_ERROR_NETWORK, "cut"},
    {"cut in a chunk", 0, -1, NULL, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n012",
     TRANSFER_ERROR_NETWORK, "cut"},
    {"a part that ends early", 2, 3, NULL,
     "HTTP/1.1 206 P\r\nContent-Range: bytes 2-4/10\r\n\r\nab", TRANSFER_ERROR_NETWORK,
     "1 bytes before the end"},
};

START_TEST(wrong_answer)
{
    const Wrong *wrong = &wrongs[_i];

    http_peer_say(&peer, PEER_CLOSE, "%s", wrong->answer);
    run(begin(wrong->offset, wrong->length, wrong->known));
    ck_assert_msg(failure != NULL, "%s is taken for right", wrong->name);
    ck_assert_msg(g_error_matches(failure, TRANSFER_ERROR, (int)wrong->code), "%s: %d: %s",
                  wrong->name, failure->code, failure->message);
    ck_assert_msg(strstr(failure->message, wrong->words) != NULL, "%s: %s", wrong->name,
                  failure->message);
    ck_assert(g_str_has_prefix(failure->message, "cannot read http://127.0.0.1:"));
    ck_assert_uint_le(got->len, 3);
}
END_TEST

START_TEST(known_by_weak_comparison)
{
    http_peer_say(&peer, PEER_KEEP,
                  "HTTP/1.1 206 Part\r\nETag: W/\"a\"\r\nContent-Range: bytes 2-4/10\r\n"
                  "Content-Length: 3\r\n\r\n234");
    run(begin(2, 3, &known_file));
    expect_text("234");
    /* what a server does not tell is no difference; a whole is as good as a part from 0 to the
     * end */
    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
    run(begin(0, -1, &known_file));
    expect_text("0123456789");
}
END_TEST

START_TEST(etag_that_is_of_no_use)
{
    g_autofree char *large = g_strnfill(TRANSFER_MAX_ETAG + 1, 'x');

    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nETag: %s\r\nContent-Length: 0\r\n\r\n",
                  large);
    run(begin(0, -1, NULL));
    ck_assert_ptr_null(told.etag);
    http_peer_say(&peer, PEER_KEEP,
                  "HTTP/1.1 200 OK\r\nETag: \"\xc3\xa4\x01\"\r\nContent-Length: 0\r\n\r\n");
    run(begin(0, -1, NULL));
    ck_assert_ptr_null(told.etag);
}
END_TEST

START_TEST(retry_after)
{
    static const struct {
        const char *field;
        guint seconds;
    } cases[] = {{"120", 120}, {"999999999", TRANSFER_MAX_RETRY_AFTER_S}, {"-5", 0}, {"soon", 0}};

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        http_peer_say(&peer, PEER_KEEP,
                      "HTTP/1.1 503 Busy\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n",
                      cases[i].field);
        run(begin(0, -1, NULL));
        expect_failure(TRANSFER_ERROR_SERVER, "503");
        ck_assert_uint_eq(failure_retry_after_s, cases[i].seconds);
    }
}
END_TEST

/* Its connection is used again, but not at any price. */
START_TEST(refusals_with_text)
{
    g_autofree char *text = g_strnfill(40000, 'x');

    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 404 No\r\nContent-Length: 40000\r\n\r\n%s", text);
    http_peer_say(&peer, PEER_STALL, "HTTP/1.1 404 No\r\n\r\n%s%s%s", text, text, text);
    for (guint i = 0; i < 2; i++) {
        run(begin(0, -1, NULL));
        expect_failure(TRANSFER_ERROR_REFUSED, "404");
    }
    ck_assert_uint_eq(http_peer_connections(&peer), 1);
}
END_TEST

START_TEST(head_without_an_end)
{
    g_autofree char *line = g_strnfill(6000, 'x');
    GString *head = g_string_new(NULL);

    for (guint i = 0; i < 100; i++)
        g_string_append_printf(head, "X-%u: %s\r\n", i, line);
    http_peer_say(&peer, PEER_STALL, "HTTP/1.1 200 OK\r\n%s", head->str);
    g_string_free(head, TRUE);
    run(begin(0, -1, NULL));
    expect_failure(TRANSFER_ERROR_PROTOCOL, "says too much");
}
END_TEST

START_TEST(what_is_known_of_a_file)
{
    static const struct {
        TransferFile file;
        gboolean has_validator;
    } cases[] = {
        {{10, (char *)"\"a\"", -1}, TRUE},
        {{10, (char *)"W/\"a\"", -1}, FALSE},
        {{10, NULL, 0}, TRUE},
        {{10, NULL, -1}, FALSE},
        {{-1, (char *)"\"a\"", 5}, TRUE},
    };
    TransferFile copy = TRANSFER_FILE_UNKNOWN;

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        ck_assert_int_eq(transfer_file_has_validator(&cases[i].file), cases[i].has_validator);
        transfer_file_copy(&copy, &cases[i].file);
        transfer_file_copy(&copy, &copy);
        ck_assert_int_eq(copy.size, cases[i].file.size);
        ck_assert_int_eq(copy.modified, cases[i].file.modified);
        ck_assert_msg(g_strcmp0(copy.etag, cases[i].file.etag) == 0, "%s", copy.etag);
    }
    transfer_file_clear(&copy);
    transfer_file_clear(&copy);
    ck_assert_int_eq(copy.size, -1);
}
END_TEST

/* --- Connections --- */

START_TEST(nobody_there)
{
    http_peer_start(&peer);
    shutdown(peer.listener, SHUT_RDWR);
    run(begin(0, -1, NULL));
    expect_failure(TRANSFER_ERROR_NETWORK, "no connection");
}
END_TEST

START_TEST(stalled)
{
    timing.stall_s = 1;
    http_peer_say(&peer, PEER_STALL, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012");
    run(begin(0, -1, NULL));
    expect_failure(TRANSFER_ERROR_NETWORK, "silent for 1 s");
    ck_assert_str_eq(got->str, "012");
}
END_TEST

START_TEST(one_after_the_other)
{
    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ndef");
    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nghi");
    begin(0, -1, NULL);
    begin(0, -1, NULL);
    run_until(ends == 2);
    ck_assert_str_eq(got->str, "abcdef");
    transfer_cancel(begin(0, -1, NULL));
    run(begin(0, -1, NULL));
    expect_text("ghi");
    ck_assert_uint_eq(http_peer_connections(&peer), 1);
    ck_assert_uint_eq(http_peer_count(&peer), 3);
}
END_TEST

/* --- The receiver --- */

static gboolean disk_is_full(const guint8 *bytes, gsize length, GError **error, gpointer unused)
{
    (void)bytes;
    (void)length;
    (void)unused;
    g_set_error_literal(error, TRANSFER_ERROR, TRANSFER_ERROR_LOCAL, "no space left");
    return FALSE;
}

START_TEST(receiver_fails)
{
    static const TransferEvents events = {NULL, disk_is_full, on_done};
    g_autofree char *url = peer_url("http://127.0.0.1:%u/");

    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    http_peer_start(&peer);
    transfers = transfers_new(&config);
    run(transfer_begin(transfers, &(TransferRequest){url, 0, -1, NULL}, &events, NULL));
    expect_failure(TRANSFER_ERROR_LOCAL, "no space left");
    ck_assert_str_eq(failure->message, "no space left");
}
END_TEST

static Transfer *other;

static void frees_all(const GError *error, guint retry_after_s, gpointer unused)
{
    on_done(error, retry_after_s, unused);
    if (other)
        transfer_cancel(other);
    g_clear_pointer(&transfers, transfers_free);
}

START_TEST(all_is_freed_by_done)
{
    static const TransferEvents events = {NULL, on_data, frees_all};
    g_autofree char *url = peer_url("http://127.0.0.1:%u/");
    TransferRequest request = {url, 0, -1, NULL};

    begins = 1;
    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    http_peer_start(&peer);
    transfers = transfers_new(&config);
    transfer_begin(transfers, &request, &events, NULL);
    other = transfer_begin(transfers, &request, &events, NULL);
    run_until(ends);
    run_ready();
    ck_assert_ptr_null(transfers);
    expect_text("abc");
}
END_TEST

START_TEST(cancelled_in_each_phase)
{
    Transfer *transfer = begin(0, -1, NULL);

    transfer_cancel(transfer); /* before its turn */
    http_peer_say(&peer, PEER_STALL, "HTTP/1.1 2");
    http_peer_say(&peer, PEER_STALL, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na");
    transfer = begin(0, -1, NULL);
    g_main_context_iteration(NULL, FALSE); /* while it connects */
    transfer_cancel(transfer);
    transfer = begin(0, -1, NULL);
    run_until(http_peer_count(&peer) == 1);
    transfer_cancel(transfer); /* while it waits for the answer */
    transfer = begin(0, -1, NULL);
    run_until(got->len > 0);
    transfer_cancel(transfer); /* in the body */
    run_ready();
    ck_assert_uint_eq(ends, 0);
}
END_TEST

/* --- main() --- */

static void add(TCase *cases, const TTest *const *tests, gsize count)
{
    for (gsize i = 0; i < count; i++)
        tcase_add_test(cases, tests[i]);
}

int main(void)
{
    const TTest *const tests[] = {whole,
                                  nothing_at_all,
                                  without_a_size,
                                  parts,
                                  if_range,
                                  known_by_weak_comparison,
                                  etag_that_is_of_no_use,
                                  retry_after,
                                  refusals_with_text,
                                  head_without_an_end,
                                  what_is_known_of_a_file,
                                  nobody_there,
                                  stalled,
                                  one_after_the_other,
                                  receiver_fails,
                                  all_is_freed_by_done,
                                  cancelled_in_each_phase};
    Suite *suite = suite_create("transfer");
    SRunner *runner = srunner_create(suite);
    TCase *cases = tcase_create("transfer");
    int failed;

    tcase_set_timeout(cases, DEADLINE_S + 30);
    tcase_add_checked_fixture(cases, transfer_setup, transfer_teardown);
    add(cases, tests, G_N_ELEMENTS(tests));
    tcase_add_loop_test(cases, wrong_answer, 0, G_N_ELEMENTS(wrongs));
    suite_add_tcase(suite, cases);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
