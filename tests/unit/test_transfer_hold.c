/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Transfers that are held back: for how long, for whom they give way, and that no byte is lost or
 * comes too early. */
#include "transfer_fixture.h"

#define BODY_BYTES 300000 /* more than libcurl reads at once */
#define HOLD_AT    1000

static Transfer *held; /* NULL: not begun, or ended */
static guint holds;
static gsize hold_at;

static gboolean holds_back(const guint8 *bytes, gsize length, GError **error, gpointer unused)
{
    on_data(bytes, length, error, unused);
    if (got->len >= hold_at) {
        transfer_hold(held, TRUE);
        holds++;
    }
    return TRUE;
}

static void has_ended(const GError *error, guint retry_after_s, gpointer unused)
{
    held = NULL;
    on_done(error, retry_after_s, unused);
}

/* A server that sends all of the body, or the beginning and nothing more. */
static void begin_held(gsize sent)
{
    static const TransferEvents events = {on_begins, holds_back, has_ended};
    g_autofree char *url = peer_url("http://127.0.0.1:%u/bundle");
    g_autofree char *body = g_malloc0(sent + 1);

    for (gsize i = 0; i < sent; i++)
        body[i] = (char)('a' + i % 23);
    hold_at = HOLD_AT;
    holds = 0;
    http_peer_say(&peer, sent < BODY_BYTES ? PEER_STALL : PEER_KEEP,
                  "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", BODY_BYTES, body);
    http_peer_start(&peer);
    transfers = transfers_new_with_timing(&config, &timing);
    held = transfer_begin(transfers, &(TransferRequest){url, 0, -1, NULL}, &events, NULL);
    run_until(holds == 1);
}

/* What is ready, and what comes in a while. */
static void run_for(gint64 ms)
{
    gint64 end = g_get_monotonic_time() + ms * 1000;

    run_until(g_get_monotonic_time() >= end);
}

static void check_body(void)
{
    ck_assert_uint_eq(got->len, BODY_BYTES);
    for (gsize i = 0; i < got->len; i++)
        ck_assert_int_eq(got->str[i], (char)('a' + i % 23));
}

START_TEST(again_and_again)
{
    begin_held(BODY_BYTES);
    for (guint seen = 1; !ends; seen = holds) {
        gsize before = got->len;

        run_for(5);
        ck_assert_uint_eq(got->len, before);
        if (ends) /* held with its last byte */
            break;
        hold_at = got->len + 7000;
        transfer_hold(held, FALSE);
        ck_assert_uint_eq(got->len, before); /* not from within the call */
        run_until(holds > seen || ends);
    }
    ck_assert_ptr_null(failure);
    ck_assert_uint_gt(holds, 10);
    check_body();
}
END_TEST

/* Held, let go and held again before anything could come. */
START_TEST(in_two_minds)
{
    gsize before;

    begin_held(BODY_BYTES);
    before = got->len;
    transfer_hold(held, FALSE);
    transfer_hold(held, TRUE);
    run_for(20);
    ck_assert_uint_eq(got->len, before);
    hold_at = BODY_BYTES;
    transfer_hold(held, FALSE);
    run_until(ends || holds > 1);
    check_body();
}
END_TEST

/* Neither we nor libcurl take a held transfer for a dead one, nor afterwards. */
START_TEST(longer_than_a_stall)
{
    timing.stall_s = 1;
    config.low_speed_limit = 100000;
    begin_held(BODY_BYTES);
    run_for(3500);
    ck_assert_uint_eq(ends, 0);
    hold_at = G_MAXSIZE;
    transfer_hold(held, FALSE);
    run_until(ends);
    ck_assert_ptr_null(failure);
    check_body();
}
END_TEST

START_TEST(silence_counts_again)
{
    timing.stall_s = 1;
    begin_held(BODY_BYTES - 1);
    hold_at = G_MAXSIZE;
    transfer_hold(held, FALSE);
    run_until(ends);
    ck_assert_ptr_nonnull(failure);
    ck_assert_int_eq(failure->code, TRANSFER_ERROR_NETWORK);
}
END_TEST

START_TEST(not_for_ever)
{
    timing.held_s = 1;
    begin_held(BODY_BYTES);
    run_until(ends);
    expect_failure(TRANSFER_ERROR_NETWORK, "too long");
}
END_TEST

static guint others;

static void other_ended(const GError *error, guint unused, gpointer unused_too)
{
    (void)unused;
    (void)unused_too;
    ck_assert_ptr_null(error);
    others++;
}

static gboolean other_data(const guint8 *bytes, gsize length, GError **error, gpointer unused)
{
    (void)bytes;
    (void)length;
    (void)error;
    (void)unused;
    return TRUE;
}

START_TEST(gives_way)
{
    static const TransferEvents events = {NULL, other_data, other_ended};
    g_autofree char *url = peer_url("http://127.0.0.1:%u/other");

    begin_held(BODY_BYTES);
    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    transfer_begin(transfers, &(TransferRequest){url, 0, -1, NULL}, &events, NULL);
    run_until(others == 1);
    expect_failure(TRANSFER_ERROR_NETWORK, "gave way");
}
END_TEST

/* Who waits already has its turn as soon as the one before is held. */
START_TEST(gives_way_to_who_waits)
{
    static const TransferEvents events = {NULL, other_data, other_ended};
    g_autofree char *url = peer_url("http://127.0.0.1:%u/other");

    begin_held(BODY_BYTES);
    hold_at = 100000;
    transfer_hold(held, FALSE);
    http_peer_say(&peer, PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    transfer_begin(transfers, &(TransferRequest){url, 0, -1, NULL}, &events, NULL);
    run_until(others == 1);
    ck_assert_uint_ge(got->len, 100000);
    expect_failure(TRANSFER_ERROR_NETWORK, "gave way");
}
END_TEST

START_TEST(cancelled_while_held)
{
    begin_held(BODY_BYTES);
    transfer_hold(held, FALSE);
    transfer_cancel(held);
    run_ready();
    ck_assert_uint_eq(ends, 0);
}
END_TEST

static gboolean fails(const guint8 *bytes, gsize length, GError **error, gpointer unused)
{
    if (holds > 0) {
        g_set_error_literal(error, TRANSFER_ERROR, TRANSFER_ERROR_LOCAL, "no space left");
        return FALSE;
    }
    return holds_back(bytes, length, error, unused);
}

/* The first bytes after it are refused, which are libcurl's and come from within its call. */
START_TEST(receiver_fails_afterwards)
{
    static const TransferEvents events = {on_begins, fails, has_ended};
    g_autofree char *url = peer_url("http://127.0.0.1:%u/bundle");

    begin_held(BODY_BYTES);
    transfer_cancel(held);
    holds = 0;
    begins = 0;
    g_string_truncate(got, 0);
    http_peer_say(&peer, PEER_STALL, "HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n%090000d", 1);
    held = transfer_begin(transfers, &(TransferRequest){url, 0, -1, NULL}, &events, NULL);
    run_until(holds == 1);
    run_for(5);
    transfer_hold(held, FALSE);
    run_until(ends);
    expect_failure(TRANSFER_ERROR_LOCAL, "no space left");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        again_and_again,        in_two_minds,         longer_than_a_stall,
        silence_counts_again,   not_for_ever,         gives_way,
        gives_way_to_who_waits, cancelled_while_held, receiver_fails_afterwards};

    return run_suite("transfer_hold", transfer_setup, transfer_teardown, tests,
                     G_N_ELEMENTS(tests));
}
