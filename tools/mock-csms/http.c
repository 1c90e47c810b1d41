/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plain HTTP: GET and HEAD of /bundles/ with ranges, a piece at a time, never a whole file in
 * memory. */
#include "server-private.h"

#include <string.h>
#include <unistd.h>

#include "bundle.h"
#include "log.h"

#define PIECE_SIZE 65536
/* Status line and headers of one answer. */
#define RESPONSE_MAX 2048

struct Transfer {
    Bundle bundle;
    guint64 offset;
    guint64 end; /* the first byte that is not sent */
    guint64 sent;
    json_t *fields; /* of the log line */
    unsigned char buffer[LWS_PRE + PIECE_SIZE];
};

typedef struct {
    unsigned char buffer[LWS_PRE + RESPONSE_MAX];
    unsigned char *at;
    gboolean failed;
} Response;

static const char *const method_names[] = {
    [LWSHUMETH_GET] = "GET",         [LWSHUMETH_POST] = "POST",   [LWSHUMETH_OPTIONS] = "OPTIONS",
    [LWSHUMETH_PUT] = "PUT",         [LWSHUMETH_PATCH] = "PATCH", [LWSHUMETH_DELETE] = "DELETE",
    [LWSHUMETH_CONNECT] = "CONNECT", [LWSHUMETH_HEAD] = "HEAD",
};

char *http_header(struct lws *wsi, enum lws_token_indexes token)
{
    int length = lws_hdr_total_length(wsi, token);
    g_autofree char *value = NULL;

    if (length <= 0)
        return NULL;
    value = g_malloc0((gsize)length + 1);
    if (lws_hdr_copy(wsi, value, length + 1, token) < 0)
        return NULL;
    return g_steal_pointer(&value);
}

static void response_start(Response *response, struct lws *wsi, guint status, guint64 length)
{
    unsigned char *end = response->buffer + sizeof(response->buffer);

    response->at = response->buffer + LWS_PRE;
    response->failed = lws_add_http_header_status(wsi, status, &response->at, end) != 0 ||
                       lws_add_http_header_content_length(wsi, length, &response->at, end) != 0;
}

static void response_header(Response *response, struct lws *wsi, const char *name,
                            const char *value)
{
    if (value == NULL || response->failed)
        return;
    response->failed =
        lws_add_http_header_by_name(wsi, (const unsigned char *)name, (const unsigned char *)value,
                                    (int)strlen(value), &response->at,
                                    response->buffer + sizeof(response->buffer)) != 0;
}

static int response_send(Response *response, struct lws *wsi)
{
    if (response->failed)
        return -1;
    return lws_finalize_write_http_header(wsi, response->buffer + LWS_PRE, &response->at,
                                          response->buffer + sizeof(response->buffer)) != 0
               ? -1
               : 0;
}

int http_respond(struct lws *wsi, guint status, const char *name, const char *value)
{
    Response response;

    response_start(&response, wsi, status, 0);
    if (name != NULL)
        response_header(&response, wsi, name, value);
    return response_send(&response, wsi);
}

static void transfer_free(Transfer *transfer)
{
    bundle_close(&transfer->bundle);
    json_decref(transfer->fields);
    g_free(transfer);
}

/* Writes the log line and makes the connection ready for its next request. */
static int finish(Link *link, json_t *fields, guint status, guint64 bytes)
{
    json_object_set_new(fields, "status", json_integer(status));
    json_object_set_new(fields, "bytes", json_integer((json_int_t)bytes));
    link->server->handler.served(link->server->user, fields);
    return lws_http_transaction_completed(link->wsi) ? -1 : 0;
}

static int refuse(Link *link, json_t *fields, guint status, const char *name, const char *value)
{
    if (http_respond(link->wsi, status, name, value) < 0) {
        json_decref(fields);
        return -1;
    }
    return finish(link, fields, status, 0);
}

/* A range holds only while the file is the one that the client knows (If-Range). */
static RangeResult wanted_range(struct lws *wsi, const Bundle *bundle, guint64 *ret_first,
                                guint64 *ret_last)
{
    g_autofree char *range = http_header(wsi, WSI_TOKEN_HTTP_RANGE);
    g_autofree char *condition = http_header(wsi, WSI_TOKEN_HTTP_IF_RANGE);

    if (condition != NULL && strcmp(condition, bundle->etag) != 0 &&
        g_strcmp0(condition, bundle->last_modified) != 0)
        return RANGE_WHOLE;
    return bundle_range(range, bundle->size, ret_first, ret_last);
}

