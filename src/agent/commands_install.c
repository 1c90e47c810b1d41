/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * install: an update by hand, watched until its end.  The agent does the work: a watcher that is
 * interrupted changes nothing, and the same command attaches to the job again.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/client.h"
#include "agent/commands_parts.h"
#include "agent/text.h"

#define LOOK_MS    500
#define ABSENT_MAX (120000 / LOOK_MS) /* looks; an agent that restarts is back before */
#define BAR_WIDTH  30

typedef struct {
    Client *client;
    gint64 job;
    gboolean bar;   /* on a terminal */
    char *state;    /* last told */
    guint absences; /* looks in a row without an agent */
} Watch;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static gint64 number_of(GVariant *job, const char *name)
{
    gint64 value = -1;

    g_variant_lookup(job, name, "x", &value);
    return value;
}

static char *text_of(GVariant *job, const char *name)
{
    const char *value = "";

    g_variant_lookup(job, name, "&s", &value);
    return text_visible(value);
}

/* The job of that number, or (0) the one under way; NULL when `status` does not show it. */
static GVariant *job_in(GVariant *status, gint64 id)
{
    static const char *const NAMES[] = {"job", "last-job"};

    for (guint i = 0; i < G_N_ELEMENTS(NAMES); i++) {
        g_autoptr(GVariant) job = g_variant_lookup_value(status, NAMES[i], G_VARIANT_TYPE_VARDICT);
        if (job && (id == 0 || number_of(job, "id") == id))
            return g_steal_pointer(&job);
    }
    return NULL;
}

static void draw(const Watch *watch, GVariant *job, const char *state)
{
    g_autofree char *sizes = NULL;
    g_autofree char *left = NULL;
    gint64 percent = number_of(job, "transfer-percent"), bytes = number_of(job, "bytes");
    gint64 seconds = number_of(job, "seconds-left");
    int filled;

    if (percent < 0)
        percent = number_of(job, "progress");
    percent = CLAMP(percent, 0, 100);
    filled = (int)(percent * BAR_WIDTH / 100);
    if (bytes >= 0)
        sizes = g_strdup_printf("  %.1f MB  %.2f MB/s", (double)bytes / 1e6,
                                (double)MAX(number_of(job, "bytes-per-second"), 0) / 1e6);
    if (seconds >= 0)
        left = g_strdup_printf("  %" G_GINT64_FORMAT " s left", seconds);
    if (watch->bar)
        printf("\r\033[K%-12s [%.*s%.*s] %3d %%%s%s", state, filled,
               "##############################", BAR_WIDTH - filled,
               "..............................", (int)percent, sizes ? sizes : "",
               left ? left : "");
}

static void tell(Watch *watch, GVariant *job)
{
    g_autofree char *state = text_of(job, "state");

    if (!watch->bar && g_strcmp0(state, watch->state) != 0)
        printf("%s\n", state);
    g_free(watch->state);
    watch->state = g_strdup(state);
    draw(watch, job, state);
    fflush(stdout);
}

static int ended(const Watch *watch, GVariant *job)
{
    g_autofree char *state = text_of(job, "state");
    g_autofree char *reason = text_of(job, "reason");

    printf("%s%s%s%s\n", watch->bar ? "\r\033[K" : "", state, *reason ? ": " : "", reason);
    return g_str_equal(state, "installed") ? EXIT_DONE : EXIT_FAILED;
}

/* An agent that is away is starting again, or the charger is going down for the reboot. */
static gboolean bear_absence(Watch *watch, const GError *error)
{
    return g_error_matches(error, CLIENT_ERROR, CLIENT_ERROR_NOT_RUNNING) &&
           ++watch->absences < ABSENT_MAX;
}

/* TRUE when it is over. */
static gboolean look(Watch *watch, int *ret_code)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) status = client_status(watch->client, &error);
    g_autoptr(GVariant) job = NULL;

    if (!status) {
        if (bear_absence(watch, error))
            return FALSE;
        *ret_code = commands_fail(error);
        return TRUE;
    }
    watch->absences = 0;
    job = job_in(status, watch->job);
    if (!job) {
        printf("%sjob %" G_GINT64_FORMAT " is not shown any more, see history\n",
               watch->bar ? "\n" : "", watch->job);
        *ret_code = EXIT_FAILED;
        return TRUE;
    }
    watch->job = number_of(job, "id");
    if (number_of(job, "ended") >= 0 || g_variant_lookup(job, "ended", "s", NULL)) {
        *ret_code = ended(watch, job);
        return TRUE;
    }
    tell(watch, job);
    return FALSE;
}

static int watch_job(Watch *watch)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    int code = EXIT_FAILED;

    sigaction(SIGINT, &action, NULL);
    while (!look(watch, &code)) {
        if (!interrupted)
            g_usleep((gulong)LOOK_MS * 1000);
        if (interrupted) {
            printf("%sthe update goes on as job %" G_GINT64_FORMAT
                   "; while it does, the same command shows it again\n",
                   watch->bar ? "\n" : "", watch->job);
            return EXIT_FAILED;
        }
    }
    return code;
}

int commands_install(const CommandOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) client = NULL;
    g_autofree char *source = NULL;
    Watch watch = {.bar = isatty(STDOUT_FILENO)};
    int code;

    if (!options->arguments[0] || options->arguments[1])
        return commands_usage("install: one URL or file is needed");
    source = strstr(options->arguments[0], "://")
                 ? g_strdup(options->arguments[0])
                 : g_canonicalize_filename(options->arguments[0], NULL);
    if (source[0] == '/' && access(source, R_OK) != 0)
        return commands_usage("install: %s: %s", source, g_strerror(errno));
    client = client_new(&error);
    if (!client || !client_install(client, source, &error))
        return commands_fail(error);
    watch.client = client;
    code = watch_job(&watch);
    g_free(watch.state);
    return code;
}
