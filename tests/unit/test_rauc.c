/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The RAUC adapter's presence, installs and calls in the moments that cannot be had from the real
 * RAUC at will (rauc_peer.h says why there is a stand-in at all).
 */
#include "rauc_peer.h"

static PrivateBus bus;
static Rauc *rauc;
static GString *told; /* what the adapter told, in words */

/* Milliseconds; a call that is to time out is the only thing that waits for the second one. */
static const RaucTiming quick = {20, 300, 80};
static const RaucTiming patient = {20, DEADLINE_S * 1000, 80};

static const char *const classes[] = {[RAUC_ERROR_RETRIEVAL] = "retrieval",
                                      [RAUC_ERROR_SIGNATURE] = "signature",
                                      [RAUC_ERROR_COMPATIBLE] = "compatible",
                                      [RAUC_ERROR_FORMAT] = "format",
                                      [RAUC_ERROR_STREAM] = "stream",
                                      [RAUC_ERROR_STORE] = "store",
                                      [RAUC_ERROR_SIZE] = "size",
                                      [RAUC_ERROR_COPY] = "copy",
                                      [RAUC_ERROR_BUSY] = "busy",
                                      [RAUC_ERROR_GONE] = "gone",
                                      [RAUC_ERROR_OTHER] = "other"};

static void on_presence(RaucPresence presence, gpointer unused)
{
    static const char *const names[] = {"absent", "idle", "busy"};

    (void)unused;
    ck_assert_int_eq(rauc_presence(rauc), presence);
    g_string_append_printf(told, "%s ", names[presence]);
}

static void on_progress(int percent, const char *message, gpointer unused)
{
    (void)unused;
    ck_assert_int_eq(rauc_percent(rauc), percent);
    g_string_append_printf(told, "%d:%s ", percent, message);
}

static void on_completed(const GError *error, gpointer unused)
{
    (void)unused;
    if (error)
        g_string_append_printf(told, "completed:%s(%s) ", classes[error->code], error->message);
    else
        g_string_append(told, "completed ");
}

static void on_done(const GError *error, gpointer name)
{
    g_string_append_printf(told, "%s:%s ", (const char *)name, error ? classes[error->code] : "ok");
}

static void on_status(RaucStatus *status, const GError *error, gpointer name)
{
    ck_assert((status == NULL) == (error != NULL));
    if (status)
        g_string_append_printf(told, "%s:%u/%s ", (const char *)name, status->slots->len,
                               status->primary ? status->primary : "none");
    else
        on_done(error, name);
    rauc_status_free(status);
}

static const RaucEvents events = {on_presence, on_progress, on_completed};

static void setup(void)
{
    fixture_log_start();
    private_bus_setup(&bus);
    private_bus_start(&bus);
    told = g_string_new(NULL);
}

static void teardown(void)
{
    rauc_free(rauc);
    run_ready();
    private_bus_kill(&bus);
    private_bus_teardown(&bus);
    g_string_free(told, TRUE);
}

/* Waits until that, and only that, has been told since the last time. */
#define expect(text)                                                                               \
    do {                                                                                           \
        run_until(told->len >= strlen(text));                                                      \
        run_ready();                                                                               \
        ck_assert_str_eq(told->str, text);                                                         \
        g_string_truncate(told, 0);                                                                \
    } while (0)

/* The adapter and a peer that is idle. */
static Peer *start_idle(const RaucTiming *timing)
{
    Peer *peer = peer_start();

    rauc = rauc_new_with_timing(&events, NULL, timing);
    ck_assert_int_eq(rauc_presence(rauc), RAUC_ABSENT);
    expect("idle ");
    return peer;
}

static void stop(Peer *peer)
{
    rauc_free(rauc);
    rauc = NULL;
    run_ready();
    peer_vanish(peer);
}

/* --- Presence --- */

