/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The relay's buffer against a model: what is in it is right, it is never larger than it may be,
 * what is pinned stays. */
#include "loop_fixture.h"

#include "src/adapter/relay/relay_cache.h"

#define FILE_BYTES (3 << 20)
#define BOUND      (1 << 20)

static RelayCache *cache;
static guint8 *file;

static void setup(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1);

    cache = relay_cache_new(BOUND);
    file = g_malloc(FILE_BYTES);
    for (gsize i = 0; i < FILE_BYTES; i++)
        file[i] = (guint8)g_rand_int(random);
}

static void teardown(void)
{
    relay_cache_free(cache);
    g_free(file);
}

static void fill(gint64 offset, gint64 length)
{
    RelayRange range = {offset, length};

    ck_assert(relay_cache_begin(cache, &range, NULL));
    ck_assert(relay_cache_add(cache, file + offset, (gsize)length));
    relay_cache_end(cache);
}

static void check_bytes(gint64 offset, gint64 end)
{
    while (offset < end) {
        gsize length = (gsize)(end - offset);
        const guint8 *bytes = relay_cache_peek(cache, offset, &length);

        ck_assert_ptr_nonnull(bytes);
        ck_assert_uint_gt(length, 0);
        ck_assert_mem_eq(bytes, file + offset, length);
        offset += (gint64)length;
    }
}

START_TEST(empty)
{
    gsize length = 10;

    ck_assert_int_eq(relay_cache_until(cache, 7), 7);
    ck_assert_int_eq(relay_cache_next(cache, 7), G_MAXINT64);
    ck_assert_ptr_null(relay_cache_peek(cache, 0, &length));
    ck_assert_uint_eq(relay_cache_used(cache), 0);
    relay_cache_end(cache);
    relay_cache_free(NULL);
}
END_TEST

START_TEST(bytes_come_in_parts)
{
    RelayRange range = {1000, 600000};

    ck_assert(relay_cache_begin(cache, &range, NULL));
    ck_assert_int_eq(relay_cache_until(cache, 1000), 1000);
    ck_assert_int_eq(relay_cache_next(cache, 0), G_MAXINT64);
    for (gint64 at = 1000; at < 601000; at += 50000) {
        ck_assert(relay_cache_add(cache, file + at, 50000));
        ck_assert_int_eq(relay_cache_until(cache, 1000), at + 50000);
        ck_assert_int_eq(relay_cache_next(cache, 0), 1000);
    }
    ck_assert(!relay_cache_add(cache, file, 1));
    relay_cache_end(cache);
    ck_assert(!relay_cache_add(cache, file, 1));
    check_bytes(1000, 601000);
}
END_TEST

/* What did not come gives its room back, and can come later. */
START_TEST(broken_off)
{
    RelayRange range = {0, 900000};
    RelayRange rest = {5000, 900000};

    ck_assert(relay_cache_begin(cache, &range, NULL));
    ck_assert_uint_ge(relay_cache_used(cache), 900000);
    ck_assert(relay_cache_add(cache, file, 5000));
    relay_cache_end(cache);
    ck_assert_uint_eq(relay_cache_used(cache), 8192);
    ck_assert(relay_cache_begin(cache, &rest, NULL));
    ck_assert(relay_cache_add(cache, file + 5000, 900000));
    relay_cache_end(cache);
    check_bytes(0, 905000);
}
END_TEST

START_TEST(read_goes_first)
{
    RelayRange first = {0, 128 << 10};
    RelayRange second = {128 << 10, 128 << 10};

    fill(0, 128 << 10);
    fill(128 << 10, 128 << 10);
    relay_cache_pin(cache, &second);
    relay_cache_unpin(cache, &second, TRUE);
    fill(1 << 20, (1 << 20) - (256 << 10));
    ck_assert_int_eq(relay_cache_until(cache, 0), 256 << 10);
    fill(2 << 20, 4096);
    ck_assert_int_eq(relay_cache_until(cache, 0), relay_range_end(&first));
    fill((2 << 20) + 4096, 128 << 10);
    ck_assert_int_eq(relay_cache_until(cache, 0), 0);
}
END_TEST

