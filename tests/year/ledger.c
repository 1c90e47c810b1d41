/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every update that the agent has taken, and what the CSMS heard of it.  Invariants of one update:
 *
 *   - a status is a new row of the outbox, none is left out, and a row comes again only if its answer did not reach the agent;
 *   - the statuses of a job come in the order of OCPP.md, one true end each; a second job's come after the first one's end;
 *   - Installed only while the new version runs from a slot that was marked good, InstallationFailed never then;
 *   - after a failure the old slot is booted and is what the next boot takes;
 *   - the loader is switched at most once for a job, and for no job that has ended; nothing is marked good that is sick;
 *   - nothing is fetched before retrieveDate.
 *
 * A job is tainted when somebody else installed while it was under way, or RAUC refused a mark:
 * then its failure excuses more.
 */
#include "world.h"

#include <string.h>

#define KEPT 8 /* settled ones */

static gboolean is_end(const char *status)
{
    return g_str_equal(status, "Installed") || g_str_equal(status, "InstallationFailed") ||
           g_str_equal(status, "DownloadFailed");
}

static gboolean is_settled(const Entry *entry)
{
    if (!entry->ended)
        return FALSE;
    return entry->end == JOB_SUPERSEDED || entry->silent || is_end(entry->wire);
}

static Entry *find(const World *world, gint64 id)
{
    for (GList *l = world->ledger.open.tail; l; l = l->prev)
        if (((Entry *)l->data)->id == id)
            return l->data;
    return NULL;
}

static Entry *find_running(const World *world, guint bundle)
{
    for (GList *l = world->ledger.open.head; l; l = l->next) {
        Entry *entry = l->data;

        if (!entry->ended && entry->bundle == bundle)
            return entry;
    }
    return NULL;
}

const Entry *ledger_unsettled(const World *world)
{
    for (GList *l = world->ledger.open.head; l; l = l->next)
        if (!is_settled(l->data))
            return l->data;
    return NULL;
}

gint64 ledger_latest_date(const World *world)
{
    gint64 latest = 0;

    for (GList *l = world->ledger.open.head; l; l = l->next)
        if (!is_settled(l->data))
            latest = MAX(latest, ((Entry *)l->data)->date_ms);
    return latest;
}

void ledger_clear(World *world)
{
    g_queue_clear_full(&world->ledger.open, g_free);
}

/* ------------------------------------------------------------------------------ how a job ended */

static void check_installed(World *world, const Entry *entry, const Job *job)
{
    const Device *device = &world->device;
    const Slot *slot = &device->slots[device->booted];
    gboolean same_boot =
        g_strcmp0(job->boot_id, device->boot_id) == 0; /* else it died right after */

    if (entry->overwritten && slot->bundle >= FOREIGN)
        return;
    if (slot->bundle != entry->bundle || slot->health != HEALTHY)
        violation(world, "job %" G_GINT64_FORMAT " is installed, yet bundle %u (health %d) runs",
                  entry->id, slot->bundle, slot->health);
    if (!slot->confirmed || (same_boot && device->left[device->booted] != device->attempts))
        violation(world, "job %" G_GINT64_FORMAT " is installed, yet its slot is not marked good",
                  entry->id);
    if (entry->activations != 1)
        violation(world, "job %" G_GINT64_FORMAT " is installed, its slot was activated %u times",
                  entry->id, entry->activations);
}

static void check_failed(World *world, const Entry *entry, const Job *job)
{
    const Device *device = &world->device;
    gboolean excused = entry->activations == 0 || entry->tainted;

    if (entry->activations > 0 && entry->end == JOB_DOWNLOAD_FAILED)
        violation(world, "job %" G_GINT64_FORMAT " was activated and is download-failed",
                  entry->id);
    if (excused)
        return;
    if (g_strcmp0(job->target_slot, slot_name(device->booted)) == 0)
        violation(world, "job %" G_GINT64_FORMAT " is %s, yet its firmware runs", entry->id,
                  job_state_name(entry->end));
    if (device->order[0] != device->booted ||
        device->n_order != 1) /* also once attempts are used up */
        violation(world, "job %" G_GINT64_FORMAT " is %s, yet the loader may take the failed slot",
                  entry->id, job_state_name(entry->end));
}

