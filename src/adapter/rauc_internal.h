/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the RAUC adapter know of each other: the link to the bus, the reading of
 * replies, the timing (which a unit test shortens).  Nobody but src/adapter/rauc*.c and their tests
 * includes it.
 */
#pragma once

#include <gio/gio.h>

#include "adapter/rauc.h"

#define RAUC_BUS_NAME  "de.pengutronix.rauc"
#define RAUC_OBJECT    "/"
#define RAUC_INTERFACE "de.pengutronix.rauc.Installer"

#define RAUC_MAX_FIELD      1024 /* bytes of a slot's name or field, of a progress message */
#define RAUC_MAX_PENDING    16   /* calls of ours that wait for RAUC at the same time */
#define RAUC_ACTIVATE_MAX_S 60   /* at most so long between two requests to the bus to start RAUC */

/* Milliseconds; the unit tests have no minute to wait. */
typedef struct {
    guint bus_retry_ms;
    guint call_timeout_ms;
    guint activate_max_ms;
} RaucTiming;

Rauc *rauc_new_with_timing(const RaucEvents *events, gpointer user_data, const RaucTiming *timing);

/* `text` without trailing white space, at most `max` bytes, cut between characters. */
char *rauc_text_bounded(const char *text, gsize max);

/* What a failed call comes to.  RAUC_ERROR_GONE when RAUC is not there or does not answer, else by
 * its text. */
GError *rauc_error_from_call(const GError *error);

/* The slots of a reply of GetSlotStatus, `(a(sa{sv}))`.  Fields of another type than RAUC's or
 * longer than RAUC_MAX_FIELD count as absent; slots without a usable name, slots told twice and
 * those beyond RAUC_MAX_SLOTS are left out.  NULL when the reply as a whole has another type. */
RaucStatus *rauc_status_parse(GVariant *reply);

/*
 * The link: a private connection to the system bus, made anew when it is lost, and the watch for
 * RAUC's name on it. `up` comes when the name has got an owner (its unique name; the connection is
 * borrowed until `down`), `down` when that owner or the bus is gone.  They alternate, come from the
 * main loop, and never after rauc_link_free().
 */
typedef struct _RaucLink RaucLink;

typedef struct {
    void (*up)(GDBusConnection *bus, const char *owner, gpointer user_data);
    void (*down)(gpointer user_data);
} RaucLinkEvents;

RaucLink *rauc_link_new(const RaucLinkEvents *events, gpointer user_data, const RaucTiming *timing);
void rauc_link_free(RaucLink *link);

/* --- The adapter's state, shared by rauc.c (presence, signals) and rauc_calls.c (methods) --- */

struct _Rauc {
    RaucEvents events;
    gpointer user_data;
    RaucTiming timing;
    RaucLink *link;
    gboolean freed;

    /* of the session; NULL and 0 without one */
    GDBusConnection *bus;
    char *owner;
    GCancellable *session;
    guint completed_signal, properties_signal;
    guint reread; /* timer */

    gboolean ready;      /* the properties have been read */
    gboolean busy;       /* see above */
    gboolean completing; /* Completed came, LastError is being read */
    gboolean accepting;  /* our InstallBundle waits for its reply */
    gboolean silence_told;
    guint pending; /* calls under way */
    int percent;
    RaucPresence presence; /* as last told */
};

void rauc_unref(gpointer rauc); /* of g_rc_box_acquire() */

/* An install runs. */
void rauc_set_busy(Rauc *rauc);
/* Tells the presence when it has changed; a caller looks at `freed` afterwards. */
void rauc_announce(Rauc *rauc);
/* RAUC owns its name and does not answer: absent until it does. */
void rauc_went_silent(Rauc *rauc, const GError *error);

/* A call to the session's owner, cancelled with the session; `arguments` may be floating. */
void rauc_send(Rauc *rauc, const char *interface, const char *method, GVariant *arguments,
               const char *reply_type, GAsyncReadyCallback reply, gpointer data);
/* Its reply; NULL with an error of RAUC_ERROR. */
GVariant *rauc_receive(GObject *source, GAsyncResult *result, GError **ret_error);
