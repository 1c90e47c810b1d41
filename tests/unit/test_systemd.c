/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service side of systemd.  The service manager is a socket, logind a few lines on a private
 * bus: neither can be asked for these answers on a machine that runs tests.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "loop_fixture.h"

#include "adapter/systemd.h"

static PrivateBus bus;
static GDBusConnection *logind;

static void setup(void)
{
    fixture_log_start();
    private_bus_setup(&bus);
    g_unsetenv("NOTIFY_SOCKET");
    g_unsetenv("WATCHDOG_USEC");
    g_unsetenv("WATCHDOG_PID");
}

static void teardown(void)
{
    g_clear_object(&logind);
    private_bus_teardown(&bus);
}

/* --- sd_notify --- */

/* A socket with the name `path`, in the abstract namespace if that begins with '@'. */
static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    gsize length = strlen(path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, path, length);
    if (*path == '@')
        address.sun_path[0] = '\0';
    length += G_STRUCT_OFFSET(struct sockaddr_un, sun_path) + (*path == '@' ? 0 : 1);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, (socklen_t)length), 0);
    return fd;
}

static void expect_datagram(int fd, const char *expected)
{
    char buffer[8192] = {0};
    gssize length = recv(fd, buffer, sizeof buffer - 1, 0);

    ck_assert_int_eq(length, (gssize)strlen(expected));
    ck_assert_str_eq(buffer, expected);
}

START_TEST(notifications_arrive)
{
    g_autofree char *path = g_build_filename(bus.folder, "notify", NULL);
    g_autofree char *abstract = g_strdup_printf("@rauc-ocpp-agent-test-%d", (int)getpid());
    const char *names[] = {path, abstract};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        int fd = listen_at(names[i]);

        g_setenv("NOTIFY_SOCKET", names[i], TRUE);
        systemd_notify("READY=1");
        systemd_notify("STATUS=booted rootfs.1");
        expect_datagram(fd, "READY=1");
        expect_datagram(fd, "STATUS=booted rootfs.1");
        close(fd);
    }
}
END_TEST

START_TEST(a_long_notification_is_cut)
{
    g_autofree char *path = g_build_filename(bus.folder, "notify", NULL);
    g_autofree char *state = g_strnfill(100000, 'x');
    char buffer[8192];
    int fd = listen_at(path);

    g_setenv("NOTIFY_SOCKET", path, TRUE);
    systemd_notify(state);
    ck_assert_int_eq(recv(fd, buffer, sizeof buffer, 0), 2048);
    close(fd);
}
END_TEST

START_TEST(nobody_to_notify)
{
    g_autofree char *too_long = g_strdup_printf("/%0200d", 0);
    const char *names[] = {"",      "/", "@", "relative", "vsock:2:1234", "/nonexistent/socket",
                           too_long};

    systemd_notify("READY=1");
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_setenv("NOTIFY_SOCKET", names[i], TRUE);
        systemd_notify("READY=1");
    }
}
END_TEST

/* The queue of an unread socket is full after some datagrams: we go on nevertheless. */
START_TEST(a_manager_that_does_not_read)
{
    g_autofree char *path = g_build_filename(bus.folder, "notify", NULL);
    gint64 begin = g_get_monotonic_time();
    int fd = listen_at(path), sent = 0;

    g_setenv("NOTIFY_SOCKET", path, TRUE);
    while (g_get_monotonic_time() - begin < G_USEC_PER_SEC / 2) {
        systemd_notify("WATCHDOG=1");
        sent++;
    }
    ck_assert_int_gt(sent, 0);
    ck_assert_int_lt(g_get_monotonic_time() - begin, DEADLINE_US);
    close(fd);
}
END_TEST

START_TEST(watchdog_interval)
{
    g_autofree char *self = g_strdup_printf("%d", (int)getpid());
    g_autofree char *parent = g_strdup_printf("%d", (int)getppid());
    const struct {
        const char *usec, *pid;
        gint64 expected_ms;
    } cases[] = {
        {NULL, NULL, 0},
        {NULL, self, 0},
        {"30000000", NULL, 15000},
        {"30000000", self, 15000},
        {"30000000", parent, 0},
        {"30000000", "", 0},
        {"30000000", "99999999999999999999", 0},
        {"1", self, 1},
        {"0", self, 0},
        {"-5", self, 0},
        {"", self, 0},
        {"10s", self, 0},
        {"99999999999999999999999", self, 0},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_unsetenv("WATCHDOG_USEC");
        g_unsetenv("WATCHDOG_PID");
        if (cases[i].usec)
            g_setenv("WATCHDOG_USEC", cases[i].usec, TRUE);
        if (cases[i].pid)
            g_setenv("WATCHDOG_PID", cases[i].pid, TRUE);
        ck_assert_int_eq(systemd_watchdog_interval_ms(), cases[i].expected_ms);
    }
}
END_TEST

/* --- logind --- */

typedef struct {
    guint count;
    char *who;
} Answer;

static void on_answer(const char *who, gpointer data)
{
    Answer *answer = data;

    answer->count++;
    g_free(answer->who);
    answer->who = g_strdup(who);
}

