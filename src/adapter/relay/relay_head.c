/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests line by line, each header that counts has a row in a table; and answers. */
#include "relay_head.h"

#include <string.h>

/* ---- what the headers mean; FALSE: bad request ---- */

static gboolean take_range(RelayHead *head, const char *value)
{
    if (head->range != NULL)
        return FALSE;
    head->range = value;
    return TRUE;
}

/* A body could be taken for the next request. */
static gboolean take_length(G_GNUC_UNUSED RelayHead *head, const char *value)
{
    return strcmp(value, "0") == 0;
}

static gboolean take_encoding(G_GNUC_UNUSED RelayHead *head, G_GNUC_UNUSED const char *value)
{
    return FALSE;
}

static gboolean take_connection(RelayHead *head, const char *value)
{
    if (g_ascii_strcasecmp(value, "close") == 0)
        head->last = TRUE;
    return TRUE;
}

static const struct {
    const char *name;
    gboolean (*take)(RelayHead *head, const char *value);
} headers[] = {
    {"Range", take_range},
    {"Content-Length", take_length},
    {"Transfer-Encoding", take_encoding},
    {"Connection", take_connection},
};

/* ---- lines ---- */

static gboolean is_token(const char *text)
{
    if (*text == '\0')
        return FALSE;
    for (; *text != '\0'; text++) {
        if (!g_ascii_isgraph(*text) || strchr("\"(),/:;<=>?@[\\]{}", *text) != NULL)
            return FALSE;
    }
    return TRUE;
}

static gboolean is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (g_ascii_iscntrl(*text) && *text != '\t')
            return FALSE;
    }
    return TRUE;
}

static gboolean parse_header(RelayHead *head, char *line)
{
    char *colon = strchr(line, ':');

    if (colon == NULL || !is_printable(line))
        return FALSE;
    *colon = '\0';
    char *value = g_strstrip(colon + 1);
    if (!is_token(line))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(headers); i++) {
        if (g_ascii_strcasecmp(line, headers[i].name) == 0)
            return headers[i].take(head, value);
    }
    return TRUE;
}

/* Status of a refusal; 0: fine. */
static guint parse_request_line(RelayHead *head, char *line)
{
    char *path = strchr(line, ' ');
    char *version = path != NULL ? strchr(path + 1, ' ') : NULL;

    if (version == NULL || !is_printable(line))
        return 400;
    *path++ = '\0';
    *version++ = '\0';
    if (!is_token(line) || *path == '\0' ||
        (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0))
        return 400;
    head->path = path;
    head->head = strcmp(line, "HEAD") == 0;
    head->last = strcmp(version, "HTTP/1.0") == 0;
    return head->head || strcmp(line, "GET") == 0 ? 0 : 405;
}

static guint parse_lines(RelayHead *head, char *text)
{
    char *next = strstr(text, "\r\n");
    guint refuse = 0;

    *next = '\0';
    refuse = parse_request_line(head, text);
    for (char *line = next + 2; refuse == 0 && *line != '\0'; line = next + 2) {
        next = strstr(line, "\r\n");
        *next = '\0';
        refuse = parse_header(head, line) ? 0 : 400;
    }
    return refuse;
}

gsize relay_head_parse(char *text, gsize length, RelayHead *ret_head)
{
    RelayHead head = {0};
    char *end = memmem(text, length, "\r\n\r\n", 4);

    if (end == NULL)
        return 0;
    end[2] = '\0'; /* the empty line */
    head.refuse = memchr(text, '\0', (gsize)(end - text)) != NULL ? 400 : parse_lines(&head, text);
    head.last |= head.refuse != 0;
    *ret_head = head;
    return (gsize)(end - text) + 4;
}

/* ---- answers ---- */

static const struct {
    guint status;
    const char *words;
} reasons[] = {
    {200, "OK"},
    {204, "No Content"},
    {206, "Partial Content"},
    {400, "Bad Request"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {416, "Range Not Satisfiable"},
};

static const char *reason_of(guint status)
{
    for (gsize i = 0; i < G_N_ELEMENTS(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].words;
    }
    return "";
}

/* What belongs to this status only. */
static void format_special(const RelayAnswer *answer, char *text, gsize size)
{
    if (answer->status == 206)
        g_snprintf(text, size,
                   "Content-Range: bytes %" G_GINT64_FORMAT "-%" G_GINT64_FORMAT
                   "/%" G_GINT64_FORMAT "\r\n",
                   answer->offset, answer->offset + answer->length - 1, answer->size);
    else if (answer->status == 416)
        g_snprintf(text, size, "Content-Range: bytes */%" G_GINT64_FORMAT "\r\n", answer->size);
    else if (answer->status == 405)
        g_snprintf(text, size, "Allow: GET, HEAD\r\n");
}

gsize relay_head_format(const RelayAnswer *answer, gboolean last, char *text)
{
    gboolean has_bytes = answer->status == 200 || answer->status == 206;
    char special[128] = "";
    char length[64] = "";

    format_special(answer, special, sizeof(special));
    if (answer->status != 204)
        g_snprintf(length, sizeof(length), "Content-Length: %" G_GINT64_FORMAT "\r\n",
                   answer->length);
    return (gsize)g_snprintf(
        text, RELAY_ANSWER_HEAD, "HTTP/1.1 %u %s\r\n%s%s%s%s\r\n", answer->status,
        reason_of(answer->status), special, length,
        has_bytes ? "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n" : "",
        last ? "Connection: close\r\n" : "");
}