static int send_headers(struct lws *wsi, const Transfer *transfer, gboolean part)
{
    g_autofree char *range = NULL;
    Response response;

    if (part)
        range =
            g_strdup_printf("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT,
                            transfer->offset, transfer->end - 1, transfer->bundle.size);
    response_start(&response, wsi, part ? 206 : 200, transfer->end - transfer->offset);
    response_header(&response, wsi, "content-type:", "application/octet-stream");
    response_header(&response, wsi, "accept-ranges:", "bytes");
    response_header(&response, wsi, "content-range:", range);
    response_header(&response, wsi, "etag:", transfer->bundle.etag);
    response_header(&response, wsi, "last-modified:", transfer->bundle.last_modified);
    return response_send(&response, wsi);
}

static int start_transfer(Link *link, json_t *fields, Bundle *bundle, gboolean head)
{
    Transfer *transfer;
    guint64 first = 0;
    guint64 last = 0;
    RangeResult result = head ? RANGE_WHOLE : wanted_range(link->wsi, bundle, &first, &last);

    if (result == RANGE_UNSATISFIABLE) {
        g_autofree char *size = g_strdup_printf("bytes */%" G_GUINT64_FORMAT, bundle->size);

        bundle_close(bundle);
        return refuse(link, fields, 416, "content-range:", size);
    }
    transfer = g_new0(Transfer, 1);
    transfer->bundle = *bundle;
    transfer->fields = fields;
    transfer->offset = first;
    transfer->end = result == RANGE_PART ? last + 1 : bundle->size;
    link->transfer = transfer;
    if (send_headers(link->wsi, transfer, result == RANGE_PART) < 0)
        return -1;
    json_object_set_new(fields, "status", json_integer(result == RANGE_PART ? 206 : 200));
    if (head)
        transfer->end = transfer->offset;
    lws_set_timeout(link->wsi, NO_PENDING_TIMEOUT, 0);
    lws_callback_on_writable(link->wsi);
    return 0;
}

int http_request(Link *link)
{
    char *uri = NULL;
    int length = 0;
    int method = lws_http_get_uri_and_method(link->wsi, &uri, &length);
    g_autofree char *path = uri != NULL ? g_strndup(uri, (gsize)length) : NULL;
    g_autofree char *range = http_header(link->wsi, WSI_TOKEN_HTTP_RANGE);
    Bundle bundle;
    json_t *fields;

    if (method < 0 || method >= (int)G_N_ELEMENTS(method_names) || path == NULL)
        return -1;
    http_abandon(link);
    fields = json_pack("{s:s,s:o,s:o}", "method", method_names[method], "path", log_text(path, -1),
                       "range", log_text(range, -1));
    if (method != LWSHUMETH_GET && method != LWSHUMETH_HEAD)
        return refuse(link, fields, 405, "allow:", "GET, HEAD");
    if (link->server->bundles == NULL || !g_str_has_prefix(path, BUNDLES_PREFIX) ||
        !bundle_open(&bundle, link->server->bundles, path + strlen(BUNDLES_PREFIX)))
        return refuse(link, fields, 404, NULL, NULL);
    return start_transfer(link, fields, &bundle, method == LWSHUMETH_HEAD);
}

static int finish_transfer(Link *link)
{
    Transfer *transfer = g_steal_pointer(&link->transfer);
    json_t *fields = json_incref(transfer->fields);
    guint64 sent = transfer->sent;

    transfer_free(transfer);
    return finish(link, fields, (guint)json_integer_value(json_object_get(fields, "status")), sent);
}

int http_writeable(Link *link)
{
    Transfer *transfer = link->transfer;
    gsize wanted;
    ssize_t length;

    if (transfer == NULL || link->server->frozen)
        return 0;
    if (transfer->offset == transfer->end)
        return finish_transfer(link);
    wanted = (gsize)MIN(transfer->end - transfer->offset, PIECE_SIZE);
    length =
        pread(transfer->bundle.fd, transfer->buffer + LWS_PRE, wanted, (off_t)transfer->offset);
    if (length <= 0) /* the file became shorter */
        return -1;
    transfer->offset += (guint64)length;
    if (lws_write(link->wsi, transfer->buffer + LWS_PRE, (size_t)length,
                  transfer->offset == transfer->end ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
        return -1;
    transfer->sent += (guint64)length;
    lws_callback_on_writable(link->wsi);
    return 0;
}

void http_abandon(Link *link)
{
    Transfer *transfer = g_steal_pointer(&link->transfer);

    if (transfer == NULL)
        return;
    json_object_set_new(transfer->fields, "bytes", json_integer((json_int_t)transfer->sent));
    json_object_set_new(transfer->fields, "aborted", json_true());
    link->server->handler.served(link->server->user, json_incref(transfer->fields));
    transfer_free(transfer);
}
