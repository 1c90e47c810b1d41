/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the CSMS hears of the agent, checked by rules of its own, and how it answers: at once, late,
 * never, or with CALLERROR.
 */
#include "world.h"

#include "ocpp/datetime.h"

/* ------------------------------------------------------------------------------------- checking */

static void check_fields(World *world, const char *action, const json_t *payload)
{
    static const struct {
        const char *action, *fields[3];
    } REQUIRED[] = {
        {"BootNotification", {"chargePointVendor", "chargePointModel", NULL}},
        {"FirmwareStatusNotification", {"status", NULL, NULL}},
        {"StatusNotification", {"errorCode", "status", NULL}},
        {"Heartbeat", {NULL, NULL, NULL}},
    };

    for (guint i = 0; i < G_N_ELEMENTS(REQUIRED); i++) {
        if (!g_str_equal(REQUIRED[i].action, action))
            continue;
        for (guint j = 0; REQUIRED[i].fields[j]; j++)
            if (!json_is_string(json_object_get(payload, REQUIRED[i].fields[j])))
                violation(world, "%s has no %s", action, REQUIRED[i].fields[j]);
        return;
    }
    violation(world, "the agent sends %s", action);
}

/* J 4.1.1: one open CALL, closed by its answer or its timeout. */
static void check_open(World *world, const char *id)
{
    Csms *csms = &world->csms;

    if (strlen(id) > 36)
        violation(world, "the id %s is too long", id);
    if (csms->open_id && world->now_ms - csms->open_since_ms < CALL_TIMEOUT_MS - SECOND)
        violation(world, "a second CALL while one is open");
    if (csms->open_id && g_str_equal(csms->open_id, id))
        violation(world, "the id %s comes twice", id);
    g_free(csms->open_id);
    csms->open_id = g_strdup(id);
    csms->open_since_ms = world->now_ms;
}

/* C 4.2 */
static void check_allowed(World *world, const char *action, const Sent *sent)
{
    const char *told = world->agent->told_status;

    if (g_str_equal(action, "BootNotification") || g_strcmp0(told, "Accepted") == 0)
        return;
    if (g_strcmp0(told, "Pending") != 0 || sent->row != 0 || !world->agent->triggered)
        violation(world, "%s is sent although the agent was told %s", action,
                  told ? told : "nothing");
}

/* ------------------------------------------------------------------------------------ answering */

static json_t *confirmation(World *world, const char *action)
{
    g_autofree char *time = ocpp_datetime_format(csms_now_ms(world));

    if (g_str_equal(action, "BootNotification"))
        return json_pack("{s:s, s:s, s:i}", "status", world->csms.registration, "currentTime", time,
                         "interval", (int)world->csms.interval_s);
    if (g_str_equal(action, "Heartbeat"))
        return json_pack("{s:s}", "currentTime", time);
    return json_object();
}

/* How a CSMS that is not well answers: ms until then, -1: never. */
static gint64 mood(World *world, gboolean *ret_error)
{
    gint64 delay = draw(world, 5, 2000);

    *ret_error = FALSE;
    if (world->csms.good)
        return delay;
    switch (draw(world, 0, 9)) {
    case 0:
        world->figures.unanswered++;
        return -1;
    case 1:
        world->figures.late++;
        return draw(world, CALL_TIMEOUT_MS + SECOND, 90 * SECOND);
    case 2:
        world->figures.errors++;
        *ret_error = TRUE;
        return delay;
    default:
        return delay;
    }
}

static char *answer_text(World *world, const char *id, const char *action, gboolean error)
{
    json_t *frame = error ? json_pack("[i,s,s,s,{}]", 4, id, "InternalError", "no luck")
                          : json_pack("[i,s,o]", 3, id, confirmation(world, action));
    char *text = json_dumps(frame, JSON_COMPACT);
    char *copy = g_strdup(text);

    free(text);
    json_decref(frame);
    return copy;
}

/* In time for the agent, which counts from when it sent. */
static gboolean in_time(const World *world, const char *text)
{
    g_autofree char *id = g_strdup_printf("\"%s\"", world->csms.open_id ? world->csms.open_id : "");

    return world->csms.open_id && strstr(text, id) &&
           world->now_ms - world->csms.open_since_ms < CALL_TIMEOUT_MS - SECOND;
}

static void note_registration(World *world, const char *text)
{
    static const char *const STATUSES[] = {"Accepted", "Pending", "Rejected"};

    for (guint i = 0; i < G_N_ELEMENTS(STATUSES); i++) {
        g_autofree char *quoted = g_strdup_printf("\"status\":\"%s\"", STATUSES[i]);

        if (!strstr(text, quoted) || !strstr(text, "currentTime"))
            continue;
        g_free(world->agent->told_status);
        world->agent->told_status = g_strdup(STATUSES[i]);
    }
}

/* A frame reaches the agent. */
void csms_arrives(World *world, const char *text)
{
    gboolean answers = in_time(world, text);
    gint64 row = world->csms.open_row;

    if (answers) {
        note_registration(world, text);
        g_clear_pointer(&world->csms.open_id, g_free);
    }
    if (strstr(text, "TriggerMessage"))
        world->agent->triggered = TRUE;
    session_message(world->agent->session, text, strlen(text));
    if (answers && row > 0 && agent_lives(world))
        ledger_row_answered(world, row);
}

/* -------------------------------------------------------------------------------------- hearing */

static void hear_call(World *world, const json_t *frame, const Sent *sent)
{
    const char *id = json_string_value(json_array_get(frame, 1));
    const char *action = json_string_value(json_array_get(frame, 2));
    const json_t *payload = json_array_get(frame, 3);
    gboolean error;
    gint64 delay;

    if (!id || !action || !json_is_object(payload) || json_array_size(frame) != 4)
        violation(world, "not a CALL: %s", sent->text);
    world->figures.calls++;
    check_fields(world, action, payload);
    check_open(world, id);
    check_allowed(world, action, sent);
    world->csms.open_row = sent->row;
    if (g_str_equal(action, "FirmwareStatusNotification"))
        ledger_heard(world, sent->job, sent->row,
                     json_string_value(json_object_get(payload, "status")));
    delay = mood(world, &error);
    if (delay >= 0)
        csms_deliver(world, answer_text(world, id, action, error), delay);
}

/* Something between the two loses it, and the connection lives on. */
static gboolean is_swallowed(World *world)
{
    if (world->csms.good || !chance(world, 5))
        return FALSE;
    world->figures.swallowed++;
    return TRUE;
}

void csms_hear(World *world, gpointer data)
{
    const Sent *sent = data;
    json_t *frame = json_loads(sent->text, 0, NULL);

    if (!json_is_array(frame))
        violation(world, "not a frame: %s", sent->text);
    if (json_integer_value(json_array_get(frame, 0)) != 2)
        csms_answered(world, frame);
    else if (!is_swallowed(world))
        hear_call(world, frame, sent);
    json_decref(frame);
}
