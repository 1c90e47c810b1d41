/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the command of a line, runs it and logs what came of it. */
#include "script.h"

#include <string.h>

typedef struct {
    const char *name;
    const char *usage;
    gboolean calls; /* sends a CALL, and so may have `now` in front */
    CommandRun run;
} Command;

static gboolean command_help(const CommandContext *context, const char **rest, GError **error);
static gboolean command_wait(const CommandContext *context, const char **rest, GError **error);

static const Command commands[] = {
    {"update", "URL [DATE|now|+SECONDS|absent] [retries=N] [interval=S]", TRUE, command_update},
    {"diagnostics", "URL [start=DATE|now|-SECONDS] [stop=DATE] [retries=N] [interval=S]", TRUE,
     command_diagnostics},
    {"trigger", "MESSAGE [CONNECTOR]", TRUE, command_trigger},
    {"reset", "Soft|Hard", TRUE, command_reset},
    {"get-configuration", "[KEY...]", TRUE, command_get_configuration},
    {"change-configuration", "KEY VALUE", TRUE, command_change_configuration},
    {"change-availability", "CONNECTOR Operative|Inoperative", TRUE, command_change_availability},
    {"call", "ACTION [JSON]", TRUE, command_call},
    {"big", "BYTES", TRUE, command_big},
    {"raw", "TEXT", FALSE, command_raw},
    {"raw-hex", "HEX", FALSE, command_raw_hex},
    {"fragmented", "N TEXT", FALSE, command_fragmented},
    {"boot", "Accepted|Pending|Rejected[,...]", FALSE, command_boot},
    {"interval", "SECONDS", FALSE, command_interval},
    {"time", "YYYY-MM-DDThh:mm:ssZ", FALSE, command_time},
    {"delay", "MILLISECONDS", FALSE, command_delay},
    {"mute", "[ACTION] [on|off]", FALSE, command_mute},
    {"error", "ACTION CODE [COUNT]", FALSE, command_error},
    {"drop", "[ACTION]", FALSE, command_drop},
    {"close", "CODE", FALSE, command_close},
    {"refuse", "on|off|HTTP-STATUS", FALSE, command_refuse},
    {"freeze", "on|off", FALSE, command_freeze},
    {"stop-listening", "", FALSE, command_stop_listening},
    {"listen", "", FALSE, command_listen},
    {"wait", "WHAT [FIELD=VALUE...] [timeout SECONDS]", FALSE, command_wait},
    {"help", "", FALSE, command_help},
    {"quit", "", FALSE, command_quit},
};

static gboolean command_help(const CommandContext *context, const char **rest, GError **error)
{
    (void)context;
    (void)rest;
    (void)error;
    g_printerr("now COMMAND sends a CALL at once, whatever is open or registered\n");
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++)
        g_printerr("%s %s\n", commands[i].name, commands[i].usage);
    return TRUE;
}

static gboolean command_wait(const CommandContext *context, const char **rest, GError **error)
{
    (void)context;
    (void)rest;
    return command_fail(error, "wait is for script files only");
}

static const Command *find_command(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static gboolean run(CommandContext *context, const char *line, GError **error)
{
    const char *rest = line;
    g_autofree char *name = command_word(&rest);
    const Command *command;

    context->now = g_strcmp0(name, "now") == 0;
    if (context->now) {
        g_free(name);
        name = command_need_word(&rest, "a command after now", error);
    }
    if (name == NULL)
        return FALSE;
    command = find_command(name);
    if (command == NULL)
        return command_fail(error, "no command '%s'; help lists them", name);
    if (context->now && !command->calls)
        return command_fail(error, "%s sends no CALL: now makes no sense", name);
    return command->run(context, &rest, error);
}

void script_log(Log *log, const char *line, const char *problem)
{
    log_event(log, "command",
              json_pack("{s:o,s:o}", "text", log_text(line, -1), "result",
                        log_text(problem != NULL ? problem : "ok", -1)));
}

gboolean script_run(CommandContext *context, const char *line)
{
    const char *text = line + strspn(line, " \t");
    g_autoptr(GError) error = NULL;

    if (*text == '\0' || *text == '#')
        return TRUE;
    (void)run(context, text, &error);
    script_log(csms_log(context->csms), text, error != NULL ? error->message : NULL);
    return error == NULL;
}
