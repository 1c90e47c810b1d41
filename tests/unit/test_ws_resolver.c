/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of names and routes that do not work, in a network of their own: a resolver that never
 * answers must not hold up the main loop.  Needs root (namespaces); without it there is nothing to
 * run.
 */
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "ws_peer.h"

/* A blocked main loop would stand still for RESOLVER_PATIENCE_S. */
#define RESOLVER_PATIENCE_S "30"
#define MAX_GAP_US          2000000
#define TICK_MS             20
#define TICKS               50

static void replace_file(const char *folder, const char *name, const char *text)
{
    g_autofree char *file = g_build_filename(folder, name, NULL);
    g_autofree char *link = g_build_filename("/etc", name, NULL);
    g_autofree char *target = realpath(link, NULL);
    ck_assert(g_file_set_contents(file, text, -1, NULL));
    ck_assert_msg(target != NULL && mount(file, target, NULL, MS_BIND, NULL) == 0,
                  "cannot replace %s", link);
}

/* A network with nothing but loopback, and `hosts` and a name server at 127.0.0.1 to ask. */
static void enter_small_world(const char *sources, const char *hosts)
{
    ck_assert_int_eq(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
    ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);

    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);

    /* In memory, and gone with this process. */
    g_autofree char *folder = g_dir_make_tmp("world-XXXXXX", NULL);
    ck_assert_int_eq(mount("tmpfs", folder, "tmpfs", 0, NULL), 0);
    g_autofree char *switch_file = g_strdup_printf("hosts: %s\n", sources);
    replace_file(folder, "nsswitch.conf", switch_file);
    replace_file(folder, "hosts", hosts);
    replace_file(folder, "resolv.conf",
                 "nameserver 127.0.0.1\noptions timeout:" RESOLVER_PATIENCE_S " attempts:1\n");
    ck_assert_int_eq(umount2(folder, MNT_DETACH), 0);
    g_rmdir(folder);
}

typedef struct {
    guint count;
    gint64 last_us, longest_us;
} Ticks;

static gboolean tick(gpointer user_data)
{
    Ticks *ticks = user_data;
    gint64 now_us = g_get_monotonic_time();
    ticks->longest_us = MAX(ticks->longest_us, now_us - ticks->last_us);
    ticks->last_us = now_us;
    ticks->count++;
    return G_SOURCE_CONTINUE;
}

static gboolean query_came(G_GNUC_UNUSED int fd, G_GNUC_UNUSED GIOCondition condition,
                           gpointer user_data)
{
    *(gboolean *)user_data = TRUE;
    return G_SOURCE_REMOVE;
}

/* A name server's socket that nobody reads. */
static int silent_name_server(gboolean *ret_asked)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    g_unix_fd_add(fd, G_IO_IN, query_came, ret_asked);
    return fd;
}

START_TEST(silent_resolver)
{
    Rig rig = {0};
    gboolean asked = FALSE;
    enter_small_world("files dns", "127.0.0.1 localhost\n");
    int name_server = silent_name_server(&asked);
    Ticks ticks = {.last_us = g_get_monotonic_time()};
    guint source = g_timeout_add(TICK_MS, tick, &ticks);
    g_auto(WsClientConfig) config = rig_config("ws", "csms.example", 80);
    rig_start(&rig, &config, NULL);

    WAIT(asked);
    guint before = ticks.count;
    WAIT(ticks.count >= before + TICKS);
    ck_assert_int_lt(ticks.longest_us, MAX_GAP_US);
    ck_assert_uint_eq(rig.failed, 0);
    rig_advance(&rig, RESOLVE_TIMEOUT_MS);
    WAIT(rig.failed == 1);
    ck_assert_has(rig.why, "DNS: no answer for csms.example within 10 s");

    /* The next attempt asks anew; freeing in the middle of it is no problem. */
    rig_advance(&rig, rig.retry_ms);
    ck_assert_int_eq(rig_next_ms(&rig), RESOLVE_TIMEOUT_MS);
    g_clear_pointer(&rig.client, ws_client_free);
    before = ticks.count;
    WAIT(ticks.count >= before + 2);
    ck_assert_uint_eq(rig.failed, 1);
    g_source_remove(source);
    close(name_server);
    rig_end(&rig);
}
END_TEST

START_TEST(unknown_name)
{
    Rig rig = {0};
    enter_small_world("files", "127.0.0.1 localhost\n");
    g_auto(WsClientConfig) config = rig_config("ws", "csms.example", 80);
    rig_start(&rig, &config, NULL);
    WAIT(rig.failed == 1);
    ck_assert_has(rig.why, "DNS: cannot resolve csms.example");
    rig_end(&rig);
}
END_TEST

START_TEST(no_route)
{
    Rig rig = {0};
    enter_small_world("files", "192.0.2.1 csms.example\n2001:db8::1 csms.example\n");
    g_auto(WsClientConfig) config = rig_config("ws", "csms.example", 9000);
    rig_start(&rig, &config, NULL);
    WAIT(rig.failed == 1);
    ck_assert_has(rig.why, "cannot connect to 192.0.2.1 port 9000: Network is unreachable");
    rig_end(&rig);
}
END_TEST

static void open_and_read(Peer *peer)
{
    if (peer_open(peer)) {
        peer_read_until_closed(peer);
    }
}

/* Two addresses that fail, each in its own way, before the good one. */
START_TEST(good_address_is_found)
{
    Peer peer = {0};
    Rig rig = {0};
    enter_small_world("files",
                      "192.0.2.1 csms.example\n127.0.0.2 csms.example\n127.0.0.1 csms.example\n");
    peer_start(&peer, open_and_read);
    g_auto(WsClientConfig) config = rig_config("ws", "csms.example", peer.port);
    rig_start(&rig, &config, NULL);
    WAIT(rig.connected == 1);
    ck_assert_uint_eq(rig.failed, 0);
    rig_end(&rig);
    peer_end(&peer);
}
END_TEST

static Suite *resolver_suite(void)
{
    Suite *suite = suite_create("ws_resolver");
    TCase *tests = tcase_create("resolver");
    tcase_set_timeout(tests, DEADLINE_S);
    tcase_add_test(tests, silent_resolver);
    tcase_add_test(tests, unknown_name);
    tcase_add_test(tests, no_route);
    tcase_add_test(tests, good_address_is_found);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    SRunner *runner = srunner_create(resolver_suite());
    /* Each test changes the world of its process. */
    srunner_set_fork_status(runner, CK_FORK);
    if (geteuid() == 0) {
        srunner_run_all(runner, CK_NORMAL);
    } else {
        printf("ws_resolver: skipped, needs root\n");
    }
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
