/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of sub-commands, and the options before and behind them. */
#include "agent/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/commands_parts.h"
#include "agent/control.h"
#include "agent/log.h"
#include "agent/settings.h"
#include "agent/text.h"

#define DEFAULT_LIMIT 100

/* Options that only some commands know. */
typedef enum {
    TAKES_JSON = 1,
    TAKES_LIMIT = 2,
    TAKES_REASON = 4,
    TAKES_ARGUMENTS = 8,
    TAKES_WINDOW = 16
} Takes;

typedef struct {
    const char *name, *arguments, *help;
    int (*function)(const CommandOptions *options);
    guint takes;
} Command;

static const Command COMMANDS[] = {
    {"run", "", "be the agent, until SIGTERM", commands_run, 0},
    {"status", "[--json]", "show the connection, the slot and the job", commands_status,
     TAKES_JSON},
    {"history", "[--json] [--limit N]", "show what the jobs did, the newest N steps (100)",
     commands_history, TAKES_JSON | TAKES_LIMIT},
    {"install", "URL|FILE", "install a bundle by hand, and watch it until the end",
     commands_install, TAKES_ARGUMENTS},
    {"diagnostics", "[--from DATE] [--to DATE] [FILE]",
     "collect logs and states into FILE (IDENTITY_TIME.tar.gz), dates as 2026-11-22T10:20:30Z",
     commands_diagnostics, TAKES_WINDOW | TAKES_ARGUMENTS},
    {"cancel", "", "end the job, back to the old firmware", commands_cancel, 0},
    {"confirm", "", "say that the charging stack is well (health=stack)", commands_confirm, 0},
    {"allow-reboot", "", "let a waiting update reboot (reboot-permission=required)",
     commands_allow_reboot, 0},
    {"inhibit", "[--who TEXT] [--why TEXT] -- COMMAND...", "run COMMAND; no reboot until it ends",
     commands_inhibit, TAKES_REASON | TAKES_ARGUMENTS},
    {"check-config", "", "check the settings, unknown keys too", commands_check_config, 0},
};

int commands_print(const char *text)
{
    if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
        return EXIT_DONE;
    if (errno != EPIPE)
        fprintf(stderr, "cannot write the output: %s\n", g_strerror(errno));
    return EXIT_FAILED;
}

int commands_fail(const GError *error)
{
    g_autofree char *visible = text_visible(error->message);
    fprintf(stderr, "%s\n", visible);
    return EXIT_FAILED;
}

int commands_usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree char *visible = text_visible(text);
    fprintf(stderr, "%s, see rauc-ocpp-agent --help\n", visible);
    return EXIT_USAGE;
}

static int print_help(void)
{
    g_autoptr(GString) text = g_string_new(
        "Usage: rauc-ocpp-agent [OPTION...] COMMAND\n\n"
        "Takes firmware updates from an OCPP 1.6 central system and has RAUC install them.\n\n"
        "Commands:\n");
    for (guint i = 0; i < G_N_ELEMENTS(COMMANDS); i++)
        g_string_append_printf(text, "  %s%s%s\n      %s\n", COMMANDS[i].name,
                               *COMMANDS[i].arguments ? " " : "", COMMANDS[i].arguments,
                               COMMANDS[i].help);
    g_string_append(text, "\nOptions:\n"
                          "  --config FILE\n      settings, with fragments in FILE.d "
                          "(" SETTINGS_DEFAULT_FILE ")\n"
                          "  --verbose\n      log every frame, too\n"
                          "  --version, --help\n\n"
                          "Exit status: 0 done, 1 failed, 2 usage or settings error.\n");
    return commands_print(text->str);
}

typedef struct {
    CommandOptions options;
    char *config; /* of the parse that runs */
    gboolean help, version;
} CommandLine;

#define N_GLOBAL  4
#define N_ENTRIES (N_GLOBAL + 7 + 1)

/* The options of every command, then those of `takes`, into `entries`.  Texts come as FILENAME:
 * that is, as they are, without a conversion from the locale's character set. */
