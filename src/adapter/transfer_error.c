/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What went wrong with a transfer, as a TransferError with words for people. */
#include <string.h>

#include "transfer_internal.h"

GQuark transfer_error_quark(void)
{
    return g_quark_from_static_string("transfer-error-quark");
}

gboolean transfer_error_is_transient(const GError *error)
{
    return g_error_matches(error, TRANSFER_ERROR, TRANSFER_ERROR_NETWORK) ||
           g_error_matches(error, TRANSFER_ERROR, TRANSFER_ERROR_SERVER);
}

GError *transfer_error_make(const char *name, TransferError code, const char *format, ...)
{
    g_autofree char *words = NULL;
    va_list list;

    va_start(list, format);
    words = g_strdup_vprintf(format, list);
    va_end(list);
    return g_error_new(TRANSFER_ERROR, (int)code, "cannot read %s: %s", name, words);
}

/* --- Refusals --- */

/* Our words and not the server's: those may be anything. */
static const struct {
    long status;
    TransferError code;
    const char *words;
} statuses[] = {
    {401, TRANSFER_ERROR_REFUSED, "the server asks for another user or password"},
    {403, TRANSFER_ERROR_REFUSED, "forbidden by the server"},
    {404, TRANSFER_ERROR_REFUSED, "there is no such file on the server"},
    {407, TRANSFER_ERROR_REFUSED, "the proxy asks for another user or password"},
    {408, TRANSFER_ERROR_SERVER, "the server did not wait for the request"},
    {410, TRANSFER_ERROR_REFUSED, "the file is gone from the server"},
    {425, TRANSFER_ERROR_SERVER, "too early for the server"},
    {429, TRANSFER_ERROR_SERVER, "too many requests for the server"},
    {500, TRANSFER_ERROR_SERVER, "an error inside the server"},
    {502, TRANSFER_ERROR_SERVER, "the gateway gets no answer of its server"},
    {503, TRANSFER_ERROR_SERVER, "the server is busy or under maintenance"},
    {504, TRANSFER_ERROR_SERVER, "the gateway gets no answer of its server in time"},
};

TransferError transfer_status_explain(long status, char **ret_words)
{
    TransferError code = TRANSFER_ERROR_PROTOCOL;
    const char *words = "an answer that is of no use";

    if (status >= 500) {
        code = TRANSFER_ERROR_SERVER;
        words = "an error of the server";
    } else if (status >= 400) {
        code = TRANSFER_ERROR_REFUSED;
        words = "the server refuses";
    }
    for (gsize i = 0; i < G_N_ELEMENTS(statuses); i++) {
        if (statuses[i].status == status) {
            code = statuses[i].code;
            words = statuses[i].words;
        }
    }
    *ret_words = g_strdup_printf("%s (HTTP status %ld)", words, status);
    return code;
}

GError *transfer_error_from_http(const char *name, long status)
{
    g_autofree char *words = NULL;
    TransferError code = transfer_status_explain(status, &words);

    return transfer_error_make(name, code, "%s", words);
}

/* --- What libcurl says --- */

/* Which words are the best: libcurl's own, after ours if there are some. */
static const struct {
    CURLcode curl;
    TransferError code;
    const char *words;
} codes[] = {
    {CURLE_COULDNT_RESOLVE_PROXY, TRANSFER_ERROR_NETWORK, "the proxy's name has no address"},
    {CURLE_COULDNT_RESOLVE_HOST, TRANSFER_ERROR_NETWORK, "the server's name has no address"},
    {CURLE_COULDNT_CONNECT, TRANSFER_ERROR_NETWORK, "no connection"},
    {CURLE_PROXY, TRANSFER_ERROR_NETWORK, "no connection through the proxy"},
    {CURLE_OPERATION_TIMEDOUT, TRANSFER_ERROR_NETWORK, "too slow, or dead"},
    {CURLE_PARTIAL_FILE, TRANSFER_ERROR_NETWORK, "the connection was cut"},
    {CURLE_GOT_NOTHING, TRANSFER_ERROR_NETWORK, "the connection was cut before an answer"},
    {CURLE_SEND_ERROR, TRANSFER_ERROR_NETWORK, "the connection was cut"},
    {CURLE_RECV_ERROR, TRANSFER_ERROR_NETWORK, "the connection was cut"},
    {CURLE_SSH, TRANSFER_ERROR_NETWORK, "the SSH connection failed"},
    {CURLE_FTP_ACCEPT_FAILED, TRANSFER_ERROR_NETWORK, NULL},
    {CURLE_FTP_ACCEPT_TIMEOUT, TRANSFER_ERROR_NETWORK, NULL},
    {CURLE_FTP_CANT_GET_HOST, TRANSFER_ERROR_NETWORK, NULL},
    {CURLE_AGAIN, TRANSFER_ERROR_NETWORK, NULL},
    {CURLE_LOGIN_DENIED, TRANSFER_ERROR_REFUSED, "the server refuses the user or the password"},
    {CURLE_REMOTE_ACCESS_DENIED, TRANSFER_ERROR_REFUSED, "the server refuses access"},
    {CURLE_REMOTE_FILE_NOT_FOUND, TRANSFER_ERROR_REFUSED, "there is no such file on the server"},
    {CURLE_FTP_COULDNT_RETR_FILE, TRANSFER_ERROR_REFUSED, "the server does not send the file"},
    {CURLE_PEER_FAILED_VERIFICATION, TRANSFER_ERROR_TLS, NULL},
    {CURLE_SSL_CONNECT_ERROR, TRANSFER_ERROR_TLS, NULL},
    {CURLE_SSL_CERTPROBLEM, TRANSFER_ERROR_TLS, NULL},
    {CURLE_SSL_CACERT_BADFILE, TRANSFER_ERROR_TLS, NULL},
    {CURLE_SSL_CIPHER, TRANSFER_ERROR_TLS, NULL},
    {CURLE_SSL_CLIENTCERT, TRANSFER_ERROR_TLS, NULL},
    {CURLE_SSL_ISSUER_ERROR, TRANSFER_ERROR_TLS, NULL},
    {CURLE_SSL_ENGINE_INITFAILED, TRANSFER_ERROR_TLS, NULL},
    {CURLE_USE_SSL_FAILED, TRANSFER_ERROR_TLS, NULL},
    {CURLE_URL_MALFORMAT, TRANSFER_ERROR_URL, "this URL is of no use"},
    {CURLE_FTP_COULDNT_USE_REST, TRANSFER_ERROR_RANGES,
     "the server cannot read from the middle of a file"},
    {CURLE_RANGE_ERROR, TRANSFER_ERROR_RANGES, "the server cannot read from the middle of a file"},
    {CURLE_BAD_DOWNLOAD_RESUME, TRANSFER_ERROR_PROTOCOL,
     "the file ends before the place asked for"},
};

