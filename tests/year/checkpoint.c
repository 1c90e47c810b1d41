/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What has to be true of a charger that is left in peace, and that it does not grow.
 */
#include "world.h"

#include <dirent.h>
#include <glib/gstdio.h>
#include <malloc.h>
#include <sqlite3.h>
#include <unistd.h>

#define STORE_MAX_BYTES   (1 << 20)
#define GROWTH_MAX_BYTES  (64 << 10)
#define RSS_GROWTH_MAX_KB 4096
#define REPAIR_AFTER_MS   (2 * HOUR)

/* ASan's own allocator; absent without it. */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

/* --------------------------------------------------------------------------------- is it quiet? */

/* Firmware that is sick and runs without a job (somebody installed it by hand) is a technician's
 * business. */
static void repair(World *world)
{
    Slot *slot = &world->device.slots[world->device.booted];

    if (slot->health == HEALTHY || !agent_lives(world) || firmware_job(world->agent->firmware)) {
        world->sick_since_ms = world->now_ms;
        return;
    }
    if (world->now_ms - world->sick_since_ms < REPAIR_AFTER_MS)
        return;
    note(world, "a technician repairs bundle %u", slot->bundle);
    slot->health = HEALTHY;
    world->figures.repairs++;
}

static char *agent_lacks(World *world)
{
    Agent *agent = world->agent;
    const Job *job = firmware_job(agent->firmware);
    const Entry *entry = ledger_unsettled(world);
    g_autoptr(GError) error = NULL;
    guint rows = 0;

    if (job)
        return g_strdup_printf("job %" G_GINT64_FORMAT " is %s", job->id,
                               job_state_name(job->state));
    if (firmware_has_waiting(agent->firmware))
        return g_strdup("a request waits");
    if (!outbox_count(agent->store, &rows, &error) || rows > 0)
        return g_strdup_printf("%u rows in the outbox", rows);
    if (entry)
        return g_strdup_printf("the CSMS does not know the end of job %" G_GINT64_FORMAT,
                               entry->id);
    if (!firmware_boot_marked(agent->firmware))
        return g_strdup("the boot is not marked good");
    return NULL;
}

char *checkpoint_lacks(World *world)
{
    const Device *device = &world->device;

    repair(world);
    if (!device->on || device->going_down)
        return g_strdup("the charger boots");
    if (!agent_lives(world))
        return g_strdup("the agent does not run");
    if (!world->agent->connected || g_strcmp0(world->agent->told_status, "Accepted") != 0)
        return g_strdup("the agent is not registered");
    if (!world->rauc.running || world->rauc.step != STEP_IDLE)
        return g_strdup("RAUC is at work, or not there");
    if (device_primary(device) != device->booted ||
        device->left[device->booted] != device->attempts)
        return g_strdup("the booted slot is not what the next boot takes, with all its attempts");
    return agent_lacks(world);
}

/* ------------------------------------------------------------------------------------ the store */

