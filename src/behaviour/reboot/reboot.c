/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate before a reboot: one wish at a time, looked at again whenever something that holds it
 * back may have changed.
 */
#include "behaviour/reboot.h"

#include <gio/gio.h>

#include "adapter/systemd.h"

struct _Reboot {
    RebootConfig config;
    Clock *clock;
    void (*allowed)(gpointer);
    gpointer user_data;

    gboolean asked;
    gint64 asked_ms;
    gboolean permitted;
    char *inhibitors;        /* ours; NULL: nobody */
    char *blockers;          /* logind's; NULL: nobody */
    gint64 fresh_until_ms;   /* logind need not be asked again */
    gint64 holders_until_ms; /* they may still come back */
    guint outbox;
    guint timer;
    GCancellable *logind; /* a query that is under way */
};

Reboot *reboot_new(const RebootConfig *config, Clock *clock, void (*allowed)(gpointer),
                   gpointer user_data)
{
    Reboot *reboot = g_new0(Reboot, 1);

    reboot->config = *config;
    reboot->clock = clock;
    reboot->allowed = allowed;
    reboot->user_data = user_data;
    return reboot;
}

static void stop(Reboot *reboot)
{
    clock_timer_clear(reboot->clock, &reboot->timer);
    if (reboot->logind) {
        g_cancellable_cancel(reboot->logind);
        g_clear_object(&reboot->logind);
    }
}

void reboot_free(Reboot *reboot)
{
    if (!reboot)
        return;
    stop(reboot);
    g_free(reboot->inhibitors);
    g_free(reboot->blockers);
    g_free(reboot);
}

static gint64 waited_ms(const Reboot *reboot)
{
    return clock_boottime_ms(reboot->clock) - reboot->asked_ms;
}

static gboolean inhibitors_count(const Reboot *reboot)
{
    return reboot->config.wait_limit_ms == 0 || waited_ms(reboot) < reboot->config.wait_limit_ms;
}

static gboolean outbox_counts(const Reboot *reboot)
{
    return reboot->outbox > 0 && waited_ms(reboot) < reboot->config.report_wait_ms;
}

static gint64 holders_left_ms(const Reboot *reboot)
{
    return reboot->holders_until_ms - clock_boottime_ms(reboot->clock);
}

static void look(gpointer user_data);

/* When one of the limits is over, or when logind is to be asked again. */
static void look_later(Reboot *reboot, gboolean poll)
{
    gint64 next = poll ? REBOOT_INHIBITOR_POLL_MS : -1;
    gint64 limits[] = {
        inhibitors_count(reboot) && reboot->config.wait_limit_ms > 0
            ? reboot->config.wait_limit_ms - waited_ms(reboot)
            : -1,
        outbox_counts(reboot) ? reboot->config.report_wait_ms - waited_ms(reboot) : -1,
        holders_left_ms(reboot) > 0 ? holders_left_ms(reboot) : -1,
    };

    for (guint i = 0; i < G_N_ELEMENTS(limits); i++)
        if (limits[i] >= 0 && (next < 0 || limits[i] < next))
            next = limits[i];
    if (next < 0)
        clock_timer_clear(reboot->clock, &reboot->timer);
    else
        clock_timer_set(reboot->clock, &reboot->timer, next, look, reboot);
}

static gboolean is_held(const Reboot *reboot)
{
    return (reboot->config.permission_required && !reboot->permitted) ||
           (reboot->inhibitors && inhibitors_count(reboot)) || outbox_counts(reboot) ||
           holders_left_ms(reboot) > 0;
}

static void allow(Reboot *reboot)
{
    reboot->asked = reboot->permitted = FALSE;
    stop(reboot);
    reboot->allowed(reboot->user_data);
}

static void decide(Reboot *reboot)
{
    if (is_held(reboot))
        look_later(reboot, FALSE);
    else if (reboot->blockers && inhibitors_count(reboot))
        look_later(reboot, TRUE);
    else
        allow(reboot);
}

