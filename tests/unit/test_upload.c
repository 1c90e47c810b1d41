/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uploads against a server of HTTP that breaks the rules: what is asked, one at a time, which
 * answers count, and words for the others.  The other schemes are tried with real servers, in
 * tests/component/test_uploads.py.
 */
#include "adapter/upload.h"
#include "transfer_fixture.h"

#include <poll.h>
#include <sys/stat.h>

#define SIZE ((gsize)300000)

static char *folder, *path;
static GString *content;

/* The bodies that the peer has read, in its thread. */
static GString *bodies;
static gsize body_limit; /* bytes of each that it reads */
static const char *const *script;
static char *order;

/* --- The peer reads what is announced, then says its line --- */

static PeerAnswer read_body(HttpPeer *it, const char *request, guint number)
{
    g_autofree char *field = http_peer_field_of(request, "Content-Length");
    gsize left = field ? (gsize)g_ascii_strtoull(field, NULL, 10) : 0;
    PeerAnswer answer = {g_string_new(script[number]), PEER_CLOSE};
    struct pollfd gone = {.fd = it->fd, .events = POLLRDHUP};
    char buffer[4096];

    left = MIN(left, body_limit);
    while (left > 0) {
        gssize n = recv(it->fd, buffer, MIN(left, sizeof(buffer)), 0);

        if (n <= 0)
            break;
        g_string_append_len(bodies, buffer, n);
        left -= (gsize)n;
    }
    if (g_str_equal(script[number], "silence")) {
        g_string_truncate(answer.bytes, 0);
        while (body_limit < G_MAXSIZE && !it->over && poll(&gone, 1, 10) == 0)
            ; /* reads nothing more */
    }
    if (g_str_equal(script[number], "silence") || g_str_has_prefix(script[number], "HTTP/1.1 4"))
        answer.end = PEER_STALL;
    return answer;
}

static void setup(void)
{
    transfer_setup();
    folder = g_dir_make_tmp("upload-XXXXXX", NULL);
    path = g_build_filename(folder, "a \"b\".tar.gz", NULL);
    content = g_string_new(NULL);
    for (guint i = 0; i < SIZE / 4; i++)
        g_string_append_len(content, (const char *)&(guint32){i * 2654435761U}, 4);
    ck_assert(g_file_set_contents(path, content->str, (gssize)content->len, NULL));
    bodies = g_string_new(NULL);
    body_limit = G_MAXSIZE;
    order = g_strdup("");
    peer.answer = read_body;
}

static void teardown(void)
{
    transfer_teardown();
    g_unlink(path);
    g_rmdir(folder);
    g_free(folder);
    g_free(path);
    g_free(order);
    g_string_free(content, TRUE);
    g_string_free(bodies, TRUE);
}

static void on_sent(const GError *error, guint retry_after_s, G_GNUC_UNUSED gint64 sent,
                    gpointer name)
{
    char *before = order;

    on_done(error, retry_after_s, NULL);
    order = g_strconcat(before, name, NULL);
    g_free(before);
}

static Upload *begin_upload(const char *url, UploadMethod method, const char *name)
{
    const UploadRequest request = {url, path, NULL, method, TRUE};

    if (!transfers)
        transfers = transfers_new_with_timing(&config, &timing);
    if (!peer.thread)
        http_peer_start(&peer);
    g_clear_error(&failure);
    return upload_begin(transfers, &request, on_sent, (gpointer)name);
}

static void send_file(UploadMethod method)
{
    g_autofree char *url = peer_url("http://user:p%%40ss@127.0.0.1:%u/in/a.tar.gz?key=hidden");

    ends = 0;
    begin_upload(url, method, "");
    ck_assert_uint_eq(ends, 0);
    run_until(ends);
    run_ready();
    ck_assert_uint_eq(ends, 1);
    ck_assert(!failure ||
              (!strstr(failure->message, "p@ss") && !strstr(failure->message, "hidden")));
}

static void expect_sent(void)
{
    ck_assert_msg(failure == NULL, "%s", failure ? failure->message : "");
}

/* --- What is asked --- */

#define CREATED "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"