START_TEST(absent_then_there)
{
    Peer *peer;

    rauc = rauc_new_with_timing(&events, NULL, &patient);
    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    rauc_query(rauc, on_status, (gpointer) "query");
    rauc_mark(rauc, "good", "booted", on_done, (gpointer) "mark");
    ck_assert_str_eq(told->str, "");
    expect("install:gone query:gone mark:gone ");
    peer = peer_start();
    expect("idle ");
    ck_assert_str_eq(peer->calls->str, "GetAll ");
    stop(peer);
}
END_TEST

/* An agent that starts while RAUC installs sees that at once, and never an idle RAUC. */
START_TEST(busy_at_start)
{
    Peer *peer = peer_start();

    peer->operation = "installing";
    peer->percent = 40;
    rauc = rauc_new_with_timing(&events, NULL, &patient);
    expect("busy ");
    ck_assert_int_eq(rauc_percent(rauc), 40);
    peer_properties(peer, "{'Progress': <(80, 'Updating slots', 1)>}");
    expect("80:Updating slots ");
    peer_completed(peer, 0);
    expect("idle completed ");
    stop(peer);
}
END_TEST

/* What happens between the subscription and the answer to GetAll: an end, a beginning whose
 * Operation lies since. */
START_TEST(changes_while_the_state_is_read)
{
    Peer *peer = peer_start();

    peer->hold = "GetAll";
    rauc = rauc_new_with_timing(&events, NULL, &patient);
    run_until(peer->held->len == 1);
    peer_completed(peer, 1);
    peer_properties(peer, "{'Operation': <'idle'>}");
    peer_properties(peer, "{'Operation': <'installing'>}");
    peer_properties(peer, "{'Progress': <(20, 'Checking bundle', 1)>}");
    peer_properties(peer, "{'Operation': <'idle'>}");
    peer_reply(peer, g_ptr_array_steal_index(peer->held, 0), peer_usual_reply(peer, "GetAll"));
    expect("busy ");
    peer_completed(peer, 0);
    expect("idle completed ");
    stop(peer);
}
END_TEST

START_TEST(an_install_that_ends_while_the_state_is_read)
{
    Peer *peer = peer_start();

    peer->hold = "GetAll";
    rauc = rauc_new_with_timing(&events, NULL, &patient);
    run_until(peer->held->len == 1);
    peer_properties(peer, "{'Operation': <'installing'>}");
    peer_completed(peer, 0);
    peer_reply(peer, g_ptr_array_steal_index(peer->held, 0), peer_usual_reply(peer, "GetAll"));
    expect("idle ");
    stop(peer);
}
END_TEST

START_TEST(lost_in_mid_install)
{
    Peer *peer = start_idle(&patient);

    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    expect("busy install:ok ");
    peer->hold = "GetSlotStatus Mark";
    rauc_query(rauc, on_status, (gpointer) "query");
    rauc_mark(rauc, "good", "booted", on_done, (gpointer) "mark");
    run_until(peer->held->len == 2);
    peer_vanish(peer);
    run_until(strstr(told->str, "query:gone") && strstr(told->str, "mark:gone"));
    ck_assert(g_str_has_prefix(told->str, "absent "));
    g_string_truncate(told, 0);
    ck_assert_int_eq(rauc_percent(rauc), 0);
    peer = peer_start();
    expect("idle ");
    stop(peer);
}
END_TEST

/* The name goes from one owner to the next; whatever the first one still says is not RAUC's. */
START_TEST(another_owner)
{
    Peer *peer = start_idle(&patient), *next = peer_new();

    g_dbus_connection_call_sync(peer->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                "org.freedesktop.DBus", "ReleaseName",
                                g_variant_new("(s)", RAUC_BUS_NAME), NULL, G_DBUS_CALL_FLAGS_NONE,
                                -1, NULL, NULL);
    next->operation = "installing";
    private_bus_own(next->bus, RAUC_BUS_NAME);
    expect("absent busy ");
    peer_completed(peer, 0);
    g_dbus_connection_flush_sync(peer->bus, NULL, NULL);
    peer_properties(next, "{'Progress': <(99, 'Copying', 1)>}");
    expect("99:Copying ");
    peer_vanish(peer);
    stop(next);
}
END_TEST

