/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * OCPP-J frames (J 4.2): text to OcppFrame and back.  Pure: no socket, no clock.
 *
 *   CALL        [2, id, action, payload]
 *   CALLRESULT  [3, id, payload]
 *   CALLERROR   [4, id, code, description, details]
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "ocpp/error.h"

/* Ids that we make are at most 36 characters (J 4.1.4); longer and numeric ones exist and are
 * accepted up to this many bytes of UTF-8, and echoed unchanged (a number: with the same value). */
#define OCPP_MAX_FOREIGN_ID 255

/* Longer descriptions of our CALLERRORs are cut to this many characters. */
#define OCPP_MAX_ERROR_DESCRIPTION 255

typedef enum { OCPP_CALL = 2, OCPP_CALLRESULT = 3, OCPP_CALLERROR = 4 } OcppFrameType;

typedef enum {
    OCPP_FRAME_ERROR_NOT_JSON,     /* not UTF-8, not JSON, a raw NUL: cannot be answered */
    OCPP_FRAME_ERROR_NOT_A_FRAME,  /* JSON, but no usable frame, or a broken answer: cannot be
                                      answered */
    OCPP_FRAME_ERROR_UNKNOWN_TYPE, /* message type other than 2, 3, 4: to be ignored (J 4.1.3) */
    OCPP_FRAME_ERROR_BAD_CALL, /* a CALL with an id but broken otherwise: `ret_id` is set, answer it
                                */
} OcppFrameError;

#define OCPP_FRAME_ERROR (ocpp_frame_error_quark())
GQuark ocpp_frame_error_quark(void);

typedef struct {
    OcppFrameType type;
    json_t *id;        /* exactly as received (string or number), for the echo */
    char *id_text;     /* the same as text, to match answers to calls */
    char *action;      /* CALL only */
    json_t *payload;   /* CALL and CALLRESULT; `null` arrives here as {}; else as received, of any
                          JSON type */
    char *error_code;  /* CALLERROR only, as received */
    char *description; /* CALLERROR only, "" when absent */
} OcppFrame;

/* Parses one message.  `text` need not end in NUL; a leading BOM is skipped.  Duplicate keys are
 * refused. CALLERRORs of 3 to 5 elements are accepted.  On OCPP_FRAME_ERROR_BAD_CALL `*ret_id` (may
 * be NULL) receives a new reference to the id, so that the CALL can be answered with
 * FormationViolation. Returns NULL with `error` set on failure. */
OcppFrame *ocpp_frame_parse(const char *text, gsize length, json_t **ret_id, GError **error);
void ocpp_frame_free(OcppFrame *frame);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OcppFrame, ocpp_frame_free)

/* The three below return compact JSON text to be freed with g_free().  `payload` is borrowed; NULL
 * means {}. */
char *ocpp_frame_call(const char *id, const char *action, const json_t *payload);
char *ocpp_frame_result(const json_t *id, const json_t *payload);
char *ocpp_frame_error(const json_t *id, OcppErrorCode code, const char *description);

/* A new message id: a random UUID, 36 characters, so that no id repeats over reconnects and
 * restarts. */
char *ocpp_frame_new_id(void);
