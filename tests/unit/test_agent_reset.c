/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An accepted Reset, in virtual time on a real store.  The job, the gate and the reboot are fakes,
 * put in place at link time: the real reboot always comes.
 */
#include "loop_fixture.h"
#include "store_fixture.h"

#include "src/agent/agent_internal.h"

#define WALL_MS  G_GINT64_CONSTANT(1800000000000)
#define AGAIN_MS 60000

static Agent agent;
static guint wishes, reboots, waits_for_holders;
static gboolean rejects, delays;

gboolean firmware_rejects_reset(const Firmware *firmware)
{
    (void)firmware;
    return rejects;
}

gboolean firmware_delays_reset(const Firmware *firmware)
{
    (void)firmware;
    return delays;
}

void reboot_ask(Reboot *reboot, gboolean permitted)
{
    (void)reboot;
    ck_assert(!permitted);
    wishes++;
}

void reboot_await_holders(Reboot *reboot)
{
    (void)reboot;
    waits_for_holders++;
}

gboolean agent_reboot(gpointer user_data, GError **error)
{
    ck_assert_ptr_eq(user_data, &agent);
    reboots++;
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, "there is no such command");
    return FALSE;
}

/* Another process of the agent. */
static void begin(const char *boot_id)
{
    g_autofree char *detail = NULL;
    StoreOrigin origin;

    memset(&agent, 0, sizeof(agent));
    agent.boot_id = g_strdup(boot_id);
    agent.clock = clock_new_virtual(WALL_MS);
    agent.store = store_open(path, 0, &origin, &detail, NULL);
    ck_assert_ptr_nonnull(agent.store);
    wishes = waits_for_holders = 0;
    agent_reset_load(&agent);
}

static void end(void)
{
    clock_timer_clear(agent.clock, &agent.reset_again);
    g_clear_pointer(&agent.store, store_close);
    g_clear_pointer(&agent.clock, clock_free);
    g_clear_pointer(&agent.boot_id, g_free);
}

static void begin_test(void)
{
    setup();
    rejects = delays = FALSE;
    reboots = 0;
    begin("one");
}

static void end_test(void)
{
    end();
    teardown();
}

START_TEST(rejected_and_forgotten)
{
    rejects = TRUE;
    ck_assert(!agent_reset_take(FALSE, &agent));
    end();
    begin("one");
    ck_assert(!agent.reset_wanted);
    ck_assert_uint_eq(wishes, 0);
}
END_TEST

START_TEST(waits_for_the_job)
{
    delays = TRUE;
    ck_assert(agent_reset_take(FALSE, &agent));
    ck_assert_uint_eq(wishes, 0);
    agent_reset_carry_out(&agent); /* the gate was opened for the job */
    ck_assert_uint_eq(reboots, 0);
    delays = FALSE;
    agent_reset_serve(&agent);
    ck_assert_uint_eq(wishes, 1);
}
END_TEST

START_TEST(known_to_the_next_process_of_this_boot)
{
    ck_assert(agent_reset_take(TRUE, &agent));
    end();
    begin("one");
    ck_assert(agent.reset_wanted);
    ck_assert_uint_eq(wishes, 1);
    ck_assert_uint_eq(waits_for_holders, 1);
    end();
    begin("two");
    ck_assert(!agent.reset_wanted);
    ck_assert_uint_eq(wishes, 0);
}
END_TEST

START_TEST(another_reboot_takes_its_place)
{
    ck_assert(agent_reset_take(FALSE, &agent));
    agent_reset_drop(&agent);
    end();
    begin("one");
    ck_assert(!agent.reset_wanted);
}
END_TEST

/* Each time through the gate, and not for ever. */
START_TEST(asked_for_again)
{
    ck_assert(agent_reset_take(FALSE, &agent));
    for (guint try = 1; try <= 5; try++) {
        ck_assert_uint_eq(wishes, try);
        agent_reset_carry_out(&agent);
        ck_assert_uint_eq(reboots, try);
        agent_reset_serve(&agent); /* a change of the job does not hurry it */
        clock_virtual_advance(agent.clock, AGAIN_MS - 1);
        ck_assert_uint_eq(wishes, try);
        clock_virtual_advance(agent.clock, 1);
    }
    ck_assert_uint_eq(wishes, 5);
    ck_assert(!agent.reset_wanted);
    end();
    begin("one");
    ck_assert(!agent.reset_wanted);
}
END_TEST

START_TEST(a_second_one_is_not_kept_waiting)
{
    ck_assert(agent_reset_take(FALSE, &agent));
    agent_reset_carry_out(&agent);
    ck_assert(agent_reset_take(FALSE, &agent));
    ck_assert_uint_eq(wishes, 2);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        rejected_and_forgotten,         waits_for_the_job, known_to_the_next_process_of_this_boot,
        another_reboot_takes_its_place, asked_for_again,   a_second_one_is_not_kept_waiting,
    };

    return run_suite("agent_reset", begin_test, end_test, tests, G_N_ELEMENTS(tests));
}
