/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control interface and its client on a private bus: property, methods, errors, inhibitors, a
 * bus that comes and goes, and the bus policy.  The client waits for its answers, so it runs in a
 * thread of its own.
 */
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <grp.h>
#include <poll.h>

#include "loop_fixture.h"

#include "agent/client.h"
#include "agent/control.h"

#define POLICY_FILE "src/agent/org.rauc_ocpp.Agent.conf"
#define NOBODY      65534

static PrivateBus bus;
static Control *control; /* of a test; teardown() frees it */

/* --- The agent behind the interface --- */

typedef struct {
    guint last_limit;
    guint n_cancel, n_confirm, n_allow_reboot, n_inhibitors_changed;
    gboolean refuse;
} FakeAgent;

static FakeAgent agent;

static GVariant *fake_status(gpointer user_data)
{
    (void)user_data;
    return g_variant_new_parsed("{'zebra': <'first'>, 'apple': <@x 7>}");
}

static GVariant *fake_history(guint limit, gpointer user_data)
{
    FakeAgent *fake = user_data;
    fake->last_limit = limit;
    return g_variant_new_parsed("[{'job': <@x 7>, 'event': <'cancel'>}]");
}

static gboolean answer(guint *counter, GError **error)
{
    (*counter)++;
    if (agent.refuse)
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, "there is no job");
    return !agent.refuse;
}

static gboolean fake_cancel(gpointer user_data, GError **error)
{
    return answer(&((FakeAgent *)user_data)->n_cancel, error);
}

static gboolean fake_confirm(gpointer user_data, GError **error)
{
    return answer(&((FakeAgent *)user_data)->n_confirm, error);
}

static gboolean fake_allow_reboot(gpointer user_data, GError **error)
{
    return answer(&((FakeAgent *)user_data)->n_allow_reboot, error);
}

static void fake_inhibitors_changed(gpointer user_data)
{
    ((FakeAgent *)user_data)->n_inhibitors_changed++;
}

static const ControlHandlers HANDLERS = {.status = fake_status,
                                         .history = fake_history,
                                         .cancel = fake_cancel,
                                         .confirm = fake_confirm,
                                         .allow_reboot = fake_allow_reboot,
                                         .inhibitors_changed = fake_inhibitors_changed};

/* --- The client's thread --- */

typedef struct {
    void (*work)(gpointer data);
    gpointer data;
    gint done;
} Job;

static gpointer run_work(gpointer data)
{
    Job *job = data;
    job->work(job->data);
    g_atomic_int_set(&job->done, 1);
    return NULL;
}

/* Runs `work` while the main loop, and so the interface, goes on. */
static void in_thread(void (*work)(gpointer data), gpointer data)
{
    Job job = {.work = work, .data = data};
    GThread *thread = g_thread_new("client", run_work, &job);
    run_until(g_atomic_int_get(&job.done));
    g_thread_join(thread);
}

typedef struct {
    const char *method; /* Status, GetHistory, Inhibit, or one that acts */
    guint limit;
    const char *who, *why;
    GVariant *value;
    int fd;
    GError *error;
} Call;

static void do_call(gpointer data)
{
    Call *call = data;
    g_autoptr(Client) client = client_new(&call->error);
    call->fd = -1;
    if (!client)
        return;
    if (g_str_equal(call->method, "Status"))
        call->value = client_status(client, &call->error);
    else if (g_str_equal(call->method, "GetHistory"))
        call->value = client_history(client, call->limit, &call->error);
    else if (g_str_equal(call->method, "Inhibit"))
        call->fd = client_inhibit(client, call->who, call->why, &call->error);
    else
        client_act(client, call->method, &call->error);
}

static void assert_refused(const char *method, int code, const char *message)
{
    Call call = {.method = method};
    in_thread(do_call, &call);
    ck_assert_msg(g_error_matches(call.error, CLIENT_ERROR, code), "%s: %s", method,
                  call.error ? call.error->message : "no error");
    ck_assert_str_eq(call.error->message, message);
    g_clear_error(&call.error);
}

