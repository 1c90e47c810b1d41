/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order of what happens: the agent's timers and the world's events, each at its own
 * millisecond.  Random numbers, all from one seed.  The trace that a violation prints.
 */
#include "world.h"

#include <glib/gstdio.h>
#include <stdlib.h>

#include "src/adapter/clock_internal.h"

typedef struct {
    gint64 at;
    guint64 sequence;
    Scope scope;
    guint life;
    Deed deed;
    gpointer data;
} Event;

static World *here;

World *world_here(void)
{
    return here;
}

/* ------------------------------------------------------------------------------- random numbers */

/* splitmix64 */
guint64 mixed(guint64 number)
{
    number += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
    number = (number ^ (number >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

gint64 draw(World *world, gint64 low, gint64 high)
{
    world->state = mixed(world->state);
    return low + (gint64)((world->state >> 1) % (guint64)(high - low + 1));
}

gboolean chance(World *world, guint percent)
{
    return draw(world, 0, 99) < percent;
}

/* ------------------------------------------------------------------------------------ the trace */

gint64 true_ms(const World *world)
{
    return EPOCH_MS + world->now_ms;
}

static char *stamped(const World *world, const char *text)
{
    gint64 s = world->now_ms / 1000;

    return g_strdup_printf("day %3d %02d:%02d:%02d.%03d  %s", (int)(s / 86400),
                           (int)(s / 3600 % 24), (int)(s / 60 % 60), (int)(s % 60),
                           (int)(world->now_ms % 1000), text);
}

static void keep_line(World *world, const char *text)
{
    char **place = &world->trace[world->traced++ % G_N_ELEMENTS(world->trace)];

    g_free(*place);
    *place = stamped(world, text);
    if (world->log)
        fprintf(world->log, "%s\n", *place);
}

void note(World *world, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    keep_line(world, text);
}

void violation(World *world, const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    line = stamped(world, text);
    for (guint i = 0; i < G_N_ELEMENTS(world->trace); i++) {
        const char *old = world->trace[(world->traced + i) % G_N_ELEMENTS(world->trace)];

        if (old)
            printf("%s\n", old);
    }
    printf("SEED=%" G_GUINT64_FORMAT ": VIOLATION %s\n", world->seed, line);
    fflush(stdout);
    if (world->log)
        fclose(world->log);
    ck_abort_msg("SEED=%" G_GUINT64_FORMAT ": %s", world->seed, line);
    abort();
}

/* The agent's log goes into the trace.  GLib's own complaints about wrong use are violations. */
static GLogWriterOutput write_log(GLogLevelFlags level, const GLogField *fields, gsize n,
                                  gpointer unused)
{
    const char *domain = NULL, *message = "";

    (void)unused;
    for (gsize i = 0; i < n; i++) {
        if (g_str_equal(fields[i].key, "MESSAGE"))
            message = fields[i].value ? fields[i].value : "";
        if (g_str_equal(fields[i].key, "GLIB_DOMAIN"))
            domain = fields[i].value;
    }
    if (!here || level & G_LOG_LEVEL_DEBUG)
        return G_LOG_WRITER_HANDLED;
    if (level & G_LOG_LEVEL_CRITICAL &&
        (domain || strstr(message, "assertion") || strstr(message, "the store does not take")))
        violation(here, "%s", message);
    note(here, "    %s%s", level & G_LOG_LEVEL_CRITICAL ? "critical: " : "", message);
    return G_LOG_WRITER_HANDLED;
}

/* ----------------------------------------------------------------------------------- the events */

static int compare(gconstpointer a, gconstpointer b, gpointer unused)
{
    const Event *x = a, *y = b;

    (void)unused;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->sequence < y->sequence ? -1 : 1;
}

void after(World *world, gint64 delay_ms, Scope scope, Deed deed, gpointer data)
{
    Event event = {world->now_ms + MAX(delay_ms, 0),
                   ++world->sequence,
                   scope,
                   world->lives[scope],
                   deed,
                   data};

    g_queue_insert_sorted(&world->events, g_memdup2(&event, sizeof(event)), compare, NULL);
}

static void event_free(gpointer data)
{
    g_free(((Event *)data)->data);
    g_free(data);
}

void scope_ends(World *world, Scope scope)
{
    world->lives[scope]++;
}

static gint64 agent_due_ms(const World *world)
{
    gint64 due;

    if (!world->agent)
        return G_MAXINT64;
    due = clock_next_due(world->agent->clock);
    return due == G_MAXINT64 ? due
                             : world->now_ms + MAX(due - clock_boottime_ms(world->agent->clock), 0);
}

static void run_events(World *world)
{
    Event *event;

    while ((event = g_queue_peek_head(&world->events)) && event->at <= world->now_ms) {
        g_queue_pop_head(&world->events);
        if (event->life == world->lives[event->scope])
            event->deed(world, event->data);
        event_free(event);
        agent_bury(world);
    }
}

void world_run(World *world, gint64 until_ms)
{
    while (world->now_ms < until_ms) {
        const Event *event = g_queue_peek_head(&world->events);
        gint64 next = MIN(MIN(until_ms, event ? event->at : G_MAXINT64), agent_due_ms(world));
        gint64 passed = next - world->now_ms;

        world->now_ms = next;
        if (world->agent)
            clock_virtual_advance(world->agent->clock, passed);
        agent_bury(world);
        run_events(world);
    }
}

/* ------------------------------------------------------------------------------------ the world */

static void make_folder(World *world)
{
    g_autofree char *command = NULL;

    if (g_access("/dev/shm", W_OK) == 0) /* its syncs cost nothing */
        g_setenv("TMPDIR", "/dev/shm", TRUE);
    world->folder = g_dir_make_tmp("year-XXXXXX", NULL);
    ck_assert_ptr_nonnull(world->folder);
    world->path = g_build_filename(world->folder, "store.db", NULL);
    world->health_folder = g_build_filename(world->folder, "health", NULL);
    command = g_build_filename(world->health_folder, "check", NULL);
    ck_assert_int_eq(g_mkdir(world->health_folder, 0700), 0);
    ck_assert(
        g_file_set_contents(command, "", 0, NULL)); /* never run: transfers.c answers for it */
    ck_assert_int_eq(g_chmod(command, 0700), 0);
}

World *world_new(guint64 seed, gint64 days)
{
    World *world = g_new0(World, 1);
    const char *log = g_getenv("YEAR_LOG");

    world->seed = seed;
    world->state = mixed(seed);
    world->end_ms = days * DAY;
    world->log = log ? fopen(log, "w") : NULL;
    g_queue_init(&world->events);
    for (guint i = 0; i < G_N_ELEMENTS(world->measures); i++)
        world->measures[i] = g_array_new(FALSE, FALSE, sizeof(Measure));
    make_folder(world);
    here = world;
    g_log_set_writer_func(write_log, NULL, NULL); /* each test is a process of its own */
    world->transport = (FirmwareTransport)draw(world, 0, 2);
    world->boot_on_reconnect = chance(world, 30);
    world->csms =
        (Csms){.network = TRUE, .good = TRUE, .registration = "Accepted", .interval_s = 7200};
    world->csms.asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    device_init(world);
    return world;
}

static void remove_folder(const char *name)
{
    GDir *dir = g_dir_open(name, 0, NULL);
    const char *entry;

    while (dir && (entry = g_dir_read_name(dir))) {
        g_autofree char *full = g_build_filename(name, entry, NULL);

        if (g_file_test(full, G_FILE_TEST_IS_DIR))
            remove_folder(full);
        else
            ck_assert_int_eq(g_unlink(full), 0);
    }
    if (dir)
        g_dir_close(dir);
    ck_assert_int_eq(g_rmdir(name), 0);
}

void world_free(World *world)
{
    agent_stop(world);
    here = NULL;
    g_queue_clear_full(&world->events, event_free);
    remove_folder(world->folder);
    for (guint i = 0; i < G_N_ELEMENTS(world->measures); i++)
        g_array_unref(world->measures[i]);
    for (guint i = 0; i < G_N_ELEMENTS(world->trace); i++)
        g_free(world->trace[i]);
    ledger_clear(world);
    g_hash_table_unref(world->csms.asked);
    g_free(world->csms.location);
    g_free(world->csms.open_id);
    g_free(world->device.boot_id);
    g_free(world->folder);
    g_free(world->path);
    g_free(world->health_folder);
    if (world->log)
        fclose(world->log);
    g_free(world);
}