START_TEST(kept_and_pinned_stay)
{
    RelayRange pinned = {0, 300000};
    RelayRange kept = {500000, 300000};
    RelayRange large = {1 << 20, 800000};

    fill(0, 300000);
    fill(500000, 300000);
    relay_cache_pin(cache, &pinned);
    ck_assert(!relay_cache_begin(cache, &large, &kept));
    ck_assert(!relay_cache_begin(cache, &large, NULL));
    check_bytes(500000, 800000);
    large.length = 400000;
    ck_assert(relay_cache_begin(cache, &large, &kept));
    relay_cache_end(cache);
    large.length = 700000;
    ck_assert(!relay_cache_begin(cache, &large, &kept));
    ck_assert(relay_cache_begin(cache, &large, NULL));
    relay_cache_end(cache);
    check_bytes(0, 300000);
    relay_cache_unpin(cache, &pinned, TRUE);
    large.length = BOUND;
    ck_assert(relay_cache_begin(cache, &large, NULL));
    large.length = BOUND + 1;
    relay_cache_end(cache);
    ck_assert(!relay_cache_begin(cache, &large, NULL));
}
END_TEST

/* Random ranges, some broken off, some pinned: the buffer agrees with the file, and with its
 * bound. */
START_TEST(random_against_the_file)
{
    for (guint32 seed = 0; seed < 20; seed++) {
        g_autoptr(GRand) random = g_rand_new_with_seed(seed);

        relay_cache_free(cache);
        cache = relay_cache_new((gsize)g_rand_int_range(random, 1, BOUND));
        for (guint i = 0; i < 1000; i++) {
            RelayRange range = {g_rand_int_range(random, 0, FILE_BYTES), 0};
            gint64 most = MIN(relay_cache_longest(cache), FILE_BYTES - range.offset);

            if (g_rand_boolean(random))
                most = MIN(most, 9000);
            range.length = g_rand_int_range(random, 0, (gint32)most) + 1;
            gint64 offset = relay_cache_until(cache, range.offset);
            gint64 end = MIN(relay_range_end(&range), relay_cache_next(cache, offset));
            check_bytes(range.offset, MIN(offset, FILE_BYTES));
            if (offset >= end)
                continue;
            RelayRange gap = {offset, end - offset};
            ck_assert(relay_cache_begin(cache, &gap, NULL));
            ck_assert_uint_le(relay_cache_used(cache), MAX(BOUND, RELAY_CACHE_MIN));
            gint64 come = g_rand_boolean(random) ? gap.length : gap.length / 3;
            ck_assert(relay_cache_add(cache, file + gap.offset, (gsize)come));
            relay_cache_end(cache);
            ck_assert_int_ge(relay_cache_until(cache, gap.offset), gap.offset + come);
            if (come > 0) {
                gap.length = come;
                relay_cache_pin(cache, &gap);
                relay_cache_unpin(cache, &gap, g_rand_boolean(random));
            }
        }
    }
}
END_TEST

/* Half of the bound always finds room, however small the pieces that lie about. */
START_TEST(longest_always_fits)
{
    RelayRange longest = {0, relay_cache_longest(cache)};

    for (gint64 at = 0; at < 2 * longest.length; at += 3000)
        fill(at, 1);
    ck_assert_uint_le(relay_cache_used(cache), BOUND);
    longest.offset = 2 * longest.length;
    ck_assert(relay_cache_begin(cache, &longest, NULL));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        empty,
        bytes_come_in_parts,
        broken_off,
        read_goes_first,
        kept_and_pinned_stay,
        random_against_the_file,
        longest_always_fits,
    };

    return run_suite("relay_cache", setup, teardown, tests, G_N_ELEMENTS(tests));
}
