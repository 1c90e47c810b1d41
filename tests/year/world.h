/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A charger, its CSMS and their bad luck, for a year of virtual time.
 *
 * Real: the store (SQLite in a folder), ocpp/, the session, the firmware job, the health checks,
 * the gate before a reboot, the clock (virtual).  FAKED AT LINK TIME: the RAUC adapter (rauc.c),
 * relay, download and commands (transfers.c), logind (wiring.c), the WebSocket (csms.c).
 *
 *   schedule.c    random numbers, the order of what happens, the trace
 *   agent.c       the agent's process: made, killed at a boundary, made anew on the same store
 *   wiring.c      its parts, wired as src/agent/agent.c does it
 *   device.c      slots, boot loader, power, reboots
 *   rauc.c        RAUC's service, and the adapter that speaks with it
 *   transfers.c   bundles, relay, download, health commands
 *   csms.c        the connection, and the CSMS's own CALLs; csms_frames.c reads and answers what the agent sends
 *   weather.c     what goes wrong when: storms, and calms in which everything has to end
 *   ledger.c      what was accepted and what the CSMS heard of it; the invariants of one update
 *   checkpoint.c  the invariants of a quiet charger: store, slots, memory, file descriptors
 *   year.c        the test program
 */
#pragma once

#include <check.h>
#include <gio/gio.h>
#include <jansson.h>

#include "adapter/clock.h"
#include "adapter/rauc.h"
#include "adapter/transfer.h"
#include "behaviour/firmware.h"
#include "behaviour/health.h"
#include "behaviour/reboot.h"
#include "behaviour/session.h"
#include "db/jobs.h"
#include "db/outbox.h"
#include "db/store.h"
#include "db/values.h"

#define SECOND G_GINT64_CONSTANT(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#define EPOCH_MS        G_GINT64_CONSTANT(1767225600000) /* true time at the beginning: 2026 */
#define CALL_TIMEOUT_MS (30 * SECOND)
#define BOOTED_AT_MS    10000   /* what a virtual clock begins with */
#define FOREIGN         1000000 /* bundles from here on are installed by somebody else */

typedef struct _World World;
typedef void (*Deed)(World *world, gpointer data);

/* Whose end makes a thing to come not happen. */
typedef enum { SCOPE_WORLD, SCOPE_BOOT, SCOPE_AGENT, SCOPE_RAUC, SCOPE_LINK, N_SCOPES } Scope;

/* What a bundle turns out to be; the same whenever it is looked at. */
typedef enum { HEALTHY, SICK, NO_CSMS, NO_RAUC, NEVER_BOOTS, GARBAGE } Health;
typedef enum {
    FETCH_WELL,
    FETCH_FLAKY,   /* every second attempt fails */
    FETCH_REFUSED, /* 404 */
    FETCH_STALLS,  /* not a byte from somewhere on, in every second attempt */
    FETCH_WHOLE    /* RAUC cannot stream it */
} FetchKind;

typedef struct {
    Health health;
    FetchKind fetch;
    int refusal; /* RaucError by which RAUC refuses it; -1: none */
    int breaks; /* RaucError after the slot was written (COPY) or activated (OTHER), at most once in three; -1 */
    gboolean unusable; /* the location is */
} Bundle;

typedef struct {
    guint bundle;
    Health health;
    gboolean confirmed, pending;
    gint64 installed_count, installed_s,
        activated_s; /* RAUC's status file; seconds of the system clock */
} Slot;

typedef struct {
    Slot slots[2];
    int order[2], n_order, left[2]; /* U-Boot: BOOT_ORDER, BOOT_x_LEFT */
    int attempts; /* of a slot that is good; 1: as with GRUB, none is left while it is tried */
    int booted;
    gboolean on, synchronised, going_down;
    guint boots;
    gint64 booted_ms, wall_offset_ms;
    char *boot_id;
} Device;

typedef enum { STEP_IDLE, STEP_VERIFY, STEP_WRITE, STEP_WRITTEN, STEP_PRIMARY } RaucStep;

