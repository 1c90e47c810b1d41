/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the commands do, one function each; script.c has their names and their table.
 * rest points behind the command's name and is moved past every word that is read.
 */
#pragma once

#include <glib.h>

#include "csms.h"

typedef struct {
    Csms *csms;
    gboolean now; /* the command came with `now` in front */
    void (*quit)(gpointer user);
    gpointer user;
} CommandContext;

typedef gboolean (*CommandRun)(const CommandContext *context, const char **rest, GError **error);

/* commands.c: reading words. The results are freed with g_free(); NULL: nothing is left. */
char *command_word(const char **rest);
/* The word that must be there, or NULL with error. */
char *command_need_word(const char **rest, const char *what, GError **error);
gboolean command_number(const char *word, gint64 least, gint64 most, gint64 *ret_number,
                        GError **error);
gboolean command_on_off(const char *word, gboolean *ret_on, GError **error);
/* Everything that is left, without the blanks in front. */
const char *command_rest(const char **rest);
/* Always FALSE. */
gboolean command_fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* commands-send.c */
gboolean command_update(const CommandContext *context, const char **rest, GError **error);
gboolean command_diagnostics(const CommandContext *context, const char **rest, GError **error);
gboolean command_trigger(const CommandContext *context, const char **rest, GError **error);
gboolean command_reset(const CommandContext *context, const char **rest, GError **error);
gboolean command_get_configuration(const CommandContext *context, const char **rest,
                                   GError **error);
gboolean command_change_configuration(const CommandContext *context, const char **rest,
                                      GError **error);
gboolean command_change_availability(const CommandContext *context, const char **rest,
                                     GError **error);
gboolean command_call(const CommandContext *context, const char **rest, GError **error);
gboolean command_big(const CommandContext *context, const char **rest, GError **error);
gboolean command_raw(const CommandContext *context, const char **rest, GError **error);
gboolean command_raw_hex(const CommandContext *context, const char **rest, GError **error);
gboolean command_fragmented(const CommandContext *context, const char **rest, GError **error);

/* commands.c */
gboolean command_boot(const CommandContext *context, const char **rest, GError **error);
gboolean command_interval(const CommandContext *context, const char **rest, GError **error);
gboolean command_time(const CommandContext *context, const char **rest, GError **error);
gboolean command_delay(const CommandContext *context, const char **rest, GError **error);
gboolean command_mute(const CommandContext *context, const char **rest, GError **error);
gboolean command_error(const CommandContext *context, const char **rest, GError **error);
gboolean command_drop(const CommandContext *context, const char **rest, GError **error);
gboolean command_close(const CommandContext *context, const char **rest, GError **error);
gboolean command_refuse(const CommandContext *context, const char **rest, GError **error);
gboolean command_freeze(const CommandContext *context, const char **rest, GError **error);
gboolean command_stop_listening(const CommandContext *context, const char **rest, GError **error);
gboolean command_listen(const CommandContext *context, const char **rest, GError **error);
gboolean command_quit(const CommandContext *context, const char **rest, GError **error);
