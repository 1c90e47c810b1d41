/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TLS settings of the connection to the CSMS: an SSL_CTX, the judgement of the server's
 * certificate, and the words for what went wrong.
 *
 * The certificate is judged here and not by libwebsockets: it knows neither our time nor (with an
 * IPv6 address) the host, and of a failure it tells a number.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "adapter/tls.h"

/* Seconds since 1970, given by the Makefile. */
#ifndef BUILD_TIME
#define BUILD_TIME 0
#endif

/* W A00.FR.316, 318 name the ECDHE-ECDSA and the RSA pair; TLS 1.3 has its own list, left as
 * OpenSSL has it. */
#define TLS12_SUITES                                                                               \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                                 \
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:"                                     \
    "AES128-GCM-SHA256:AES256-GCM-SHA384"

#define NO_ALERT (-1)

struct _Tls {
    SSL_CTX *context;
    gint64 not_before_ms;
    char *host;
    TlsFailure failure;
    char *words;
};

G_DEFINE_QUARK(tls_error, tls_error)

/* The first failure is the cause; the alerts after it are its consequences. */
static void note_failure(Tls *tls, TlsFailure failure, char *words)
{
    if (tls->failure != TLS_FAILURE_NONE) {
        g_free(words);
        return;
    }
    tls->failure = failure;
    tls->words = words;
}

static char *certificate_words(int code, const char *host, gint64 judged_at_ms)
{
    const char *text = X509_verify_cert_error_string(code);
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(judged_at_ms / 1000);
    g_autofree char *date = time != NULL ? g_date_time_format_iso8601(time) : g_strdup("?");

    switch (code) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return g_strdup_printf("TLS: the certificate of %s comes from an unknown CA (%s)", host,
                               text);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return g_strdup_printf("TLS: the certificate is not made out for %s: wrong host (%s)", host,
                               text);
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return g_strdup_printf(
            "TLS: the certificate of %s, judged at %s, is expired or not valid yet (%s)", host,
            date, text);
    default:
        return g_strdup_printf("TLS: the certificate of %s is refused (%s)", host, text);
    }
}

static gboolean set_expectations(X509_STORE_CTX *store, const char *host, gint64 at_ms)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store);
    unsigned char address[sizeof(struct in6_addr)];
    size_t address_length = 0;
    if (inet_pton(AF_INET, host, address) == 1) {
        address_length = sizeof(struct in_addr);
    } else if (inet_pton(AF_INET6, host, address) == 1) {
        address_length = sizeof(struct in6_addr);
    }

    X509_VERIFY_PARAM_set_time(param, (time_t)(at_ms / 1000));
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (address_length > 0) {
        return X509_VERIFY_PARAM_set1_host(param, NULL, 0) &&
               X509_VERIFY_PARAM_set1_ip(param, address, address_length);
    }
    return X509_VERIFY_PARAM_set1_ip(param, NULL, 0) && X509_VERIFY_PARAM_set1_host(param, host, 0);
}

static int keep_verdict(int ok, G_GNUC_UNUSED X509_STORE_CTX *store)
{
    return ok;
}

static int judge_certificate(X509_STORE_CTX *store, void *user_data)
{
    Tls *tls = user_data;
    gint64 at_ms = tls_judged_at_ms(tls, g_get_real_time() / 1000);
    if (tls->host == NULL || !set_expectations(store, tls->host, at_ms)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
        return 0;
    }
    /* libwebsockets hangs one in that it can lose the connection of. */
    X509_STORE_CTX_set_verify_cb(store, keep_verdict);
    int ok = X509_verify_cert(store);
    if (ok != 1) {
        int code = X509_STORE_CTX_get_error(store);
        note_failure(tls, TLS_FAILURE_CERTIFICATE, certificate_words(code, tls->host, at_ms));
        return 0;
    }
    return 1;
}

static TlsFailure kind_of(int alert)
{
    switch (alert) {
    case SSL_AD_PROTOCOL_VERSION:
        return TLS_FAILURE_VERSION;
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_INSUFFICIENT_SECURITY:
        return TLS_FAILURE_CIPHER;
    default:
        return TLS_FAILURE_OTHER;
    }
}

/* OpenSSL has queued why we give up. */
static void note_own_reason(Tls *tls, int alert)
{
    unsigned long queued = ERR_peek_last_error();
    if (ERR_GET_LIB(queued) != ERR_LIB_SSL) {
        return;
    }
    int reason = ERR_GET_REASON(queued);
    if (reason == SSL_R_WRONG_VERSION_NUMBER) {
        note_failure(tls, TLS_FAILURE_OTHER,
                     g_strdup("TLS: the server does not speak TLS on this port"));
        return;
    }
    const char *text = ERR_reason_error_string(queued);
    note_failure(tls, kind_of(alert),
                 g_strdup_printf("TLS: no agreement with the CSMS: %s",
                                 text != NULL ? text : "unknown reason"));
}

static void note_alert(Tls *tls, gboolean received, int value)
{
    int alert = value & 0xff;
    if (value >> 8 != SSL3_AL_FATAL || alert == SSL_AD_CLOSE_NOTIFY) {
        return;
    }
    if (!received) {
        note_own_reason(tls, alert);
        return;
    }
    note_failure(tls, kind_of(alert),
                 g_strdup_printf("TLS: the CSMS refused with the alert \"%s\"",
                                 SSL_alert_desc_string_long(value)));
}