START_TEST(the_bus_dies_and_comes_back)
{
    Peer *peer = start_idle(&patient);

    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    expect("busy install:ok ");
    private_bus_kill(&bus);
    expect("absent ");
    peer_vanish(peer);
    rauc_query(rauc, on_status, (gpointer) "query");
    expect("query:gone ");
    private_bus_start(&bus);
    peer = peer_start();
    expect("idle ");
    ck_assert_ptr_nonnull(strstr(fixture_log->str, "WARNING lost the system bus"));
    stop(peer);
}
END_TEST

START_TEST(no_bus_at_start)
{
    Peer *peer;

    private_bus_kill(&bus);
    rauc = rauc_new_with_timing(&events, NULL, &patient);
    run_until(strstr(fixture_log->str, "WARNING no system bus"));
    private_bus_start(&bus);
    peer = peer_start();
    expect("idle ");
    stop(peer);
    /* one failure, one line */
    ck_assert_ptr_null(strstr(strstr(fixture_log->str, "no system bus") + 1, "no system bus"));
}
END_TEST

/* A socket that somebody listens on who does not speak. */
START_TEST(a_bus_that_says_nothing)
{
    g_autofree char *path = g_build_filename(bus.folder, "mute", NULL);
    g_autofree char *address = g_strconcat("unix:path=", path, NULL);
    g_autofree char *right = g_strdup(g_getenv("DBUS_SYSTEM_BUS_ADDRESS"));
    g_autoptr(GSocketAddress) where = g_unix_socket_address_new(path);
    g_autoptr(GSocket) mute =
        g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL);
    Peer *peer = peer_start();

    ck_assert(g_socket_bind(mute, where, FALSE, NULL) && g_socket_listen(mute, NULL));
    g_setenv("DBUS_SYSTEM_BUS_ADDRESS", address, TRUE);
    rauc = rauc_new_with_timing(&events, NULL, &quick);
    g_setenv("DBUS_SYSTEM_BUS_ADDRESS", right, TRUE);
    expect("idle ");
    ck_assert_ptr_nonnull(strstr(fixture_log->str, "WARNING no system bus"));
    stop(peer);
}
END_TEST

/* RAUC owns its name and does not answer: absent, until it does. */
START_TEST(silent_rauc)
{
    Peer *peer = start_idle(&quick);

    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    expect("busy install:ok ");
    peer->hold = "GetSlotStatus GetAll Mark";
    rauc_query(rauc, on_status, (gpointer) "query");
    run_until(peer->held->len >= 1);
    expect("absent query:gone ");
    rauc_mark(rauc, "good", "booted", on_done, (gpointer) "mark");
    expect("mark:gone ");
    /* GetAll goes unanswered several times; then it says that RAUC is idle, which is known to be no
     * proof */
    run_until(peer->held->len >= 4);
    peer->hold = NULL;
    expect("busy ");
    peer_completed(peer, 0);
    expect("idle completed ");
    ck_assert_ptr_nonnull(strstr(fixture_log->str, "WARNING RAUC does not answer"));
    stop(peer);
}
END_TEST

START_TEST(rauc_is_started_by_the_bus)
{
    g_autofree char *flag = g_build_filename(bus.folder, "started", NULL);
    g_autofree char *file = g_build_filename(bus.folder, RAUC_BUS_NAME ".service", NULL);
    g_autofree char *text = g_strdup_printf("[D-BUS Service]\nName=" RAUC_BUS_NAME "\n"
                                            "Exec=/bin/sh -c 'echo x >> %s; exit 1'\n",
                                            flag);
    Peer *peer;

    private_bus_kill(&bus);
    ck_assert(g_file_set_contents(file, text, -1, NULL));
    private_bus_start(&bus);
    rauc = rauc_new_with_timing(&events, NULL, &patient);
    run_until(g_file_test(flag, G_FILE_TEST_EXISTS));
    peer = peer_start();
    expect("idle ");
    g_unlink(flag);
    peer_vanish(peer);
    expect("absent ");
    run_until(g_file_test(flag, G_FILE_TEST_EXISTS));
    /* and again, since that did not help */
    g_unlink(flag);
    run_until(g_file_test(flag, G_FILE_TEST_EXISTS));
}
END_TEST

