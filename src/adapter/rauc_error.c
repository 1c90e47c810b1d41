/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What went wrong in RAUC, told by its text: RAUC's errors have no codes on the bus.  One table,
 * read from the top, first match wins.
 */
#include <string.h>

#include "rauc_internal.h"

G_DEFINE_QUARK(rauc_error, rauc_error)

typedef struct {
    const char *start; /* the text starts so; NULL: anything */
    const char *part;  /* and has this in it; NULL: anything */
    RaucError class_;
} Row;

/* The texts of RAUC 1.8 and of 1.13 to 1.16.  The two rows with a URL in the text come first and
 * ask for nothing else: the URL is the CSMS's, and a file called `signature verification
 * failed.raucb` must not look like a verdict. */
static const Row rows[] = {
    {"Bundle format ", "' not supported in streaming mode", RAUC_ERROR_STREAM},
    {"Failed mounting bundle: failed to resolve 'nbd'", NULL, RAUC_ERROR_STREAM},
    {"Failed to download bundle ", NULL, RAUC_ERROR_RETRIEVAL},
    {"Failed to stream bundle ", NULL, RAUC_ERROR_RETRIEVAL},
    {NULL, "lready processing a different method", RAUC_ERROR_BUSY},
    /* The install-check hook of a bundle stands in for the comparison of compatibles; what follows
       are its own words. */
    {NULL, "Bundle rejected: ", RAUC_ERROR_COMPATIBLE},
    /* streaming: the connection failed after the probe had gone well */
    {NULL, "failed to read data from remote server", RAUC_ERROR_RETRIEVAL},
    {NULL, "server not responding", RAUC_ERROR_RETRIEVAL},
    {NULL, "range requests not supported", RAUC_ERROR_RETRIEVAL},
    {NULL, "unexpected HTTP response code", RAUC_ERROR_RETRIEVAL},
    {NULL, "HTTP returned >=400", RAUC_ERROR_RETRIEVAL},
    {NULL, "Transfer failed: ", RAUC_ERROR_RETRIEVAL},
    {NULL, "Maximum file size exceeded", RAUC_ERROR_RETRIEVAL},
    {NULL, "Failure writing output", RAUC_ERROR_RETRIEVAL},

    {NULL, "signature verification failed", RAUC_ERROR_SIGNATURE},
    {NULL, "Verify error", RAUC_ERROR_SIGNATURE},
    {NULL, "Failed to verify X509 cert", RAUC_ERROR_SIGNATURE},

    {NULL, "Compatible mismatch", RAUC_ERROR_COMPATIBLE},
    {NULL, "Failed to find matching variant", RAUC_ERROR_COMPATIBLE},
    {NULL, "No target slot for class", RAUC_ERROR_COMPATIBLE},

    {NULL, "Invalid bundle format", RAUC_ERROR_FORMAT},
    {"Bundle format ", NULL, RAUC_ERROR_FORMAT},
    {NULL, "Unsupported key", RAUC_ERROR_FORMAT},
    {NULL, "Failed to load manifest", RAUC_ERROR_FORMAT},
    {NULL, "Failed to check manifest", RAUC_ERROR_FORMAT},
    {NULL, "Failed to decrypt bundle", RAUC_ERROR_FORMAT},
    {"Encrypted bundle detected", NULL, RAUC_ERROR_FORMAT},
    {"Refusing to install unencrypted crypt bundles", NULL, RAUC_ERROR_FORMAT},

    {NULL, "is too small for image", RAUC_ERROR_SIZE},
    {NULL, "does not fit to slot size", RAUC_ERROR_SIZE},
    {"Installation error: Failed updating slot ", "No space left on device", RAUC_ERROR_SIZE},
    {"Failed updating slot ", "No space left on device", RAUC_ERROR_SIZE},

    /* casync fetches its chunks while it writes the slot */
    {NULL, "casync extract", RAUC_ERROR_STORE},
    {NULL, "Failed to copy data", RAUC_ERROR_COPY},
    {NULL, "Failed splicing data", RAUC_ERROR_COPY},
    {NULL, "Syncing content to ", RAUC_ERROR_COPY},
    {"Installation error: Failed updating slot ", "Input/output error", RAUC_ERROR_COPY},
    {"Failed updating slot ", "Input/output error", RAUC_ERROR_COPY},
};

RaucError rauc_error_classify(const char *text)
{
    if (!text)
        return RAUC_ERROR_OTHER;
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].start && !g_str_has_prefix(text, rows[i].start))
            continue;
        if (!rows[i].part || strstr(text, rows[i].part))
            return rows[i].class_;
    }
    return RAUC_ERROR_OTHER;
}

char *rauc_text_bounded(const char *text, gsize max)
{
    gsize length = strnlen(text, max + 1);

    if (length > max) {
        const char *end = g_utf8_find_prev_char(text, text + max + 1);

        length = end ? (gsize)(end - text) : 0;
    }
    return g_strchomp(g_strndup(text, length));
}

/* No answer is the same to us whichever way it did not come. */
static gboolean is_silence(const GError *error)
{
    static const int bus_codes[] = {
        G_DBUS_ERROR_NO_REPLY,     G_DBUS_ERROR_TIMEOUT,         G_DBUS_ERROR_TIMED_OUT,
        G_DBUS_ERROR_DISCONNECTED, G_DBUS_ERROR_SERVICE_UNKNOWN, G_DBUS_ERROR_NAME_HAS_NO_OWNER,
    };
    static const int io_codes[] = {G_IO_ERROR_TIMED_OUT, G_IO_ERROR_CANCELLED, G_IO_ERROR_CLOSED};

    for (gsize i = 0; i < G_N_ELEMENTS(bus_codes); i++) {
        if (g_error_matches(error, G_DBUS_ERROR, bus_codes[i]))
            return TRUE;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(io_codes); i++) {
        if (g_error_matches(error, G_IO_ERROR, io_codes[i]))
            return TRUE;
    }
    return FALSE;
}

GError *rauc_error_from_call(const GError *error)
{
    g_autoptr(GError) plain = g_error_copy(error);
    g_autofree char *text = NULL;

    g_dbus_error_strip_remote_error(plain);
    text = rauc_text_bounded(plain->message, RAUC_MAX_ERROR_LENGTH);
    if (is_silence(error))
        return g_error_new(RAUC_ERROR, RAUC_ERROR_GONE, "RAUC does not answer: %s", text);
    return g_error_new_literal(RAUC_ERROR, (int)rauc_error_classify(text), text);
}
