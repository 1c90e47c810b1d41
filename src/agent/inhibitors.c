/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Those who hold the reboot back: a list of pipes. */
#include "agent/inhibitors.h"

#include <gio/gio.h>
#include <glib-unix.h>
#include <unistd.h>

#include "agent/control.h"
#include "agent/text.h"

struct _Inhibitors {
    GPtrArray *holders;
    void (*changed)(gpointer user_data);
    gpointer user_data;
};

typedef struct {
    Inhibitors *owner;
    char *who, *why;
    int fd; /* our end, only ever polled */
    guint watch;
} Holder;

static void holder_free(gpointer data)
{
    Holder *holder = data;
    if (holder->watch)
        g_source_remove(holder->watch);
    close(holder->fd);
    g_free(holder->who);
    g_free(holder->why);
    g_free(holder);
}

Inhibitors *inhibitors_new(void (*changed)(gpointer user_data), gpointer user_data)
{
    Inhibitors *inhibitors = g_new0(Inhibitors, 1);
    inhibitors->holders = g_ptr_array_new_with_free_func(holder_free);
    inhibitors->changed = changed;
    inhibitors->user_data = user_data;
    return inhibitors;
}

void inhibitors_free(Inhibitors *inhibitors)
{
    if (!inhibitors)
        return;
    g_ptr_array_unref(inhibitors->holders);
    g_free(inhibitors);
}

static gboolean on_released(gint fd, GIOCondition condition, gpointer user_data)
{
    (void)fd;
    (void)condition;
    Holder *holder = user_data;
    Inhibitors *inhibitors = holder->owner;
    g_message("inhibitor ended: %s (%s)", holder->who, holder->why);
    holder->watch = 0; /* removed by the answer below */
    g_ptr_array_remove(inhibitors->holders, holder);
    inhibitors->changed(inhibitors->user_data);
    return G_SOURCE_REMOVE;
}

static gboolean check_text(const char *name, const char *text, glong max, GError **error)
{
    glong length = g_utf8_strlen(text, -1);
    if (length >= 1 && length <= max && text_is_plain(text))
        return TRUE;
    g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS,
                "%s is not allowed, use 1 to %ld characters without control characters", name, max);
    return FALSE;
}

int inhibitors_add(Inhibitors *inhibitors, const char *who, const char *why, GError **error)
{
    int fds[2];
    g_autoptr(GError) pipe_error = NULL;

    if (!check_text("who", who, CONTROL_MAX_WHO, error) ||
        !check_text("why", why, CONTROL_MAX_WHY, error))
        return -1;
    if (inhibitors->holders->len >= CONTROL_MAX_INHIBITORS) {
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED,
                    "%d inhibitors are held already, no more are allowed", CONTROL_MAX_INHIBITORS);
        return -1;
    }
    if (!g_unix_open_pipe(fds, FD_CLOEXEC, &pipe_error)) {
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_FAILED, "no pipe for an inhibitor: %s",
                    pipe_error->message);
        return -1;
    }

    Holder *holder = g_new0(Holder, 1);
    holder->owner = inhibitors;
    holder->who = g_strdup(who);
    holder->why = g_strdup(why);
    holder->fd = fds[0];
    /* The holder has the writing end: when its last copy is closed, ours hangs up, whatever was
     * written. */
    holder->watch = g_unix_fd_add(fds[0], G_IO_HUP | G_IO_ERR, on_released, holder);
    g_ptr_array_add(inhibitors->holders, holder);
    g_message("inhibitor taken: %s (%s)", who, why);
    inhibitors->changed(inhibitors->user_data);
    return fds[1];
}

char *inhibitors_describe(const Inhibitors *inhibitors)
{
    if (inhibitors->holders->len == 0)
        return NULL;
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < inhibitors->holders->len; i++) {
        const Holder *holder = g_ptr_array_index(inhibitors->holders, i);
        g_string_append_printf(text, "%s%s (%s)", i > 0 ? ", " : "", holder->who, holder->why);
    }
    return g_string_free(text, FALSE);
}
