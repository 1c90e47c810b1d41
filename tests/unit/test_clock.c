/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The clock: a virtual one for the rules, the kernel's for the wake-ups. */
#include "loop_fixture.h"

#include "adapter/clock.h"

#define DAY_MS G_GINT64_CONSTANT(86400000)

typedef struct {
    Clock *clock;
    guint timer;
    const char *name;
    gint64 repeat_ms; /* sets itself again; 0: no */
    guint fired;
    guint *stop; /* a timer that it clears */
} Probe;

static GString *order;

static void on_fire(gpointer data)
{
    Probe *probe = data;

    ck_assert_uint_eq(probe->timer, 0);
    probe->fired++;
    g_string_append(order, probe->name);
    if (probe->stop)
        clock_timer_clear(probe->clock, probe->stop);
    if (probe->repeat_ms)
        clock_timer_set(probe->clock, &probe->timer, probe->repeat_ms, on_fire, probe);
}

static void setup(void)
{
    order = g_string_new(NULL);
}

static void teardown(void)
{
    g_string_free(order, TRUE);
}

static void set(Probe *probe, gint64 delay_ms)
{
    clock_timer_set(probe->clock, &probe->timer, delay_ms, on_fire, probe);
}

START_TEST(timers_fire_in_order)
{
    g_autoptr(Clock) clock = clock_new_virtual(0);
    Probe a = {clock, .name = "a"}, b = {clock, .name = "b"}, c = {clock, .name = "c"};
    Probe d = {clock, .name = "d"};

    set(&a, 3000);
    set(&b, 1000);
    set(&c, 1000);
    set(&d, -5);
    ck_assert_uint_ne(a.timer, 0);
    ck_assert_str_eq(order->str, "");
    clock_virtual_advance(clock, 0);
    ck_assert_str_eq(order->str, "d");
    clock_virtual_advance(clock, 999);
    ck_assert_str_eq(order->str, "d");
    clock_virtual_advance(clock, 1);
    ck_assert_str_eq(order->str, "dbc");
    clock_virtual_advance(clock, 10 * DAY_MS);
    ck_assert_str_eq(order->str, "dbca");
    clock_virtual_advance(clock, DAY_MS);
    ck_assert_str_eq(order->str, "dbca");
}
END_TEST

START_TEST(timers_move_and_stop)
{
    g_autoptr(Clock) clock = clock_new_virtual(0);
    Probe a = {clock, .name = "a"}, b = {clock, .name = "b"}, c = {clock, .name = "c"};

    set(&a, 1000);
    set(&a, 5000);
    set(&b, 2000);
    set(&c, 2000);
    b.stop = &c.timer;
    clock_virtual_advance(clock, 4999);
    ck_assert_str_eq(order->str, "b");
    ck_assert_uint_eq(c.timer, 0);
    clock_virtual_advance(clock, 1);
    ck_assert_str_eq(order->str, "ba");
    set(&a, 1);
    clock_timer_clear(clock, &a.timer);
    ck_assert_uint_eq(a.timer, 0);
    clock_timer_clear(clock, &a.timer);
    clock_virtual_advance(clock, DAY_MS);
    ck_assert_str_eq(order->str, "ba");
    /* one that still runs when the clock goes */
    set(&a, 1);
}
END_TEST

START_TEST(a_year_passes)
{
    g_autoptr(Clock) clock = clock_new_virtual(1700000000000);
    gint64 start = clock_boottime_ms(clock);
    Probe heartbeat = {clock, .name = "", .repeat_ms = 300000};
    Probe yearly = {clock, .name = "y"};
    guint beats = (guint)(365 * DAY_MS / heartbeat.repeat_ms);

    set(&heartbeat, 300000);
    set(&yearly, 365 * DAY_MS);
    clock_virtual_advance(clock, 365 * DAY_MS - 1);
    ck_assert_uint_eq(heartbeat.fired, beats - 1);
    ck_assert_str_eq(order->str, "");
    clock_virtual_advance(clock, 1);
    ck_assert_uint_eq(heartbeat.fired, beats);
    ck_assert_str_eq(order->str, "y");
    ck_assert_int_eq(clock_boottime_ms(clock) - start, 365 * DAY_MS);
    ck_assert_int_eq(clock_wall_ms(clock), 1700000000000 + 365 * DAY_MS);
}
END_TEST

