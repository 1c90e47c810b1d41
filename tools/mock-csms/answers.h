/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the mock answers to each request of a charge point. */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "clock.h"

typedef struct Answers Answers;

Answers *answers_new(void);
void answers_free(Answers *answers);

Clock *answers_clock(Answers *answers);

/* list: registration statuses of the next BootNotification.confs, "Pending,Accepted"; the last
 * repeats. */
gboolean answers_set_boot(Answers *answers, const char *list, GError **error);
/* Seconds, for BootNotification.conf. */
void answers_set_interval(Answers *answers, guint seconds);

/* The payload of the CALLRESULT, or NULL when the mock knows no such request. */
json_t *answers_make(Answers *answers, const char *action, const json_t *request);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Answers, answers_free)
