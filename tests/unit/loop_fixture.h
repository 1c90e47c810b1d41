/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For the tests of the adapters: a main loop that runs until something is so, what was logged, and
 * a private bus.
 */
#pragma once

#include <check.h>
#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_S  120
#define DEADLINE_US (G_GINT64_CONSTANT(1000000) * DEADLINE_S)

static inline gboolean fixture_tick(gpointer unused)
{
    (void)unused;
    return G_SOURCE_CONTINUE;
}

/* Runs the main loop until `condition` holds; fails after DEADLINE_S. */
#define run_until(condition)                                                                       \
    do {                                                                                           \
        gint64 end_ = g_get_monotonic_time() + DEADLINE_US;                                        \
        guint tick_ = g_timeout_add(5, fixture_tick, NULL);                                        \
        while (!(condition)) {                                                                     \
            ck_assert_msg(g_get_monotonic_time() < end_, "never came: %s", #condition);            \
            g_main_context_iteration(NULL, TRUE);                                                  \
        }                                                                                          \
        g_source_remove(tick_);                                                                    \
    } while (0)

/* Runs what is ready and nothing that has to be waited for. */
static inline void run_ready(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

/* --- The log, as text --- */

static GString *fixture_log;

static inline GLogWriterOutput fixture_log_writer(GLogLevelFlags level, const GLogField *fields,
                                                  gsize count, gpointer unused)
{
    (void)unused;
    for (gsize i = 0; i < count; i++) {
        if (g_str_equal(fields[i].key, "MESSAGE"))
            g_string_append_printf(fixture_log, "%s%s\n",
                                   (level & G_LOG_LEVEL_WARNING) ? "WARNING " : "",
                                   (const char *)fields[i].value);
    }
    /* GLib's own complaints, and g_error() */
    if (level & (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR)) {
        g_log_writer_standard_streams(level, fields, count, NULL);
        abort();
    }
    return G_LOG_WRITER_HANDLED;
}

/* Once in a process: keeps the log and makes a complaint of GLib's the end of the test. */
static inline void fixture_log_start(void)
{
    fixture_log = g_string_new(NULL);
    g_log_set_writer_func(fixture_log_writer, NULL, NULL);
}

/* --- A private bus --- */

typedef struct {
    char *folder; /* the socket's and the service files' */
    GPid pid;
} PrivateBus;

static inline void die_with_parent(gpointer unused)
{
    (void)unused;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* (Re)starts the daemon at the same address and waits until it listens. */
static inline void private_bus_start(PrivateBus *bus)
{
    g_autofree char *config = g_build_filename(bus->folder, "bus.conf", NULL);
    g_autofree char *option = g_strconcat("--config-file=", config, NULL);
    char *arguments[] = {(char *)"dbus-daemon",       option,
                         (char *)"--nofork",          (char *)"--nopidfile",
                         (char *)"--print-address=1", NULL};
    char answer[256];
    int out;

    ck_assert(g_spawn_async_with_pipes(NULL, arguments, NULL,
                                       G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                           G_SPAWN_STDERR_TO_DEV_NULL,
                                       die_with_parent, NULL, &bus->pid, NULL, &out, NULL, NULL));
    ck_assert_int_gt(read(out, answer, sizeof answer), 0);
    close(out);
}

static inline void private_bus_kill(PrivateBus *bus)
{
    g_autofree char *socket = g_build_filename(bus->folder, "bus", NULL);

    kill(bus->pid, SIGKILL);
    waitpid(bus->pid, NULL, 0);
    g_unlink(socket);
}

/* Becomes the system bus of this process.  Session type, so that it starts the services of its
 * folder by itself. */
static inline void private_bus_setup(PrivateBus *bus)
{
    g_autofree char *config = NULL, *text = NULL, *address = NULL;

    bus->folder = g_dir_make_tmp("rauc-ocpp-agent-bus-XXXXXX", NULL);
    ck_assert_ptr_nonnull(bus->folder);
    config = g_build_filename(bus->folder, "bus.conf", NULL);
    text = g_strdup_printf("<busconfig><type>session</type><listen>unix:path=%s/bus</listen>"
                           "<servicedir>%s</servicedir><auth>EXTERNAL</auth>"
                           "<policy context='default'><allow send_destination='*'/>"
                           "<allow receive_sender='*'/><allow own='*'/></policy></busconfig>",
                           bus->folder, bus->folder);
    ck_assert(g_file_set_contents(config, text, -1, NULL));
    address = g_strdup_printf("unix:path=%s/bus", bus->folder);
    g_setenv("DBUS_SYSTEM_BUS_ADDRESS", address, TRUE);
}

static inline void private_bus_teardown(PrivateBus *bus)
{
    g_autoptr(GDir) dir = g_dir_open(bus->folder, 0, NULL);
    const char *entry;

    while ((entry = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(bus->folder, entry, NULL);

        g_unlink(path);
    }
    g_rmdir(bus->folder);
    g_clear_pointer(&bus->folder, g_free);
}

/* A connection of a peer on it. */
static inline GDBusConnection *private_bus_connect(void)
{
    GDBusConnection *connection =
        g_dbus_connection_new_for_address_sync(g_getenv("DBUS_SYSTEM_BUS_ADDRESS"),
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL, NULL, NULL);

    ck_assert_ptr_nonnull(connection);
    return connection;
}

static inline void private_bus_own(GDBusConnection *connection, const char *name)
{
    g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
        connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
        "RequestName", g_variant_new("(su)", name, 4), G_VARIANT_TYPE("(u)"),
        G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
    guint32 result = 0;

    ck_assert_ptr_nonnull(reply);
    g_variant_get(reply, "(u)", &result);
    ck_assert_uint_eq(result, 1);
}

/* --- main() --- */

static inline int run_suite(const char *name, SFun setup, SFun teardown, const TTest *const *tests,
                            gsize count)
{
    Suite *suite = suite_create(name);
    SRunner *runner = srunner_create(suite);
    TCase *cases = tcase_create(name);
    int failed;

    tcase_set_timeout(cases, DEADLINE_S + 30);
    tcase_add_checked_fixture(cases, setup, teardown);
    for (gsize i = 0; i < count; i++)
        tcase_add_test(cases, tests[i]);
    suite_add_tcase(suite, cases);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
