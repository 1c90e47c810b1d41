/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the agent answered, for people and as JSON.  Texts for people have no control characters;
 * keys stay in the order of the a{sv}.
 */
#pragma once

#include <glib.h>

/* Aligned `key: value` lines, what is nested indented; g_free(). */
char *show_status(GVariant *status);
/* One line an entry: `2026-11-22T08:00:00Z job=7 installing -> reboot-wait rauc-completed: words`;
 * g_free(). */
char *show_history(GVariant *entries);
/* Indented by two spaces, with a newline at the end; g_free(). */
char *show_json(GVariant *value);