START_TEST(put)
{
    static const char *const lines[] = {CREATED};
    g_autofree char *request = NULL, *length = NULL;

    script = lines;
    send_file(UPLOAD_PUT);
    expect_sent();
    request = http_peer_request(&peer, 0);
    length = http_peer_field(&peer, 0, "Content-Length");
    ck_assert(g_str_has_prefix(request, "PUT /in/a.tar.gz?key=hidden HTTP/1.1\r\n"));
    ck_assert_str_eq(length, "300000");
    ck_assert(strstr(request, "Authorization: Basic dXNlcjpwQHNz\r\n") != NULL);
    ck_assert(strstr(request, "Expect") == NULL && strstr(request, "Content-Range") == NULL);
    ck_assert(g_string_equal(bodies, content));
}
END_TEST

START_TEST(post)
{
    static const char *const lines[] = {CREATED};
    g_autofree char *request = NULL;

    script = lines;
    send_file(UPLOAD_POST);
    expect_sent();
    request = http_peer_request(&peer, 0);
    ck_assert(g_str_has_prefix(request, "POST /in/a.tar.gz?key=hidden HTTP/1.1\r\n"));
    ck_assert(strstr(request, "Content-Type: multipart/form-data; boundary=") != NULL);
    ck_assert(strstr(request, "Expect") == NULL);
    ck_assert(strstr(bodies->str, "name=\"file\"; filename=\"a %22b%22.tar.gz\"\r\n") != NULL);
    ck_assert(g_strstr_len(bodies->str, (gssize)bodies->len, "\r\n\r\n") != NULL);
    ck_assert(memmem(bodies->str, bodies->len, content->str, content->len) != NULL);
}
END_TEST

START_TEST(nothing_at_all)
{
    static const char *const lines[] = {CREATED};
    g_autofree char *length = NULL;

    script = lines;
    ck_assert(g_file_set_contents(path, "", 0, NULL));
    send_file(UPLOAD_PUT);
    expect_sent();
    length = http_peer_field(&peer, 0, "Content-Length");
    ck_assert_str_eq(length, "0");
}
END_TEST

/* --- Wrong answers --- */

typedef struct {
    const char *line;
    TransferError code;
    const char *words;
    guint retry_after_s;
} Answer;

#define HEAD(status, rest) "HTTP/1.1 " status " X\r\n" rest "Content-Length: 0\r\n\r\n"

