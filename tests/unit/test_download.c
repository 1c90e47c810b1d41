/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Downloads over broken links, restarts, reboots and full disks, against a server of the test's
 * own. */
#include "loop_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "adapter/download.h"
#include "download_peer.h"
#include "src/adapter/download/spool.h"

#define MIB   (G_GINT64_CONSTANT(1) << 20)
#define LARGE (4 * MIB)
#define JOB   7
/* The clock is moved on while a connection is made, however long that takes. */
#define HOLD_MS G_MAXINT
#define WALL_MS G_GINT64_CONSTANT(1700000000000)
#define REST    300000

static char *folder, *spool_folder;
static guint8 *body, *other_body;
static Peer peer;
static Clock *clock_;
static Transfers *transfers;
static Download *download;
static const char *boot;
static gint64 budget;

/* What was told. */
static guint dones;
static char *path, *sha256;
static GError *failure;
static guint retry_after;
static gint64 progress_bytes, progress_size;
static guint progresses;

static guint8 *make_body(guint32 seed)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    guint8 *bytes = g_malloc(LARGE);

    for (gint64 i = 0; i < LARGE; i++)
        bytes[i] = (guint8)g_rand_int(random);
    return bytes;
}

static void setup(void)
{
    const TransferConfig config = {.connect_timeout_s = 30, .low_speed_limit = 1};

    fixture_log_start();
    folder = g_dir_make_tmp("rauc-ocpp-agent-download-XXXXXX", NULL);
    ck_assert_ptr_nonnull(folder);
    spool_folder = g_build_filename(folder, "spool", NULL);
    body = make_body(1);
    other_body = make_body(2);
    peer_start(&peer, body, LARGE);
    clock_ = clock_new_virtual(WALL_MS);
    transfers = transfers_new(&config);
    boot = "boot-1";
    budget = -1;
}

static void forget(void)
{
    g_clear_pointer(&path, g_free);
    g_clear_pointer(&sha256, g_free);
    g_clear_error(&failure);
    dones = 0;
}

static void stop(void)
{
    g_clear_pointer(&download, download_free);
}

static void teardown(void)
{
    stop();
    run_ready();
    transfers_free(transfers);
    clock_free(clock_);
    peer_stop(&peer);
    download_clean(spool_folder, 0);
    g_rmdir(spool_folder);
    g_rmdir(folder);
    forget();
    g_free(folder);
    g_free(spool_folder);
    g_free(body);
    g_free(other_body);
}

static void on_progress(gint64 bytes, gint64 size, gpointer unused)
{
    (void)unused;
    progresses++;
    progress_bytes = bytes;
    progress_size = size;
}

static void on_done(const char *whole, const char *digest, const GError *error, guint retry_after_s,
                    gpointer unused)
{
    (void)unused;
    ck_assert_uint_eq(dones, 0);
    dones++;
    path = g_strdup(whole);
    sha256 = g_strdup(digest);
    failure = error ? g_error_copy(error) : NULL;
    retry_after = retry_after_s;
    ck_assert((whole != NULL) == (error == NULL) && (digest != NULL) == (error == NULL));
}

static void begin(void)
{
    static const DownloadEvents events = {on_progress, on_done};
    const DownloadRequest request = {spool_folder, JOB, peer.url, HOLD_MS, 0, budget, boot};

    stop();
    forget();
    download = download_begin(transfers, clock_, &request, &events, NULL);
    ck_assert_uint_eq(dones, 0);
}

/* Waits for nothing: an outage is over as soon as it is told. */
static void pass_outages(void)
{
    if (download_trouble(download))
        clock_virtual_advance(clock_, 1000);
}

static void expect_failure(TransferError code, const char *words)
{
    run_until((pass_outages(), dones));
    ck_assert_msg(g_error_matches(failure, TRANSFER_ERROR, (int)code) &&
                      strstr(failure->message, words),
                  "%s", failure ? failure->message : "no failure");
}

static void expect_whole(const guint8 *bytes, gint64 length)
{
    g_autofree char *contents = NULL;
    g_autofree char *digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, (gsize)length);
    g_autofree char *expected = download_path(spool_folder, JOB);
    gsize got;
    struct stat st;

    run_until((pass_outages(), dones));
    ck_assert_msg(!failure, "%s", failure ? failure->message : "");
    ck_assert_str_eq(path, expected);
    ck_assert_str_eq(sha256, digest);
    ck_assert(g_file_get_contents(path, &contents, &got, NULL));
    ck_assert_uint_eq(got, (gsize)length);
    ck_assert_int_eq(memcmp(contents, bytes, got), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(progress_bytes, length);
    ck_assert_int_eq(progress_size, length);
}

