/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which ranges the relay fetches, for what RAUC was seen to read: the pattern of a full install and of an adaptive one, and
 * patterns that nobody reads.  The fetching is simulated; the cache is the real one.
 */
#include "loop_fixture.h"

#include "src/adapter/relay/relay_window.h"

#define BUNDLE_BYTES (G_GINT64_CONSTANT(67700000) / 4096 * 4096)
#define IMAGE_BYTES  (64 << 20)
#define DATA_STEP    ((gint64)128 << 10)
#define BUFFER       ((gint64)4 << 20)
#define WINDOW_MAX   (BUFFER / 4 * 3)

typedef struct {
    RelayCache *cache;
    RelayWindow window;
    gint64 size;
    gint64 read;    /* bytes, as often as they were asked for */
    gint64 fetched; /* bytes */
    guint fetches;
    gint64 largest;
    guint8 *
        there; /* for each block, whether the cache has it: how often it was fetched while it was there */
} World;

static World world;

static void world_start(gint64 size, gsize buffer)
{
    world = (World){.size = size, .cache = relay_cache_new(buffer)};
    relay_window_init(&world.window, (gint64)(buffer / 4 * 3));
}

static void setup(void)
{
    world_start(BUNDLE_BYTES, BUFFER);
}

static void teardown(void)
{
    relay_cache_free(world.cache);
}

static void fetch(const RelayRange *range, const RelayRange *keep)
{
    g_autofree guint8 *bytes = g_malloc0((gsize)range->length);

    ck_assert_int_ge(range->offset, 0);
    ck_assert_int_gt(range->length, 0);
    ck_assert_int_le(relay_range_end(range), world.size);
    ck_assert_int_ge(relay_cache_next(world.cache, range->offset), relay_range_end(range));
    ck_assert(relay_cache_begin(world.cache, range, keep));
    ck_assert(relay_cache_add(world.cache, bytes, (gsize)range->length));
    relay_cache_end(world.cache);
    world.fetches++;
    world.fetched += range->length;
    world.largest = MAX(world.largest, range->length);
    relay_window_measured(&world.window, range->length, 1);
}

static void prefetch(void)
{
    RelayRange range;
    RelayRange keep;

    if (relay_window_prefetch(&world.window, world.cache, world.size, &range, &keep) &&
        range.length <= WINDOW_MAX)
        fetch(&range, &keep);
}

/* Requests that wait at once. */
static void read_all(const RelayRange *ranges, guint count)
{
    RelayRange range;

    for (guint i = 0; i < count; i++) {
        relay_window_read(&world.window, world.cache, &ranges[i]);
        world.read += ranges[i].length;
    }
    while (relay_window_demand(&world.window, world.cache, ranges, count, world.size, &range))
        fetch(&range, &ranges[0]);
    for (guint i = 0; i < count; i++) {
        ck_assert_int_ge(relay_cache_until(world.cache, ranges[i].offset),
                         relay_range_end(&ranges[i]));
        relay_cache_pin(world.cache, &ranges[i]);
        relay_cache_unpin(world.cache, &ranges[i], TRUE);
    }
    prefetch();
}

static void read_one(gint64 offset, gint64 length)
{
    RelayRange range = {offset, length};

    read_all(&range, 1);
}

/* What RAUC reads before the copying begins. */
static void read_beginning(void)
{
    read_one(0, 4);
    read_one(BUNDLE_BYTES - 8, 8);
    read_one(BUNDLE_BYTES - 8192, 8184);
    read_one(IMAGE_BYTES + (16 << 10), 4096);
    read_one(IMAGE_BYTES, 4096);
    read_one(0, 4096);
    for (gint64 at = IMAGE_BYTES - (512 << 10); at < IMAGE_BYTES; at += 200 << 10)
        read_one(at, 16384);
}

/* The tree: a block of 4 KiB for each 512 KiB. */
static gint64 tree_block(gint64 offset)
{
    return IMAGE_BYTES + (16 << 10) + offset / (512 << 10) * 4096;
}

static void check_full_install(void)
{
    /* 1,047 without the relay */
    ck_assert_uint_le(world.fetches, 100);
    ck_assert_int_le(world.fetched * 100, BUNDLE_BYTES * 101);
    ck_assert_int_gt(world.largest, 1 << 20);
    ck_assert_int_eq(world.window.position, IMAGE_BYTES);
}

START_TEST(full_install)
{
    read_beginning();
    for (gint64 at = 4096; at < IMAGE_BYTES; at += DATA_STEP) {
        read_one(at, MIN(DATA_STEP, IMAGE_BYTES - at));
        read_one(tree_block(at), 4096);
    }
    check_full_install();
}
END_TEST

