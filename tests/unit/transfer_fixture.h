/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For the tests of transfers: a peer, and what became of the transfer. */
#pragma once

#include "loop_fixture.h"

#include "http_peer.h"
#include "src/adapter/transfer_internal.h"

static HttpPeer peer;
static TransferConfig config;
static TransferTiming timing;
static Transfers *transfers;

static TransferFile told; /* by begins() */
static GString *got;
static guint begins, ends;
static GError *failure;
static guint failure_retry_after_s;

static inline void transfer_setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    fixture_log_start();
    http_peer_init(&peer);
    config = (TransferConfig){.low_speed_limit = 1};
    timing = (TransferTiming){TRANSFER_STALL_S, TRANSFER_HELD_S};
    told = TRANSFER_FILE_UNKNOWN;
    got = g_string_new(NULL);
}

static inline void transfer_teardown(void)
{
    run_ready();
    transfers_free(transfers);
    http_peer_stop(&peer);
    transfer_file_clear(&told);
    g_string_free(got, TRUE);
    g_clear_error(&failure);
}

static inline void on_begins(const TransferFile *file, gpointer unused)
{
    (void)unused;
    transfer_file_copy(&told, file);
    begins++;
}

static inline gboolean on_data(const guint8 *bytes, gsize length, GError **error, gpointer unused)
{
    (void)unused;
    (void)error;
    ck_assert_uint_eq(begins, ends + 1);
    g_string_append_len(got, (const char *)bytes, (gssize)length);
    return TRUE;
}

static inline void on_done(const GError *error, guint retry_after_s, gpointer unused)
{
    (void)unused;
    ends++;
    failure = error ? g_error_copy(error) : NULL;
    failure_retry_after_s = retry_after_s;
}

static const TransferEvents recorder = {on_begins, on_data, on_done};

static inline Transfer *begin_url(const char *url, gint64 offset, gint64 length,
                                  const TransferFile *known)
{
    const TransferRequest request = {url, offset, length, known};

    if (!transfers)
        transfers = transfers_new_with_timing(&config, &timing);
    if (!peer.thread)
        http_peer_start(&peer);
    begins = ends = failure_retry_after_s = 0;
    transfer_file_clear(&told);
    g_string_truncate(got, 0);
    g_clear_error(&failure);
    return transfer_begin(transfers, &request, &recorder, NULL);
}

/* `format` has a %u for the port of the peer. */
#define peer_url(format) g_strdup_printf(format, peer.port)

static inline Transfer *begin(gint64 offset, gint64 length, const TransferFile *known)
{
    g_autofree char *url = peer_url("http://127.0.0.1:%u/bundle");

    return begin_url(url, offset, length, known);
}

static inline void run(Transfer *transfer)
{
    (void)transfer;
    ck_assert_uint_eq(ends, 0);
    run_until(ends);
    run_ready();
    ck_assert_uint_eq(ends, 1);
}

static inline void expect_text(const char *text)
{
    ck_assert_msg(failure == NULL, "%s", failure ? failure->message : "");
    ck_assert_str_eq(got->str, text);
}

static inline void expect_failure(TransferError code, const char *words)
{
    const char *message = failure ? failure->message : NULL;

    ck_assert_ptr_nonnull(message);
    ck_assert_msg(g_error_matches(failure, TRANSFER_ERROR, (int)code), "%d: %s", failure->code,
                  message);
    ck_assert_ptr_nonnull(strstr(message, words));
}
