/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RAUC over D-Bus (de.pengutronix.rauc on the system bus; DBUS_SYSTEM_BUS_ADDRESS is honoured). All
 * calls are asynchronous; callbacks come from the main loop, never from within the call.  RAUC that
 * is not running, or a bus that is not there, is a state and not an error: a lost bus is connected
 * to again every RAUC_BUS_RETRY_S seconds, and the bus is asked to start RAUC where it is not
 * running.
 *
 * What RAUC's answers are worth (measured with 1.8 and 1.13 to 1.16): Completed alone ends an
 * install, its code is 0 or 1; why it failed is in LastError, to be read after Completed; a refused
 * second InstallBundle sets Operation to idle while the first still installs; during an install
 * every other method is refused; there is no cancel.
 */
#pragma once

#include <glib.h>

#define RAUC_BUS_RETRY_S      5
#define RAUC_CALL_TIMEOUT_S   60 /* any method but InstallBundle's work, which Completed ends */
#define RAUC_MAX_SLOTS        64
#define RAUC_MAX_ERROR_LENGTH 4096 /* bytes of LastError that are kept */

#define RAUC_ERROR (rauc_error_quark())
GQuark rauc_error_quark(void);

/* What went wrong, by the text of LastError or of a method's error (their names say nothing). */
typedef enum {
    RAUC_ERROR_RETRIEVAL,  /* the transfer is to blame: 404, refused, cut, TLS, no range requests,
                              spool full */
    RAUC_ERROR_SIGNATURE,  /* signature or certificate of the bundle */
    RAUC_ERROR_COMPATIBLE, /* made for another device */
    RAUC_ERROR_FORMAT,     /* damaged, truncated, a format that this RAUC cannot install */
    RAUC_ERROR_STREAM,     /* cannot be streamed, by this RAUC or at all; a local file may do */
    RAUC_ERROR_STORE,      /* the casync store could not be read */
    RAUC_ERROR_SIZE,       /* the slot is too small */
    RAUC_ERROR_COPY,       /* I/O error while the slot was written */
    RAUC_ERROR_BUSY,       /* RAUC is at work for somebody else */
    RAUC_ERROR_GONE,       /* RAUC's name left the bus, or it answers nothing */
    RAUC_ERROR_OTHER       /* mounting, marking, handlers, configuration */
} RaucError;

/* Classifies `text`.  Pure. */
RaucError rauc_error_classify(const char *text);

typedef struct _Rauc Rauc;

typedef enum {
    RAUC_ABSENT, /* no bus, or nobody owns the name, or its owner has not told its state or answers
                    nothing */
    RAUC_IDLE, /* at first only as far as RAUC's properties tell: an install that they conceal shows
                    with the first call, which is refused and makes it RAUC_BUSY */
    RAUC_BUSY  /* an install (ours or somebody else's) runs */
} RaucPresence;

/* NULL members are not called. */
typedef struct {
    /* The presence changed. */
    void (*presence)(RaucPresence presence, gpointer user_data);
    /* An install (whoever's) moved on: 0..100, RAUC's message, valid during the call. */
    void (*progress)(int percent, const char *message, gpointer user_data);
    /* An install (whoever's) ended, after presence has become RAUC_IDLE.  `error` is NULL for
     * success, else classified, with LastError's text; borrowed. */
    void (*completed)(const GError *error, gpointer user_data);
} RaucEvents;

typedef struct {
    char *name;     /* rootfs.0 */
    char *class_;   /* rootfs */
    char *bootname; /* NULL: not bootable */
    char *state;    /* booted, active, inactive */
    char *parent;
    char *boot_status; /* good, bad; NULL: unknown */
    /* of the status file; NULL or 0 when absent */
    char *status; /* ok, failed, pending */
    char *version, *hash;
    char *installed_timestamp, *activated_timestamp;
    gint64 installed_count;
} RaucSlot;

/* GetSlotStatus and GetPrimary in one picture. */
typedef struct {
    GPtrArray *slots; /* RaucSlot* */
    char *primary;    /* slot name; NULL when RAUC could not tell */
} RaucStatus;

Rauc *rauc_new(const RaucEvents *events, gpointer user_data);
void rauc_free(Rauc *rauc); /* pending callbacks are not called any more */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rauc, rauc_free)

RaucPresence rauc_presence(const Rauc *rauc);
/* The last progress seen of the install that runs. */
int rauc_percent(const Rauc *rauc);

/* `status` is NULL on error; the callback owns it. */
typedef void (*RaucStatusFunc)(RaucStatus *status, const GError *error, gpointer user_data);
typedef void (*RaucDoneFunc)(const GError *error, gpointer user_data);

/* One query at a time may be under way per caller; each gets its answer. */
void rauc_query(Rauc *rauc, RaucStatusFunc done, gpointer user_data);
/* InstallBundle with no arguments: `done` when RAUC has accepted or refused it (RAUC_ERROR_BUSY
 * without asking it while it is RAUC_BUSY); the work then ends with events.completed, or with
 * RAUC_ABSENT, after which nobody knows how it ended. */
void rauc_install(Rauc *rauc, const char *source, RaucDoneFunc done, gpointer user_data);
/* `state`: good, bad, active.  `slot`: booted, other, or a slot's name. */
void rauc_mark(Rauc *rauc, const char *state, const char *slot, RaucDoneFunc done,
               gpointer user_data);

void rauc_slot_free(gpointer slot); /* a RaucSlot */
void rauc_status_free(RaucStatus *status);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RaucStatus, rauc_status_free)

/* Reading a status; borrowed, NULL when there is none. */
const RaucSlot *rauc_status_slot(const RaucStatus *status, const char *name);
const RaucSlot *rauc_status_booted(const RaucStatus *status);
/* The slot that RAUC will write: the booted slot's class, with a bootname, not booted; the first by
 * name. */
const RaucSlot *rauc_status_target(const RaucStatus *status);