typedef struct {
    gboolean running;
    RaucStep step;
    guint bundle, part, attempt;
    int target, percent;
    gboolean relayed; /* reads through the agent's relay */
    gint64 refuses_until, hides_until, no_primary_until, slow_until, kept_away_until;
} RaucService;

struct _Rauc {
    World *world;
    RaucPresence presence;
    int percent;
};

struct _Transfers {
    World *world;
};

typedef struct {
    Clock *clock;
    Store *store;
    Rauc rauc;
    Transfers transfers;
    Firmware *firmware;
    HealthChecks *health;
    Reboot *reboot;
    Session *session;
    gint64 kept_csms_ms;
    gboolean reset_wanted;
    GCancellable *query; /* of logind; NULL: none */
    void (*query_done)(const char *who, gpointer user_data);
    gpointer query_data;
    gboolean dead;    /* it only unwinds: nothing that it does happens */
    gboolean power;   /* it died of a power cut */
    GBytes *files[2]; /* store and log as they were at its death */
    gboolean connected;
    char *told_status;  /* registration that it was told in time */
    gboolean triggered; /* it was asked for a status while Pending */
} Agent;

typedef struct {
    gboolean network, good; /* good: answers everything, soon */
    const char *registration;
    gint64 interval_s, offset_ms,
        ahead_ms;                   /* its clock; the most it was ahead since the last calm */
    gint64 to_csms_at, to_agent_at; /* when the last frame of each direction arrives */
    guint requests;                 /* bundles asked for so far */
    char *location;                 /* of the last request */
    gint64 date_ms;
    guint next_id;
    GHashTable *asked; /* id -> what was asked, as long as the link lives */
    char *open_id;     /* the agent's open CALL, as far as the CSMS has heard it */
    gint64 open_row;   /* of the outbox; 0: none */
    gint64 open_since_ms;
} Csms;

/* An update that the agent has taken. */
typedef struct {
    gint64 id, date_ms;
    guint bundle;
    gboolean local, tainted, ended, silent; /* silent: a local file that ended before it began */
    gboolean overwritten;                   /* by somebody else, in the agent's absence */
    JobState end;
    guint activations, again; /* `again`: how often its end may be told once more */
    const char *wire;         /* last status that the CSMS heard; "" */
} Entry;

typedef struct {
    GQueue open;       /* Entry*, the oldest first; the newest ended one stays */
    gint64 newest_job; /* known */
    gint64 last_job, last_row, answered_row; /* of the status that came last; of the last answer */
    const char *last_status;
    gint64 seen[3]; /* the firmware job as it was last looked at */
    guint jobs, ends[JOB_N_STATES], statuses, repeats, triggered, tainted;
    gint64 longest_calm_ms;
} Ledger;

typedef struct {
    guint reboots, power_cuts, kills, kills_within, outages, rauc_deaths, foreign, cancels, by_hand,
        calls, unanswered, errors, late, swallowed, pendings, jumps, checkpoints, repairs, installs,
        refused_marks;
} Figures;

typedef struct {
    gint64 stopped_bytes, idle_bytes, rss_kb, store_bytes;
    guint descriptors;
} Measure;

struct _World {
    guint64 seed, state;
    gint64 now_ms, end_ms;
    GQueue events;
    guint64 sequence;
    guint lives[N_SCOPES];
    char *folder, *path, *health_folder;
    FirmwareTransport transport;
    gboolean boot_on_reconnect;

    Agent *agent;
    guint doom_in; /* boundaries until the agent dies; 0: not doomed */
    gboolean doom_power;
    Device device;
    RaucService rauc;
    Csms csms;
    gboolean storm, loses_reboots, commands_fail, inhibited;
    guint force; /* of the storm, in per cent */
    gint64 sick_since_ms;
    gint64 spool_job; /* the bundle in the spool */
    guint spool_bundle, spool_tries;
    gboolean spool_whole;

    Ledger ledger;
    Figures figures;
    GArray *measures[4]; /* Measure, by quarters */
    char *trace[600];
    guint traced;
    FILE *log;
};