static void check_superseded(World *world, const Entry *entry)
{
    if (entry->activations > 0 || entry->id >= world->ledger.newest_job || is_end(entry->wire))
        violation(world, "job %" G_GINT64_FORMAT " must not be superseded", entry->id);
}

static void note_end(World *world, Entry *entry, const Job *job)
{
    entry->ended = TRUE;
    entry->end = job->state;
    entry->silent = job->last_status == NULL;
    world->ledger.ends[job->state]++;
    world->ledger.tainted += entry->tainted;
    if (entry->silent && !entry->local && job->state != JOB_SUPERSEDED)
        violation(world, "job %" G_GINT64_FORMAT " ended in silence", entry->id);
    if (job->state == JOB_INSTALLED)
        check_installed(world, entry, job);
    else if (job->state == JOB_SUPERSEDED)
        check_superseded(world, entry);
    else
        check_failed(world, entry, job);
}

/* -------------------------------------------------------------------------------------- looking */

static Job *load_job(World *world, gint64 id)
{
    g_autoptr(GError) error = NULL;
    Job *job = NULL;

    if (!jobs_load_id(world->agent->store, id, &job, &error) || !job)
        violation(world, "job %" G_GINT64_FORMAT " is lost: %s", id,
                  error ? error->message : "no row");
    return job;
}

static void adopt(World *world, gint64 id)
{
    g_autoptr(Job) job = load_job(world, id);
    Entry *entry = g_new0(Entry, 1);

    entry->id = id;
    entry->bundle = bundle_number(job->location);
    entry->local = job->location[0] == '/';
    entry->date_ms = job->has_retrieve_date ? job->retrieve_date_ms : 0;
    entry->wire = entry->local ? "Downloaded" : "";
    g_queue_push_tail(&world->ledger.open, entry);
    world->ledger.newest_job = id;
    world->ledger.jobs++;
}

/* The job of an entry that may have ended: the firmware shows its own, the store has the others. */
static Job *current(World *world, const Entry *entry)
{
    const Job *job = firmware_job(world->agent->firmware);
    const Job *last = firmware_last_job(world->agent->firmware);

    if (entry->ended || (job && job->id == entry->id))
        return NULL;
    return last && last->id == entry->id ? job_copy(last) : load_job(world, entry->id);
}

static gint64 newest_in_store(World *world)
{
    const Job *job = firmware_job(world->agent->firmware);
    const Job *last = firmware_last_job(world->agent->firmware);
    g_autoptr(GError) error = NULL;
    g_autoptr(Job) waiting = NULL;

    if (firmware_has_waiting(world->agent->firmware) &&
        !jobs_load(world->agent->store, JOB_WAITS, &waiting, &error))
        violation(world, "%s", error->message);
    return MAX(MAX(job ? job->id : 0, last ? last->id : 0), waiting ? waiting->id : 0);
}

/* Of which nothing can come any more: a later job has spoken. */
static void forget_settled(Ledger *ledger)
{
    while (g_queue_get_length(&ledger->open) > KEPT) {
        const Entry *oldest = g_queue_peek_head(&ledger->open);

        if (!is_settled(oldest) || oldest->id >= ledger->last_job)
            return;
        g_free(g_queue_pop_head(&ledger->open));
    }
}

static void look(World *world)
{
    gint64 newest = newest_in_store(world);

    while (world->ledger.newest_job < newest)
        adopt(world, world->ledger.newest_job + 1);
    for (GList *l = world->ledger.open.head; l; l = l->next) {
        Entry *entry = l->data;
        g_autoptr(Job) job = current(world, entry);

        if (job && job_state_is_end(job->state))
            note_end(world, entry, job);
    }
    forget_settled(&world->ledger);
}

void ledger_look(World *world)
{
    const Job *job = firmware_job(world->agent->firmware);
    const Job *last = firmware_last_job(world->agent->firmware);
    gint64 now[] = {job ? job->id : 0, last ? last->id : 0,
                    firmware_has_waiting(world->agent->firmware)};

    if (memcmp(now, world->ledger.seen, sizeof(now)) == 0)
        return;
    memcpy(world->ledger.seen, now, sizeof(now));
    look(world);
}

