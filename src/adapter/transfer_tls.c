/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TLS of transfers: the time at which certificates are judged, and words for what went wrong. */
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <string.h>

#include "transfer_internal.h"

static void on_state(const SSL *connection, int where, int unused)
{
    const SSL_CTX *context = SSL_get_SSL_CTX(connection);
    TransferTrust *trust = SSL_CTX_get_app_data(context);

    (void)where;
    (void)unused;
    if (context == trust->context)
        trust->newest = (gpointer)connection;
}

/* A charger without a battery for its clock wakes up in 1970, where no certificate is valid yet. */
CURLcode transfer_tls_context(CURL *easy, void *context, void *user_data)
{
    TransferTrust *trust = user_data;
    const TransferConfig *config = trust->config;
    gint64 now_s = g_get_real_time() / G_USEC_PER_SEC;
    gint64 not_before_s =
        config->not_before_ms ? config->not_before_ms(config->user_data) / 1000 : 0;

    (void)easy;
    if (trust->keeps_newest) {
        trust->context = context; /* libcurl has one for each connection */
        trust->newest = NULL;
        SSL_CTX_set_app_data(context, trust);
        SSL_CTX_set_info_callback(context, on_state);
    }
    trust->judged_at_s = MAX(now_s, not_before_s);
    if (not_before_s > now_s)
        X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(context), (time_t)not_before_s);
    return CURLE_OK;
}

/* libcurl's own way to the socket is open only while libcurl is at work. */
gboolean transfer_tls_say_goodbye(const TransferTrust *trust, int fd)
{
    SSL *connection = trust->newest;
    BIO *way, *theirs;
    gboolean said;

    if (!connection || !(way = BIO_new_socket(fd, BIO_NOCLOSE)))
        return FALSE;
    theirs = SSL_get_wbio(connection);
    BIO_up_ref(theirs);
    SSL_set0_wbio(connection, way);
    said = SSL_shutdown(connection) >= 0;
    SSL_set0_wbio(connection, theirs);
    return said;
}

static const struct {
    int code;
    const char *words;
} verdicts[] = {
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "comes from an unknown CA"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "comes from an unknown CA"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "comes from an unknown CA"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "comes from an unknown CA"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "comes from an unknown CA"},
    {X509_V_ERR_CERT_HAS_EXPIRED, "is expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID, "is not valid yet"},
};

static const struct {
    const char *mark; /* in libcurl's words */
    const char *words;
} causes[] = {
    {"target host name", "the certificate is not made out for this host: wrong host"},
    {"target ipv4", "the certificate is not made out for this host: wrong host"},
    {"target ipv6", "the certificate is not made out for this host: wrong host"},
    {"does not match", "the certificate is not made out for this host: wrong host"},
    {"unsupported protocol", "the server speaks only a TLS older than 1.2"},
    {"alert protocol version", "the server speaks only a TLS older than 1.2"},
    {"wrong version number", "the server does not speak TLS on this port"},
    {"certificate required", "the server asks for a client certificate"},
    {"handshake failure", "no agreement with the server on TLS"},
    {"SSL: couldn't get X509-issuer name", "the certificate is damaged"},
};

static char *certificate_words(gint64 judged_at_s, long verify_result)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(judged_at_s);
    g_autofree char *date = time ? g_date_time_format_iso8601(time) : g_strdup("?");
    const char *words = "is refused";

    for (gsize i = 0; i < G_N_ELEMENTS(verdicts); i++) {
        if (verdicts[i].code == verify_result)
            words = verdicts[i].words;
    }
    return g_strdup_printf("TLS: the certificate of the server, judged at %s, %s (%s)", date, words,
                           X509_verify_cert_error_string(verify_result));
}

char *transfer_tls_words(const char *detail, TransferScheme scheme, gint64 judged_at_s,
                         long verify_result)
{
    const char *words = *detail ? detail : "no agreement with the server";

    /* "unspecified" is what it stands at until the chain has been looked at */
    if (verify_result != X509_V_OK && verify_result != X509_V_ERR_UNSPECIFIED &&
        scheme != TRANSFER_SFTP)
        return certificate_words(judged_at_s, verify_result);
    for (gsize i = 0; i < G_N_ELEMENTS(causes); i++) {
        if (strstr(words, causes[i].mark))
            return g_strdup_printf("TLS: %s (%s)", causes[i].words, words);
    }
    return g_strdup_printf("%s%s", scheme == TRANSFER_SFTP ? "SSH: " : "TLS: ", words);
}

gboolean transfer_tls_is_cause(const char *detail)
{
    return strstr(detail, "error:") != NULL && strstr(detail, "unexpected eof") == NULL;
}