/* Two reads at once, the later one first every third time. */
START_TEST(full_install_on_several_connections)
{
    read_beginning();
    for (gint64 at = 0; at < IMAGE_BYTES; at += 2 * DATA_STEP) {
        RelayRange pair[] = {{at, DATA_STEP}, {at + DATA_STEP, DATA_STEP}, {tree_block(at), 4096}};

        if (at / DATA_STEP % 3 == 0)
            pair[0] = (RelayRange){at + DATA_STEP, DATA_STEP},
            pair[1] = (RelayRange){at, DATA_STEP};
        read_all(pair, 3);
    }
    check_full_install();
}
END_TEST

/* Half a megabyte of index in a row, then what is new, in order but with holes. */
static void read_adaptive(guint most_in_a_row, guint32 seed)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);

    read_beginning();
    for (gint64 at = IMAGE_BYTES - (640 << 10); at < IMAGE_BYTES - (128 << 10); at += DATA_STEP)
        read_one(at, DATA_STEP);
    gint64 at = 4096;
    gint64 tree = -1; /* the kernel keeps the last block */
    while (world.read < 3060000) {
        guint blocks = (guint)g_rand_int_range(random, 1, (gint32)most_in_a_row + 1);

        for (guint i = 0; i < blocks; i++) {
            read_one(at, 16384);
            if (tree_block(at) != tree)
                read_one(tree_block(at), 4096);
            tree = tree_block(at);
            at += 16384;
        }
        at += 4096 * (gint64)g_rand_int_range(random, 1, 60);
    }
}

START_TEST(adaptive_install)
{
    for (guint32 seed = 0; seed < 20; seed++) {
        for (guint row = 1; row <= 64; row *= 2) {
            relay_cache_free(world.cache);
            world_start(BUNDLE_BYTES, BUFFER);
            read_adaptive(row, seed);
            ck_assert_int_le(world.fetched * 100, world.read * 105);
        }
    }
}
END_TEST

/* A jump is fetched to the byte. */
START_TEST(jumps_are_exact)
{
    for (gint64 i = 0; i < 50; i++)
        read_one((i * 7919) % 60 * (1 << 20), 5000 + i);
    ck_assert_int_le(world.fetched, world.read);
}
END_TEST

START_TEST(any_pattern_is_bounded)
{
    for (guint32 seed = 0; seed < 40; seed++) {
        g_autoptr(GRand) random = g_rand_new_with_seed(seed);
        gint64 size = g_rand_int_range(random, 1, 3 << 20);

        relay_cache_free(world.cache);
        world_start(size, (gsize)g_rand_int_range(random, 256 << 10, 2 << 20));
        for (guint i = 0; i < 300; i++) {
            gint64 offset = g_rand_int_range(random, 0, (gint32)size);
            gint64 length = g_rand_int_range(random, 1, 60000);

            for (guint j = 0; j < 5 && offset < size; j++, offset += length)
                read_one(offset, MIN(length, size - offset));
        }
    }
}
END_TEST

/* On a slow link nobody waits for long. */
START_TEST(slow_link_means_small_windows)
{
    RelayRange range;

    for (gint64 at = 0; at < 32 << 20; at += DATA_STEP)
        read_one(at, DATA_STEP);
    for (guint i = 0; i < 80; i++)
        relay_window_measured(&world.window, 200000, 10000);
    for (gint64 at = relay_cache_until(world.cache, 32 << 20), i = 0; i < 20;
         i++, at += DATA_STEP) {
        RelayRange read = {at, DATA_STEP};

        relay_window_read(&world.window, world.cache, &read);
        if (relay_window_demand(&world.window, world.cache, &read, 1, world.size, &range))
            ck_assert_int_le(range.length, 20000 * RELAY_WINDOW_S + 10);
    }
}
END_TEST

/* While RAUC writes, the next window comes. */
START_TEST(next_window_comes_before_it_is_needed)
{
    guint waited = 0;

    for (gint64 at = 0; at < IMAGE_BYTES; at += DATA_STEP) {
        waited += at > 40 << 20 && relay_cache_until(world.cache, at) == at;
        read_one(at, DATA_STEP);
    }
    ck_assert_uint_eq(waited, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        full_install,
        full_install_on_several_connections,
        adaptive_install,
        jumps_are_exact,
        any_pattern_is_bounded,
        slow_link_means_small_windows,
        next_window_comes_before_it_is_needed,
    };

    return run_suite("relay_window", setup, teardown, tests, G_N_ELEMENTS(tests));
}