/* --- Installs --- */

START_TEST(a_failed_install)
{
    Peer *peer = start_idle(&patient);

    peer->hold = "InstallBundle";
    rauc_install(rauc, "http://h/b.raucb", on_done, (gpointer) "install");
    ck_assert_str_eq(told->str, "");
    run_until(peer->held->len == 1);
    {
        g_autoptr(GVariant) arguments = g_variant_ref(
            g_dbus_method_invocation_get_parameters(g_ptr_array_index(peer->held, 0)));
        g_autofree char *text = g_variant_print(arguments, FALSE);

        ck_assert_str_eq(text, "('http://h/b.raucb', {})");
    }
    /* 1.8 sends the reply before Operation */
    peer_reply(peer, g_ptr_array_steal_index(peer->held, 0), NULL);
    peer_properties(peer, "{'Operation': <'installing'>}");
    peer_properties(peer, "{'Progress': <(0, 'Installing', 1)>}");
    peer_properties(peer, "{'Progress': <(20, 'Checking bundle', 2)>}");
    expect("busy install:ok 0:Installing 20:Checking bundle ");
    peer_properties(peer, "{'Progress': <(100, 'Installing failed.', 1)>}");
    peer->last_error = "signature verification failed: Verify error: certificate has expired\n";
    peer->hold = "Get";
    peer_completed(peer, 1);
    peer_properties(peer, "{'Operation': <'idle'>}");
    expect("100:Installing failed. ");
    run_until(peer->held->len == 1);
    /* busy until it is known why */
    ck_assert_int_eq(rauc_presence(rauc), RAUC_BUSY);
    peer_reply(peer, g_ptr_array_steal_index(peer->held, 0), peer_usual_reply(peer, "Get"));
    expect("idle completed:signature(signature verification failed: Verify error: certificate has "
           "expired) ");
    stop(peer);
}
END_TEST

/* The trap: a refused second InstallBundle sets Operation to idle while the first install runs
 * on. */
START_TEST(operation_lies)
{
    Peer *peer = start_idle(&patient);

    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    expect("busy install:ok ");
    peer_properties(peer, "{'Operation': <'installing'>}");
    peer_properties(peer, "{'Operation': <'idle'>}");
    peer_properties(peer, "{'Progress': <(80, 'Updating slots', 1)>}");
    expect("80:Updating slots ");
    peer->refuse = "GetSlotStatus Mark";
    peer->refusal = "already processing a different method";
    rauc_query(rauc, on_status, (gpointer) "query");
    rauc_mark(rauc, "good", "booted", on_done, (gpointer) "mark");
    /* ours is not even asked: that would make it lie to others */
    rauc_install(rauc, "/c.raucb", on_done, (gpointer) "second");
    run_until(strstr(told->str, "query:busy") && strstr(told->str, "mark:busy") &&
              strstr(told->str, "second:busy"));
    ck_assert_int_eq(rauc_presence(rauc), RAUC_BUSY);
    ck_assert_ptr_null(strstr(strstr(peer->calls->str, "InstallBundle") + 1, "InstallBundle"));
    g_string_truncate(told, 0);
    peer_completed(peer, 0);
    expect("idle completed ");
    stop(peer);
}
END_TEST

/* The same trap, sprung by somebody else before the agent started. */
START_TEST(operation_lied_before)
{
    Peer *peer = start_idle(&patient);

    peer->refuse = "InstallBundle";
    peer->refusal = PEER_BUSY;
    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    expect("busy install:busy ");
    peer->last_error = "Compatible mismatch: Expected 'a' but bundle manifest has 'b'";
    peer_completed(peer, 1);
    expect("idle completed:compatible(Compatible mismatch: Expected 'a' but bundle manifest has "
           "'b') ");
    peer->refuse = "GetSlotStatus";
    rauc_query(rauc, on_status, (gpointer) "query");
    expect("busy query:busy ");
    peer_completed(peer, 0);
    expect("idle completed ");
    stop(peer);
}
END_TEST

