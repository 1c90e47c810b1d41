/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ring of messages. */
#include "agent/frames.h"

#include <string.h>

#include "ocpp/datetime.h"
#include "ocpp/redact.h"

struct _Frames {
    char *path;
    gsize limit;
    Clock *clock;
    GQueue lines; /* char*, the oldest first */
    gsize bytes;
    gboolean unwritten, warned;
    guint timer;
};

static void push(Frames *frames, char *line)
{
    frames->bytes += strlen(line) + 1;
    g_queue_push_tail(&frames->lines, line);
    while (frames->bytes > frames->limit) {
        g_autofree char *oldest = g_queue_pop_head(&frames->lines);

        frames->bytes -= strlen(oldest) + 1;
    }
}

static void load(Frames *frames)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    gsize length;

    if (!g_file_get_contents(frames->path, &text, &length, NULL) || length > frames->limit ||
        !g_utf8_validate(text, (gssize)length, NULL))
        return;
    lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i] != NULL; i++) {
        if (*lines[i] != '\0' && strlen(lines[i]) <= FRAMES_MAX_LINE)
            push(frames, g_strdup(lines[i]));
    }
}

Frames *frames_new(const char *path, gsize limit, Clock *clock)
{
    Frames *frames = g_new0(Frames, 1);

    frames->path = g_strdup(path);
    frames->limit = MAX(limit, FRAMES_MAX_LINE);
    frames->clock = clock;
    g_queue_init(&frames->lines);
    load(frames);
    return frames;
}

static void write_now(gpointer user_data)
{
    frames_write(user_data);
}

void frames_add(Frames *frames, gboolean to_csms, const char *text, gsize length)
{
    g_autofree char *time = ocpp_datetime_format(clock_best_ms(frames->clock));
    g_autofree char *safe = ocpp_redact(text, length);
    g_autofree char *line = NULL;

    if (safe == NULL)
        safe = g_strdup_printf("(%" G_GSIZE_FORMAT " bytes that are no JSON)", length);
    line = g_strdup_printf("%s %c %s", time, to_csms ? '>' : '<', safe);
    if (strlen(line) >= FRAMES_MAX_LINE)
        *g_utf8_find_prev_char(line, line + FRAMES_MAX_LINE - 1) = '\0';
    push(frames, g_steal_pointer(&line));
    frames->unwritten = TRUE;
    if (frames->timer == 0)
        clock_timer_set(frames->clock, &frames->timer, (gint64)FRAMES_WRITE_S * 1000, write_now,
                        frames);
}

char *frames_text(const Frames *frames)
{
    GString *text = g_string_sized_new(frames->bytes + 1);

    for (GList *at = frames->lines.head; at != NULL; at = at->next) {
        g_string_append(text, at->data);
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}

void frames_write(Frames *frames)
{
    g_autofree char *text = frames_text(frames);
    g_autoptr(GError) error = NULL;

    clock_timer_clear(frames->clock, &frames->timer);
    if (!frames->unwritten)
        return;
    frames->unwritten = FALSE;
    if (!g_file_set_contents_full(frames->path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                  &error) &&
        !frames->warned) {
        frames->warned = TRUE;
        g_warning("cannot keep the OCPP messages: %s", error->message);
    }
}

void frames_free(Frames *frames)
{
    if (frames == NULL)
        return;
    frames_write(frames);
    g_queue_clear_full(&frames->lines, g_free);
    g_free(frames->path);
    g_free(frames);
}