/* The descriptor; its inhibitor is there. */
static int take(const char *who, const char *why)
{
    Call call = {.method = "Inhibit", .who = who, .why = why};
    in_thread(do_call, &call);
    ck_assert_msg(!call.error, "%s", call.error ? call.error->message : "");
    ck_assert_int_ge(call.fd, 0);
    ck_assert(fcntl(call.fd, F_GETFD) & FD_CLOEXEC);
    return call.fd;
}

static gboolean inhibited_by(const char *expected)
{
    g_autofree char *text = control_inhibitors(control);
    return g_strcmp0(text, expected) == 0;
}

static gboolean is_owned(GDBusConnection *connection)
{
    gboolean owned = FALSE;
    g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
        connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
        "NameHasOwner", g_variant_new("(s)", CONTROL_NAME), G_VARIANT_TYPE("(b)"),
        G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
    if (reply)
        g_variant_get(reply, "(b)", &owned);
    return owned;
}

/* Until its name is on the bus. */
static void start_control(void)
{
    control = control_new(&HANDLERS, &agent);
    g_autoptr(GDBusConnection) peer = private_bus_connect();
    run_until(is_owned(peer));
    g_dbus_connection_close_sync(peer, NULL, NULL);
}

static void setup(void)
{
    fixture_log_start();
    private_bus_setup(&bus);
    private_bus_start(&bus);
    agent = (FakeAgent){0};
}

static void teardown(void)
{
    g_clear_pointer(&control, control_free);
    run_ready();
    private_bus_kill(&bus);
    private_bus_teardown(&bus);
}

/* --- Reading and acting --- */

START_TEST(status_is_read)
{
    start_control();
    Call call = {.method = "Status"};
    in_thread(do_call, &call);
    g_autofree char *text = g_variant_print(call.value, FALSE);
    ck_assert_str_eq(text, "{'zebra': <'first'>, 'apple': <int64 7>}");
    g_variant_unref(call.value);
}
END_TEST

START_TEST(history_is_bounded)
{
    static const guint limits[][2] = {
        {1, 1}, {5, 5}, {0, CONTROL_MAX_HISTORY}, {G_MAXUINT32, CONTROL_MAX_HISTORY}};
    start_control();
    for (guint i = 0; i < G_N_ELEMENTS(limits); i++) {
        Call call = {.method = "GetHistory", .limit = limits[i][0]};
        in_thread(do_call, &call);
        g_autofree char *text = g_variant_print(call.value, FALSE);
        ck_assert_str_eq(text, "[{'job': <int64 7>, 'event': <'cancel'>}]");
        ck_assert_uint_eq(agent.last_limit, limits[i][1]);
        g_variant_unref(call.value);
    }
}
END_TEST

START_TEST(actions_reach_the_agent)
{
    static const char *const methods[] = {"Cancel", "Confirm", "AllowReboot"};
    start_control();
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++) {
        Call call = {.method = methods[i]};
        in_thread(do_call, &call);
        ck_assert_ptr_null(call.error);
    }
    ck_assert_uint_eq(agent.n_cancel, 1);
    ck_assert_uint_eq(agent.n_confirm, 1);
    ck_assert_uint_eq(agent.n_allow_reboot, 1);

    agent.refuse = TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++)
        assert_refused(methods[i], CLIENT_ERROR_REFUSED, "there is no job");
}
END_TEST

static void call_raw(gpointer data)
{
    Call *call = data;
    g_autoptr(GDBusConnection) peer = private_bus_connect();
    call->value = g_dbus_connection_call_sync(peer, CONTROL_NAME, CONTROL_OBJECT, CONTROL_INTERFACE,
                                              call->method, NULL, NULL, G_DBUS_CALL_FLAGS_NONE, -1,
                                              NULL, &call->error);
    g_dbus_connection_close_sync(peer, NULL, NULL);
}

START_TEST(errors_have_names)
{
    start_control();
    Call call = {.method = "Cancel"};
    agent.refuse = TRUE;
    in_thread(call_raw, &call);
    ck_assert_ptr_null(call.value);
    g_autofree char *name = g_dbus_error_get_remote_error(call.error);
    ck_assert_str_eq(name, "org.rauc_ocpp.Agent.Error.Failed");
    g_clear_error(&call.error);

    call.method = "GetHistory"; /* without its argument */
    in_thread(call_raw, &call);
    ck_assert(g_error_matches(call.error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS));
    g_clear_error(&call.error);
}
END_TEST

