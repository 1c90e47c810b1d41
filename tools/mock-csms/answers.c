/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One row and one small function per kind of answer. */
#include "answers.h"

#include <gio/gio.h>
#include <string.h>

/* More statuses than this in one list are a mistake. */
#define BOOT_LIST_MAX 1000

struct Answers {
    Clock clock;
    GQueue boot; /* char *, never empty */
    guint interval;
    json_int_t last_transaction;
};

typedef struct {
    const char *action;
    json_t *(*make)(Answers *answers, const json_t *request);
} Row;

static json_t *make_empty(Answers *answers, const json_t *request)
{
    (void)answers;
    (void)request;
    return json_object();
}

static json_t *make_boot(Answers *answers, const json_t *request)
{
    g_autofree char *now = clock_text(&answers->clock, 0);
    json_t *conf =
        json_pack("{s:s,s:s,s:i}", "status", (const char *)g_queue_peek_head(&answers->boot),
                  "currentTime", now, "interval", (int)answers->interval);

    (void)request;
    if (g_queue_get_length(&answers->boot) > 1)
        g_free(g_queue_pop_head(&answers->boot));
    return conf;
}

static json_t *make_heartbeat(Answers *answers, const json_t *request)
{
    g_autofree char *now = clock_text(&answers->clock, 0);

    (void)request;
    return json_pack("{s:s}", "currentTime", now);
}

static json_t *make_id_tag_info(Answers *answers, const json_t *request)
{
    (void)answers;
    (void)request;
    return json_pack("{s:{s:s}}", "idTagInfo", "status", "Accepted");
}

static json_t *make_start_transaction(Answers *answers, const json_t *request)
{
    (void)request;
    answers->last_transaction++;
    return json_pack("{s:I,s:{s:s}}", "transactionId", answers->last_transaction, "idTagInfo",
                     "status", "Accepted");
}

static json_t *make_accepted(Answers *answers, const json_t *request)
{
    (void)answers;
    (void)request;
    return json_pack("{s:s}", "status", "Accepted");
}

static const Row rows[] = {
    {"Authorize", make_id_tag_info},
    {"BootNotification", make_boot},
    {"DataTransfer", make_accepted},
    {"DiagnosticsStatusNotification", make_empty},
    {"FirmwareStatusNotification", make_empty},
    {"Heartbeat", make_heartbeat},
    {"LogStatusNotification", make_empty},
    {"MeterValues", make_empty},
    {"SecurityEventNotification", make_empty},
    {"SignCertificate", make_accepted},
    {"SignedFirmwareStatusNotification", make_empty},
    {"StartTransaction", make_start_transaction},
    {"StatusNotification", make_empty},
    {"StopTransaction", make_id_tag_info},
};

Answers *answers_new(void)
{
    Answers *answers = g_new0(Answers, 1);

    clock_init(&answers->clock);
    g_queue_init(&answers->boot);
    g_queue_push_tail(&answers->boot, g_strdup("Accepted"));
    answers->interval = 300;
    return answers;
}

void answers_free(Answers *answers)
{
    if (answers == NULL)
        return;
    g_queue_clear_full(&answers->boot, g_free);
    g_free(answers);
}

Clock *answers_clock(Answers *answers)
{
    return &answers->clock;
}

gboolean answers_set_boot(Answers *answers, const char *list, GError **error)
{
    static const char *const allowed[] = {"Accepted", "Pending", "Rejected", NULL};
    g_auto(GStrv) statuses = g_strsplit(list, ",", BOOT_LIST_MAX);

    for (guint i = 0; i == 0 || statuses[i] != NULL; i++) {
        if (statuses[i] == NULL || !g_strv_contains(allowed, statuses[i])) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                        "'%s' is no registration status: Accepted, Pending or Rejected",
                        statuses[i] != NULL ? statuses[i] : "");
            return FALSE;
        }
    }
    g_queue_clear_full(&answers->boot, g_free);
    for (guint i = 0; statuses[i] != NULL; i++)
        g_queue_push_tail(&answers->boot, g_strdup(statuses[i]));
    return TRUE;
}

void answers_set_interval(Answers *answers, guint seconds)
{
    answers->interval = seconds;
}

json_t *answers_make(Answers *answers, const char *action, const json_t *request)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strcmp(rows[i].action, action) == 0)
            return rows[i].make(answers, request);
    return NULL;
}
