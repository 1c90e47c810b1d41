/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RAUC's methods: each call is sent to the session's owner and told to its caller exactly once,
 * unless the adapter is freed.
 */
#include "rauc_internal.h"

/* One call of a caller of ours; dies with its callback. */
typedef struct {
    Rauc *rauc;
    GCancellable *session; /* NULL: never sent */
    RaucDoneFunc done;
    RaucStatusFunc answer; /* of a query, instead of `done` */
    gpointer user_data;
    guint replies; /* still to come */
    RaucStatus *status;
    char *primary;
    GError *error; /* the first one */
} Call;

static void call_free(Call *call)
{
    g_clear_object(&call->session);
    rauc_status_free(call->status);
    g_free(call->primary);
    g_clear_error(&call->error);
    rauc_unref(call->rauc);
    g_free(call);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Call, call_free)

static void call_end(Call *call)
{
    if (call->rauc->freed)
        return;
    if (call->answer)
        call->answer(call->error ? NULL : g_steal_pointer(&call->status), call->error,
                     call->user_data);
    else if (call->done)
        call->done(call->error, call->user_data);
}

static gboolean on_refused(gpointer data)
{
    g_autoptr(Call) call = data;

    call_end(call);
    return G_SOURCE_REMOVE;
}

/* Why a call cannot be made at all; NULL when it can. */
static GError *refusal(const Rauc *rauc)
{
    if (!rauc->ready)
        return g_error_new(RAUC_ERROR, RAUC_ERROR_GONE, "RAUC is not on the bus");
    if (rauc->pending >= RAUC_MAX_PENDING)
        return g_error_new(RAUC_ERROR, RAUC_ERROR_OTHER, "%u calls wait for RAUC already",
                           rauc->pending);
    return NULL;
}

/* A call, ready to be sent; NULL when it is refused (`error`, or a reason found here) and the
 * callback will tell so. */
static Call *call_new(Rauc *rauc, const Call *template, GError *error)
{
    Call *call = g_new0(Call, 1);

    *call = *template;
    call->rauc = g_rc_box_acquire(rauc);
    call->error = error ? error : refusal(rauc);
    if (call->error) {
        g_idle_add(on_refused, call);
        return NULL;
    }
    call->session = g_object_ref(rauc->session);
    rauc->pending++;
    return call;
}

/* The reply, or NULL with call->error set; draws the conclusions for the presence. */
static GVariant *call_receive(Call *call, GObject *source, GAsyncResult *result)
{
    g_autoptr(GError) error = NULL;
    Rauc *rauc = call->rauc;
    GVariant *reply = rauc_receive(source, result, &error);

    if (--call->replies == 0)
        rauc->pending--;
    if (reply)
        return reply;
    if (!call->error)
        call->error = g_error_copy(error);
    if (g_cancellable_is_cancelled(call->session))
        return NULL;
    if (g_error_matches(error, RAUC_ERROR, RAUC_ERROR_GONE)) {
        rauc_went_silent(rauc, error);
    } else if (g_error_matches(error, RAUC_ERROR, RAUC_ERROR_BUSY)) {
        rauc_set_busy(rauc);
        rauc_announce(rauc);
    }
    return NULL;
}

/* Both answers are there, or what came instead of them. */
static void query_end(Call *call)
{
    if (!call->error && g_cancellable_is_cancelled(call->session))
        call->error = g_error_new(RAUC_ERROR, RAUC_ERROR_GONE, "RAUC left the bus");
    if (call->status)
        call->status->primary = g_steal_pointer(&call->primary);
    call_end(call);
    call_free(call);
}

static void on_slots(GObject *source, GAsyncResult *result, gpointer data)
{
    Call *call = data;
    g_autoptr(GVariant) reply = call_receive(call, source, result);

    if (reply)
        call->status = rauc_status_parse(reply);
    if (call->replies == 0)
        query_end(call);
}

/* A boot loader that cannot tell is no error; with RAUC gone or at work the slots are out of date
 * as well. */
static void on_primary(GObject *source, GAsyncResult *result, gpointer data)
{
    Call *call = data;
    gboolean failed = call->error != NULL;
    g_autoptr(GVariant) reply = call_receive(call, source, result);
    const char *name;

    if (reply) {
        g_autofree char *primary = NULL;

        g_variant_get(reply, "(&s)", &name);
        primary = rauc_text_bounded(name, RAUC_MAX_FIELD);
        if (*primary)
            call->primary = g_steal_pointer(&primary);
    } else if (!failed && !g_error_matches(call->error, RAUC_ERROR, RAUC_ERROR_GONE) &&
               !g_error_matches(call->error, RAUC_ERROR, RAUC_ERROR_BUSY)) {
        g_info("RAUC knows no primary slot: %s", call->error->message);
        g_clear_error(&call->error);
    }
    if (call->replies == 0)
        query_end(call);
}

/* Both questions at once: RAUC answers one after the other, and does not wait for us in between. */
void rauc_query(Rauc *rauc, RaucStatusFunc done, gpointer user_data)
{
    Call *call =
        call_new(rauc, &(Call){.answer = done, .user_data = user_data, .replies = 2}, NULL);

    if (!call)
        return;
    rauc_send(rauc, RAUC_INTERFACE, "GetSlotStatus", NULL, "(a(sa{sv}))", on_slots, call);
    rauc_send(rauc, RAUC_INTERFACE, "GetPrimary", NULL, "(s)", on_primary, call);
}

static void on_accepted(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(Call) call = data;
    g_autoptr(GVariant) reply = NULL;
    Rauc *rauc = call->rauc;

    /* that of a session before must not end the waiting of this one's */
    if (!g_cancellable_is_cancelled(call->session))
        rauc->accepting = FALSE;
    reply = call_receive(call, source, result);
    if (reply && !g_cancellable_is_cancelled(call->session)) {
        rauc_set_busy(rauc);
        rauc_announce(rauc);
    }
    call_end(call);
}

/* While RAUC is known to be at work it is not even asked: the refusal would make its Operation lie
 * to others. */
void rauc_install(Rauc *rauc, const char *source, RaucDoneFunc done, gpointer user_data)
{
    GError *error = NULL;
    Call *call;

    if (rauc->presence == RAUC_BUSY || rauc->accepting)
        error = g_error_new(RAUC_ERROR, RAUC_ERROR_BUSY, "RAUC is at work on another install");
    else if (!g_utf8_validate(source, -1, NULL))
        error = g_error_new(RAUC_ERROR, RAUC_ERROR_OTHER, "the bundle's location is not UTF-8");
    call = call_new(rauc, &(Call){.done = done, .user_data = user_data, .replies = 1}, error);
    if (!call)
        return;
    rauc->accepting = TRUE;
    rauc_send(rauc, RAUC_INTERFACE, "InstallBundle", g_variant_new("(sa{sv})", source, NULL), "()",
              on_accepted, call);
}

static void on_marked(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(Call) call = data;
    GVariant *reply = call_receive(call, source, result);

    g_clear_pointer(&reply, g_variant_unref);
    call_end(call);
}

void rauc_mark(Rauc *rauc, const char *state, const char *slot, RaucDoneFunc done,
               gpointer user_data)
{
    Call *call = call_new(rauc, &(Call){.done = done, .user_data = user_data, .replies = 1}, NULL);

    if (call)
        rauc_send(rauc, RAUC_INTERFACE, "Mark", g_variant_new("(ss)", state, slot), "(ss)",
                  on_marked, call);
}