#define NOT_RUNNING                                                                                \
    "rauc-ocpp-agent is not running (nobody owns org.rauc_ocpp.Agent on the system bus)"

START_TEST(client_without_an_agent)
{
    assert_refused("Status", CLIENT_ERROR_NOT_RUNNING, NOT_RUNNING);
    assert_refused("Cancel", CLIENT_ERROR_NOT_RUNNING, NOT_RUNNING);

    /* Something else has the name. */
    g_autoptr(GDBusConnection) other = private_bus_connect();
    private_bus_own(other, CONTROL_NAME);
    assert_refused("Confirm", CLIENT_ERROR_ANSWER,
                   "the rauc-ocpp-agent that runs does not know this command, it has another "
                   "version");
    g_dbus_connection_close_sync(other, NULL, NULL);

    g_setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", TRUE);
    Call call = {.method = "Status"};
    in_thread(do_call, &call);
    ck_assert(g_error_matches(call.error, CLIENT_ERROR, CLIENT_ERROR_BUS));
    ck_assert(g_str_has_prefix(call.error->message, "the system bus cannot be reached: "));
    g_clear_error(&call.error);
}
END_TEST

/* --- PropertiesChanged --- */

typedef struct {
    guint count;
    char *last;
} Signals;

static void on_signal(GDBusConnection *connection, const char *sender, const char *object,
                      const char *interface, const char *name, GVariant *parameters,
                      gpointer user_data)
{
    (void)connection, (void)sender, (void)object, (void)interface, (void)name;
    Signals *signals = user_data;
    signals->count++;
    g_free(signals->last);
    signals->last = g_variant_print(parameters, FALSE);
}

START_TEST(changes_are_announced_once)
{
    start_control();
    g_autoptr(GDBusConnection) peer = private_bus_connect();
    Signals signals = {0};
    guint subscription = g_dbus_connection_signal_subscribe(
        peer, CONTROL_NAME, "org.freedesktop.DBus.Properties", "PropertiesChanged", CONTROL_OBJECT,
        NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_signal, &signals, NULL);
    ck_assert(is_owned(peer)); /* the subscription went ahead of this call */

    for (int i = 0; i < 10; i++)
        control_changed(control);
    run_until(signals.count > 0);
    ck_assert_str_eq(signals.last, "('org.rauc_ocpp.Agent1', {}, ['Status'])");
    control_changed(control);
    run_until(signals.count > 1);
    /* Whatever else was sent before the answer to this has arrived by now. */
    Call call = {.method = "Status"};
    in_thread(do_call, &call);
    g_variant_unref(call.value);
    ck_assert(is_owned(peer));
    run_ready();
    ck_assert_uint_eq(signals.count, 2);

    g_dbus_connection_signal_unsubscribe(peer, subscription);
    g_dbus_connection_close_sync(peer, NULL, NULL);
    run_ready();
    g_free(signals.last);
}
END_TEST

/* --- Inhibitors --- */

START_TEST(inhibitor_lasts_as_long_as_its_descriptor)
{
    start_control();
    ck_assert(inhibited_by(NULL));
    int first = take("stack", "car is charging");
    int second = take("technician", "service");
    ck_assert(inhibited_by("stack (car is charging), technician (service)"));
    ck_assert_uint_eq(agent.n_inhibitors_changed, 2);

    /* A copy holds it, too; what is written into it means nothing. */
    int copy = dup(first);
    ck_assert_int_eq(write(copy, "x", 1), 1);
    close(first);
    close(second);
    run_until(inhibited_by("stack (car is charging)"));
    ck_assert_uint_eq(agent.n_inhibitors_changed, 3);
    close(copy);
    run_until(inhibited_by(NULL));
    ck_assert_uint_eq(agent.n_inhibitors_changed, 4);
}
END_TEST