START_TEST(an_install_that_is_refused)
{
    Peer *peer = start_idle(&patient);

    peer->refuse = "InstallBundle";
    peer->refusal = "Unsupported key: x";
    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    expect("install:format ");
    rauc_install(rauc, "/\377.raucb", on_done, (gpointer) "install");
    expect("install:other ");
    peer->refuse = NULL;
    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    expect("busy install:ok ");
    stop(peer);
}
END_TEST

/* Somebody else's install ends between our InstallBundle and its answer: it is not the end of
 * ours. */
START_TEST(a_foreign_end_before_our_beginning)
{
    Peer *peer = start_idle(&patient);

    peer->hold = "InstallBundle";
    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    rauc_install(rauc, "/c.raucb", on_done, (gpointer) "impatient");
    run_until(peer->held->len == 1);
    expect("impatient:busy ");
    peer_properties(peer, "{'Operation': <'installing'>}");
    peer_completed(peer, 1);
    peer_reply(peer, g_ptr_array_steal_index(peer->held, 0), NULL);
    expect("busy idle busy install:ok ");
    peer_completed(peer, 0);
    expect("idle completed ");
    stop(peer);
}
END_TEST

START_TEST(foreign_installs)
{
    Peer *peer = start_idle(&patient);

    peer_properties(peer, "{'Operation': <'installing'>, 'Progress': <(0, 'Installing', 1)>}");
    expect("busy 0:Installing ");
    peer_completed(peer, 0);
    peer_properties(peer, "{'Operation': <'idle'>}");
    expect("idle completed ");
    /* the next one begins, and a third one ends, while LastError of the first is read */
    peer->hold = "Get";
    peer_properties(peer, "{'Operation': <'installing'>}");
    peer_completed(peer, 1);
    run_until(peer->held->len == 1);
    peer_properties(peer, "{'Operation': <'installing'>}");
    peer_completed(peer, 0);
    peer_properties(peer, "{'Operation': <'installing'>}");
    expect("busy ");
    peer->last_error = "No space left on device";
    peer_reply(peer, g_ptr_array_steal_index(peer->held, 0), peer_usual_reply(peer, "Get"));
    expect("idle completed:other(No space left on device) busy ");
    peer_completed(peer, 0);
    expect("idle completed ");
    stop(peer);
}
END_TEST

START_TEST(lost_while_the_reason_is_read)
{
    Peer *peer = start_idle(&patient);

    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    expect("busy install:ok ");
    peer->hold = "Get";
    peer_completed(peer, 1);
    run_until(peer->held->len == 1);
    peer_vanish(peer);
    expect("absent ");
    peer = peer_start();
    expect("idle ");
    /* the same for an InstallBundle that is never answered */
    peer->hold = "InstallBundle";
    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    run_until(peer->held->len == 1);
    peer_vanish(peer);
    expect("absent install:gone ");
    peer = peer_start();
    expect("idle ");
    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    expect("busy install:ok ");
    stop(peer);
}
END_TEST

/* --- Calls --- */

START_TEST(queries_and_marks)
{
    Peer *peer = start_idle(&patient);

    rauc_query(rauc, on_status, (gpointer) "one");
    rauc_query(rauc, on_status, (gpointer) "two");
    rauc_mark(rauc, "bad", "other", on_done, (gpointer) "mark");
    ck_assert_str_eq(told->str, "");
    run_until(strstr(told->str, "mark:"));
    ck_assert_str_eq(told->str, "one:2/rootfs.0 two:2/rootfs.0 mark:ok ");
    g_string_truncate(told, 0);
    /* a boot loader that cannot tell */
    peer->refuse = "GetPrimary Mark";
    peer->refusal = "Failed getting primary slot";
    rauc_query(rauc, on_status, (gpointer) "query");
    expect("query:2/none ");
    rauc_mark(rauc, "good", "rootfs.7", on_done, (gpointer) "mark");
    expect("mark:other ");
    /* an install that begins between the two questions: the picture would be of two moments */
    peer->refusal = PEER_BUSY;
    rauc_query(rauc, on_status, (gpointer) "query");
    expect("busy query:busy ");
    stop(peer);
}
END_TEST

