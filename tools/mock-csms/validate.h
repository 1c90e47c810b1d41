/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The strict check of one frame of the charge point against the shape of J 4.2 and the field
 * tables.  Order over time (registration, one open CALL, ids, firmware statuses) is order.h's.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "findings.h"

typedef enum {
    FRAME_UNREADABLE = 0, /* nothing that could be answered */
    FRAME_CALL = 2,
    FRAME_CALLRESULT = 3,
    FRAME_CALLERROR = 4,
} FrameType;

typedef struct {
    FrameType type;
    json_t *root;        /* owned; NULL when it was not JSON */
    json_t *id;          /* borrowed from root; any JSON type in an answer to a raw frame */
    const char *action;  /* borrowed; of a CALL, else NULL */
    json_t *payload;     /* borrowed; NULL in a CALLERROR */
    gboolean answerable; /* a CALL with a usable id and action */
} Frame;

/* Parses one WebSocket message and checks the frame's shape. frame is cleared with
 * frame_clear(). */
void frame_parse(Frame *frame, const char *data, gsize length, gboolean binary, Findings *findings);
void frame_clear(Frame *frame);

/* Checks a request of the charge point: known, allowed from it, every field right. */
void validate_request(const Frame *frame, Findings *findings);

/* Checks the answer (CALLRESULT) to a request of the CSMS; an action unknown to 1.6 needs an object
 * only. */
void validate_result(const char *action, const json_t *payload, Findings *findings);

/* RFC 3339 with date, time and zone. */
gboolean validate_date_time(const char *text);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Frame, frame_clear)