START_TEST(inhibitor_ends_with_its_holder)
{
    start_control();
    char *command[] = {(char *)"sleep", (char *)"1000", NULL};
    GPid pid;
    int fd = take("sleeper", "sleeps");
    ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
    ck_assert(g_spawn_async(NULL, command, NULL,
                            G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                G_SPAWN_LEAVE_DESCRIPTORS_OPEN,
                            die_with_parent, NULL, &pid, NULL));
    close(fd);
    run_ready();
    ck_assert(inhibited_by("sleeper (sleeps)"));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    run_until(inhibited_by(NULL));
}
END_TEST

START_TEST(inhibitors_are_bounded)
{
    start_control();
    int fds[CONTROL_MAX_INHIBITORS];
    for (int i = 0; i < CONTROL_MAX_INHIBITORS; i++)
        fds[i] = take("w", "y");
    Call call = {.method = "Inhibit", .who = "w", .why = "y"};
    in_thread(do_call, &call);
    ck_assert(g_error_matches(call.error, CLIENT_ERROR, CLIENT_ERROR_REFUSED));
    ck_assert_str_eq(call.error->message, "32 inhibitors are held already, no more are allowed");
    g_clear_error(&call.error);

    close(fds[0]);
    run_until(agent.n_inhibitors_changed == CONTROL_MAX_INHIBITORS + 1);
    fds[0] = take("w", "y");
    for (int i = 0; i < CONTROL_MAX_INHIBITORS; i++)
        close(fds[i]);
    run_until(inhibited_by(NULL));
}
END_TEST

START_TEST(inhibitors_texts_are_checked)
{
    g_autofree char *who_64 = g_strnfill(CONTROL_MAX_WHO, 'w');
    g_autofree char *who_65 = g_strnfill(CONTROL_MAX_WHO + 1, 'w');
    g_autofree char *why_201 = g_strnfill(CONTROL_MAX_WHY + 1, 'w');
    const char *bad[][2] = {{"", "y"}, {"w", ""}, {who_65, "y"}, {"w", why_201}, {"w\n", "y"}};
    start_control();
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        Call call = {.method = "Inhibit", .who = bad[i][0], .why = bad[i][1]};
        in_thread(do_call, &call);
        ck_assert(g_error_matches(call.error, CLIENT_ERROR, CLIENT_ERROR_REFUSED));
        ck_assert_ptr_nonnull(strstr(call.error->message, " is not allowed, use 1 to "));
        g_clear_error(&call.error);
    }
    ck_assert_uint_eq(agent.n_inhibitors_changed, 0);
    close(take(who_64, "\xc3\xa4"));
    run_until(inhibited_by(NULL));
}
END_TEST

/* --- A bus that comes and goes --- */

START_TEST(bus_comes_late)
{
    private_bus_kill(&bus);
    control = control_new(&HANDLERS, &agent);
    run_until(strstr(fixture_log->str, "WARNING control interface is not available: "));
    control_changed(control); /* nobody to tell */
    run_ready();
    private_bus_start(&bus);
    run_until(strstr(fixture_log->str, "control interface is available"));
    Call call = {.method = "Status"};
    in_thread(do_call, &call);
    ck_assert_ptr_null(call.error);
    g_variant_unref(call.value);
}
END_TEST

static guint count_in_log(const char *text)
{
    guint n = 0;
    for (const char *p = fixture_log->str; (p = strstr(p, text)); p++)
        n++;
    return n;
}

START_TEST(bus_is_restarted)
{
    start_control();
    int fd = take("stack", "busy");
    private_bus_kill(&bus);
    run_until(count_in_log("WARNING control interface is not available") == 1);
    ck_assert(inhibited_by("stack (busy)"));
    private_bus_start(&bus);
    run_until(count_in_log("control interface is available") == 2);
    ck_assert_uint_eq(count_in_log("WARNING"), 1);
    ck_assert(inhibited_by("stack (busy)"));
    close(fd);
    run_until(inhibited_by(NULL));
    close(take("stack", "again"));
    run_until(inhibited_by(NULL));
}
END_TEST

