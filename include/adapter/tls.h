/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TLS settings of the connection to the CSMS as W A00 to A03 want them: TLS 1.2 or later, no
 * compression, the suites of the whitepaper (and their ECDHE-RSA twins: most CSMSs in the field
 * have RSA certificates), chain and host name verified.  Certificates are judged at max(system
 * clock, build time, last known CSMS time), so that a charger whose clock starts in 1970 can
 * connect.
 */
#pragma once

#include <glib.h>

#define TLS_ERROR (tls_error_quark())
GQuark tls_error_quark(void);
typedef enum { TLS_ERROR_FILE } TlsErrorCode;

typedef struct {
    const char *ca_file;          /* NULL: the system's trust store */
    const char *client_cert_file; /* NULL: none; PEM, chain allowed */
    const char *client_key_file;
} TlsConfig;

typedef struct _Tls Tls;

/* Reads the files.  NULL with `error` naming the file and the reason. */
Tls *tls_new(const TlsConfig *config, GError **error);
void tls_free(Tls *tls);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tls, tls_free)

/* The earliest time that certificates are judged at from now on, milliseconds since 1970 (last
 * stored CSMS time). */
void tls_set_not_before(Tls *tls, gint64 ms);

/* The time, milliseconds since 1970, that certificates are judged at when the system clock says
 * `wall_ms`. */
gint64 tls_judged_at_ms(const Tls *tls, gint64 wall_ms);

/* When this agent was built, milliseconds since 1970: no certificate is judged at an earlier
 * time. */
gint64 tls_build_time_ms(void);

/* Before each connection: `host` (name or literal address, no brackets) is what the certificate
 * must be made out for and goes into SNI (names only, RFC 6066 3); the last failure is forgotten.
 */
void tls_prepare(Tls *tls, const char *host);

/* What went wrong since tls_prepare(); OCPP raises a security event for the first three. */
typedef enum {
    TLS_FAILURE_NONE,
    TLS_FAILURE_CERTIFICATE, /* InvalidCentralSystemCertificate */
    TLS_FAILURE_VERSION,     /* InvalidTLSVersion */
    TLS_FAILURE_CIPHER,      /* InvalidTLSCipherSuite */
    TLS_FAILURE_OTHER,
} TlsFailure;
/* `*ret_words`, for people, belongs to `tls` and is valid until tls_prepare(); untouched for
 * TLS_FAILURE_NONE. */
TlsFailure tls_failure(const Tls *tls, const char **ret_words);

/* OpenSSL's SSL_CTX* for the WebSocket client, borrowed; void* so that no one else needs OpenSSL's
 * headers. */
gpointer tls_context(Tls *tls);