/* The newest of that bundle, when there is nothing to be done any more but to say it again. */
static Entry *find_installed(const World *world, guint bundle)
{
    for (GList *l = world->ledger.open.tail; l; l = l->prev) {
        Entry *entry = l->data;

        if (entry->bundle == bundle)
            return entry->ended && entry->end == JOB_INSTALLED ? entry : NULL;
    }
    return NULL;
}

void ledger_asked(World *world, const FirmwareRequest *request)
{
    Entry *entry = find_installed(world, bundle_number(request->location));

    if (entry)
        entry->again++;
}

/* It has to be in the store, or the same as one that is or was there. */
void ledger_taken(World *world, const FirmwareRequest *request, gint64 newest)
{
    guint bundle = bundle_number(request->location);

    look(world);
    if (world->ledger.newest_job == newest && !find_running(world, bundle) &&
        !find_installed(world, bundle))
        violation(world, "the request for bundle %u was accepted and is lost", bundle);
}

/* -------------------------------------------------------------------------- what the CSMS hears */

static gboolean follows(const char *last, const char *status)
{
    static const struct {
        const char *last, *next[3];
    } ORDER[] = {
        {"", {"Downloading"}},
        {"Downloading", {"Downloaded", "DownloadFailed"}},
        {"Downloaded", {"Installing", "DownloadFailed"}},
        {"Installing", {"Installed", "InstallationFailed"}},
    };

    for (guint i = 0; i < G_N_ELEMENTS(ORDER); i++)
        if (g_str_equal(ORDER[i].last, last))
            return g_strv_contains(ORDER[i].next, status);
    return FALSE;
}

static void check_truth(World *world, Entry *entry, const char *status)
{
    gboolean installed = g_str_equal(status, "Installed");

    if (!entry->ended)
        look(world);
    if (!entry->ended || (entry->end == JOB_INSTALLED) != installed || entry->end == JOB_SUPERSEDED)
        violation(world, "the CSMS hears %s of job %" G_GINT64_FORMAT ", which is %s", status,
                  entry->id, entry->ended ? job_state_name(entry->end) : "under way");
    if (g_str_equal(status, "DownloadFailed") && entry->activations > 0)
        violation(world, "DownloadFailed of an activated job");
}

/* Dates are judged by the CSMS's clock, as it was last told.  The end of a job that was cancelled
 * before it began is filled up with the statuses before it. */
static void check_date(World *world, const Entry *entry)
{
    if (entry->ended && entry->end == JOB_CANCELLED)
        return;
    if (true_ms(world) + MAX(world->csms.ahead_ms, 0) < entry->date_ms)
        violation(world, "job %" G_GINT64_FORMAT " begins before its date", entry->id);
}

static void check_earlier(World *world, gint64 job)
{
    for (GList *l = world->ledger.open.head; l; l = l->next) {
        const Entry *entry = l->data;

        if (entry->id < job && !is_settled(entry))
            violation(world,
                      "job %" G_GINT64_FORMAT " speaks before job %" G_GINT64_FORMAT " has ended",
                      job, entry->id);
    }
}

static const char *static_status(World *world, const char *status)
{
    static const char *const STATUSES[] = {"Downloading", "Downloaded",         "Installing",
                                           "Installed",   "InstallationFailed", "DownloadFailed",
                                           "Idle"};

    for (guint i = 0; i < G_N_ELEMENTS(STATUSES); i++)
        if (g_strcmp0(STATUSES[i], status) == 0)
            return STATUSES[i];
    violation(world, "%s is no status", status);
}

static void heard_again(World *world, gint64 row, const char *status)
{
    if (world->ledger.answered_row >= row)
        violation(world, "%s is repeated although it was answered", status);
    if (world->ledger.last_status != status)
        violation(world, "%s is repeated as %s", world->ledger.last_status, status);
    world->ledger.repeats++;
}