START_TEST(three_times)
{
    g_autoptr(Clock) clock = clock_new_virtual(1000);
    gint64 ms = 77;

    ck_assert_int_gt(clock_boottime_ms(clock), 0);
    ck_assert_int_eq(clock_wall_ms(clock), 1000);
    ck_assert(!clock_wall_synchronised(clock));
    ck_assert(!clock_csms_ms(clock, &ms));
    ck_assert_int_eq(ms, 77);
    ck_assert_int_eq(clock_best_ms(clock), 1000);
    clock_set_csms_time(clock, 1700000000000);
    clock_virtual_advance(clock, 5000);
    ck_assert(clock_csms_ms(clock, &ms));
    ck_assert_int_eq(ms, 1700000005000);
    ck_assert_int_eq(clock_best_ms(clock), 1700000005000);
    ck_assert_int_eq(clock_wall_ms(clock), 6000);
    /* a step of the system clock is no step of the others */
    clock_virtual_set_wall(clock, 1800000000000, TRUE);
    ck_assert(clock_wall_synchronised(clock));
    ck_assert_int_eq(clock_wall_ms(clock), 1800000000000);
    ck_assert_int_eq(clock_best_ms(clock), 1700000005000);
    clock_set_csms_time(clock, 5);
    ck_assert_int_eq(clock_best_ms(clock), 5);
}
END_TEST

START_TEST(the_kernels_clocks)
{
    g_autoptr(Clock) clock = clock_new();
    gint64 wall = g_get_real_time() / 1000, boottime = clock_boottime_ms(clock);

    ck_assert_int_gt(boottime, 0);
    ck_assert_int_ge(clock_boottime_ms(clock), boottime);
    ck_assert_int_lt(ABS(clock_wall_ms(clock) - wall), DEADLINE_US / 1000);
    clock_wall_synchronised(clock); /* either way */
    clock_set_csms_time(clock, 0);
    ck_assert_int_lt(clock_best_ms(clock), DEADLINE_US / 1000);
}
END_TEST

START_TEST(the_kernels_timers)
{
    g_autoptr(Clock) clock = clock_new();
    Probe a = {clock, .name = "a"}, b = {clock, .name = "b"}, c = {clock, .name = "c"};
    Probe never = {clock, .name = "n"}, zero = {clock, .name = "", .repeat_ms = -1};
    gint64 start = clock_boottime_ms(clock);

    /* more milliseconds than a guint holds, and more than a century */
    set(&never, G_GINT64_CONSTANT(5000000000));
    set(&never, G_MAXINT64);
    set(&a, 40);
    set(&b, 20);
    set(&c, 20);
    run_until(a.fired);
    ck_assert_str_eq(order->str, "bca");
    ck_assert_int_ge(clock_boottime_ms(clock) - start, 40);
    /* the loop comes to its other work beside a timer that is always due */
    set(&zero, 0);
    run_until(zero.fired > 100);
    ck_assert_uint_eq(never.fired, 0);
    clock_timer_clear(clock, &zero.timer);
    clock_timer_clear(clock, &never.timer);
}
END_TEST

/* Two long timers that were not set at the same moment come in one wake-up, and not before their
 * time. */
START_TEST(long_timers_wake_together)
{
    g_autoptr(Clock) clock = clock_new();
    Probe a = {clock, .name = "a"}, b = {clock, .name = "b"};
    gint64 start, second;

    /* begin early in a second of boottime, so that both end in the same one */
    run_until((start = clock_boottime_ms(clock)) % 1000 > 0 && start % 1000 < 300);
    set(&a, 10000);
    run_until(clock_boottime_ms(clock) >= start + 30);
    second = clock_boottime_ms(clock);
    set(&b, 10000);
    while (!a.fired)
        g_main_context_iteration(NULL, TRUE);
    ck_assert_int_ge(clock_boottime_ms(clock) - start, 10000);
    if (second / 1000 == start / 1000) /* not on a machine that slept in between */
        ck_assert_uint_eq(b.fired, 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        timers_fire_in_order,
        timers_move_and_stop,
        a_year_passes,
        three_times,
        the_kernels_clocks,
        the_kernels_timers,
        long_timers_wake_together,
    };

    return run_suite("clock", setup, teardown, tests, G_N_ELEMENTS(tests));
}