START_TEST(calls_are_bounded)
{
    Peer *peer = start_idle(&patient);
    GString *expected = g_string_new("query:other ");

    peer->hold = "GetSlotStatus";
    for (int i = 0; i < RAUC_MAX_PENDING + 1; i++)
        rauc_query(rauc, on_status, (gpointer) "query");
    run_until(peer->held->len == RAUC_MAX_PENDING);
    expect(expected->str);
    peer->hold = NULL;
    while (peer->held->len > 0)
        peer_reply(peer, g_ptr_array_steal_index(peer->held, 0),
                   peer_usual_reply(peer, "GetSlotStatus"));
    g_string_truncate(expected, 0);
    for (int i = 0; i < RAUC_MAX_PENDING; i++)
        g_string_append(expected, "query:2/rootfs.0 ");
    expect(expected->str);
    g_string_free(expected, TRUE);
    stop(peer);
}
END_TEST

START_TEST(hostile_replies)
{
    Peer *peer = peer_start();
    g_autofree char *name = g_strnfill(5000, 'p');
    g_autofree char *long_primary = g_strdup_printf("('%s',)", name);

    /* the state: until it can be read there is no RAUC */
    g_hash_table_insert(peer->replies, (gpointer) "GetAll", (gpointer) "('idle',)");
    rauc = rauc_new_with_timing(&events, NULL, &patient);
    run_until(strstr(fixture_log->str, "asking again"));
    ck_assert_str_eq(told->str, "");
    g_hash_table_insert(peer->replies, (gpointer) "GetAll",
                        (gpointer) "({'Operation': <7>, 'Progress': <'x'>, 'Operation': <true>},)");
    expect("idle ");

    g_hash_table_insert(peer->replies, (gpointer) "GetSlotStatus", (gpointer) "([1, 2],)");
    rauc_query(rauc, on_status, (gpointer) "query");
    expect("query:other ");
    g_hash_table_insert(peer->replies, (gpointer) "GetSlotStatus",
                        (gpointer) "([('s', {'class': <@as []>})],)");
    g_hash_table_insert(peer->replies, (gpointer) "GetPrimary", (gpointer) "(5,)");
    rauc_query(rauc, on_status, (gpointer) "query");
    expect("query:1/none ");
    g_hash_table_insert(peer->replies, (gpointer) "GetPrimary", (gpointer) "('',)");
    rauc_query(rauc, on_status, (gpointer) "query");
    expect("query:1/none ");
    g_hash_table_insert(peer->replies, (gpointer) "GetPrimary", long_primary);
    rauc_query(rauc, on_status, (gpointer) "query");
    run_until(told->len > 0);
    ck_assert_uint_eq(told->len, strlen("query:1/ ") + RAUC_MAX_FIELD);
    g_string_truncate(told, 0);
    g_hash_table_insert(peer->replies, (gpointer) "Mark", (gpointer) "(1, 2)");
    rauc_mark(rauc, "good", "booted", on_done, (gpointer) "mark");
    expect("mark:other ");
    g_hash_table_insert(peer->replies, (gpointer) "InstallBundle", (gpointer) "('yes',)");
    rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
    expect("install:other ");
    stop(peer);
}
END_TEST

