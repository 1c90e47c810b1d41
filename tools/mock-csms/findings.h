/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is wrong with one frame of the charge point, in plain words.
 *
 * The first finding also decides the CALLERROR code that a CSMS would answer with; a finding
 * without a code (an order that is wrong, but no reason to refuse the frame) leaves the answer
 * alone.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

/* More than this many findings for one frame tell nothing new. */
#define FINDINGS_MAX 32

typedef struct {
    GPtrArray *texts;   /* owned char *, at most FINDINGS_MAX */
    const char *code;   /* static; of the first finding that has one, else NULL */
    const char *reason; /* borrowed from texts: the finding that set the code */
} Findings;

void findings_init(Findings *findings);
void findings_clear(Findings *findings);

/* code: a CALLERROR code (static string), or NULL when the frame is to be answered all the same. */
void findings_add(Findings *findings, const char *code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* The texts as a new JSON array. */
json_t *findings_to_json(const Findings *findings);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Findings, findings_clear)
