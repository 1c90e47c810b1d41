/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A year of updates, outages, reboots, crashes and power cuts in virtual time; see world.h for what
 * is real and what is faked at link time.
 *
 *     SEED=N     the first seed (1); the same seed is the same year
 *     YEARS=N    so many years (1), each with a seed and a process of its own
 *     DAYS=N     days of each (365; with sanitizers, which make it five times as long, 90)
 *     YEAR_LOG=F writes everything that happens into F
 */
#include "world.h"

#include <stdlib.h>

#define END_WITHIN_MS                                                                              \
    (24 * HOUR) /* of the calm, or of the last retrieveDate: every update has ended */
#define LOOK_MS (5 * MINUTE)

static gint64 setting(const char *name, gint64 fallback)
{
    const char *text = g_getenv(name);

    return text && *text ? g_ascii_strtoll(text, NULL, 10) : fallback;
}

static void calm_down(World *world)
{
    gint64 begun;

    weather_calm(world);
    begun = world->now_ms;
    for (;;) {
        g_autofree char *lacks = NULL;

        begun = MAX(begun, ledger_latest_date(world) - EPOCH_MS);
        world_run(world, world->now_ms + LOOK_MS);
        lacks = checkpoint_lacks(world);
        if (!lacks)
            break;
        if (world->now_ms > begun + END_WITHIN_MS)
            violation(world, "after a day of calm: %s", lacks);
    }
    world->ledger.longest_calm_ms = MAX(world->ledger.longest_calm_ms, world->now_ms - begun);
    checkpoint(world);
    world_run(world, world->now_ms + LOOK_MS);
}

static void tell(const World *world)
{
    const Figures *f = &world->figures;
    const Ledger *l = &world->ledger;

    printf("SEED=%" G_GUINT64_FORMAT
           ", %d days, transport %d: %u updates (%u jobs tainted by others), ends:",
           world->seed, (int)(world->now_ms / DAY), world->transport, l->jobs, l->tainted);
    for (JobState state = JOB_INSTALLED; state < JOB_N_STATES; state++)
        if (l->ends[state])
            printf(" %s %u", job_state_name(state), l->ends[state]);
    printf("\n  %u boots, %u power cuts, %u kills of the agent (with power cuts %u within a step), "
           "%u deaths of RAUC, "
           "%u InstallBundles (%u foreign), %u marks refused, %u cancels, %u by hand, %u repairs\n",
           f->reboots, f->power_cuts, f->kills, f->kills_within, f->rauc_deaths, f->installs,
           f->foreign, f->refused_marks, f->cancels, f->by_hand, f->repairs);
    printf("  %u outages, %u times Pending or Rejected, %u jumps of the CSMS's clock; %u CALLs "
           "(and %u lost): %u "
           "not answered, %u late, %u CALLERRORs; %u statuses, %u repeats, %u triggered\n",
           f->outages, f->pendings, f->jumps, f->calls, f->swallowed, f->unanswered, f->late,
           f->errors, l->statuses, l->repeats, l->triggered);
    printf("  %u checkpoints, all had ended %.1f h after the storm and their dates at the latest\n",
           f->checkpoints, (double)l->longest_calm_ms / (double)HOUR);
}

START_TEST(a_year)
{
    gint64 days = setting("DAYS", checkpoint_sanitized() ? 90 : 365);
    World *world = world_new((guint64)(setting("SEED", 1) + _i), days);

    weather_begin(world);
    while (world->now_ms < world->end_ms) {
        weather_storm(world);
        world_run(world, world->now_ms + draw(world, 12 * HOUR, 3 * DAY));
        calm_down(world);
    }
    tell(world);
    checkpoint_flat(world);
    fflush(stdout);
    world_free(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("year");
    TCase *tcase = tcase_create("year");
    SRunner *runner;
    int failures;

    tcase_set_timeout(tcase, 0); /* tests/run.py has one */
    tcase_add_loop_test(tcase, a_year, 0, (int)setting("YEARS", 1));
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