/* schedule.c */
gint64 draw(World *world, gint64 low, gint64 high); /* both may come */
gboolean chance(World *world, guint percent);
guint64 mixed(guint64 number);
void after(World *world, gint64 delay_ms, Scope scope, Deed deed,
           gpointer data); /* data: g_free()d */
void scope_ends(World *world, Scope scope);
void world_run(World *world, gint64 until_ms);
World *world_here(void); /* for fakes of functions that are given nothing of ours */
World *world_new(guint64 seed, gint64 days);
void world_free(World *world);
void note(World *world, const char *format, ...) G_GNUC_PRINTF(2, 3);
void violation(World *world, const char *format, ...) G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;
gint64 true_ms(const World *world);

/* agent.c */
void agent_start(World *world, gpointer data);
void agent_kill(World *world);
void agent_bury(World *world);
void agent_stop(World *world); /* as SIGTERM does */
gboolean agent_lives(const World *world);
gboolean dies_here(World *world); /* TRUE: nobody is there any more who could do this */

/* wiring.c */
void wiring_make(World *world);
void agent_connected(World *world);
void agent_disconnected(World *world);
gboolean agent_install_by_hand(World *world, const char *source);

/* device.c */
void device_init(World *world);
int device_primary(const Device *device);
void device_mark(World *world, const char *state, int slot);
void device_power_cut(World *world);
void device_reboot(World *world, gint64 delay_ms);
gint64 device_wall_ms(const World *world);
const char *slot_name(int slot);

/* rauc.c */
void rauc_begin(World *world, gpointer data); /* the service starts */
void rauc_die(World *world, gint64 away_ms);
gboolean rauc_begin_install(World *world, guint bundle, gboolean relayed);
void rauc_stream_lost(World *world);
void rauc_tell(World *world);

/* transfers.c */
Bundle bundle_of(const World *world, guint number);
guint bundle_number(const char *text); /* of a location or a path; 0: none */
char *bundle_location(World *world, guint number);
gboolean relay_serves(World *world);
void relay_moves(World *world, gint64 bytes);
void relay_gives_up(World *world, int code);
void transfers_end(void); /* of the agent: the relay's door is shut */

/* csms.c, csms_frames.c */
void csms_connect_later(World *world, gpointer data);
void csms_receive(World *world, const char *text);
void csms_hear(World *world, gpointer data);
void csms_deliver(World *world, char *text, gint64 delay_ms);
void csms_arrives(World *world, const char *text);
void csms_drop(World *world);
void csms_request(World *world, gboolean repeat);
void csms_ask(World *world);
void csms_answered(World *world, const json_t *frame);
gint64 csms_now_ms(const World *world);
typedef struct {
    gint64 row, job;
    char text[];
} Sent;

/* weather.c */
void weather_begin(World *world);
void weather_calm(World *world);
void weather_storm(World *world);

/* ledger.c */
void ledger_asked(World *world, const FirmwareRequest *request);
/* The agent took it; `newest` was the newest job before. */
void ledger_taken(World *world, const FirmwareRequest *request, gint64 newest);
void ledger_look(World *world);
void ledger_heard(World *world, gint64 job, gint64 row, const char *status);
void ledger_row_answered(World *world, gint64 row);
void ledger_activated(World *world, guint bundle);
void ledger_marked_good(World *world, const Slot *slot);
void ledger_reboots(World *world); /* the agent asks for it */
void ledger_taint(World *world);   /* what RAUC or a person did excuses how updates under way end */
void ledger_foreign_install(World *world);
const Entry *ledger_unsettled(const World *world); /* NULL: all have ended, and the CSMS knows */
gint64 ledger_latest_date(const World *world);
void ledger_clear(World *world);

/* checkpoint.c */
char *checkpoint_lacks(World *world); /* NULL: it is reached; g_free() */
void checkpoint(World *world);
void checkpoint_flat(World *world);
gboolean checkpoint_sanitized(void); /* built with ASan */