static gint64 part_length(void)
{
    g_autofree char *name = g_strdup_printf("%s/job-%d.part", spool_folder, JOB);
    struct stat st;

    return stat(name, &st) == 0 ? st.st_size : -1;
}

/* An earlier run that went on at `from` and broke off at `to`. */
static void leave_rest_of(gint64 from, gint64 to)
{
    peer_set(&peer, cut_after, to - from);
    begin();
    run_until(part_length() == to);
    stop();
    peer_set(&peer, cut_after, -1);
    run_ready();
}

static void leave_rest(gint64 length)
{
    leave_rest_of(0, length);
}

static PeerRequest *request_after(guint before)
{
    ck_assert_uint_gt(peer_requests(&peer), before);
    return &peer.requests[before];
}

START_TEST(whole)
{
    begin();
    expect_whole(body, LARGE);
    ck_assert_int_eq(download_received(download), LARGE);
    ck_assert_uint_eq(peer_requests(&peer), 1);
    ck_assert_int_eq(part_length(), -1);
    ck_assert_uint_ge(progresses, 2);
}
END_TEST

/* RAUC refuses a bundle that somebody has open for writing. */
START_TEST(not_open_for_writing)
{
    int fd;

    begin();
    expect_whole(body, LARGE);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_RDLCK), 0);
    close(fd);
}
END_TEST

START_TEST(found_when_it_is_there)
{
    begin();
    expect_whole(body, LARGE);
    begin();
    expect_whole(body, LARGE);
    ck_assert_uint_eq(peer_requests(&peer), 1);
    ck_assert_int_eq(download_received(download), 0);
    boot = "boot-2";
    begin();
    expect_whole(body, LARGE);
    ck_assert_uint_eq(peer_requests(&peer), 1);
}
END_TEST

START_TEST(another_url_is_another_file)
{
    g_autofree char *url = peer.url;

    begin();
    expect_whole(body, LARGE);
    peer.url = g_strconcat(url, "?2", NULL);
    peer_set(&peer, body, other_body);
    begin();
    expect_whole(other_body, LARGE);
    download_clean(spool_folder, 0);
    leave_rest(REST);
    g_free(peer.url);
    peer.url = g_strconcat(url, "?3", NULL);
    peer_set(&peer, body, body);
    begin();
    expect_whole(body, LARGE);
    ck_assert_int_eq(download_received(download), LARGE);
}
END_TEST

START_TEST(resumed_after_a_restart)
{
    guint before;

    leave_rest(REST);
    before = peer_requests(&peer);
    begin();
    expect_whole(body, LARGE);
    ck_assert_int_eq(download_received(download), LARGE - REST);
    ck_assert_uint_eq(peer_requests(&peer), before + 1);
    ck_assert_int_eq(request_after(before)->start, REST);
    ck_assert_str_eq(request_after(before)->if_range, "\"one\"");
}
END_TEST

/* Killed after the last byte: nothing is left to fetch. */
START_TEST(only_the_end_was_missing)
{
    guint before;
    g_autofree char *whole_path = download_path(spool_folder, JOB);
    g_autofree char *part_path = g_strdup_printf("%s/job-%d.part", spool_folder, JOB);

    begin();
    expect_whole(body, LARGE);
    before = peer_requests(&peer);
    ck_assert_int_eq(g_rename(whole_path, part_path), 0);
    begin();
    expect_whole(body, LARGE);
    ck_assert_uint_eq(peer_requests(&peer), before);
}
END_TEST

START_TEST(cuts_and_restarts)
{
    gint64 received = 0, at = 0;
    guint restarts = 0;

    peer_set(&peer, cut_after, LARGE / 26);
    begin();
    while (!dones) {
        at = download_received(download);
        run_until((pass_outages(), dones || download_received(download) - at > LARGE / 7));
        if (dones || restarts == 5)
            continue;
        restarts++;
        received += download_received(download);
        begin();
    }
    ck_assert_uint_eq(restarts, 5);
    expect_whole(body, LARGE);
    received += download_received(download);
    ck_assert_uint_ge(peer_requests(&peer), 26);
    ck_assert_int_ge(received, LARGE);
    ck_assert_int_le(received, LARGE + LARGE / 20);
}
END_TEST