static const char *inhibitors; /* the reply; NULL: none at all */

static void on_call(GDBusConnection *connection, const char *sender, const char *path,
                    const char *interface, const char *method, GVariant *arguments,
                    GDBusMethodInvocation *invocation, gpointer unused)
{
    g_autoptr(GDBusMessage) reply = NULL;

    (void)sender, (void)path, (void)interface, (void)method, (void)arguments, (void)unused;
    if (inhibitors) {
        reply = g_dbus_message_new_method_reply(g_dbus_method_invocation_get_message(invocation));
        g_dbus_message_set_body(reply, g_variant_parse(NULL, inhibitors, NULL, NULL, NULL));
        g_dbus_connection_send_message(connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL,
                                       NULL);
    }
    g_object_unref(invocation);
}

static void start_logind(void)
{
    static const GDBusInterfaceVTable calls = {.method_call = on_call};
    g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(
        "<node><interface name='org.freedesktop.login1.Manager'><method name='ListInhibitors'>"
        "<arg type='a(ssssuu)' direction='out'/></method></interface></node>",
        NULL);
    logind = private_bus_connect();
    ck_assert_uint_gt(g_dbus_connection_register_object(logind, "/org/freedesktop/login1",
                                                        node->interfaces[0], &calls, NULL, NULL,
                                                        NULL),
                      0);
    private_bus_own(logind, "org.freedesktop.login1");
}

static void expect_inhibitors(const char *reply, const char *expected)
{
    Answer answer = {0};

    inhibitors = reply;
    systemd_query_shutdown_inhibitors(NULL, on_answer, &answer);
    ck_assert_uint_eq(answer.count, 0);
    run_until(answer.count);
    ck_assert_pstr_eq(answer.who, expected);
    run_ready();
    ck_assert_uint_eq(answer.count, 1);
    g_free(answer.who);
}

START_TEST(shutdown_inhibitors)
{
    g_autoptr(GString) many = g_string_new("([('shutdown', 'x', '', 'block', 0, 0)");

    private_bus_start(&bus);
    start_logind();
    expect_inhibitors("(@a(ssssuu) [],)", NULL);
    expect_inhibitors("([('shutdown', 'Charging', 'a car', 'block', uint32 1, uint32 2)],)",
                      "Charging");
    expect_inhibitors(
        "([('sleep', 'no', '', 'block', uint32 1, uint32 2),"
        " ('shutdown', 'no', '', 'delay', uint32 1, uint32 2),"
        " ('handle-power-key:sleep:shutdown:idle', 'apt', '', 'block', uint32 1, uint32 2),"
        " ('shutdown-later', 'no', '', 'block', uint32 1, uint32 2),"
        " ('shutdown', '', '', 'block', uint32 1, uint32 2)],)",
        "apt, unknown");
    /* not logind's type */
    expect_inhibitors("('shutdown',)", NULL);
    g_string_assign(many, "([");
    for (int i = 0; i < 1000; i++)
        g_string_append_printf(many, "%s('shutdown', 'name', '', 'block', uint32 1, uint32 %d)",
                               i ? "," : "", i);
    g_string_append(many, "],)");
    {
        Answer answer = {0};

        inhibitors = many->str;
        systemd_query_shutdown_inhibitors(NULL, on_answer, &answer);
        run_until(answer.count);
        ck_assert_ptr_nonnull(answer.who);
        ck_assert_uint_le(strlen(answer.who), 512 + 5);
        ck_assert(g_str_has_suffix(answer.who, ", ..."));
        g_free(answer.who);
    }
    private_bus_kill(&bus);
}
END_TEST

START_TEST(without_logind)
{
    /* no bus, then a bus without logind, then a logind that never answers */
    expect_inhibitors(NULL, NULL);
    private_bus_start(&bus);
    expect_inhibitors(NULL, NULL);
    start_logind();
    expect_inhibitors(NULL, NULL);
    private_bus_kill(&bus);
    g_setenv("DBUS_SYSTEM_BUS_ADDRESS", "nonsense", TRUE);
    expect_inhibitors(NULL, NULL);
}
END_TEST

START_TEST(a_cancelled_query_is_not_answered)
{
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    Answer cancelled = {0};

    private_bus_start(&bus);
    start_logind();
    inhibitors = "([('shutdown', 'x', '', 'block', uint32 1, uint32 2)],)";
    systemd_query_shutdown_inhibitors(cancellable, on_answer, &cancelled);
    g_cancellable_cancel(cancellable);
    /* a later one is answered after it */
    expect_inhibitors(inhibitors, "x");
    expect_inhibitors(inhibitors, "x");
    ck_assert_uint_eq(cancelled.count, 0);
    private_bus_kill(&bus);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        notifications_arrive, a_long_notification_is_cut,
        nobody_to_notify,     a_manager_that_does_not_read,
        watchdog_interval,    shutdown_inhibitors,
        without_logind,       a_cancelled_query_is_not_answered,
    };

    return run_suite("systemd", setup, teardown, tests, G_N_ELEMENTS(tests));
}