START_TEST(hostile_signals)
{
    Peer *peer = start_idle(&patient);
    g_autofree char *text = g_strnfill(20000, 'e');

    peer_signal(peer, RAUC_INTERFACE, "Completed", "('0',)");
    peer_signal(peer, RAUC_INTERFACE, "Completed", "(uint32 0,)");
    peer_signal(peer, RAUC_INTERFACE, "Other", "(0,)");
    peer_signal(peer, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                "('" RAUC_INTERFACE "', 5)");
    peer_signal(peer, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                "('other.Interface', {'Operation': <'installing'>}, @as [])");
    peer_properties(peer, "{'Operation': <['installing']>, 'Progress': <(5, 6, 7)>}");
    /* not while an install runs: other methods move it, too */
    peer_properties(peer, "{'Progress': <(50, 'Checking bundle', 1)>}");
    peer_properties(peer, "{'Operation': <'installing'>}");
    expect("busy ");
    peer_properties(peer, "{'Progress': <(-2147483648, 'low', 1)>}");
    peer_properties(peer, "{'Progress': <(2147483647, 'high', 1)>}");
    peer_properties(peer, "{'Progress': <('1', 'x', 1)>}");
    expect("0:low 100:high ");
    /* LastError of another type, empty, refused, endless */
    g_hash_table_insert(peer->replies, (gpointer) "Get", (gpointer) "(<5>,)");
    peer_completed(peer, 2147483647);
    expect("idle completed:other(RAUC gave no reason) ");
    g_hash_table_insert(peer->replies, (gpointer) "Get", (gpointer) "(<' \\n'>,)");
    peer_completed(peer, -1);
    expect("busy idle completed:other(RAUC gave no reason) ");
    peer->refuse = "Get";
    peer->refusal = "no such property";
    peer_completed(peer, 1);
    expect("busy idle completed:other(RAUC gave no reason) ");
    peer->refuse = NULL;
    g_hash_table_remove(peer->replies, "Get");
    peer->last_error = text;
    peer_completed(peer, 1);
    run_until(strstr(told->str, "completed"));
    ck_assert_uint_eq(told->len, strlen("busy idle completed:other() ") + RAUC_MAX_ERROR_LENGTH);
    stop(peer);
}
END_TEST

/* --- The end of the adapter --- */

START_TEST(freed_with_calls_under_way)
{
    static const char *const held[] = {"GetAll",     "InstallBundle", "GetSlotStatus",
                                       "GetPrimary", "Mark",          "Get"};

    for (gsize i = 0; i < G_N_ELEMENTS(held); i++) {
        Peer *peer = peer_start();

        peer->hold = held[i];
        rauc = rauc_new_with_timing(&events, NULL, &patient);
        if (i > 0)
            expect("idle ");
        rauc_install(rauc, "/b.raucb", on_done, (gpointer) "install");
        rauc_query(rauc, on_status, (gpointer) "query");
        rauc_mark(rauc, "good", "booted", on_done, (gpointer) "mark");
        if (g_str_equal(held[i], "Get")) {
            run_until(strstr(told->str, "install:ok"));
            peer_completed(peer, 1);
        }
        run_until(peer->held->len == 1);
        g_string_truncate(told, 0);
        rauc_mark(rauc, "good", "booted", on_done, (gpointer) "last");
        g_clear_pointer(&rauc, rauc_free);
        peer_reply(peer, g_ptr_array_steal_index(peer->held, 0), peer_usual_reply(peer, held[i]));
        g_dbus_connection_flush_sync(peer->bus, NULL, NULL);
        peer_vanish(peer);
        run_ready();
        ck_assert_str_eq(told->str, "");
    }
}
END_TEST

START_TEST(freed_while_it_connects)
{
    for (int i = 0; i < 20; i++) {
        Peer *peer = i % 2 ? peer_start() : NULL;
        int steps = 0;

        rauc = rauc_new_with_timing(&events, NULL, &patient);
        run_until(steps++ >= i / 2);
        g_clear_pointer(&rauc, rauc_free);
        g_string_truncate(told, 0);
        run_ready();
        ck_assert_str_eq(told->str, "");
        if (peer)
            peer_vanish(peer);
    }
    rauc_free(NULL);
}
END_TEST

/* Each callback, in turn, frees the adapter that calls it. */
static const char *fatal;

static void maybe_free(const char *name)
{
    g_string_append_printf(told, "%s ", name);
    if (g_strcmp0(fatal, name) == 0)
        g_clear_pointer(&rauc, rauc_free);
}