/* libwebsockets puts literal addresses into SNI, which RFC 6066 3 forbids and strict servers
 * refuse. */
static void correct_sni(const Tls *tls, SSL *ssl)
{
    unsigned char address[sizeof(struct in6_addr)];
    gboolean literal =
        inet_pton(AF_INET, tls->host, address) == 1 || inet_pton(AF_INET6, tls->host, address) == 1;
    char *name = literal ? NULL : tls->host;
    SSL_set_tlsext_host_name(ssl, name);
}

static void watch_handshake(const SSL *ssl, int where, int value)
{
    Tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (tls == NULL || tls->host == NULL) {
        return;
    }
    if (where & SSL_CB_ALERT) {
        note_alert(tls, (where & SSL_CB_READ) != 0, value);
    } else if (where == SSL_CB_CONNECT_EXIT && value <= 0) {
        note_own_reason(tls, NO_ALERT);
    } else if (where & SSL_CB_HANDSHAKE_START && !SSL_is_init_finished(ssl)) {
        correct_sni(tls, (SSL *)ssl);
    }
}

/* A key with a passphrase must be an error, not a question on the terminal. */
static int no_passphrase(G_GNUC_UNUSED char *buffer, G_GNUC_UNUSED int size,
                         G_GNUC_UNUSED int writing, G_GNUC_UNUSED void *user_data)
{
    return -1;
}

/* The first error that OpenSSL queued names the cause. */
static gboolean file_error(GError **error, const char *what, const char *file)
{
    unsigned long code = ERR_get_error();
    const char *reason =
        ERR_SYSTEM_ERROR(code) ? g_strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    g_set_error(error, TLS_ERROR, TLS_ERROR_FILE, "cannot use %s as the %s: %s", file, what,
                reason != NULL ? reason : "unknown reason");
    ERR_clear_error();
    return FALSE;
}

static gboolean load_trust(SSL_CTX *context, const TlsConfig *config, GError **error)
{
    if (config->ca_file == NULL) {
        if (SSL_CTX_set_default_verify_paths(context) != 1) {
            return file_error(error, "trust store", "the system's certificates");
        }
        return TRUE;
    }
    if (SSL_CTX_load_verify_file(context, config->ca_file) != 1) {
        return file_error(error, "CA certificate", config->ca_file);
    }
    return TRUE;
}

static gboolean load_own_certificate(SSL_CTX *context, const TlsConfig *config, GError **error)
{
    if (config->client_cert_file == NULL && config->client_key_file == NULL) {
        return TRUE;
    }
    if (config->client_cert_file == NULL || config->client_key_file == NULL) {
        g_set_error_literal(
            error, TLS_ERROR, TLS_ERROR_FILE,
            "the charge point's certificate and its key go together: one of them is missing");
        return FALSE;
    }
    if (SSL_CTX_use_certificate_chain_file(context, config->client_cert_file) != 1) {
        return file_error(error, "charge point's certificate", config->client_cert_file);
    }
    /* Fails for a key that does not belong to the certificate, too. */
    if (SSL_CTX_use_PrivateKey_file(context, config->client_key_file, SSL_FILETYPE_PEM) != 1) {
        return file_error(error, "charge point's key", config->client_key_file);
    }
    return TRUE;
}

static SSL_CTX *new_context(GError **error)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, TLS12_SUITES) != 1) {
        file_error(error, "TLS library", "OpenSSL");
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_info_callback(context, watch_handshake);
    return context;
}

Tls *tls_new(const TlsConfig *config, GError **error)
{
    SSL_CTX *context = new_context(error);
    if (context == NULL) {
        return NULL;
    }
    g_autoptr(Tls) tls = g_new0(Tls, 1);
    tls->context = context;
    SSL_CTX_set_app_data(context, tls);
    SSL_CTX_set_cert_verify_callback(context, judge_certificate, tls);
    if (!load_trust(context, config, error) || !load_own_certificate(context, config, error)) {
        return NULL;
    }
    return g_steal_pointer(&tls);
}

void tls_free(Tls *tls)
{
    if (tls == NULL) {
        return;
    }
    if (tls->context != NULL) {
        /* A connection that is being closed in the background holds the context a little longer. */
        SSL_CTX_set_app_data(tls->context, NULL);
        SSL_CTX_set_cert_verify_callback(tls->context, NULL, NULL);
        SSL_CTX_free(tls->context);
    }
    g_free(tls->host);
    g_free(tls->words);
    g_free(tls);
}

void tls_set_not_before(Tls *tls, gint64 ms)
{
    tls->not_before_ms = ms;
}

gint64 tls_build_time_ms(void)
{
    return (gint64)BUILD_TIME * 1000;
}

gint64 tls_judged_at_ms(const Tls *tls, gint64 wall_ms)
{
    gint64 build_ms = tls_build_time_ms();
    return MAX(MAX(wall_ms, build_ms), tls->not_before_ms);
}

void tls_prepare(Tls *tls, const char *host)
{
    g_free(tls->host);
    tls->host = g_strdup(host);
    tls->failure = TLS_FAILURE_NONE;
    g_clear_pointer(&tls->words, g_free);
    ERR_clear_error();
}

TlsFailure tls_failure(const Tls *tls, const char **ret_words)
{
    if (tls->failure != TLS_FAILURE_NONE) {
        *ret_words = tls->words;
    }
    return tls->failure;
}

gpointer tls_context(Tls *tls)
{
    return tls->context;
}
