/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sends one file as the agent would, for the tests with real servers
 * (tests/component/test_uploads.py):
 *
 *     upload_file [OPTION ...] URL PATH
 *
 * Prints what became of it: `sent`, or the number of the TransferError and its words; in front of
 * that, with --progress, each 10 ms the bytes that were sent, where that has changed; and last, the
 * longest time in ms that the main loop did not turn.
 */
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapter/upload.h"

#define BEAT_MS 10

static TransferConfig config = {.low_speed_limit = 1};
static UploadRequest request;
static gboolean post, progress;
static int connect_timeout_s;

static Upload *upload;
static gint64 shown = -1, last_beat_us, longest_us;
static gboolean over;
static int result;

static gboolean beat(gpointer unused)
{
    gint64 now_us = g_get_monotonic_time();

    (void)unused;
    longest_us = MAX(longest_us, now_us - last_beat_us);
    last_beat_us = now_us;
    if (progress && upload && upload_sent(upload) != shown) {
        shown = upload_sent(upload);
        g_print("%" G_GINT64_FORMAT "\n", shown);
    }
    return G_SOURCE_CONTINUE;
}

static void on_done(const GError *error, guint retry_after_s, G_GNUC_UNUSED gint64 sent,
                    gpointer unused)
{
    (void)unused;
    upload = NULL;
    over = TRUE;
    beat(NULL);
    if (!error)
        g_print("sent\n");
    else
        g_print("error %d retry-after %u: %s\n", error->code, retry_after_s, error->message);
    result = error ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const GOptionEntry options[] = {
    {"post", 0, 0, G_OPTION_ARG_NONE, &post, "multipart/form-data instead of PUT", NULL},
    {"resume", 0, 0, G_OPTION_ARG_NONE, &request.resume, "go on behind what is there", NULL},
    {"progress", 0, 0, G_OPTION_ARG_NONE, &progress, "print what was sent so far", NULL},
    {"ca", 0, 0, G_OPTION_ARG_FILENAME, &config.ca_file, "", "FILE"},
    {"cert", 0, 0, G_OPTION_ARG_FILENAME, &config.client_cert_file, "", "FILE"},
    {"key", 0, 0, G_OPTION_ARG_FILENAME, &config.client_key_file, "", "FILE"},
    {"netrc", 0, 0, G_OPTION_ARG_FILENAME, &config.netrc_file, "", "FILE"},
    {"known-hosts", 0, 0, G_OPTION_ARG_FILENAME, &config.known_hosts_file, "", "FILE"},
    {"proxy", 0, 0, G_OPTION_ARG_STRING, &config.proxy, "", "URL"},
    {"rate-limit", 0, 0, G_OPTION_ARG_INT64, &config.rate_limit, "", "BYTES"},
    {"connect-timeout", 0, 0, G_OPTION_ARG_INT, &connect_timeout_s, "", "SECONDS"},
    G_OPTION_ENTRY_NULL,
};

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new("URL PATH");
    g_autoptr(Transfers) transfers = NULL;
    g_autoptr(GError) error = NULL;
    guint beats;

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 3) {
        g_printerr("%s\n", error ? error->message : "usage: upload_file [OPTION ...] URL PATH");
        return 2;
    }
    config.connect_timeout_s = (guint)connect_timeout_s;
    request.url = argv[1];
    request.path = argv[2];
    request.method = post ? UPLOAD_POST : UPLOAD_PUT;
    transfers = transfers_new(&config);
    last_beat_us = g_get_monotonic_time();
    beats = g_timeout_add(BEAT_MS, beat, NULL);
    upload = upload_begin(transfers, &request, on_done, NULL);
    while (!over)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(beats);
    g_print("longest %" G_GINT64_FORMAT " ms\n", longest_us / 1000);
    return result;
}
