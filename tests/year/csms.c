/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection to the CSMS, and what the CSMS asks for.
 */
#include "world.h"

#include "ocpp/datetime.h"

gint64 csms_now_ms(const World *world)
{
    return true_ms(world) + world->csms.offset_ms;
}

/* ------------------------------------------------------------------------------------- the link */

void csms_drop(World *world)
{
    scope_ends(world, SCOPE_LINK);
    g_clear_pointer(&world->csms.open_id, g_free);
    g_hash_table_remove_all(world->csms.asked);
    agent_disconnected(world);
}

void csms_connect_later(World *world, gpointer data)
{
    Health health = world->device.slots[world->device.booted].health;

    (void)data;
    if (!agent_lives(world) || world->agent->connected)
        return;
    if (!world->csms.network || health == NO_CSMS) {
        after(world, draw(world, 5 * SECOND, 300 * SECOND), SCOPE_AGENT, csms_connect_later, NULL);
        return;
    }
    world->csms.to_csms_at = world->csms.to_agent_at = 0;
    agent_connected(world);
}

/* Frames of one direction do not overtake each other. */
static gint64 arrives_in(World *world, gint64 *last_at, gint64 delay_ms)
{
    *last_at = MAX(*last_at, world->now_ms + delay_ms);
    return *last_at - world->now_ms;
}

/* A frame of the agent's is on its way.  Which row of the outbox it tells of, only the store
 * knows. */
void csms_receive(World *world, const char *text)
{
    gsize size = sizeof(Sent) + strlen(text) + 1;
    Sent *sent = g_malloc0(size);
    g_autoptr(OutboxRow) row = NULL;
    g_autoptr(GError) error = NULL;

    memcpy(sent->text, text, strlen(text) + 1);
    if (strstr(text, "\"FirmwareStatusNotification\"")) {
        if (!outbox_head(world->agent->store, &row, &error))
            violation(world, "%s", error->message);
        sent->row = row ? row->id : 0;
        sent->job = row ? row->job_id : 0;
    }
    after(world, arrives_in(world, &world->csms.to_csms_at, draw(world, 5, 200)), SCOPE_LINK,
          csms_hear, sent);
}

static void deliver(World *world, gpointer data)
{
    const char *text = data;

    if (agent_lives(world) && world->agent->connected && !dies_here(world))
        csms_arrives(world, text);
}

void csms_deliver(World *world, char *text, gint64 delay_ms)
{
    gboolean late = delay_ms > CALL_TIMEOUT_MS; /* does not hold up the others */

    after(world, late ? delay_ms : arrives_in(world, &world->csms.to_agent_at, delay_ms),
          SCOPE_LINK, deliver, text);
}

/* -------------------------------------------------------------------------------- its own CALLs */

static gboolean can_ask(const World *world)
{
    return agent_lives(world) && world->agent->connected;
}

static void call(World *world, const char *action, json_t *payload)
{
    g_autofree char *id = g_strdup_printf("c%u", ++world->csms.next_id);
    json_t *frame = json_pack("[i,s,s,o]", 2, id, action, payload);
    char *text = json_dumps(frame, JSON_COMPACT);

    g_hash_table_insert(world->csms.asked, g_strdup(id), (gpointer)action);
    note(world, "CSMS: %s", text);
    csms_deliver(world, g_strdup(text), draw(world, 5, 500));
    free(text);
    json_decref(frame);
}

static char *draw_location(World *world, gboolean repeat)
{
    if (repeat && world->csms.location)
        return g_strdup(world->csms.location);
    return bundle_location(world, ++world->csms.requests);
}

/* A new update, or the last one once more. */
void csms_request(World *world, gboolean repeat)
{
    g_autofree char *location = NULL;
    g_autofree char *date = NULL;
    json_t *payload;

    if (!can_ask(world))
        return;
    location = draw_location(world, repeat);
    if (!repeat || !world->csms.location) {
        gint64 ahead = chance(world, 80) ? draw(world, -DAY, 0) : draw(world, 0, 2 * DAY);

        world->csms.date_ms = (true_ms(world) + ahead) / 1000 * 1000;
    }
    g_free(world->csms.location);
    world->csms.location = g_strdup(location);
    date = ocpp_datetime_format(world->csms.date_ms);
    payload = json_pack("{s:s, s:s}", "location", location, "retrieveDate", date);
    if (chance(world, 80))
        json_object_set_new(payload, "retries", json_integer(draw(world, 0, 3)));
    if (chance(world, 80))
        json_object_set_new(payload, "retryInterval", json_integer(draw(world, 0, 1800)));
    call(world, "UpdateFirmware", payload);
}

static json_t *trigger(World *world)
{
    static const char *const WHAT[] = {"FirmwareStatusNotification", "Heartbeat",
                                       "BootNotification", "StatusNotification", "MeterValues"};

    return json_pack("{s:s}", "requestedMessage", WHAT[draw(world, 0, G_N_ELEMENTS(WHAT) - 1)]);
}

static void junk(World *world)
{
    static const char *const JUNK[] = {"",
                                       "[]",
                                       "nonsense",
                                       "[2]",
                                       "[3,\"nobody\",{}]",
                                       "[9,\"x\",\"y\",{}]",
                                       "[2,\"junk\",\"UpdateFirmware\",{\"location\":7}]",
                                       "[2,\"junk\",\"FlyToTheMoon\",{}]",
                                       "[4,\"nobody\",\"GenericError\",\"\",{}]"};

    csms_deliver(world, g_strdup(JUNK[draw(world, 0, G_N_ELEMENTS(JUNK) - 1)]), 5);
}

/* Anything else that a CSMS may want. */
void csms_ask(World *world)
{
    if (!can_ask(world))
        return;
    switch (draw(world, 0, 7)) {
    case 0:
    case 1:
    case 2:
        call(world, "TriggerMessage", trigger(world));
        break;
    case 3:
        call(world, "Reset", json_pack("{s:s}", "type", chance(world, 50) ? "Hard" : "Soft"));
        break;
    case 4:
        call(world, "GetConfiguration", json_object());
        break;
    case 5:
        call(world, "ChangeAvailability",
             json_pack("{s:i, s:s}", "connectorId", (int)draw(world, 0, 2), "type",
                       chance(world, 50) ? "Operative" : "Inoperative"));
        break;
    case 6:
        call(world, "ChangeConfiguration",
             json_pack("{s:s, s:s}", "key", "WebSocketPingInterval", "value", "120"));
        break;
    default:
        junk(world);
    }
}

/* What the agent answers. */
void csms_answered(World *world, const json_t *frame)
{
    const char *id = json_string_value(json_array_get(frame, 1));
    const char *action = id ? g_hash_table_lookup(world->csms.asked, id) : NULL;
    const json_t *payload = json_array_get(frame, 2);
    const char *status = json_string_value(json_object_get(payload, "status"));
    gboolean result = json_integer_value(json_array_get(frame, 0)) == 3;

    if (id && g_str_equal(id, "junk") && !result)
        return;
    if (!action)
        violation(world, "an answer to nothing, id %s", id);
    if (!result)
        violation(world, "%s is answered with an error", action);
    if (g_str_equal(action, "UpdateFirmware")) {
        if (json_object_size(payload) != 0)
            violation(world, "UpdateFirmware.conf is not empty");
    } else if (!g_str_equal(action, "GetConfiguration") &&
               !g_strv_contains((const char *const[]){"Accepted", "Rejected", "NotImplemented",
                                                      "Scheduled", NULL},
                                status ? status : "")) {
        violation(world, "%s is answered with %s", action, status);
    }
    g_hash_table_remove(world->csms.asked, id);
}