START_TEST(freed_at_any_time)
{
    begin();
    stop();
    for (gint64 bytes = 1; bytes < LARGE; bytes += LARGE / 9) {
        begin();
        run_until(download_received(download) >= bytes || dones);
        stop();
    }
    begin();
    /* while it hashes what it has */
    for (int i = 0; i < 3; i++)
        g_main_context_iteration(NULL, FALSE);
    begin();
    expect_whole(body, LARGE);
}
END_TEST

/* What a power cut leaves: the length of the file, but not surely its bytes. */
START_TEST(another_boot_believes_what_was_synced)
{
    g_autoptr(Spool) spool = NULL;
    g_auto(SpoolInfo) info = SPOOL_INFO_NONE;
    g_autofree char *name = g_strdup_printf("%s/job-%d.part", spool_folder, JOB);
    guint before;
    int fd;

    leave_rest(LARGE / 2);
    spool = spool_open(spool_folder, JOB, NULL);
    ck_assert(spool_load_info(spool, &info));
    info.synced = REST;
    ck_assert(spool_save_info(spool, &info, NULL));
    fd = open(name, O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, "garbage", 7, REST), 7);
    close(fd);
    boot = "boot-2";
    before = peer_requests(&peer);
    leave_rest_of(REST, REST + 1000);
    ck_assert_int_eq(request_after(before)->start, REST);
    /* the same boot again: all that is there now is of it */
    begin();
    expect_whole(body, LARGE);
    ck_assert_int_eq(request_after(before + 1)->start, REST + 1000);
}
END_TEST

START_TEST(synced_while_it_comes)
{
    g_autoptr(Spool) spool = spool_open((g_mkdir(spool_folder, 0700), spool_folder), JOB, NULL);
    g_autofree char *body_large = g_malloc0(3 * DOWNLOAD_SYNC_BYTES);
    g_auto(SpoolInfo) info = SPOOL_INFO_NONE;

    peer_set(&peer, body, (const guint8 *)body_large);
    peer_set(&peer, length, 3 * DOWNLOAD_SYNC_BYTES);
    peer_set(&peer, cut_after, 2 * DOWNLOAD_SYNC_BYTES);
    begin();
    run_until((spool_info_clear(&info), spool_load_info(spool, &info)) && info.synced > 0);
    ck_assert_int_ge(info.synced, DOWNLOAD_SYNC_BYTES / 2);
    ck_assert_int_le(info.synced, part_length());
    ck_assert_str_eq(info.boot_id, boot);
    expect_whole((guint8 *)body_large, 3 * DOWNLOAD_SYNC_BYTES);
    stop();
    peer_set(&peer, body, body);
}
END_TEST

static void exchange_file(void)
{
    peer_set(&peer, body, other_body);
    peer_set(&peer, etag, "\"two\"");
}

START_TEST(exchanged_between_two_tries)
{
    leave_rest(REST);
    exchange_file();
    begin();
    expect_whole(other_body, LARGE);
}
END_TEST

START_TEST(exchanged_and_shorter_than_what_is_there)
{
    leave_rest(LARGE / 2);
    exchange_file();
    peer_set(&peer, length, 1000);
    begin();
    expect_whole(other_body, 1000);
}
END_TEST

START_TEST(exchanged_in_the_middle)
{
    peer_set(&peer, cut_after, REST);
    begin();
    run_until(part_length() == REST);
    exchange_file();
    expect_failure(TRANSFER_ERROR_CHANGED, "");
    ck_assert_int_eq(part_length(), -1);
    peer_set(&peer, cut_after, -1);
    begin();
    expect_whole(other_body, LARGE);
}
END_TEST

START_TEST(without_validators_from_the_first_byte)
{
    guint before;

    peer_set(&peer, etag, NULL);
    leave_rest(REST);
    before = peer_requests(&peer);
    begin();
    expect_whole(body, LARGE);
    ck_assert_int_le(request_after(before)->start, 0);
    ck_assert_int_eq(download_received(download), LARGE);
}
END_TEST

START_TEST(without_ranges_each_cut_costs_a_try)
{
    peer_set(&peer, ranges, FALSE);
    peer_set(&peer, cut_after, REST);
    begin();
    expect_failure(TRANSFER_ERROR_NETWORK, "cannot be taken up again");
    begin();
    expect_failure(TRANSFER_ERROR_NETWORK, "cannot be taken up again");
    ck_assert_uint_le(peer_requests(&peer), 6);
    peer_set(&peer, cut_after, -1);
    begin();
    expect_whole(body, LARGE);
}
END_TEST

/* The server lost its ranges between two tries. */
START_TEST(without_ranges_any_more)
{
    leave_rest(REST);
    peer_set(&peer, ranges, FALSE);
    begin();
    expect_whole(body, LARGE);
}
END_TEST

