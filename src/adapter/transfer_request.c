/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A request as options of libcurl. */
#include "transfer_internal.h"

/* Nothing is sent of a request to which an option is missing, a secret or a check least of all. */
typedef struct {
    CURL *easy;
    CURLcode worst;
} Options;

#define SET(options, option, value)                                                                \
    do {                                                                                           \
        CURLcode code_ = curl_easy_setopt((options)->easy, option, value);                         \
        if (code_ != CURLE_OK)                                                                     \
            (options)->worst = code_;                                                              \
    } while (0)

static gboolean is_first_contact(const Transfer *transfer)
{
    return !transfer->has_known || transfer->known.size < 0;
}

/* If-Range: whether the file was exchanged is told before its bytes come. */
static void add_if_range(Transfer *transfer)
{
    const TransferFile *known = &transfer->known;
    g_autofree char *date = NULL;
    g_autofree char *line = NULL;

    if (!transfer->has_known)
        return;
    if (transfer_file_etag_is_strong(known->etag)) {
        line = g_strconcat("If-Range: ", known->etag, NULL);
    } else if (known->modified >= 0) {
        date = transfer_file_http_date(known->modified);
        line = date ? g_strconcat("If-Range: ", date, NULL) : NULL;
    }
    if (line)
        transfer->headers = curl_slist_append(transfer->headers, line);
}

static void set_range(Options *options, Transfer *transfer)
{
    gboolean http = transfer_scheme_is_http(transfer->url.scheme);
    gboolean whole = transfer->offset == 0 && transfer->length < 0;
    g_autofree char *range = NULL;

    /* sftp tells the size of the file only when it is read to its end */
    transfer->open_ended = transfer->url.scheme == TRANSFER_SFTP && transfer->length >= 0 &&
                           is_first_contact(transfer);
    if (whole && (!http || !transfer->has_known))
        return;
    if (transfer->length < 0 || transfer->open_ended)
        range = g_strdup_printf("%" G_GINT64_FORMAT "-", transfer->offset);
    else
        range = g_strdup_printf("%" G_GINT64_FORMAT "-%" G_GINT64_FORMAT, transfer->offset,
                                transfer->offset + transfer->length - 1);
    SET(options, CURLOPT_RANGE, range);
    if (http)
        add_if_range(transfer);
    if (transfer->headers)
        SET(options, CURLOPT_HTTPHEADER, transfer->headers);
}

static void set_secrets(Options *options, const Transfer *transfer)
{
    const TransferConfig *config = &transfer->transfers->config;

    SET(options, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    /* not the keys and the agent of whoever we run as */
    SET(options, CURLOPT_SSH_AUTH_TYPES, (long)(CURLSSH_AUTH_PASSWORD | CURLSSH_AUTH_KEYBOARD));
    if (transfer->url.user) {
        SET(options, CURLOPT_USERNAME, transfer->url.user);
        SET(options, CURLOPT_PASSWORD, transfer->url.password ? transfer->url.password : "");
    } else if (config->netrc_file) {
        SET(options, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
        SET(options, CURLOPT_NETRC_FILE, config->netrc_file);
    }
    if (config->known_hosts_file)
        SET(options, CURLOPT_SSH_KNOWNHOSTS, config->known_hosts_file);
}

static void set_tls(Options *options, Transfer *transfer)
{
    const TransferConfig *config = &transfer->transfers->config;

    SET(options, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(options, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(options, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(options, CURLOPT_SSL_CTX_FUNCTION, transfer_tls_context);
    SET(options, CURLOPT_SSL_CTX_DATA, transfer);
    if (config->ca_file) {
        SET(options, CURLOPT_CAINFO, config->ca_file);
        SET(options, CURLOPT_CAPATH, NULL);
    }
    if (config->client_cert_file)
        SET(options, CURLOPT_SSLCERT, config->client_cert_file);
    if (config->client_key_file)
        SET(options, CURLOPT_SSLKEY, config->client_key_file);
    /* A key with a passphrase must be an error, not a question on the terminal. */
    SET(options, CURLOPT_KEYPASSWD, "");
}

static void set_limits(Options *options, const Transfer *transfer)
{
    const TransferConfig *config = &transfer->transfers->config;
    guint stall_s = transfer->transfers->timing.stall_s;
    gint64 buffer = TRANSFER_BUFFER_BYTES;

    SET(options, CURLOPT_CONNECTTIMEOUT, (long)config->connect_timeout_s);
    SET(options, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)stall_s);
    SET(options, CURLOPT_LOW_SPEED_LIMIT, (long)config->low_speed_limit);
    SET(options, CURLOPT_LOW_SPEED_TIME, (long)stall_s);
    if (config->rate_limit > 0) {
        SET(options, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)config->rate_limit);
        buffer = CLAMP(config->rate_limit, 1024, buffer);
    }
    SET(options, CURLOPT_BUFFERSIZE, (long)buffer);
    SET(options, CURLOPT_TCP_KEEPALIVE, 1L);
    /* a server that has moved is found at its new address when its connection is lost */
    SET(options, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    SET(options, CURLOPT_NOSIGNAL, 1L);
    /* a resolver that is silent must not hold up whoever cancels */
    SET(options, CURLOPT_QUICK_EXIT, 1L);
}

/* Redirects are followed by transfer.c: which way one may lead is more than libcurl can be told.
 * ftp is as it is written, plain: a TLS that the server offers there would be refused for a
 * certificate that nobody asked for.  ftps is TLS from the first byte. */
static void set_protocol(Options *options, const Transfer *transfer)
{
    const TransferConfig *config = &transfer->transfers->config;

    SET(options, CURLOPT_URL, transfer->url.text);
    SET(options, CURLOPT_PROTOCOLS_STR, transfer_scheme_name(transfer->url.scheme));
    SET(options, CURLOPT_FOLLOWLOCATION, 0L);
    SET(options, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(options, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    SET(options, CURLOPT_USERAGENT, "rauc-ocpp-agent/" VERSION);
    SET(options, CURLOPT_FILETIME, 1L);
    SET(options, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (config->proxy)
        SET(options, CURLOPT_PROXY, config->proxy);
}

gboolean transfer_request_prepare(Transfer *transfer, GError **error)
{
    Options options = {.easy = transfer->easy};

    curl_slist_free_all(g_steal_pointer(&transfer->headers));
    curl_easy_reset(transfer->easy);
    *transfer->detail = '\0';
    SET(&options, CURLOPT_ERRORBUFFER, transfer->detail);
    SET(&options, CURLOPT_PRIVATE, transfer);
    set_protocol(&options, transfer);
    set_secrets(&options, transfer);
    set_tls(&options, transfer);
    set_limits(&options, transfer);
    set_range(&options, transfer);
    if (!transfer_loop_watch_sockets(transfer->transfers->loop, transfer->easy))
        options.worst = CURLE_UNKNOWN_OPTION;
    if (options.worst == CURLE_OK)
        return TRUE;
    g_propagate_error(error, transfer_error_make(transfer->url.name, TRANSFER_ERROR_LOCAL,
                                                 "cannot set up libcurl: %s",
                                                 curl_easy_strerror(options.worst)));
    return FALSE;
}
