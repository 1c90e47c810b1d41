/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mock-csms: a CSMS for tests and for people. Options, wiring, exit code. */
#include <gio/gio.h>
#include <glib-unix.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "csms.h"
#include "input.h"

#define EXIT_FAULTS 1 /* the charge point or the script did something wrong */
#define EXIT_USAGE  2

/* The longest Basic password and the longest call timeout that make sense. */
#define PASSWORD_MAX     1024
#define CALL_TIMEOUT_MAX 86400.0

typedef struct {
    int port;
    int interval;
    double call_timeout;
    char *bind;
    char *bundles;
    char *boot;
    char *script;
    char *log;
    char *tls_cert;
    char *tls_key;
    char *tls_ca;
    char *basic_user;
    char *basic_password_hex;
    char *identity;
    char *time;
    gboolean no_subprotocol;
    GBytes *password; /* of basic_password_hex */
} Options;

static void options_clear(Options *options)
{
    g_free(options->bind);
    g_free(options->bundles);
    g_free(options->boot);
    g_free(options->script);
    g_free(options->log);
    g_free(options->tls_cert);
    g_free(options->tls_key);
    g_free(options->tls_ca);
    g_free(options->basic_user);
    g_free(options->basic_password_hex);
    g_free(options->identity);
    g_free(options->time);
    g_clear_pointer(&options->password, g_bytes_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static gboolean complain(GError **error, const char *text)
{
    g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, text);
    return FALSE;
}

static gboolean parse_password(Options *options, GError **error)
{
    const char *hex = options->basic_password_hex;
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    for (gsize i = 0; hex != NULL && hex[i] != '\0'; i += 2) {
        int high = g_ascii_xdigit_value(hex[i]);
        int low = g_ascii_xdigit_value(hex[i + 1]);
        guint8 byte = (guint8)(high * 16 + low);

        if (high < 0 || low < 0 || bytes->len >= PASSWORD_MAX)
            return complain(error, "--basic-password-hex takes pairs of hex digits");
        g_byte_array_append(bytes, &byte, 1);
    }
    options->password = g_bytes_new(bytes->data, bytes->len);
    return TRUE;
}

static gboolean check_options(Options *options, GError **error)
{
    if (options->port < 0 || options->port > G_MAXUINT16)
        return complain(error, "--port takes 0 to 65535");
    if (options->interval < 0)
        return complain(error, "--interval takes 0 or more seconds");
    /* Not a plain comparison of the limits only: NaN compares with nothing. */
    if (!isfinite(options->call_timeout) || options->call_timeout < 0.001 ||
        options->call_timeout > CALL_TIMEOUT_MAX)
        return complain(error, "--call-timeout takes 0.001 to 86400 seconds");
    if ((options->tls_cert == NULL) != (options->tls_key == NULL))
        return complain(error, "--tls-cert and --tls-key belong together");
    if (options->tls_ca != NULL && options->tls_cert == NULL)
        return complain(error, "--tls-ca needs --tls-cert");
    if ((options->basic_user == NULL) != (options->basic_password_hex == NULL))
        return complain(error, "--basic-user and --basic-password-hex belong together");
    return parse_password(options, error);
}

static gboolean parse_options(Options *options, int *argc, char ***argv, GError **error)
{
    /* clang-format off */
    const GOptionEntry entries[] = {
        {"port", 0, 0, G_OPTION_ARG_INT, &options->port, "port, 0 = the kernel chooses", "N"},
        {"bind", 0, 0, G_OPTION_ARG_STRING, &options->bind, "address (127.0.0.1)", "IP"},
        {"bundles", 0, 0, G_OPTION_ARG_FILENAME, &options->bundles, "serve this folder at /bundles/", "DIR"},
        {"boot", 0, 0, G_OPTION_ARG_STRING, &options->boot, "statuses of the BootNotification.confs (Accepted)", "LIST"},
        {"interval", 0, 0, G_OPTION_ARG_INT, &options->interval, "interval of BootNotification.conf (300)", "S"},
        {"script", 0, 0, G_OPTION_ARG_FILENAME, &options->script, "commands to run, one a line", "FILE"},
        {"log", 0, 0, G_OPTION_ARG_FILENAME, &options->log, "JSON lines go here (standard output)", "FILE"},
        {"call-timeout", 0, 0, G_OPTION_ARG_DOUBLE, &options->call_timeout, "for CALLs of both sides (30)", "S"},
        {"identity", 0, 0, G_OPTION_ARG_STRING, &options->identity, "the only charge point; others get 404", "ID"},
        {"basic-user", 0, 0, G_OPTION_ARG_STRING, &options->basic_user, "demand Basic authentication", "USER"},
        {"basic-password-hex", 0, 0, G_OPTION_ARG_STRING, &options->basic_password_hex, "its password", "HEX"},
        {"tls-cert", 0, 0, G_OPTION_ARG_FILENAME, &options->tls_cert, "server certificate (wss and https)", "PEM"},
        {"tls-key", 0, 0, G_OPTION_ARG_FILENAME, &options->tls_key, "its key", "PEM"},
        {"tls-ca", 0, 0, G_OPTION_ARG_FILENAME, &options->tls_ca, "demand client certificates of this CA", "PEM"},
        {"no-subprotocol", 0, 0, G_OPTION_ARG_NONE, &options->no_subprotocol, "do not select ocpp1.6 in the handshake", NULL},
        {"time", 0, 0, G_OPTION_ARG_STRING, &options->time, "set the CSMS's clock", "ISO"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    /* clang-format on */
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(context, "A mock OCPP 1.6-J CSMS. Commands come from standard "
                                          "input, one a line; `help` lists them.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    if (*argc > 1)
        return complain(error, "unexpected argument; commands come from standard input");
    return check_options(options, error);
}

static Csms *start(const Options *options, Log *log, GError **error)
{
    const CsmsOptions csms_options = {
        .identity = options->identity,
        .basic_user = options->basic_user,
        .basic_password = options->password,
        .call_timeout = options->call_timeout,
    };
    const ServerOptions server_options = {
        .bind_address = options->bind != NULL ? options->bind : "127.0.0.1",
        .port = (guint16)options->port,
        .bundles = options->bundles,
        .tls_cert = options->tls_cert,
        .tls_key = options->tls_key,
        .tls_ca = options->tls_ca,
        .no_subprotocol = options->no_subprotocol,
    };
    g_autoptr(Csms) csms = csms_new(&csms_options, &server_options, log, error);

    if (csms == NULL)
        return NULL;
    answers_set_interval(csms_answers(csms), (guint)options->interval);
    if (options->boot != NULL && !answers_set_boot(csms_answers(csms), options->boot, error))
        return NULL;
    if (options->time != NULL &&
        !clock_set(answers_clock(csms_answers(csms)), options->time, error))
        return NULL;
    return g_steal_pointer(&csms);
}

static void on_finished(gpointer loop)
{
    g_main_loop_quit(loop);
}

static gboolean on_signal(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

/* Returns the exit code. */
static int run(Csms *csms, Input *input, GMainLoop *loop, Log *log)
{
    gboolean script_failed;

    input_start(input);
    g_main_loop_run(loop);
    script_failed = input_script_failed(input);
    csms_stop(csms);
    log_event(log, "summary",
              json_pack("{s:I,s:I,s:b}", "frames", (json_int_t)csms_frames(csms), "errors",
                        (json_int_t)csms_errors(csms), "script_failed", script_failed));
    return csms_errors(csms) > 0 || script_failed ? EXIT_FAULTS : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    g_auto(Options) options = {.interval = 300, .call_timeout = 30.0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(Log) log = NULL;
    g_autoptr(Csms) csms = NULL;
    g_autoptr(Input) input = NULL;

    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    /* Before the first log line: whoever has read that may end us. */
    g_unix_signal_add(SIGTERM, on_signal, loop);
    g_unix_signal_add(SIGINT, on_signal, loop);
    if (parse_options(&options, &argc, &argv, &error))
        log = log_new(options.log, isatty(STDIN_FILENO) == 1, &error);
    if (log != NULL)
        csms = start(&options, log, &error);
    if (csms != NULL)
        input = input_new(csms, options.script, on_finished, loop, &error);
    if (input == NULL) {
        g_printerr("mock-csms: %s\n", error->message);
        return EXIT_USAGE;
    }
    return run(csms, input, loop, log);
}
