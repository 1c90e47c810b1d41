/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A relay and a download that do nothing by themselves, in the place of the adapters at link time:
 * what the firmware behaviour makes of their answers is tested with them, the real ones elsewhere.
 */
#pragma once

#include <check.h>
#include <string.h>

#include "adapter/download.h"
#include "adapter/relay.h"

struct _Relay {
    RelayPlace place;
    RelayEvents events;
    gpointer user_data;
    GError *failure;
    RelayState state;
    gint64 budget;
    gboolean local; /* serves the spool's bundle */
};

struct _Download {
    DownloadEvents events;
    gpointer user_data;
    gint64 received, job, budget;
};

/* What there is now; each test is a process of its own. */
static struct {
    Relay *relay;
    Download *download;
    guint relays, downloads; /* ever begun */
    gboolean port_taken;
    gint64 kept; /* the job whose files the last download_clean() kept */
} transport;

GQuark relay_error_quark(void)
{
    return g_quark_from_static_string("relay-error");
}

void relay_place_clear(RelayPlace *place)
{
    g_clear_pointer(&place->secret, g_free);
    g_clear_pointer(&place->file.etag, g_free);
}

Relay *relay_new(Transfers *transfers, Clock *clock, const RelayConfig *config,
                 const RelayPlace *place, const RelayEvents *events, gpointer user_data,
                 GError **error)
{
    Relay *relay;

    (void)transfers, (void)clock;
    if (transport.port_taken) {
        g_set_error_literal(error, RELAY_ERROR, RELAY_ERROR_PORT, "the port is taken");
        return NULL;
    }
    ck_assert_ptr_null(transport.relay);
    relay = g_new0(Relay, 1);
    relay->place.port = place->port ? place->port : 40000;
    relay->place.secret = g_strdup(place->secret ? place->secret : "secret");
    relay->place.file = place->file;
    relay->place.file.etag = g_strdup(place->file.etag);
    relay->events = *events;
    relay->user_data = user_data;
    relay->budget = config->budget;
    relay->local = config->local_bundle != NULL;
    relay->state = (RelayState){.size = -1, .last_ms = -1};
    transport.relay = relay;
    transport.relays++;
    return relay;
}

void relay_free(Relay *relay)
{
    if (!relay)
        return;
    transport.relay = NULL;
    relay_place_clear(&relay->place);
    g_clear_error(&relay->failure);
    g_free(relay);
}

const char *relay_url(const Relay *relay)
{
    (void)relay;
    return "http://127.0.0.1:40000/secret/bundle.raucb";
}

const RelayPlace *relay_place(const Relay *relay)
{
    return &relay->place;
}

void relay_state(const Relay *relay, RelayState *ret_state)
{
    *ret_state = relay->state;
}

void relay_abort(Relay *relay, const GError *reason)
{
    if (!relay->failure)
        relay->failure = g_error_copy(reason);
}

const GError *relay_failure(const Relay *relay)
{
    return relay->failure;
}

/* The relay gives up by itself. */
static G_GNUC_UNUSED void relay_fails(GQuark domain, int code, const char *why)
{
    transport.relay->failure = g_error_new_literal(domain, code, why);
    transport.relay->events.failed(transport.relay->user_data);
}

Download *download_begin(Transfers *transfers, Clock *clock, const DownloadRequest *request,
                         const DownloadEvents *events, gpointer user_data)
{
    Download *download = g_new0(Download, 1);

    (void)transfers, (void)clock;
    ck_assert_ptr_null(transport.download);
    download->events = *events;
    download->user_data = user_data;
    download->job = request->job;
    download->budget = request->budget;
    transport.download = download;
    transport.downloads++;
    return download;
}

void download_free(Download *download)
{
    if (download)
        transport.download = NULL;
    g_free(download);
}

void download_position(const Download *download, gint64 *ret_bytes, gint64 *ret_size)
{
    *ret_bytes = download->received;
    *ret_size = -1;
}

gint64 download_received(const Download *download)
{
    return download->received;
}

const char *download_trouble(const Download *download)
{
    (void)download;
    return NULL;
}

void download_clean(const char *directory, gint64 keep)
{
    (void)directory;
    transport.kept = keep;
}

char *download_path(const char *directory, gint64 job)
{
    (void)directory;
    return g_strdup_printf("/spool/job-%" G_GINT64_FORMAT ".raucb", job);
}

/* It ends: whole, or (code >= 0) with that error. */
static G_GNUC_UNUSED void download_ends(int code, guint retry_after_s)
{
    Download *download = transport.download;
    g_autoptr(GError) error = NULL;

    if (code >= 0)
        error = g_error_new_literal(TRANSFER_ERROR, code, "no luck");
    download->events.done(error ? NULL : "/spool/x", error ? NULL : "abcd", error, retry_after_s,
                          download->user_data);
}