START_TEST(name_is_taken)
{
    g_autoptr(GDBusConnection) other = private_bus_connect();
    private_bus_own(other, CONTROL_NAME);
    control = control_new(&HANDLERS, &agent);
    run_until(strstr(fixture_log->str, "another process owns the name org.rauc_ocpp.Agent"));
    g_dbus_connection_close_sync(other, NULL, NULL);
    run_until(strstr(fixture_log->str, "control interface is available"));
    ck_assert_uint_eq(count_in_log("WARNING"), 1);
}
END_TEST

START_TEST(freed_in_any_state)
{
    control_free(NULL);
    control_free(control_new(&HANDLERS, &agent)); /* connecting */
    run_ready();

    start_control();
    int fd = take("stack", "busy");
    control_changed(control);
    g_clear_pointer(&control, control_free);
    struct pollfd holder = {.fd = fd};
    ck_assert_int_eq(poll(&holder, 1, DEADLINE_S * 1000), 1); /* the holder can see it */
    ck_assert(holder.revents & POLLERR);
    close(fd);
    run_ready();

    /* While the name is asked for: the answer arrives when nobody is there any more. */
    g_autoptr(GDBusConnection) peer = private_bus_connect();
    guint tick = g_timeout_add(1, fixture_tick, NULL);
    for (int i = 0; i < 20; i++) {
        control = control_new(&HANDLERS, &agent);
        for (int n = 0; n < i; n++)
            g_main_context_iteration(NULL, TRUE);
        g_clear_pointer(&control, control_free);
        run_until(!is_owned(peer));
    }
    g_source_remove(tick);
    g_dbus_connection_close_sync(peer, NULL, NULL);
    ck_assert_uint_eq(agent.n_inhibitors_changed, 1);
}
END_TEST

/* --- The bus policy, as on a system bus (root only: it needs three users) --- */

static const char SYSTEM_POLICY[] =
    "<busconfig><type>system</type><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>"
    "<policy context='default'><allow user='*'/><deny own='*'/><deny send_type='method_call'/>"
    "<allow send_type='signal'/><allow send_requested_reply='true' send_type='method_return'/>"
    "<allow send_requested_reply='true' send_type='error'/><allow receive_type='method_call'/>"
    "<allow receive_type='method_return'/><allow receive_type='error'/>"
    "<allow receive_type='signal'/><allow send_destination='org.freedesktop.DBus'/>"
    "</policy><include>%s/policy.conf</include></busconfig>";

/* What a user was answered: 0, or the code of CLIENT_ERROR. */
typedef struct {
    int status, history, cancel, inhibit;
    gboolean may_own;
} Rights;

static int code_of(GError **error)
{
    int code = *error ? (*error)->code : 0;
    g_clear_error(error);
    return code;
}

static Rights ask_for_rights(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) client = client_new(&error);
    Rights rights = {-1, -1, -1, -1, FALSE};
    if (!client)
        return rights;
    GVariant *status = client_status(client, &error);
    g_clear_pointer(&status, g_variant_unref);
    rights.status = code_of(&error);
    GVariant *history = client_history(client, 1, &error);
    g_clear_pointer(&history, g_variant_unref);
    rights.history = code_of(&error);
    client_act(client, "Cancel", &error);
    rights.cancel = code_of(&error);
    int fd = client_inhibit(client, "w", "y", &error);
    if (fd >= 0)
        close(fd);
    rights.inhibit = code_of(&error);

    g_autoptr(GDBusConnection) peer = private_bus_connect();
    g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
        peer, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
        "RequestName", g_variant_new("(su)", CONTROL_NAME, 0), NULL, G_DBUS_CALL_FLAGS_NONE, -1,
        NULL, NULL);
    rights.may_own = reply != NULL;
    return rights;
}

typedef struct {
    pid_t pid;
    int go, answer;
} User;

/* Forked before this process has threads; it asks when it is told to go. */
static User user_start(uid_t uid, const gid_t *groups, gsize n_groups)
{
    int go[2], back[2];
    char byte;
    ck_assert_int_eq(pipe(go), 0);
    ck_assert_int_eq(pipe(back), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (read(go[0], &byte, 1) != 1 || setgroups(n_groups, groups) != 0 ||
            (uid && (setgid(NOBODY) != 0 || setuid(uid) != 0)))
            _exit(1);
        Rights rights = ask_for_rights();
        _exit(write(back[1], &rights, sizeof rights) == sizeof rights ? 0 : 1);
    }
    close(go[0]);
    close(back[1]);
    return (User){.pid = pid, .go = go[1], .answer = back[0]};
}