/* The words of libcurl in one line; a server may have put anything into them. */
static char *tidy_detail(const char *detail)
{
    char *tidy = g_utf8_make_valid(detail, -1);

    for (char *at = tidy; *at; at++) {
        if (g_ascii_iscntrl(*at))
            *at = ' ';
    }
    return g_strstrip(tidy);
}

long transfer_failure_ftp_status(const TransferFailure *failure)
{
    long status = 0;

    if (failure->http || (failure->scheme != TRANSFER_FTP && failure->scheme != TRANSFER_FTPS))
        return 0;
    curl_easy_getinfo(failure->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* A status of FTP tells whether to come again; libcurl's code tells only at which command it
 * was. */
static TransferError by_ftp_status(TransferError code, long status)
{
    gboolean refusal = code == TRANSFER_ERROR_REFUSED || code == TRANSFER_ERROR_PROTOCOL;

    if (refusal && status >= 400 && status < 500)
        return TRANSFER_ERROR_SERVER;
    if (refusal && status >= 500)
        return TRANSFER_ERROR_REFUSED;
    return code;
}

static TransferError classify(const TransferFailure *failure, const char **ret_words)
{
    CURLcode curl = failure->code;
    gboolean in_handshake = curl == CURLE_SSL_CONNECT_ERROR;
    gboolean in_transit = curl == CURLE_RECV_ERROR || curl == CURLE_SEND_ERROR;
    TransferError code = TRANSFER_ERROR_PROTOCOL;

    /* A connection that breaks in the handshake is no verdict; a refusal of our certificate comes
     * after it, with TLS 1.3. */
    if (in_handshake && !transfer_tls_is_cause(failure->detail)) {
        *ret_words = "the connection was cut";
        return TRANSFER_ERROR_NETWORK;
    }
    if (in_transit && transfer_tls_is_cause(failure->detail) && strstr(failure->detail, "alert"))
        return TRANSFER_ERROR_TLS;
    for (gsize i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (codes[i].curl == curl) {
            *ret_words = codes[i].words;
            code = codes[i].code;
            break;
        }
    }
    return by_ftp_status(code, transfer_failure_ftp_status(failure));
}

static void tidy_up(const TransferFailure *failure)
{
    g_autofree char *tidy = tidy_detail(failure->detail);

    /* libcurl's words about a proxy have its password in them */
    if (!*tidy || failure->code == CURLE_COULDNT_RESOLVE_PROXY || failure->code == CURLE_PROXY ||
        strcasestr(tidy, "proxy")) {
        g_free(tidy);
        tidy = g_strdup(curl_easy_strerror(failure->code));
    }
    g_strlcpy(failure->detail, tidy, CURL_ERROR_SIZE);
}

TransferError transfer_failure_explain(const TransferFailure *failure, char **ret_words)
{
    const char *words = NULL;
    TransferError code;
    long verify_result = 0;

    tidy_up(failure);
    code = classify(failure, &words);
    if (code == TRANSFER_ERROR_TLS) {
        curl_easy_getinfo(failure->easy, CURLINFO_SSL_VERIFYRESULT, &verify_result);
        *ret_words = transfer_tls_words(failure->detail, failure->scheme, failure->judged_at_s,
                                        verify_result);
    } else if (words) {
        *ret_words = g_strdup_printf("%s (%s)", words, failure->detail);
    } else {
        *ret_words = g_strdup(failure->detail);
    }
    return code;
}

GError *transfer_error_from_curl(Transfer *transfer, CURLcode code)
{
    const TransferFailure failure = {transfer->easy,   code,
                                     transfer->detail, transfer->url.scheme,
                                     transfer->http,   transfer->trust.judged_at_s};
    g_autofree char *words = NULL;
    TransferError kind = transfer_failure_explain(&failure, &words);

    if (code == CURLE_BAD_DOWNLOAD_RESUME && transfer->known.size > transfer->offset)
        return transfer_error_make(transfer->url.name, TRANSFER_ERROR_CHANGED,
                                   "the file on the server is shorter than before (%s)",
                                   transfer->detail);
    return transfer_error_make(transfer->url.name, kind, "%s", words);
}
