/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The relay's HTTP server without a relay: when an answer is sent, and who is asked to wait. */
#include "relay_upstream.h"

#include "src/adapter/relay/relay_http.h"

#define BODY_BYTES ((gint64)4096)
#define HUGE_BYTES ((gint64)64 << 20) /* more than a connection holds */

static Clock *test_clock;
static RelayHttp *http;
static RelayCall *asked;
static guint ended;
static gint64 sent_body;
static gboolean broken;
static Client client;

static void on_asked(RelayCall *call, G_GNUC_UNUSED const RelayRequest *request,
                     G_GNUC_UNUSED gpointer user_data)
{
    asked = call;
}

static void on_ended(RelayCall *call, gint64 sent, G_GNUC_UNUSED gpointer user_data)
{
    ck_assert_ptr_eq(call, asked);
    asked = NULL;
    sent_body = sent;
    ended++;
}

static const guint8 *body(gint64 offset, gsize *length, G_GNUC_UNUSED gpointer body_data)
{
    static guint8 bytes[65536];

    ck_assert_int_ge(offset, 0);
    *length = MIN(*length, sizeof(bytes));
    return broken ? NULL : bytes;
}

static void setup(void)
{
    static const RelayHttpEvents events = {on_asked, on_ended};

    test_clock = clock_new_virtual(1700000000000);
    http = relay_http_new(0, test_clock, &events, NULL, NULL);
    asked = NULL;
    ended = 0;
    broken = FALSE;
    client_open(&client, relay_http_port(http));
}

static void teardown(void)
{
    relay_http_free(http);
    client_close(&client);
    clock_free(test_clock);
}

/* A request that is held. */
static void ask(void)
{
    client_ask(&client, "GET", "/", "0-");
    run_until(asked != NULL);
}

static void answer(gint64 length)
{
    RelayAnswer whole = {.status = 206, .size = length, .length = length, .body = body};

    relay_call_answer(asked, &whole);
}

/* RAUC does not wait for what the main loop is at. */
START_TEST(answer_needs_no_turn)
{
    ask();
    answer(BODY_BYTES);
    ck_assert_uint_eq(ended, 0);
    gint64 end = g_get_monotonic_time() + DEADLINE_US;
    while (!client_done(&client))
        ck_assert_int_lt(g_get_monotonic_time(), end);
    ck_assert(!client.closed);
    run_until(ended == 1);
    ck_assert_int_eq(sent_body, BODY_BYTES);
}
END_TEST

START_TEST(long_answer_goes_on_in_turns)
{
    ask();
    answer(HUGE_BYTES);
    run_until(client_done(&client));
    run_until(ended == 1);
    ck_assert(!client.closed);
    ck_assert_int_eq(sent_body, HUGE_BYTES);
}
END_TEST

START_TEST(client_that_stops_reading)
{
    ask();
    answer(HUGE_BYTES);
    run_ready();
    clock_virtual_advance(test_clock, RELAY_SEND_MS - 1);
    run_ready();
    ck_assert_uint_eq(ended, 0);
    clock_virtual_advance(test_clock, 1);
    ck_assert_uint_eq(ended, 1);
    ck_assert_int_lt(sent_body, HUGE_BYTES);
}
END_TEST

/* The server's end of the client's connection. */
static int server_end(void)
{
    struct sockaddr_in ours = {0};
    struct sockaddr_in peer = {0};
    socklen_t size = sizeof(ours);

    ck_assert_int_eq(getsockname(client.fd, (struct sockaddr *)&ours, &size), 0);
    for (int fd = 0; fd < 1024; fd++) {
        size = sizeof(peer);
        if (fd != client.fd && getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
            peer.sin_port == ours.sin_port)
            return fd;
    }
    ck_abort_msg("the server has no such connection");
}

/* With a small buffer an answer can be out while there is no room for another one. */
START_TEST(client_that_reads_nothing)
{
    for (gint64 length = 65536; length < (gint64)4 * 65536; length += 2048) {
        int buffer = 65536;

        client_close(&client);
        client_open(&client, relay_http_port(http));
        ended = 0;
        ask();
        ck_assert_int_eq(setsockopt(server_end(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)),
                         0);
        answer(length);
        run_ready();
        clock_virtual_advance(test_clock, RELAY_SEND_MS);
        ck_assert_uint_eq(ended, 1);
    }
}
END_TEST

/* Who answers may go on with the call: its end comes later. */
START_TEST(body_that_cannot_be_had)
{
    ask();
    broken = TRUE;
    answer(BODY_BYTES);
    ck_assert_uint_eq(ended, 0);
    run_until(client_done(&client));
    ck_assert(client.closed);
    ck_assert_uint_eq(ended, 1);
    ck_assert_int_eq(sent_body, 0);
}
END_TEST

START_TEST(is_asked)
{
    run_ready(); /* the connection is taken */
    ck_assert(!relay_http_is_asked(http));
    client_ask(&client, "GET", "/", "0-");
    ck_assert(relay_http_is_asked(http));
    run_until(asked != NULL);
    ck_assert(!relay_http_is_asked(http));
    client_say(&client, "GET / HTTP/1.1\r\n\r\n"); /* has its turn when the first one is answered */
    ck_assert(!relay_http_is_asked(http));
    answer(BODY_BYTES);
    ck_assert(relay_http_is_asked(http));
    run_until(ended == 1 && asked != NULL);
    ck_assert(!relay_http_is_asked(http));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        answer_needs_no_turn,      long_answer_goes_on_in_turns, client_that_stops_reading,
        client_that_reads_nothing, body_that_cannot_be_had,      is_asked,
    };

    return run_suite("relay_http", setup, teardown, tests, G_N_ELEMENTS(tests));
}
