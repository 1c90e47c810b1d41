/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands that are one question to the agent: status, history, cancel, confirm,
 * allow-reboot. */
#include "agent/client.h"
#include "agent/commands_parts.h"
#include "agent/show.h"

int commands_status(const CommandOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) client = client_new(&error);
    g_autoptr(GVariant) status = client ? client_status(client, &error) : NULL;
    if (!status)
        return commands_fail(error);
    g_autofree char *text = options->json ? show_json(status) : show_status(status);
    return commands_print(text);
}

int commands_history(const CommandOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) client = client_new(&error);
    g_autoptr(GVariant) entries =
        client ? client_history(client, (guint)options->limit, &error) : NULL;
    if (!entries)
        return commands_fail(error);
    g_autofree char *text = options->json ? show_json(entries) : show_history(entries);
    return commands_print(text);
}

static int act(const char *method)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) client = client_new(&error);
    if (!client || !client_act(client, method, &error))
        return commands_fail(error);
    return EXIT_DONE;
}

int commands_cancel(const CommandOptions *options)
{
    (void)options;
    return act("Cancel");
}

int commands_confirm(const CommandOptions *options)
{
    (void)options;
    return act("Confirm");
}

int commands_allow_reboot(const CommandOptions *options)
{
    (void)options;
    return act("AllowReboot");
}
