/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hash of a file that grows. */
#include "loop_fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include "src/adapter/download/digest.h"

#define PIECE_BYTES (700 << 10)
#define PIECES      5

static char *path;
static int fd;
static guint ends;
static char *failure;

static void setup(void)
{
    g_autofree char *name =
        g_build_filename(g_get_tmp_dir(), "rauc-ocpp-agent-digest-XXXXXX", NULL);

    fd = g_mkstemp(name);
    path = g_steal_pointer(&name);
    fixture_log_start();
    ck_assert_int_ge(fd, 0);
    ends = 0;
    failure = NULL;
}

static void teardown(void)
{
    close(fd);
    unlink(path);
    g_free(path);
    g_free(failure);
}

static void on_end(const GError *error, gpointer user_data)
{
    (void)user_data;
    ends++;
    failure = error ? g_strdup(error->message) : NULL;
}

/* Writes a piece, which the checksum learns, too. */
static void grow(GChecksum *expected, guint number)
{
    g_autofree guint8 *piece = g_malloc(PIECE_BYTES);

    for (gsize i = 0; i < PIECE_BYTES; i++)
        piece[i] = (guint8)(i * 31 + (gsize)number * 7 + (i >> 9));
    ck_assert_int_eq(write(fd, piece, PIECE_BYTES), PIECE_BYTES);
    if (expected)
        g_checksum_update(expected, piece, PIECE_BYTES);
}

START_TEST(follows_a_file_to_its_end)
{
    g_autoptr(Digest) digest = digest_new(path, fd);
    g_autoptr(GChecksum) expected = g_checksum_new(G_CHECKSUM_SHA256);

    for (guint i = 0; i < PIECES; i++) {
        grow(expected, i);
        digest_follow(digest, (gint64)(i + 1) * PIECE_BYTES);
    }
    grow(expected, PIECES);
    digest_finish(digest, (gint64)(PIECES + 1) * PIECE_BYTES, on_end, NULL);
    ck_assert_uint_eq(ends, 0);
    run_until(ends == 1);
    ck_assert_ptr_null(failure);
    ck_assert_str_eq(digest_hex(digest), g_checksum_get_string(expected));
}
END_TEST

START_TEST(knows_the_digest_of_nothing)
{
    g_autoptr(Digest) digest = digest_new(path, fd);

    digest_finish(digest, 0, on_end, NULL);
    run_until(ends == 1);
    ck_assert_str_eq(digest_hex(digest),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

START_TEST(what_is_missing_is_an_error)
{
    g_autoptr(Digest) digest = digest_new(path, fd);

    grow(NULL, 0);
    digest_follow(digest, PIECE_BYTES + 1);
    digest_finish(digest, PIECE_BYTES + 1, on_end, NULL);
    run_until(ends == 1);
    ck_assert_ptr_nonnull(strstr(failure, "cannot read"));
    ck_assert_ptr_nonnull(strstr(failure, path));
    ck_assert_ptr_null(digest_hex(digest));
}
END_TEST

/* The thread outlives what it works for; the sanitizers say whether it touches it. */
START_TEST(may_be_freed_at_any_time)
{
    for (guint i = 0; i < PIECES; i++) {
        grow(NULL, i);
        for (guint turns = 0; turns < 20; turns++) {
            Digest *digest = digest_new(path, fd);

            digest_finish(digest, (gint64)(i + 1) * PIECE_BYTES, on_end, NULL);
            for (guint turn = 0; turn < turns; turn++)
                g_main_context_iteration(NULL, FALSE);
            digest_free(digest);
        }
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        follows_a_file_to_its_end,
        knows_the_digest_of_nothing,
        what_is_missing_is_an_error,
        may_be_freed_at_any_time,
    };

    return run_suite("digest", setup, teardown, tests, G_N_ELEMENTS(tests));
}