static void logind_answered(const char *who, gpointer user_data)
{
    Reboot *reboot = user_data;

    g_clear_object(&reboot->logind);
    if (g_strcmp0(who, reboot->blockers) != 0 && who && reboot->asked)
        g_message("the reboot waits for inhibitors of systemd: %s", who);
    g_free(reboot->blockers);
    reboot->blockers = g_strdup(who);
    if (reboot->asked) /* and held, it may be, by what came while logind was asked */
        decide(reboot);
}

static void ask_logind(Reboot *reboot)
{
    reboot->fresh_until_ms = clock_boottime_ms(reboot->clock) + REBOOT_FRESH_MS;
    reboot->logind = g_cancellable_new();
    systemd_query_shutdown_inhibitors(reboot->logind, logind_answered, reboot);
}

static gboolean is_fresh(const Reboot *reboot)
{
    return clock_boottime_ms(reboot->clock) < reboot->fresh_until_ms;
}

/* logind comes last: it has to be asked, and only its answer of this moment (REBOOT_FRESH_MS)
 * counts. */
static void look(gpointer user_data)
{
    Reboot *reboot = user_data;

    if (!reboot->asked || reboot->logind)
        return;
    if (is_held(reboot) || is_fresh(reboot))
        decide(reboot);
    else
        ask_logind(reboot);
}

void reboot_ask_ahead(Reboot *reboot)
{
    if (!reboot->asked && !reboot->logind)
        ask_logind(reboot);
}

void reboot_await_holders(Reboot *reboot)
{
    reboot->holders_until_ms = clock_boottime_ms(reboot->clock) + REBOOT_RETAKE_MS;
}

void reboot_ask(Reboot *reboot, gboolean permitted)
{
    g_autofree char *waits = NULL;

    reboot->permitted = reboot->permitted || permitted;
    if (reboot->asked)
        return;
    reboot->asked = TRUE;
    reboot->asked_ms = clock_boottime_ms(reboot->clock);
    if (!is_fresh(reboot))
        g_clear_pointer(&reboot->blockers, g_free);
    waits = reboot_waits_for(reboot);
    if (waits)
        g_message("the reboot waits for: %s", waits);
    clock_timer_set(reboot->clock, &reboot->timer, 0, look, reboot);
}

void reboot_withdraw(Reboot *reboot)
{
    reboot->asked = reboot->permitted = FALSE;
    stop(reboot);
}

gboolean reboot_is_asked(const Reboot *reboot)
{
    return reboot->asked;
}

static void look_soon(Reboot *reboot)
{
    if (reboot->asked)
        clock_timer_set(reboot->clock, &reboot->timer, 0, look, reboot);
}

void reboot_permit(Reboot *reboot)
{
    reboot->permitted = TRUE;
    look_soon(reboot);
}

void reboot_set_inhibitors(Reboot *reboot, const char *who)
{
    g_free(reboot->inhibitors);
    reboot->inhibitors = g_strdup(who);
    reboot->fresh_until_ms = 0; /* who gives one back may have taken one of logind's in its place */
    look_soon(reboot);
}

void reboot_set_outbox(Reboot *reboot, guint rows)
{
    gboolean changed = (rows > 0) != (reboot->outbox > 0);

    reboot->outbox = rows;
    if (changed)
        look_soon(reboot);
}

char *reboot_waits_for(const Reboot *reboot)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

    if (!reboot->asked)
        return NULL;
    if (reboot->config.permission_required && !reboot->permitted)
        g_ptr_array_add(words, g_strdup("permission (allow-reboot)"));
    if (reboot->inhibitors && inhibitors_count(reboot))
        g_ptr_array_add(words, g_strdup_printf("inhibitors: %s", reboot->inhibitors));
    if (reboot->blockers && inhibitors_count(reboot))
        g_ptr_array_add(words, g_strdup_printf("inhibitors of systemd: %s", reboot->blockers));
    if (outbox_counts(reboot))
        g_ptr_array_add(words, g_strdup_printf("%u reports to the CSMS", reboot->outbox));
    if (words->len == 0 && holders_left_ms(reboot) > 0)
        g_ptr_array_add(words, g_strdup("inhibitors that may be taken again"));
    if (words->len == 0)
        return NULL;
    g_ptr_array_add(words, NULL);
    return g_strjoinv(", ", (char **)words->pdata);
}
