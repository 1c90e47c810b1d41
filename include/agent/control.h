/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control interface: D-Bus name org.rauc_ocpp.Agent, object /org/rauc_ocpp/Agent, interface
 * org.rauc_ocpp.Agent1 on the system bus.  Reading is for all; acting for root and the group
 * rauc-ocpp (the bus policy in src/agent/org.rauc_ocpp.Agent.conf). A bus that is not there is a
 * state, not an error: it is tried again every CONTROL_BUS_RETRY_S seconds.  So is a name that
 * another process owns.  Errors of a handler are answered as org.rauc_ocpp.Agent.Error.Failed with
 * their message.
 *
 *   property Status a{sv}     what `status` shows; PropertiesChanged invalidates it at every step
 *   GetHistory(u limit) -> aa{sv}   limit 0: CONTROL_MAX_HISTORY
 *   GetReport() -> a{ss}   what the agent knows for diagnostics: name in the archive -> text; for those who may act
 *   Install(s source)   a URL or an absolute path; the job's progress is in Status
 *   Cancel()  Confirm()  AllowReboot()
 *   Inhibit(s who, s why) -> h   the reboot waits as long as the returned file descriptor is open
 */
#pragma once

#include <gio/gio.h>

#define CONTROL_NAME           "org.rauc_ocpp.Agent"
#define CONTROL_OBJECT         "/org/rauc_ocpp/Agent"
#define CONTROL_INTERFACE      "org.rauc_ocpp.Agent1"
#define CONTROL_BUS_RETRY_S    5
#define CONTROL_MAX_INHIBITORS 32
#define CONTROL_MAX_WHO        64   /* characters */
#define CONTROL_MAX_WHY        200  /* characters */
#define CONTROL_MAX_SOURCE     4096 /* bytes */
#define CONTROL_MAX_HISTORY    1000

typedef struct _Control Control;

/* All of them answer at once.  GVariants are floating. */
typedef struct {
    GVariant *(*status)(gpointer user_data);               /* a{sv} */
    GVariant *(*history)(guint limit, gpointer user_data); /* aa{sv} */
    GVariant *(*report)(gpointer user_data);               /* a{ss} */
    gboolean (*install)(const char *source, gpointer user_data, GError **error);
    gboolean (*cancel)(gpointer user_data, GError **error);
    gboolean (*confirm)(gpointer user_data, GError **error);
    gboolean (*allow_reboot)(gpointer user_data, GError **error);
    /* The set of inhibitors changed: ask control_inhibitors(). */
    void (*inhibitors_changed)(gpointer user_data);
} ControlHandlers;

Control *control_new(const ControlHandlers *handlers, gpointer user_data);
void control_free(Control *control);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Control, control_free)

/* Tells the bus that Status has changed (several within one main loop turn become one signal). */
void control_changed(Control *control);
/* "who (why), who (why)" of those who hold the reboot back, or NULL for nobody; g_free(). */
char *control_inhibitors(const Control *control);