static void make_entries(CommandLine *line, guint takes, GOptionEntry entries[N_ENTRIES])
{
    const struct {
        guint takes;
        GOptionEntry entry;
    } all[] = {
        {0, {"config", 0, 0, G_OPTION_ARG_FILENAME, &line->config, NULL, NULL}},
        {0, {"verbose", 0, 0, G_OPTION_ARG_NONE, &line->options.verbose, NULL, NULL}},
        {0, {"version", 0, 0, G_OPTION_ARG_NONE, &line->version, NULL, NULL}},
        {0, {"help", 'h', 0, G_OPTION_ARG_NONE, &line->help, NULL, NULL}},
        {TAKES_JSON, {"json", 0, 0, G_OPTION_ARG_NONE, &line->options.json, NULL, NULL}},
        {TAKES_LIMIT, {"limit", 0, 0, G_OPTION_ARG_INT, &line->options.limit, NULL, NULL}},
        {TAKES_REASON, {"who", 0, 0, G_OPTION_ARG_FILENAME, &line->options.who, NULL, NULL}},
        {TAKES_REASON, {"why", 0, 0, G_OPTION_ARG_FILENAME, &line->options.why, NULL, NULL}},
        {TAKES_WINDOW, {"from", 0, 0, G_OPTION_ARG_FILENAME, &line->options.from, NULL, NULL}},
        {TAKES_WINDOW, {"to", 0, 0, G_OPTION_ARG_FILENAME, &line->options.to, NULL, NULL}},
        {TAKES_WINDOW, {"report", 0, 0, G_OPTION_ARG_FILENAME, &line->options.report, NULL, NULL}},
    };
    G_STATIC_ASSERT(G_N_ELEMENTS(all) < N_ENTRIES);
    guint n = 0;
    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        if (all[i].takes == 0 || (all[i].takes & takes))
            entries[n++] = all[i].entry;
    }
    entries[n] = (GOptionEntry)G_OPTION_ENTRY_NULL;
}

/* Parses the options at the front of `argv` (behind argv[0]) and takes them out; stops at the first
 * other argument. */
static gboolean parse(CommandLine *line, guint takes, char ***argv, GError **error)
{
    GOptionEntry entries[N_ENTRIES];
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    make_entries(line, takes, entries);
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_strict_posix(context, TRUE);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse_strv(context, argv, error))
        return FALSE;
    /* GOption would not free what an earlier parse, before the command's name, has left there. */
    if (line->config) {
        g_free(line->options.config);
        line->options.config = g_steal_pointer(&line->config);
    }
    return TRUE;
}

static const Command *find_command(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(COMMANDS); i++) {
        if (g_str_equal(COMMANDS[i].name, name))
            return &COMMANDS[i];
    }
    return NULL;
}

/* `argv[0]` is the command's name. */
static int run_command(CommandLine *line, char ***argv)
{
    g_autoptr(GError) error = NULL;
    const Command *command = find_command((*argv)[0]);

    if (!command)
        return commands_usage("\"%s\" is not a command", (*argv)[0]);
    if (!parse(line, command->takes, argv, &error))
        return commands_usage("%s: %s", command->name, error->message);
    if (line->help)
        return print_help();
    char **rest = *argv + 1;
    /* GOption leaves "--" where an argument behind it begins with '-'. */
    if (*rest && g_str_equal(*rest, "--"))
        rest++;
    if (*rest && !(command->takes & TAKES_ARGUMENTS))
        return commands_usage("%s: \"%s\" is one argument too many", command->name, *rest);
    if (line->options.limit < 1 || line->options.limit > CONTROL_MAX_HISTORY)
        return commands_usage("%s: --limit is from 1 to %d", command->name, CONTROL_MAX_HISTORY);
    line->options.arguments = rest;
    log_init(line->options.verbose);
    return command->function(&line->options);
}

static int run_line(CommandLine *line, char ***argv)
{
    g_autoptr(GError) error = NULL;

    if (!parse(line, 0, argv, &error))
        return commands_usage("%s", error->message);
    if (line->help)
        return print_help();
    if (line->version)
        return commands_print("rauc-ocpp-agent " VERSION "\n");
    if (!(*argv)[1])
        return commands_usage("no command");
    /* The name becomes the argv[0] of the command's own options. */
    char **rest = g_strdupv(*argv + 1);
    g_strfreev(*argv);
    *argv = rest;
    return run_command(line, argv);
}

/* Were one of the three closed, a socket or the store would get its number, and what we print would
 * go there. */
static void fill_standard_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int commands_main(int argc, char **argv)
{
    CommandLine line = {.options = {.limit = DEFAULT_LIMIT}};
    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a reader of our output or log who is gone is no reason to end */
    g_auto(GStrv) copy = g_new0(char *, (gsize)argc + 1);
    for (int i = 0; i < argc; i++)
        copy[i] = g_strdup(argv[i]);
    line.options.config = g_strdup(SETTINGS_DEFAULT_FILE);

    int code = run_line(&line, &copy);
    g_free(line.options.config);
    g_free(line.options.who);
    g_free(line.options.why);
    g_free(line.options.from);
    g_free(line.options.to);
    g_free(line.options.report);
    return code;
}