START_TEST(of_unknown_size)
{
    peer_set(&peer, sized, FALSE);
    peer_set(&peer, ranges, FALSE);
    begin();
    expect_whole(body, LARGE);
    begin();
    expect_whole(body, LARGE);
    ck_assert_uint_eq(peer_requests(&peer), 1);
}
END_TEST

START_TEST(a_refusal_passes_through)
{
    peer_set(&peer, status, "404 Not Found");
    begin();
    expect_failure(TRANSFER_ERROR_REFUSED, "");
    peer_set(&peer, status, "503 Busy\r\nRetry-After: 7");
    begin();
    expect_failure(TRANSFER_ERROR_SERVER, "");
    ck_assert_uint_eq(retry_after, 7);
    peer_set(&peer, status, NULL);
    begin();
    expect_whole(body, LARGE);
}
END_TEST

START_TEST(a_budget)
{
    budget = LARGE;
    begin();
    expect_whole(body, LARGE);
    download_clean(spool_folder, 0);
    budget = LARGE - 1;
    begin();
    expect_failure(TRANSFER_ERROR_BUDGET, "data budget");
    ck_assert_int_eq(download_received(download), 0);
    /* what is there already costs nothing */
    budget = -1;
    leave_rest(REST);
    budget = LARGE - REST;
    begin();
    expect_whole(body, LARGE);
    download_clean(spool_folder, 0);
    peer_set(&peer, sized, FALSE);
    peer_set(&peer, ranges, FALSE);
    budget = LARGE - 1;
    begin();
    expect_failure(TRANSFER_ERROR_BUDGET, "data budget");
    ck_assert_int_le(download_received(download), budget);
}
END_TEST

START_TEST(an_unsafe_spool)
{
    ck_assert_int_eq(symlink("/tmp", spool_folder), 0);
    begin();
    expect_failure(TRANSFER_ERROR_LOCAL, "cannot use the spool");
    ck_assert_uint_eq(peer_requests(&peer), 0);
    ck_assert_int_eq(g_unlink(spool_folder), 0);
}
END_TEST

/* The disk of the test's own; the process may not mount anything that others see. */
static void mount_spool(const char *size)
{
    g_autofree char *options = g_strconcat("mode=0700,size=", size, NULL);

    ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
    ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    ck_assert_int_eq(g_mkdir(spool_folder, 0700), 0);
    ck_assert_int_eq(mount("tmpfs", spool_folder, "tmpfs", 0, options), 0);
}

START_TEST(not_enough_space)
{
    mount_spool("7m");
    begin();
    expect_failure(TRANSFER_ERROR_LOCAL, "not enough space in ");
    ck_assert_msg(strstr(failure->message, "needs 9 MB, has 7 MB") != NULL, "%s", failure->message);
    ck_assert_int_eq(download_received(download), 0);
    stop();
    umount(spool_folder);
}
END_TEST

/* An endless body, of which no size is told. */
START_TEST(the_disk_becomes_full)
{
    mount_spool("7m");
    peer_set(&peer, sized, FALSE);
    peer_set(&peer, ranges, FALSE);
    begin();
    expect_failure(TRANSFER_ERROR_LOCAL, "not enough space in ");
    ck_assert_int_gt(download_received(download), 0);
    ck_assert_int_eq(part_length(), -1);
    stop();
    umount(spool_folder);
}
END_TEST

START_TEST(a_write_fails)
{
    const struct rlimit limit = {MIB, RLIM_INFINITY};
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    begin();
    expect_failure(TRANSFER_ERROR_LOCAL, "cannot write ");
    ck_assert_int_eq(part_length(), -1);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    begin();
    expect_whole(body, LARGE);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        whole,
        not_open_for_writing,
        found_when_it_is_there,
        another_url_is_another_file,
        resumed_after_a_restart,
        only_the_end_was_missing,
        cuts_and_restarts,
        freed_at_any_time,
        another_boot_believes_what_was_synced,
        synced_while_it_comes,
        exchanged_between_two_tries,
        exchanged_and_shorter_than_what_is_there,
        exchanged_in_the_middle,
        without_validators_from_the_first_byte,
        without_ranges_each_cut_costs_a_try,
        without_ranges_any_more,
        of_unknown_size,
        a_refusal_passes_through,
        a_budget,
        an_unsafe_spool,
        not_enough_space,
        the_disk_becomes_full,
        a_write_fails,
    };

    return run_suite("download", setup, teardown, tests, G_N_ELEMENTS(tests));
}
