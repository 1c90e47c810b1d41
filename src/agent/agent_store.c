/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent and its store: opens it, and opens it anew when it has turned out to be damaged, or
 * could not be used and can be now (the disk has space again, is mounted, may be written to).  All
 * parts then begin anew with what is in it, as after a restart of the process: a volatile store is
 * no store without a job, what the file holds was not known.
 */
#include "src/agent/agent_internal.h"

#include "db/outbox.h"
#include "db/values.h"

static const char *origin_words(StoreOrigin origin)
{
    static const char *const WORDS[] = {
        [STORE_OPENED] = "opened",
        [STORE_CREATED] = "created",
        [STORE_MIGRATED] = "migrated",
        [STORE_OWN_COPY] = "of a newer agent: set aside, own copy opened",
        [STORE_NEWER_ASIDE] = "of a newer agent: set aside, started afresh",
        [STORE_CORRUPT_ASIDE] = "damaged: set aside, started afresh",
        [STORE_VOLATILE] = "not usable: until it is, nothing is kept and updates are refused",
    };

    return WORDS[origin];
}

static void tell_origin(const Agent *agent, StoreOrigin origin, const char *detail)
{
    g_log(G_LOG_DOMAIN, origin >= STORE_OWN_COPY ? G_LOG_LEVEL_CRITICAL : G_LOG_LEVEL_MESSAGE,
          "store %s: %s%s%s", agent->settings->store_path, origin_words(origin), detail ? ": " : "",
          detail ? detail : "");
}

gboolean agent_open_store(Agent *agent)
{
    g_autofree char *detail = NULL;
    g_autofree char *kept = NULL;
    g_autoptr(GError) error = NULL;
    StoreOrigin origin;

    agent->store = store_open(agent->settings->store_path, 0, &origin, &detail, &error);
    if (!agent->store) {
        g_critical("%s", error->message);
        return FALSE;
    }
    tell_origin(agent, origin, detail);
    if (!values_get(agent->store, VALUES_AGENT, "csms-time", &kept, &error))
        g_warning("cannot read the last CSMS time: %s", error->message);
    else if (kept)
        agent->kept_csms_ms = g_ascii_strtoll(kept, NULL, 10);
    return TRUE;
}

/* A report that is under way in the volatile store is finished first, and the CSMS hears of it. */
static gboolean store_is_at_rest(const Agent *agent)
{
    const Report *report = diagnostics_report(agent->diagnostics);
    guint rows = 0;

    return (!report || report_state_is_end(report->state)) &&
           outbox_count(agent->store, &rows, NULL) && rows == 0;
}

static void look_again(gpointer user_data)
{
    Agent *agent = user_data;
    g_autoptr(Store) store = NULL;
    g_autofree char *detail = NULL;
    StoreOrigin origin;

    agent_watch_store(agent);
    if (!store_is_at_rest(agent))
        return;
    store = store_open(agent->settings->store_path, 0, &origin, &detail, NULL);
    if (!store || !store_is_durable(store))
        return;
    tell_origin(agent, origin, detail);
    agent->next_store = g_steal_pointer(&store);
    g_main_loop_quit(agent->loop);
}

void agent_watch_store(Agent *agent)
{
    if (!store_is_durable(agent->store))
        clock_timer_set(agent->clock, &agent->store_timer, AGENT_STORE_RETRY_MS, look_again, agent);
}

static void keep_value(const char *name, const char *value, gpointer user_data)
{
    Agent *agent = user_data;
    g_autoptr(GError) error = NULL;

    if (!values_set(agent->next_store, VALUES_AGENT, name, value, &error))
        g_warning("cannot keep %s: %s", name, error->message);
}

/* What this process knows of this boot; what a CSMS changes is not taken by a volatile store. */
static void take_next_store(Agent *agent)
{
    g_autoptr(GError) error = NULL;

    if (!values_each(agent->store, VALUES_AGENT, keep_value, agent, &error))
        g_warning("cannot read the volatile store: %s", error->message);
    store_close(agent->store);
    agent->store = g_steal_pointer(&agent->next_store);
}

void agent_check_store(Agent *agent)
{
    if (!store_is_damaged(agent->store) || agent->store_anew)
        return;
    g_critical("the store is damaged: it is opened anew");
    agent->store_anew = TRUE;
    g_main_loop_quit(agent->loop);
}

gboolean agent_renew_store(Agent *agent)
{
    if (agent->next_store) {
        take_next_store(agent);
    } else if (agent->store_anew) {
        agent->store_anew = FALSE;
        g_clear_pointer(&agent->store, store_close); /* else it is locked */
        return agent_open_store(agent);
    }
    return TRUE;
}
