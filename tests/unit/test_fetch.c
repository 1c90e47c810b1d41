/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of files over links that break, on a clock that stands still until it is moved. */
#include "loop_fixture.h"

#include "adapter/fetch.h"
#include "http_peer.h"
#include "src/adapter/clock_internal.h"

#define SIZE 100000

static HttpPeer peer;
static Transfers *transfers;
static Clock *test_clock;
static TransferFile file;
static GByteArray *got;
static guint begins, ends;
static GError *failure;
static guint failure_retry_after_s;
static guint8 content[SIZE];

static void setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    fixture_log_start();
    http_peer_init(&peer);
    transfers = transfers_new(&(TransferConfig){.low_speed_limit = 1});
    test_clock = clock_new_virtual(0);
    file = TRANSFER_FILE_UNKNOWN;
    got = g_byte_array_new();
    for (gsize i = 0; i < SIZE; i++)
        content[i] = (guint8)(i ^ (i >> 8) ^ (i >> 16));
}

static void teardown(void)
{
    transfers_free(transfers);
    http_peer_stop(&peer);
    clock_free(test_clock);
    transfer_file_clear(&file);
    g_byte_array_unref(got);
    g_clear_error(&failure);
}

/* --- The owner --- */

static void on_begins(const TransferFile *told, gpointer unused)
{
    (void)unused;
    ck_assert_int_eq(told->size, file.size);
    begins++;
}

static gboolean on_data(const guint8 *bytes, gsize length, GError **error, gpointer unused)
{
    (void)unused;
    (void)error;
    g_byte_array_append(got, bytes, (guint)length);
    return TRUE;
}

static void on_done(const GError *error, guint retry_after_s, gpointer unused)
{
    (void)unused;
    ends++;
    failure = error ? g_error_copy(error) : NULL;
    failure_retry_after_s = retry_after_s;
}

static gboolean sure; /* each test is a process of its own */

static Fetch *begin(gint64 offset, gint64 length, gint64 hold_ms)
{
    static const FetchEvents events = {on_begins, on_data, on_done};
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u/bundle", peer.port);

    return fetch_begin(transfers, test_clock,
                       &(FetchRequest){url, offset, length, &file, hold_ms, sure}, &events, NULL);
}

/* Runs until the end; an outage is over as soon as it began. */
static void run(Fetch *fetch)
{
    gint64 end = g_get_monotonic_time() + DEADLINE_US;

    while (!ends) {
        ck_assert_int_lt(g_get_monotonic_time(), end);
        if (fetch_trouble(fetch))
            clock_virtual_advance(test_clock, 100);
        g_main_context_iteration(NULL, FALSE);
        g_usleep(100);
    }
    run_ready();
    ck_assert_uint_eq(ends, 1);
}

static void expect_bytes(gint64 offset, gint64 length)
{
    ck_assert_msg(failure == NULL, "%s", failure ? failure->message : "");
    ck_assert_int_eq(got->len, length);
    ck_assert_int_eq(memcmp(got->data, content + offset, (gsize)length), 0);
}

static void expect_failure(TransferError code, const char *words)
{
    ck_assert_ptr_nonnull(failure);
    ck_assert_msg(g_error_matches(failure, TRANSFER_ERROR, (int)code), "%d: %s", failure->code,
                  failure->message);
    ck_assert_msg(strstr(failure->message, words) != NULL, "%s", failure->message);
}

/* --- A server of one file --- */

typedef struct {
    gint64 cut; /* bytes of an answer before the connection breaks; 0: never */
    guint cuts; /* answers that break */
    const char *etag;
    const char *new_etag; /* of the answers after the first `changes`; NULL: none */
    guint changes;
} Server;

static PeerAnswer serve(HttpPeer *self, const char *request, guint number)
{
    const Server *server = self->data;
    g_autofree char *range = http_peer_field_of(request, "Range");
    PeerAnswer answer = {g_string_new(NULL), PEER_KEEP};
    const char *etag =
        server->new_etag && number >= server->changes ? server->new_etag : server->etag;
    gint64 first = 0, last = SIZE - 1, length;
    char *end = NULL;

    if (range) {
        first = g_ascii_strtoll(range + strlen("bytes="), &end, 10);
        last = end[1] ? MIN(g_ascii_strtoll(end + 1, NULL, 10), SIZE - 1) : SIZE - 1;
        g_string_printf(answer.bytes,
                        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %" G_GINT64_FORMAT
                        "-%" G_GINT64_FORMAT "/%d\r\n",
                        first, last, SIZE);
    } else {
        g_string_printf(answer.bytes, "HTTP/1.1 200 OK\r\n");
    }
    length = last - first + 1;
    if (etag)
        g_string_append_printf(answer.bytes, "ETag: %s\r\n", etag);
    g_string_append_printf(answer.bytes, "Content-Length: %" G_GINT64_FORMAT "\r\n\r\n", length);
    if (server->cut && number < server->cuts) {
        length = MIN(length, server->cut);
        answer.end = number % 2 ? PEER_CLOSE : PEER_RESET;
    }
    g_string_append_len(answer.bytes, (const char *)content + first, length);
    return answer;
}

