/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What requests for reading and for sending have in common, as options of libcurl. */
#include "transfer_internal.h"

static void set_secrets(TransferOptions *options, const TransferMeans *means)
{
    const TransferConfig *config = means->config;

    TRANSFER_SET(options, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    /* not the keys and the agent of whoever we run as */
    TRANSFER_SET(options, CURLOPT_SSH_AUTH_TYPES,
                 (long)(CURLSSH_AUTH_PASSWORD | CURLSSH_AUTH_KEYBOARD));
    if (means->url->user) {
        TRANSFER_SET(options, CURLOPT_USERNAME, means->url->user);
        TRANSFER_SET(options, CURLOPT_PASSWORD, means->url->password ? means->url->password : "");
    } else if (config->netrc_file) {
        TRANSFER_SET(options, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
        TRANSFER_SET(options, CURLOPT_NETRC_FILE, config->netrc_file);
    }
    if (config->known_hosts_file)
        TRANSFER_SET(options, CURLOPT_SSH_KNOWNHOSTS, config->known_hosts_file);
}

static void set_tls(TransferOptions *options, const TransferMeans *means)
{
    const TransferConfig *config = means->config;

    TRANSFER_SET(options, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    TRANSFER_SET(options, CURLOPT_SSL_VERIFYPEER, 1L);
    TRANSFER_SET(options, CURLOPT_SSL_VERIFYHOST, 2L);
    TRANSFER_SET(options, CURLOPT_SSL_CTX_FUNCTION, transfer_tls_context);
    TRANSFER_SET(options, CURLOPT_SSL_CTX_DATA, means->trust);
    if (config->ca_file) {
        TRANSFER_SET(options, CURLOPT_CAINFO, config->ca_file);
        TRANSFER_SET(options, CURLOPT_CAPATH, NULL);
    }
    if (config->client_cert_file)
        TRANSFER_SET(options, CURLOPT_SSLCERT, config->client_cert_file);
    if (config->client_key_file)
        TRANSFER_SET(options, CURLOPT_SSLKEY, config->client_key_file);
    /* A key with a passphrase must be an error, not a question on the terminal. */
    TRANSFER_SET(options, CURLOPT_KEYPASSWD, "");
}

static void set_limits(TransferOptions *options, const TransferMeans *means)
{
    const TransferConfig *config = means->config;

    TRANSFER_SET(options, CURLOPT_CONNECTTIMEOUT, (long)config->connect_timeout_s);
    TRANSFER_SET(options, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)means->stall_s);
    TRANSFER_SET(options, CURLOPT_LOW_SPEED_LIMIT, (long)config->low_speed_limit);
    TRANSFER_SET(options, CURLOPT_LOW_SPEED_TIME, (long)means->stall_s);
    TRANSFER_SET(options, CURLOPT_TCP_KEEPALIVE, 1L);
    /* a server that has moved is found at its new address when its connection is lost */
    TRANSFER_SET(options, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    TRANSFER_SET(options, CURLOPT_NOSIGNAL, 1L);
    /* a resolver that is silent must not hold up whoever cancels */
    TRANSFER_SET(options, CURLOPT_QUICK_EXIT, 1L);
}

/* Redirects are followed by transfer.c: which way one may lead is more than libcurl can be told.
 * ftp is as it is written, plain: a TLS that the server offers there would be refused for a
 * certificate that nobody asked for.  ftps is TLS from the first byte. */
static void set_protocol(TransferOptions *options, const TransferMeans *means)
{
    const TransferConfig *config = means->config;

    TRANSFER_SET(options, CURLOPT_URL, means->url->text);
    TRANSFER_SET(options, CURLOPT_PROTOCOLS_STR, transfer_scheme_name(means->url->scheme));
    TRANSFER_SET(options, CURLOPT_FOLLOWLOCATION, 0L);
    TRANSFER_SET(options, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    TRANSFER_SET(options, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    TRANSFER_SET(options, CURLOPT_USERAGENT, "rauc-ocpp-agent/" VERSION);
    TRANSFER_SET(options, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (config->proxy)
        TRANSFER_SET(options, CURLOPT_PROXY, config->proxy);
}

void transfer_options_set(TransferOptions *options, const TransferMeans *means)
{
    curl_easy_reset(options->easy);
    *means->detail = '\0';
    TRANSFER_SET(options, CURLOPT_ERRORBUFFER, means->detail);
    set_protocol(options, means);
    set_secrets(options, means);
    set_tls(options, means);
    set_limits(options, means);
    if (!transfer_loop_watch_sockets(means->loop, options->easy))
        options->worst = CURLE_UNKNOWN_OPTION;
}
