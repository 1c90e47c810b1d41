/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What agent.c (wiring), agent_store.c, agent_connection.c, agent_diagnostics.c, agent_reset.c and
 * agent_status.c (what people are shown) share.
 */
#pragma once

#include "adapter/clock.h"
#include "adapter/location.h"
#include "adapter/rauc.h"
#include "adapter/tls.h"
#include "adapter/transfer.h"
#include "adapter/ws_client.h"
#include "agent/agent.h"
#include "agent/control.h"
#include "agent/frames.h"
#include "behaviour/diagnostics.h"
#include "behaviour/firmware.h"
#include "behaviour/health.h"
#include "behaviour/reboot.h"
#include "behaviour/session.h"
#include "db/store.h"

#define AGENT_CONNECT_RETRY_MS 60000 /* certificates or keys that cannot be used */
#define AGENT_STORE_RETRY_MS   5000  /* a store that cannot be used */
#define AGENT_TIME_AHEAD_MS                                                                        \
    86400000 /* CSMS time that far ahead of a synchronised clock is not kept */
#define AGENT_TIME_KEEP_MS 3600000 /* CSMS time is stored when it is this far from the stored one */

typedef struct {
    const Settings *settings;
    const char *config_file;
    GMainLoop *loop;
    char *boot_id;
    Clock *clock;
    Store *store;
    Store *next_store; /* one that can be used at last, for the parts that begin anew; else NULL */
    Tls *tls;
    WsClient *ws;
    Rauc *rauc;
    Transfers *transfers;
    Firmware *firmware;
    HealthChecks *health;
    Reboot *reboot;
    Session *session;
    Control *control;
    Transfers *uploads;
    Diagnostics *diagnostics;
    Frames *frames; /* NULL: not wanted */

    gint64 kept_csms_ms;   /* last stored CSMS time, 0: none */
    gboolean told_time;    /* the log knows that the CSMS time cannot be kept */
    gboolean ending;       /* somebody has asked for it */
    gboolean reset_wanted; /* the CSMS asked for a Reset */
    guint reset_tries;     /* its reboot was asked for so often */
    guint reset_again;     /* timer: until then it has to come */
    char *link_trouble;    /* why the last connection attempt failed; NULL: connected */
    gboolean store_anew;   /* it is damaged: all begins anew */
    guint watchdog, connect, store_timer; /* timers */
} Agent;

GVariant *agent_status(Agent *agent);               /* floating a{sv} */
GVariant *agent_history(Agent *agent, guint limit); /* floating aa{sv} */
char *agent_status_line(Agent *agent);              /* for systemd; g_free() */

void agent_show(Agent *agent);                             /* the status has changed */
gboolean agent_reboot(gpointer user_data, GError **error); /* an Agent; asks the system */

/* agent_reset.c */
gboolean agent_reset_take(gboolean hard, gpointer user_data); /* Reset.req; FALSE: Rejected */
void agent_reset_load(Agent *agent);      /* what an earlier life has accepted */
void agent_reset_serve(Agent *agent);     /* the job has moved on: the Reset may go now */
void agent_reset_carry_out(Agent *agent); /* nothing holds the reboot back any more */
void agent_reset_drop(Agent *agent);      /* another reboot takes its place */

/* agent_store.c */
gboolean agent_open_store(Agent *agent); /* FALSE: another agent has it; it was told */
void agent_watch_store(Agent *agent); /* a volatile one: ends the loop when there is a better one */
void agent_check_store(Agent *agent); /* ends the loop when it is damaged */
gboolean
agent_renew_store(Agent *agent); /* without parts: what the loop was ended for; FALSE as above */

/* agent_connection.c */
void agent_connect(gpointer user_data); /* an Agent; tried again by itself */
gboolean agent_send(const char *text, gpointer user_data);
void agent_set_ping_interval(guint seconds, gpointer user_data);

/* Connections as [download] has them, but for the rate. */
Transfers *agent_make_transfers(Agent *agent, gint64 rate_limit);

/* agent_diagnostics.c */
void agent_make_diagnostics(Agent *agent);
void agent_free_diagnostics(Agent *agent);
GVariant *agent_report(Agent *agent); /* floating a{ss}: name in the archive -> text */
gboolean agent_get_diagnostics(const SessionGetDiagnostics *request, char **ret_file_name,
                               gpointer user_data, GError **error);
const char *agent_diagnostics_status(gpointer user_data);