static void start_server(Server *server)
{
    peer.data = server;
    peer.answer = serve;
    http_peer_start(&peer);
}

/* --- Tests --- */

START_TEST(whole_and_parts)
{
    Server server = {.etag = "\"a\""};
    static const struct {
        gint64 offset, length, comes;
    } parts[] = {{0, -1, SIZE}, {500, 1000, 1000}, {SIZE - 10, -1, 10}, {SIZE - 10, 100, 10}};

    start_server(&server);
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        ends = begins = 0;
        g_byte_array_set_size(got, 0);
        run(begin(parts[i].offset, parts[i].length, 1000));
        expect_bytes(parts[i].offset, parts[i].comes);
        ck_assert_uint_eq(begins, 1);
        ck_assert_int_eq(file.size, SIZE);
        ck_assert_str_eq(file.etag, "\"a\"");
    }
    ck_assert_uint_eq(http_peer_connections(&peer), 1);
}
END_TEST

START_TEST(twenty_cuts)
{
    Server server = {.cut = 4500, .cuts = 20, .etag = "\"a\""};
    Fetch *fetch;

    start_server(&server);
    fetch = begin(100, -1, 60000);
    run(fetch);
    expect_bytes(100, SIZE - 100);
    ck_assert_uint_eq(begins, 1);
    ck_assert_uint_ge(http_peer_count(&peer), 21);
    for (guint i = 1; i < http_peer_count(&peer); i++) {
        g_autofree char *if_range = http_peer_field(&peer, i, "If-Range");

        ck_assert_str_eq(if_range, "\"a\"");
    }
}
END_TEST

START_TEST(another_file_after_a_cut)
{
    Server server = {.cut = 4500, .cuts = 2, .etag = "\"a\"", .new_etag = "\"b\"", .changes = 1};

    start_server(&server);
    run(begin(0, -1, 60000));
    expect_failure(TRANSFER_ERROR_CHANGED, "ETag");
    ck_assert_uint_le(got->len, 4500);
}
END_TEST