static Rights user_ask(User *user)
{
    Rights rights;
    struct pollfd answer_fd = {.fd = user->answer, .events = POLLIN};
    ck_assert_int_eq(write(user->go, "x", 1), 1);
    run_until(poll(&answer_fd, 1, 0) == 1);
    ck_assert_int_eq(read(user->answer, &rights, sizeof rights), sizeof rights);
    close(user->go);
    close(user->answer);
    ck_assert_int_eq(waitpid(user->pid, NULL, 0), user->pid);
    return rights;
}

/* Puts `group` in the place of the real one, which need not exist on this machine. */
static void write_policy(const char *group)
{
    g_autofree char *policy = NULL;
    g_autofree char *path = g_build_filename(bus.folder, "policy.conf", NULL);
    g_autofree char *config = g_build_filename(bus.folder, "bus.conf", NULL);
    g_autofree char *name = g_strdup_printf("group=\"%s\"", group);
    g_autofree char *text = g_strdup_printf(SYSTEM_POLICY, bus.folder, bus.folder);
    ck_assert_msg(g_file_get_contents(POLICY_FILE, &policy, NULL, NULL),
                  "run this in the top folder");
    g_autoptr(GString) changed = g_string_new(policy);
    ck_assert_uint_eq(g_string_replace(changed, "group=\"rauc-ocpp\"", name, 0), 1);
    ck_assert(g_file_set_contents(path, changed->str, -1, NULL));
    ck_assert(g_file_set_contents(config, text, -1, NULL));
    ck_assert_int_eq(g_chmod(bus.folder, 0711), 0);
}

START_TEST(policy_is_kept)
{
    if (geteuid() != 0)
        return;
    const struct group *member_group = getgrnam("daemon");
    ck_assert_ptr_nonnull(member_group);
    gid_t gid = member_group->gr_gid;
    User nobody = user_start(NOBODY, NULL, 0);
    User member = user_start(NOBODY, &gid, 1);
    User root = user_start(0, NULL, 0);

    private_bus_kill(&bus);
    write_policy("daemon");
    private_bus_start(&bus);
    start_control();

    Rights rights = user_ask(&nobody);
    ck_assert_int_eq(rights.status, 0);
    ck_assert_int_eq(rights.history, 0);
    ck_assert_int_eq(rights.cancel, CLIENT_ERROR_DENIED);
    ck_assert_int_eq(rights.inhibit, CLIENT_ERROR_DENIED);
    ck_assert(!rights.may_own);
    ck_assert_uint_eq(agent.n_cancel, 0);

    rights = user_ask(&member);
    ck_assert_int_eq(rights.status, 0);
    ck_assert_int_eq(rights.cancel, 0);
    ck_assert_int_eq(rights.inhibit, 0);
    ck_assert(!rights.may_own);
    ck_assert_uint_eq(agent.n_cancel, 1);

    rights = user_ask(&root);
    ck_assert_int_eq(rights.status, 0);
    ck_assert_int_eq(rights.cancel, 0);
    ck_assert_int_eq(rights.inhibit, 0);
    ck_assert(rights.may_own);
    ck_assert_uint_eq(agent.n_cancel, 2);
    run_until(inhibited_by(NULL));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        status_is_read,
        history_is_bounded,
        actions_reach_the_agent,
        errors_have_names,
        client_without_an_agent,
        changes_are_announced_once,
        inhibitor_lasts_as_long_as_its_descriptor,
        inhibitor_ends_with_its_holder,
        inhibitors_are_bounded,
        inhibitors_texts_are_checked,
        bus_comes_late,
        bus_is_restarted,
        name_is_taken,
        freed_in_any_state,
        policy_is_kept,
    };

    return run_suite("control", setup, teardown, tests, G_N_ELEMENTS(tests));
}