static const Answer answers[] = {
    {HEAD("200", ""), 0, NULL, 0},
    {HEAD("204", ""), 0, NULL, 0},
    {"HTTP/1.1 100 Continue\r\n\r\n" HEAD("200", ""), 0, NULL, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut", 0, NULL, 0},
    {"HTTP/1.1 100 Continue\r\n\r\n", TRANSFER_ERROR_NETWORK, "", 0},
    {HEAD("301", "Location: /other-secret\r\n"), TRANSFER_ERROR_URL, "wants it elsewhere", 0},
    {HEAD("307", "Location: file:///x\r\n"), TRANSFER_ERROR_URL, "status 307", 0},
    {HEAD("401", ""), TRANSFER_ERROR_REFUSED, "another user or password", 0},
    {HEAD("403", ""), TRANSFER_ERROR_REFUSED, "forbidden", 0},
    {HEAD("404", ""), TRANSFER_ERROR_REFUSED, "no such folder", 0},
    {HEAD("405", ""), TRANSFER_ERROR_REFUSED, "takes no files", 0},
    {HEAD("409", ""), TRANSFER_ERROR_REFUSED, "folder", 0},
    {HEAD("413", ""), TRANSFER_ERROR_REFUSED, "too large", 0},
    {HEAD("418", ""), TRANSFER_ERROR_REFUSED, "status 418", 0},
    {HEAD("429", "Retry-After: 7\r\n"), TRANSFER_ERROR_SERVER, "too many", 7},
    {HEAD("500", ""), TRANSFER_ERROR_SERVER, "inside the server", 0},
    {HEAD("503", "Retry-After: 99999999\r\n"), TRANSFER_ERROR_SERVER, "busy", 86400},
    {HEAD("507", ""), TRANSFER_ERROR_SERVER, "no room", 0},
    {"HTTP/1.1 200 OK\r\nContent-Le", TRANSFER_ERROR_NETWORK, "", 0},
    {"", TRANSFER_ERROR_NETWORK, "", 0},
    {"garbage\r\n\r\n", TRANSFER_ERROR_PROTOCOL, "", 0},
};

static void check_answer(const Answer *answer)
{
    script = &answer->line;
    send_file(UPLOAD_PUT);
    if (!answer->words)
        expect_sent();
    else
        expect_failure(answer->code, answer->words);
    ck_assert(!failure || !strstr(failure->message, "secret"));
    ck_assert_uint_eq(failure_retry_after_s, answer->retry_after_s);
}

START_TEST(judged)
{
    check_answer(&answers[_i]);
}
END_TEST

/* Said before the end of the file, which does not make the server's reason unheard. */
START_TEST(judged_in_the_middle)
{
    if (!g_str_has_prefix(answers[_i].line, "HTTP/1.1 4"))
        return;
    body_limit = 1000;
    check_answer(&answers[_i]);
    ck_assert_uint_lt(bodies->len, SIZE);
}
END_TEST

START_TEST(endless_answers)
{
    g_autofree char *line = g_strnfill((gsize)5 * TRANSFER_MAX_HEAD, 'x');
    g_autofree char *body =
        g_strdup_printf("HTTP/1.1 %s X\r\n\r\n%s", _i == 0 ? "200" : "503", line);
    g_autofree char *head = g_strdup_printf("HTTP/1.1 200 X\r\nX: %s\r\n\r\n", line);
    const char *const lines[] = {_i == 2 ? head : body};

    script = lines;
    send_file(UPLOAD_PUT);
    if (_i == 0)
        expect_sent();
    else
        expect_failure(_i == 1 ? TRANSFER_ERROR_SERVER : TRANSFER_ERROR_PROTOCOL, "");
}
END_TEST

START_TEST(silence)
{
    static const char *const lines[] = {"silence"};

    timing.stall_s = 1;
    config.connect_timeout_s = 1;
    body_limit = _i == 0 ? G_MAXSIZE : 1000; /* it has all of it, or hardly any */
    script = lines;
    if (_i == 1) {
        g_string_set_size(content, 100 * SIZE); /* more than fits on the way */
        ck_assert(g_file_set_contents(path, content->str, (gssize)content->len, NULL));
    }
    send_file(UPLOAD_PUT);
    expect_failure(TRANSFER_ERROR_NETWORK, "");
}
END_TEST

/* --- The file --- */

START_TEST(shrinks)
{
    static const char *const lines[] = {CREATED};
    g_autofree char *url = peer_url("http://127.0.0.1:%u/a");
    Upload *upload;

    config.rate_limit = SIZE / 2;
    script = lines;
    ends = 0;
    upload = begin_upload(url, _i == 0 ? UPLOAD_PUT : UPLOAD_POST, "");
    run_until(upload_sent(upload) > 0);
    ck_assert_int_eq(truncate(path, 100), 0);
    run_until(ends);
    expect_failure(TRANSFER_ERROR_LOCAL, "shorter");
    ck_assert_msg(strstr(failure->message, path) != NULL, "%s", failure->message);
}
END_TEST

START_TEST(grows)
{
    static const char *const lines[] = {CREATED};
    g_autofree char *url = peer_url("http://127.0.0.1:%u/a");
    Upload *upload;

    config.rate_limit = SIZE;
    script = lines;
    ends = 0;
    upload = begin_upload(url, UPLOAD_PUT, "");
    run_until(upload_sent(upload) > 0);
    ck_assert_int_eq(truncate(path, (off_t)SIZE * 2), 0);
    run_until(ends);
    expect_sent();
    ck_assert(g_string_equal(bodies, content));
}
END_TEST

START_TEST(not_there)
{
    g_unlink(path);
    if (_i == 1)
        ck_assert_int_eq(mkfifo(path, 0600), 0);
    send_file(UPLOAD_PUT);
    expect_failure(TRANSFER_ERROR_LOCAL, _i == 0 ? "No such file" : "not a regular file");
    ck_assert_uint_eq(http_peer_connections(&peer), 0);
}
END_TEST

/* --- One at a time --- */

START_TEST(in_order)
{
    static const char *const lines[] = {CREATED, HEAD("403", ""), CREATED, CREATED};
    static const char *const names[] = {"a", "b", "c", "d"};
    g_autofree char *url = peer_url("http://127.0.0.1:%u/a");
    Upload *uploads[G_N_ELEMENTS(names)];

    script = lines;
    ends = 0;
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        uploads[i] = begin_upload(url, UPLOAD_PUT, names[i]);
    upload_cancel(uploads[2]);
    run_until(ends == 3);
    ck_assert_str_eq(order, "abd");
    ck_assert_uint_eq(http_peer_count(&peer), 3);
    ck_assert_uint_eq(http_peer_connections(&peer), 3);
}
END_TEST

/* At its beginning, in the middle, and while the server thinks. */
START_TEST(cancelled)
{
    static const char *const lines[] = {"silence", CREATED};
    g_autofree char *url = peer_url("http://127.0.0.1:%u/a");
    Upload *upload;

    script = lines;
    ends = 0;
    upload = begin_upload(url, UPLOAD_PUT, "a");
    begin_upload(url, UPLOAD_PUT, "b");
    if (_i == 1)
        run_until(upload_sent(upload) > 0);
    if (_i == 2)
        run_until(upload_sent(upload) == SIZE);
    if (_i == 0)
        script = lines + 1;
    upload_cancel(upload);
    run_until(ends);
    run_ready();
    ck_assert_str_eq(order, "b");
    expect_sent();
}
END_TEST

static void begin_another(const GError *error, guint retry_after_s, G_GNUC_UNUSED gint64 sent,
                          gpointer url)
{
    ck_assert_ptr_nonnull(error);
    (void)retry_after_s;
    begin_upload(url, UPLOAD_PUT, "again");
}

START_TEST(again_from_the_end_of_one)
{
    static const char *const lines[] = {HEAD("503", ""), CREATED};
    g_autofree char *url = peer_url("http://127.0.0.1:%u/a");
    const UploadRequest request = {url, path, NULL, UPLOAD_PUT, FALSE};

    script = lines;
    ends = 0;
    transfers = transfers_new_with_timing(&config, &timing);
    http_peer_start(&peer);
    upload_begin(transfers, &request, begin_another, url);
    run_until(ends);
    ck_assert_str_eq(order, "again");
    expect_sent();
}
END_TEST

/* A download of the same Transfers is not held up by an upload that hangs. */
START_TEST(beside_a_download)
{
    static const char *const lines[] = {"silence"};
    g_autofree char *url = peer_url("http://127.0.0.1:%u/a");
    HttpPeer other;
    g_autofree char *elsewhere = NULL;
    Upload *upload;

    script = lines;
    upload = begin_upload(url, UPLOAD_PUT, "a");
    run_until(upload_sent(upload) == SIZE);
    http_peer_init(&other);
    http_peer_say(&other, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    http_peer_start(&other);
    elsewhere = g_strdup_printf("http://127.0.0.1:%u/bundle", other.port);
    run(begin_url(elsewhere, 0, -1, NULL));
    expect_text("abc");
    http_peer_stop(&other);
    upload_cancel(upload);
}
END_TEST

START_TEST(unusable_urls)
{
    static const char *const urls[] = {
        "file:///etc/passwd", "scp://h/a", "ftp://h/folder/", "http://", "nothing", ""};

    script = NULL;
    ends = 0;
    begin_upload(urls[_i], UPLOAD_PUT, "");
    run_until(ends);
    expect_failure(TRANSFER_ERROR_URL, "cannot use this URL");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("upload");
    SRunner *runner = srunner_create(suite);
    TCase *cases = tcase_create("upload");
    int failed;

    tcase_set_timeout(cases, DEADLINE_S + 30);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, put);
    tcase_add_test(cases, post);
    tcase_add_test(cases, nothing_at_all);
    tcase_add_loop_test(cases, judged, 0, G_N_ELEMENTS(answers));
    tcase_add_loop_test(cases, judged_in_the_middle, 0, G_N_ELEMENTS(answers));
    tcase_add_loop_test(cases, endless_answers, 0, 3);
    tcase_add_loop_test(cases, silence, 0, 2);
    tcase_add_loop_test(cases, shrinks, 0, 2);
    tcase_add_test(cases, grows);
    tcase_add_loop_test(cases, not_there, 0, 2);
    tcase_add_test(cases, in_order);
    tcase_add_loop_test(cases, cancelled, 0, 3);
    tcase_add_test(cases, again_from_the_end_of_one);
    tcase_add_test(cases, beside_a_download);
    tcase_add_loop_test(cases, unusable_urls, 0, 6);
    suite_add_tcase(suite, cases);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