static void fatal_presence(RaucPresence presence, gpointer unused)
{
    static const char *const names[] = {"absent", "idle", "busy"};

    (void)unused;
    maybe_free(names[presence]);
}

static void fatal_progress(int percent, const char *message, gpointer unused)
{
    (void)percent, (void)message, (void)unused;
    maybe_free("progress");
}

static void fatal_completed(const GError *error, gpointer unused)
{
    (void)error, (void)unused;
    maybe_free("completed");
}

static void fatal_done(const GError *error, gpointer name)
{
    (void)error;
    maybe_free(name);
}

static void fatal_status(RaucStatus *status, const GError *error, gpointer unused)
{
    (void)error, (void)unused;
    rauc_status_free(status);
    maybe_free("query");
}

/* The whole life of an adapter, as far as it comes. */
static void live(void)
{
    static const RaucEvents fatal_events = {fatal_presence, fatal_progress, fatal_completed};
    Peer *peer = peer_start();

    rauc = rauc_new_with_timing(&fatal_events, NULL, &patient);
    run_until(told->len > 0);
    if (rauc) {
        rauc_query(rauc, fatal_status, NULL);
        run_until(strstr(told->str, "query"));
    }
    if (rauc) {
        rauc_mark(rauc, "good", "booted", fatal_done, (gpointer) "mark");
        run_until(strstr(told->str, "mark"));
    }
    if (rauc) {
        rauc_install(rauc, "/b.raucb", fatal_done, (gpointer) "install");
        run_until(strstr(told->str, "install") || !rauc);
    }
    peer_properties(peer, "{'Progress': <(80, 'x', 1)>}");
    if (rauc)
        run_until(strstr(told->str, "progress"));
    if (rauc) {
        /* with a reason, and one that nobody was told of */
        peer_completed(peer, 1);
        run_until(strstr(told->str, "completed") || !rauc);
    }
    peer_vanish(peer);
    if (rauc)
        run_until(strstr(told->str, "absent"));
    g_clear_pointer(&rauc, rauc_free);
    run_ready();
}

START_TEST(freed_by_a_callback)
{
    static const char *const names[] = {"idle",    "query",    "mark",      "busy",
                                        "install", "progress", "completed", "absent"};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        fatal = names[i];
        g_string_truncate(told, 0);
        live();
        ck_assert_msg(g_str_has_suffix(told->str, names[i]) ||
                          g_str_has_suffix(g_strchomp(told->str), names[i]),
                      "%s: %s", names[i], told->str);
    }
}
END_TEST

/* Freed when an unknown install's failure makes it busy for the time of reading LastError. */
START_TEST(freed_by_busy_in_completed)
{
    static const RaucEvents fatal_events = {fatal_presence, fatal_progress, fatal_completed};
    Peer *peer = peer_start();

    fatal = "busy";
    rauc = rauc_new_with_timing(&fatal_events, NULL, &patient);
    run_until(told->len > 0);
    peer_completed(peer, 1);
    run_until(!rauc);
    peer_vanish(peer);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        absent_then_there,
        busy_at_start,
        changes_while_the_state_is_read,
        an_install_that_ends_while_the_state_is_read,
        lost_in_mid_install,
        another_owner,
        the_bus_dies_and_comes_back,
        no_bus_at_start,
        a_bus_that_says_nothing,
        silent_rauc,
        rauc_is_started_by_the_bus,
        a_failed_install,
        operation_lies,
        operation_lied_before,
        an_install_that_is_refused,
        a_foreign_end_before_our_beginning,
        foreign_installs,
        lost_while_the_reason_is_read,
        queries_and_marks,
        calls_are_bounded,
        hostile_replies,
        hostile_signals,
        freed_with_calls_under_way,
        freed_while_it_connects,
        freed_by_a_callback,
        freed_by_busy_in_completed,
    };

    return run_suite("rauc", setup, teardown, tests, G_N_ELEMENTS(tests));
}