static void heard_triggered(World *world, const char *status)
{
    if (!g_str_equal(status, "Idle") && status != world->ledger.last_status)
        violation(world, "asked for its status the agent says %s, last was %s", status,
                  world->ledger.last_status);
    world->ledger.triggered++;
}

static void heard_new(World *world, gint64 job, const char *status)
{
    Entry *entry = find(world, job);

    if (!entry)
        violation(world, "%s of the unknown job %" G_GINT64_FORMAT, status, job);
    if (job < world->ledger.last_job)
        violation(world, "%s of job %" G_GINT64_FORMAT " after job %" G_GINT64_FORMAT, status, job,
                  world->ledger.last_job);
    if (job > world->ledger.last_job)
        check_earlier(world, job);
    if (is_end(entry->wire)) {
        if (entry->again-- == 0 || entry->wire != status)
            violation(world, "%s after the end %s", status, entry->wire);
    } else if (!follows(entry->wire, status)) {
        violation(world, "%s after \"%s\"", status, entry->wire);
    }
    if (g_str_equal(status, "Downloading"))
        check_date(world, entry);
    if (is_end(status))
        check_truth(world, entry, status);
    entry->wire = status;
    world->ledger.last_job = job;
}

void ledger_heard(World *world, gint64 job, gint64 row, const char *text)
{
    Ledger *ledger = &world->ledger;
    const char *status = static_status(world, text);

    note(world, "CSMS hears %s (job %" G_GINT64_FORMAT ", row %" G_GINT64_FORMAT ")", status, job,
         row);
    ledger->statuses++;
    if (row == 0) {
        heard_triggered(world, status);
        return;
    }
    if (row == ledger->last_row) {
        heard_again(world, row, status);
        return;
    }
    if (row != ledger->last_row + 1)
        violation(world, "row %" G_GINT64_FORMAT " comes after row %" G_GINT64_FORMAT, row,
                  ledger->last_row);
    if (ledger->newest_job < job)
        look(world);
    heard_new(world, job, status);
    ledger->last_row = row;
    ledger->last_status = status;
}

void ledger_row_answered(World *world, gint64 row)
{
    world->ledger.answered_row = MAX(world->ledger.answered_row, row);
}

/* ------------------------------------------------------------------------------- what RAUC does */

void ledger_activated(World *world, guint bundle)
{
    Entry *entry = find_running(world, bundle);

    if (bundle >= FOREIGN)
        return;
    if (!entry)
        violation(world, "bundle %u is activated, and no job wants it", bundle);
    if (++entry->activations > 1)
        violation(world, "job %" G_GINT64_FORMAT " is activated a second time", entry->id);
}

void ledger_marked_good(World *world, const Slot *slot)
{
    if (!slot->confirmed && slot->health != HEALTHY && find_running(world, slot->bundle))
        violation(world, "the sick bundle %u is marked good", slot->bundle);
}

/* A rollback leads to the old slot: at once, not when the attempts of the failed one are used up;
 * but for a RAUC that has not told in this boot which slot that is. */
void ledger_reboots(World *world)
{
    const Job *job = firmware_job(world->agent->firmware);
    const Entry *entry = job ? find(world, job->id) : NULL;
    const Device *device = &world->device;

    if (entry && !entry->tainted && job->state == JOB_ROLLING_BACK &&
        g_strcmp0(job->boot_id, device->boot_id) == 0 && world->agent->rauc.presence == RAUC_IDLE &&
        device_primary(device) == device->booted &&
        device->slots[device->booted].bundle == entry->bundle)
        violation(world, "job %" G_GINT64_FORMAT " rolls back into the slot that failed", job->id);
}

void ledger_taint(World *world)
{
    for (GList *l = world->ledger.open.head; l; l = l->next)
        ((Entry *)l->data)->tainted |= !((Entry *)l->data)->ended;
}

/* RAUC tells of an image that it is whole, not which call has brought it: an agent that was away
 * from before the end of its own one until after somebody else's takes that for its own. */
void ledger_foreign_install(World *world)
{
    ledger_taint(world);
    for (GList *l = world->ledger.open.head; l; l = l->next)
        ((Entry *)l->data)->overwritten |= !agent_lives(world) && !((Entry *)l->data)->activations;
}
