/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What transfers have in common: the configuration, and libcurl's loop while there is a use for
 * it. */
#include "transfer_internal.h"

static void config_copy(TransferConfig *to, const TransferConfig *from)
{
    *to = *from;
    to->ca_file = g_strdup(from->ca_file);
    to->client_cert_file = g_strdup(from->client_cert_file);
    to->client_key_file = g_strdup(from->client_key_file);
    to->netrc_file = g_strdup(from->netrc_file);
    to->known_hosts_file = g_strdup(from->known_hosts_file);
    to->proxy = g_strdup(from->proxy);
    if (to->connect_timeout_s == 0)
        to->connect_timeout_s = TRANSFER_CONNECT_S;
    to->low_speed_limit = MAX(to->low_speed_limit, 1);
}

static void config_clear(TransferConfig *config)
{
    g_free((char *)config->ca_file);
    g_free((char *)config->client_cert_file);
    g_free((char *)config->client_key_file);
    g_free((char *)config->netrc_file);
    g_free((char *)config->known_hosts_file);
    g_free((char *)config->proxy);
}

Transfers *transfers_new_with_timing(const TransferConfig *config, const TransferTiming *timing)
{
    Transfers *transfers = g_new0(Transfers, 1);

    config_copy(&transfers->config, config);
    transfers->timing = *timing;
    g_queue_init(&transfers->waiting);
    g_queue_init(&transfers->uploads);
    return transfers;
}

Transfers *transfers_new(const TransferConfig *config)
{
    return transfers_new_with_timing(config, &(TransferTiming){TRANSFER_STALL_S, TRANSFER_HELD_S});
}

void transfers_close_loop(Transfers *transfers)
{
    g_clear_handle_id(&transfers->idle, g_source_remove);
    g_clear_pointer(&transfers->server, g_free);
    g_clear_pointer(&transfers->loop, transfer_loop_free);
}

void transfers_free(Transfers *transfers)
{
    if (!transfers)
        return;
    g_assert(!transfers->active && g_queue_is_empty(&transfers->waiting) &&
             g_queue_is_empty(&transfers->uploads));
    g_clear_handle_id(&transfers->next, g_source_remove);
    transfers_close_loop(transfers);
    config_clear(&transfers->config);
    g_free(transfers);
}

static gboolean idle_is_over(gpointer user_data)
{
    Transfers *transfers = user_data;

    transfers->idle = 0;
    transfers_close_loop(transfers);
    return G_SOURCE_REMOVE;
}

void transfers_rest(Transfers *transfers)
{
    if (transfers->loop && !transfers->idle)
        transfers->idle = g_timeout_add_seconds(TRANSFER_IDLE_S, idle_is_over, transfers);
}

/* The connection to another server is not left to libcurl to close: see transfer_loop_free(). */
gboolean transfers_open_loop(Transfers *transfers, const TransferUrl *url, TransferEnded ended)
{
    g_autofree char *server = g_strdup_printf("%s://%s@%s:%s", transfer_scheme_name(url->scheme),
                                              url->user ? url->user : "", url->host, url->port);

    g_clear_handle_id(&transfers->idle, g_source_remove);
    if (g_strcmp0(server, transfers->server) != 0)
        transfers_close_loop(transfers);
    if (!transfers->loop)
        transfers->loop = transfer_loop_new(ended, transfers);
    g_free(transfers->server);
    transfers->server = g_steal_pointer(&server);
    return transfers->loop != NULL;
}