static gint64 number(sqlite3 *db, World *world, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    gint64 value;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        violation(world, "%s: %s", sql, sqlite3_errmsg(db));
    value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static void check_store(World *world)
{
    static const struct {
        const char *sql;
        gint64 most;
    } LIMITS[] = {
        {"SELECT integrity_check <> 'ok' FROM pragma_integrity_check", 0},
        {"SELECT count(*) FROM jobs WHERE role <> 'ended'", 0},
        {"SELECT count(*) FROM jobs", HISTORY_MAX_JOBS},
        {"SELECT count(*) FROM history", HISTORY_MAX_ENTRIES},
        {"SELECT count(*) FROM outbox", 0},
    };
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(world->path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        violation(world, "the store: %s", sqlite3_errmsg(db));
    for (guint i = 0; i < G_N_ELEMENTS(LIMITS); i++) {
        gint64 value = number(db, world, LIMITS[i].sql);

        if (value > LIMITS[i].most)
            violation(world, "%s: %" G_GINT64_FORMAT, LIMITS[i].sql, value);
    }
    sqlite3_close(db);
}

static gint64 check_folder(World *world)
{
    GDir *dir = g_dir_open(world->folder, 0, NULL);
    const char *entry;
    GStatBuf status;

    while ((entry = g_dir_read_name(dir)))
        if (!g_strv_contains((const char *const[]){"store.db", "store.db.lock", "store.db-wal",
                                                   "store.db-shm", "health", NULL},
                             entry))
            violation(world, "beside the store lies %s", entry);
    g_dir_close(dir);
    if (g_stat(world->path, &status) != 0 || status.st_size > STORE_MAX_BYTES)
        violation(world, "the store has %" G_GINT64_FORMAT " bytes", (gint64)status.st_size);
    return status.st_size;
}

/* ------------------------------------------------------------------------------------ measuring */

gboolean checkpoint_sanitized(void)
{
    return __sanitizer_get_current_allocated_bytes != NULL;
}

static gint64 allocated(void)
{
    if (checkpoint_sanitized())
        return (gint64)__sanitizer_get_current_allocated_bytes();
    return (gint64)mallinfo2().uordblks;
}

static guint descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    guint count = 0;

    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

static gint64 resident_kb(void)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) words = NULL;

    if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL))
        return 0;
    words = g_strsplit(text, " ", 3);
    return g_ascii_strtoll(words[1], NULL, 10) * sysconf(_SC_PAGESIZE) / 1024;
}

/* With the agent at work, and with it gone: then nothing but the world's own is left. */
void checkpoint(World *world)
{
    Measure measure = {.idle_bytes = allocated()};
    guint quarter = (guint)MIN(world->now_ms * 4 / world->end_ms, 3);

    world->figures.checkpoints++;
    agent_stop(world);
    world->csms.ahead_ms = 0; /* the next one asks for the time first of all */
    check_store(world);
    measure.store_bytes = check_folder(world);
    measure.stopped_bytes = allocated();
    measure.descriptors = descriptors();
    measure.rss_kb = resident_kb();
    g_array_append_val(world->measures[quarter], measure);
    after(world, SECOND, SCOPE_BOOT, agent_start, NULL);
}

static Measure most(const GArray *measures)
{
    Measure most = {0};

    for (guint i = 0; i < measures->len; i++) {
        const Measure *one = &g_array_index(measures, Measure, i);

        most.idle_bytes = MAX(most.idle_bytes, one->idle_bytes);
        most.stopped_bytes = MAX(most.stopped_bytes, one->stopped_bytes);
        most.rss_kb = MAX(most.rss_kb, one->rss_kb);
        most.store_bytes = MAX(most.store_bytes, one->store_bytes);
        most.descriptors = MAX(most.descriptors, one->descriptors);
    }
    return most;
}

void checkpoint_flat(World *world)
{
    Measure first = most(world->measures[0]), last = most(world->measures[3]);

    for (guint i = 0; i < G_N_ELEMENTS(world->measures); i++) {
        Measure one = most(world->measures[i]);

        printf("  quarter %u: heap %" G_GINT64_FORMAT " bytes, %" G_GINT64_FORMAT
               " without the agent; resident %" G_GINT64_FORMAT
               " KiB; %u descriptors; store %" G_GINT64_FORMAT " bytes\n",
               i + 1, one.idle_bytes, one.stopped_bytes, one.rss_kb, one.descriptors,
               one.store_bytes);
    }
    if (last.stopped_bytes > first.stopped_bytes + GROWTH_MAX_BYTES ||
        last.idle_bytes > first.idle_bytes + GROWTH_MAX_BYTES)
        violation(world, "memory grows");
    if (last.descriptors > first.descriptors)
        violation(world, "file descriptors grow");
    if (!checkpoint_sanitized() && last.rss_kb > first.rss_kb + RSS_GROWTH_MAX_KB)
        violation(world, "the process grows");
}
