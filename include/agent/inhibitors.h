/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Those who hold the reboot back.  Each holds one end of a pipe; when it closes that, or dies, its
 * inhibitor ends.  They do not depend on the bus: a bus that is restarted loses none.
 */
#pragma once

#include <glib.h>

typedef struct _Inhibitors Inhibitors;

/* `changed` is called from the main loop when one has ended, and from inhibitors_add(). */
Inhibitors *inhibitors_new(void (*changed)(gpointer user_data), gpointer user_data);
void inhibitors_free(Inhibitors *inhibitors);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Inhibitors, inhibitors_free)

/* At most CONTROL_MAX_INHIBITORS, of CONTROL_MAX_WHO and CONTROL_MAX_WHY characters.  The holder's
 * end of the pipe; the caller passes it on and closes its own copy.  -1 with a G_DBUS_ERROR
 * (INVALID_ARGS, LIMITS_EXCEEDED or FAILED). */
int inhibitors_add(Inhibitors *inhibitors, const char *who, const char *why, GError **error);

/* "who (why), who (why)" in the order of their coming; NULL for nobody; g_free(). */
char *inhibitors_describe(const Inhibitors *inhibitors);
