/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last OCPP messages of both directions, without their secrets (ocpp/redact.h), for
 * diagnostics: one line each, `2026-11-22T10:20:30.123Z > [2,"id",...]`, `>` to the CSMS and `<`
 * from it.  A bounded ring in memory; to spare the flash it goes to its file at most every
 * FRAMES_WRITE_S seconds, and when somebody asks.
 */
#pragma once

#include <glib.h>

#include "adapter/clock.h"

#define FRAMES_WRITE_S  600
#define FRAMES_MAX_LINE 8192 /* bytes; a longer message is cut */

typedef struct _Frames Frames;

/* `limit`: bytes that are kept, at least FRAMES_MAX_LINE.  What an earlier process has left in
 * `path` is the beginning. */
Frames *frames_new(const char *path, gsize limit, Clock *clock);
void frames_free(Frames *frames); /* writes the file; NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Frames, frames_free)

void frames_add(Frames *frames, gboolean to_csms, const char *text, gsize length);
/* All lines, the oldest first; g_free(). */
char *frames_text(const Frames *frames);
/* A file that cannot be written is warned about once. */
void frames_write(Frames *frames);
