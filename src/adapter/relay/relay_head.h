/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The heads of HTTP/1 requests and answers (RFC 9112), as much of them as a server of GET and HEAD
 * needs.  Pure; a request that is not plainly right is refused.
 */
#pragma once

#include "relay_http.h"

#define RELAY_ANSWER_HEAD 512 /* bytes at most */

typedef struct {
    guint
        refuse; /* status of a refusal, 400 or 405, after which nothing more can be read; 0: the request is right */
    gboolean head;     /* HEAD, else GET */
    gboolean last;     /* the client wants no other request on this connection */
    const char *path;  /* as it came; not decoded */
    const char *range; /* header; NULL: none */
} RelayHead;

/* How many bytes of `text` the first head takes; 0: its end is not there yet.  Writes into them:
 * the strings of `ret_head` lie there. */
gsize relay_head_parse(char *text, gsize length, RelayHead *ret_head);

/* The head of `answer` into `text` of RELAY_ANSWER_HEAD bytes; how long it is.  `last`: the
 * connection ends with it. */
gsize relay_head_format(const RelayAnswer *answer, gboolean last, char *text);