START_TEST(first_contact_is_no_outage)
{
    http_peer_say(&peer, PEER_CLOSE,
                  "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    http_peer_start(&peer);
    run(begin(0, -1, 60000));
    expect_failure(TRANSFER_ERROR_SERVER, "503");
    ck_assert_uint_eq(failure_retry_after_s, 7);
    ck_assert_uint_eq(http_peer_count(&peer), 1);
}
END_TEST

START_TEST(hold_ends)
{
    Fetch *fetch;

    file.size = SIZE;
    /* nothing listens there any more */
    shutdown(peer.listener, SHUT_RDWR);
    fetch = begin(0, 10, 270000);
    run_until(fetch_trouble(fetch) != NULL);
    ck_assert_uint_eq(fetch_requests(fetch), 1);
    run(fetch);
    expect_failure(TRANSFER_ERROR_NETWORK, "(no progress for 270 s)");
}
END_TEST

/* A transfer that has not broken has limits of its own. */
START_TEST(hold_lets_a_slow_answer_be)
{
    Fetch *fetch;

    file.size = SIZE;
    http_peer_say(&peer, PEER_STALL, "%s", "");
    http_peer_start(&peer);
    fetch = begin(0, 10, 5000);
    run_until(http_peer_count(&peer) == 1);
    clock_virtual_advance(test_clock, 20000);
    ck_assert_uint_eq(ends, 0);
    fetch_cancel(fetch);
}
END_TEST

START_TEST(no_hold_no_outage)
{
    Server server = {.cut = 4500, .cuts = 1, .etag = "\"a\""};

    start_server(&server);
    run(begin(0, -1, 0));
    expect_failure(TRANSFER_ERROR_NETWORK, "(no progress for 0 s)");
    ck_assert_uint_eq(http_peer_count(&peer), 1);
}
END_TEST

START_TEST(a_drip_is_no_progress)
{
    Server server = {.cut = 30, .cuts = G_MAXUINT, .etag = "\"a\""};

    start_server(&server);
    run(begin(0, -1, 60000));
    expect_failure(TRANSFER_ERROR_NETWORK, "(no progress for 60 s)");
    ck_assert_uint_lt(http_peer_count(&peer), 60);
}
END_TEST

/* Nothing would show that it is another file now. */
START_TEST(without_validator_a_break_is_the_end)
{
    Server server = {.cut = 4500, .cuts = 1};

    start_server(&server);
    sure = TRUE;
    run(begin(0, -1, 60000));
    expect_failure(TRANSFER_ERROR_NETWORK, "");
    ck_assert_uint_eq(http_peer_count(&peer), 1);
}
END_TEST

START_TEST(retry_after_is_heeded)
{
    Fetch *fetch;

    file.size = 4;
    http_peer_say(&peer, PEER_CLOSE,
                  "HTTP/1.1 429 Slowly\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n");
    http_peer_say(&peer, PEER_CLOSE,
                  "HTTP/1.1 503 Slowly\r\nRetry-After: 4000\r\nContent-Length: 0\r\n\r\n");
    http_peer_say(&peer, PEER_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd");
    http_peer_start(&peer);
    fetch = begin(0, -1, 270000);
    run_until(fetch_trouble(fetch) != NULL);
    clock_virtual_advance(test_clock, 59999);
    run_ready();
    ck_assert_uint_eq(fetch_requests(fetch), 1);
    clock_virtual_advance(test_clock, 1);
    ck_assert_uint_eq(fetch_requests(fetch), 2);
    run_until(strstr(fetch_trouble(fetch), "503") != NULL);
    clock_virtual_advance(test_clock, 199999);
    ck_assert_uint_eq(fetch_requests(fetch), 2);
    clock_virtual_advance(test_clock, 1);
    ck_assert_uint_eq(fetch_requests(fetch), 3);
    run_until(ends);
    ck_assert_ptr_null(failure);
    ck_assert_int_eq(got->len, 4);
}
END_TEST

START_TEST(back_off_doubles)
{
    static const gint64 delays[] = {500, 1000, 2000, 4000, 8000, 10000, 10000};
    Fetch *fetch;

    file.size = 8;
    for (gsize i = 0; i < G_N_ELEMENTS(delays); i++)
        http_peer_say(&peer, PEER_CLOSE, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    http_peer_say(&peer, PEER_CLOSE,
                  "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-7/8\r\nContent-Length: 8\r\n\r\nabcd");
    http_peer_say(&peer, PEER_CLOSE,
                  "HTTP/1.1 206 OK\r\nContent-Range: bytes 4-7/8\r\nContent-Length: 4\r\n\r\nefgh");
    http_peer_start(&peer);
    fetch = begin(0, 8, 270000);
    for (gsize i = 0; i < G_N_ELEMENTS(delays); i++) {
        guint requests = fetch_requests(fetch);

        ck_assert_uint_eq(requests, i + 1);
        run_until(http_peer_count(&peer) == requests);
        run_until(clock_next_due(test_clock) - clock_boottime_ms(test_clock) == delays[i]);
        clock_virtual_advance(test_clock, delays[i] - 1);
        ck_assert_uint_eq(fetch_requests(fetch), requests);
        clock_virtual_advance(test_clock, 1);
        ck_assert_uint_eq(fetch_requests(fetch), requests + 1);
    }
    run_until(fetch_received(fetch) == 4 && fetch_trouble(fetch) != NULL);
    clock_virtual_advance(test_clock, 10000); /* four bytes are no progress */
    run_until(ends);
    ck_assert_ptr_null(failure);
    ck_assert_int_eq(memcmp(got->data, "abcdefgh", 8), 0);
}
END_TEST

START_TEST(no_ranges_after_some_bytes)
{
    http_peer_say(&peer, PEER_RESET, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nabcd");
    http_peer_say(&peer, PEER_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nabcdefgh");
    http_peer_start(&peer);
    run(begin(0, -1, 60000));
    expect_failure(TRANSFER_ERROR_RANGES, "middle");
}
END_TEST

START_TEST(unknown_size_ends_with_the_answer)
{
    http_peer_say(&peer, PEER_CLOSE,
                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n");
    http_peer_start(&peer);
    run(begin(0, -1, 60000));
    ck_assert_ptr_null(failure);
    ck_assert_int_eq(got->len, 4);
    ck_assert_int_eq(file.size, -1);
}
END_TEST

START_TEST(cancelled_at_any_time)
{
    Server server = {.cut = 4500, .cuts = 1000};
    Fetch *fetch;

    start_server(&server);
    fetch_cancel(begin(0, -1, 60000));
    fetch = begin(0, -1, 60000);
    run_until(fetch_received(fetch) > 0);
    fetch_cancel(fetch);
    fetch = begin(0, -1, 60000);
    run_until(fetch_trouble(fetch) != NULL);
    fetch_cancel(fetch);
    clock_virtual_advance(test_clock, 100000);
    run_ready();
    ck_assert_uint_eq(ends, 0);
}
END_TEST

/* --- Held back --- */

static Fetch *held;
static gsize hold_at; /* bytes */

static gboolean holds_back(const guint8 *bytes, gsize length, GError **error, gpointer unused)
{
    on_data(bytes, length, error, unused);
    if (got->len >= hold_at)
        fetch_hold(held, TRUE);
    return TRUE;
}

static void begin_held(Server *server)
{
    static const FetchEvents events = {on_begins, holds_back, on_done};
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u/bundle", peer.port);

    start_server(server);
    hold_at = 1000;
    held = fetch_begin(transfers, test_clock, &(FetchRequest){url, 0, -1, &file, 60000, FALSE},
                       &events, NULL);
    run_until(got->len >= hold_at);
    run_ready();
}

/* Whatever happened in the meantime was no outage. */
static void let_go(void)
{
    clock_virtual_advance(test_clock, 1000000);
    run_ready();
    ck_assert_uint_eq(ends, 0);
    ck_assert_ptr_null(fetch_trouble(held));
    hold_at = G_MAXSIZE;
    fetch_hold(held, FALSE);
    run(held);
    expect_bytes(0, SIZE);
    ck_assert_uint_eq(begins, 1);
}

START_TEST(held_and_let_go)
{
    Server server = {.etag = "\"a\""};

    begin_held(&server);
    let_go();
    ck_assert_uint_eq(http_peer_count(&peer), 1);
}
END_TEST

/* Found out when it goes on. */
START_TEST(broken_while_held)
{
    Server server = {.cut = 50000, .cuts = 2, .etag = "\"a\""};

    begin_held(&server);
    let_go();
    ck_assert_uint_ge(http_peer_count(&peer), 2);
}
END_TEST

/* The transfer has ended while it was held, for another one: what is missing is asked for. */
START_TEST(given_way_while_held)
{
    Server server = {.etag = "\"a\""};
    TransferFile other_file = TRANSFER_FILE_UNKNOWN;
    static const FetchEvents events = {NULL, on_data, on_done};
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u/other", peer.port);
    guint kept;

    begin_held(&server);
    kept = got->len;
    fetch_begin(transfers, test_clock, &(FetchRequest){url, 0, 10, &other_file, 60000, FALSE},
                &events, NULL);
    run_until(ends == 1);
    ck_assert_ptr_null(failure);
    ck_assert_uint_eq(fetch_requests(held), 1);
    transfer_file_clear(&other_file);
    ends = 0;
    g_byte_array_set_size(got, kept);
    let_go();
    ck_assert_uint_eq(http_peer_count(&peer), 3);
}
END_TEST

START_TEST(cancelled_while_held)
{
    Server server = {.etag = "\"a\""};

    begin_held(&server);
    fetch_cancel(held);
    run_ready();
    ck_assert_uint_eq(ends, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {whole_and_parts,
                                  twenty_cuts,
                                  another_file_after_a_cut,
                                  first_contact_is_no_outage,
                                  hold_ends,
                                  hold_lets_a_slow_answer_be,
                                  no_hold_no_outage,
                                  a_drip_is_no_progress,
                                  without_validator_a_break_is_the_end,
                                  retry_after_is_heeded,
                                  back_off_doubles,
                                  no_ranges_after_some_bytes,
                                  unknown_size_ends_with_the_answer,
                                  cancelled_at_any_time,
                                  held_and_let_go,
                                  broken_while_held,
                                  given_way_while_held,
                                  cancelled_while_held};

    return run_suite("fetch", setup, teardown, tests, G_N_ELEMENTS(tests));
}
