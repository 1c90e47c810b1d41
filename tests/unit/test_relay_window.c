/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which ranges the relay fetches, for what RAUC was seen to read: the pattern of a full install and
 * of an adaptive one, and patterns that nobody reads.  The fetching is simulated; the cache is the
 * real one.
 */
#include "loop_fixture.h"

#include "src/adapter/relay/relay_window.h"

#define BUNDLE_BYTES (G_GINT64_CONSTANT(67700000) / 4096 * 4096)
#define IMAGE_BYTES  (64 << 20)
#define DATA_STEP    ((gint64)128 << 10)
#define BUFFER       ((gint64)4 << 20)

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

/* FALSE: there is no room. */
static gboolean fetch(const RelayRange *range, const RelayRange *keep)
{
    g_autofree guint8 *bytes = g_malloc0((gsize)range->length);

    ck_assert_int_ge(range->offset, 0);
    ck_assert_int_gt(range->length, 0);
    ck_assert_int_le(relay_range_end(range), world.size);
    ck_assert_int_ge(relay_cache_next(world.cache, range->offset), relay_range_end(range));
    if (!relay_cache_begin(world.cache, range, keep))
        return FALSE;
    relay_window_fetched(&world.window, world.cache, range);
    ck_assert(relay_cache_add(world.cache, bytes, (gsize)range->length));
    relay_cache_end(world.cache);
    world.fetches++;
    world.fetched += range->length;
    world.largest = MAX(world.largest, range->length);
    relay_window_measured(&world.window, range->length, 1);
    return TRUE;
}

/* As the relay makes room. */
static void fetch_wanted(RelayRange *range, const RelayRange *wanted)
{
    if (fetch(range, wanted))
        return;
    range->length = MIN(range->length, relay_range_end(wanted) - range->offset);
    ck_assert(fetch(range, wanted));
}

static void prefetch(void)
{
    RelayRange range;
    RelayRange keep;

    if (relay_window_prefetch(&world.window, world.cache, world.size, &range, &keep))
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
        fetch_wanted(&range, &ranges[0]);
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

/* What RAUC 1.13 was seen to read before the copying begins: signature, squashfs's head, half of
 * the verity tree. */
static void read_beginning(gint64 tree)
{
    const RelayRange half_tree[] = {
        {tree + 8192, DATA_STEP}, {tree + 8192 + DATA_STEP, 122880}, {tree, 8192}};

    read_one(0, 4);
    read_one(world.size - 8, 8);
    read_one(world.size - 1602, 1594);
    read_one(0, 4096);
    read_one(4096, 4096);
    read_one(12288, 4096);
    read_one(0, 16384);
    read_all(half_tree, G_N_ELEMENTS(half_tree));
    read_one(0, 4096);
    read_one(tree, 4096);
    read_one(tree + (512 << 10), 20480);
    for (guint i = 0; i < 8; i++)
        read_one(tree, 4096);
}

/* As the kernel reads a file in a row: 128 KiB, and a block of the next ones. */
static void read_row(gint64 from, gint64 to)
{
    for (gint64 at = from; at < to; at += DATA_STEP) {
        const RelayRange pair[] = {{at, DATA_STEP}, {at + DATA_STEP, 4096}};

        read_all(pair, G_N_ELEMENTS(pair));
    }
}

/* A block of the tree: 4 KiB for each 512 KiB. */
static gint64 tree_block(gint64 offset)
{
    return IMAGE_BYTES + (16 << 10) + offset / (512 << 10) * 4096;
}

static void check_full_install(void)
{
    /* 1,047 without the relay */
    ck_assert_uint_le(world.fetches, 80);
    ck_assert_int_le(world.fetched * 100, BUNDLE_BYTES * 101);
    ck_assert_int_gt(world.largest, 1 << 20);
    ck_assert_int_ge(world.window.position, IMAGE_BYTES);
    ck_assert_int_le(world.window.position, IMAGE_BYTES + 4096);
}

START_TEST(full_install)
{
    read_beginning(IMAGE_BYTES);
    read_row(0, IMAGE_BYTES / 2);
    read_one(IMAGE_BYTES + (256 << 10), DATA_STEP);
    read_one(IMAGE_BYTES + (384 << 10), DATA_STEP);
    read_row(IMAGE_BYTES / 2, IMAGE_BYTES);
    check_full_install();
}
END_TEST

/* Two reads at once, the later one first every third time. */
START_TEST(full_install_on_several_connections)
{
    read_beginning(IMAGE_BYTES);
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

    read_beginning(IMAGE_BYTES);
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

/* One changed block: the index, and what is new. */
START_TEST(adaptive_install_as_measured)
{
    world.size += 512 << 10;
    read_beginning(IMAGE_BYTES + (512 << 10));
    read_row(IMAGE_BYTES, IMAGE_BYTES + (512 << 10));
    read_row(0, DATA_STEP);
    ck_assert_int_le(world.fetched * 100, world.read * 105);
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
        adaptive_install_as_measured,
        jumps_are_exact,
        any_pattern_is_bounded,
        slow_link_means_small_windows,
        next_window_comes_before_it_is_needed,
    };

    return run_suite("relay_window", setup, teardown, tests, G_N_ELEMENTS(tests));
}
