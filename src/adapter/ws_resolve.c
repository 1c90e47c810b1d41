/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names to addresses with GResolver and a time limit.  libwebsockets would call getaddrinfo() and
 * block the whole process while a resolver is silent.
 */
#include <gio/gio.h>

#include "ws_internal.h"

/* GLib's lookup answers a cancellation only from the main loop, so that this object outlives its
 * end: `resolved` is NULL then. */
struct _WsResolve {
    GCancellable *cancellable;
    char *host;
    guint timeout_s;
    Clock *clock;
    guint timer;
    WsResolved resolved;
    gpointer user_data;
};

static void report(WsResolve *resolve, char **addresses, const char *why)
{
    WsResolved resolved = resolve->resolved;
    if (resolved == NULL) {
        g_strfreev(addresses);
        return;
    }
    clock_timer_clear(resolve->clock, &resolve->timer);
    resolve->resolved = NULL;
    resolved(addresses, why, resolve->user_data);
}

/* A name can have both an AAAA and an A record for one host: all are tried, in the order that the
 * system prefers. */
static char **to_text(GList *list)
{
    GPtrArray *texts = g_ptr_array_new();
    for (GList *at = list; at != NULL && texts->len < WS_MAX_ADDRESSES; at = at->next) {
        g_ptr_array_add(texts, g_inet_address_to_string(G_INET_ADDRESS(at->data)));
    }
    g_ptr_array_add(texts, NULL);
    return (char **)g_ptr_array_free(texts, FALSE);
}

static void looked_up(GObject *resolver, GAsyncResult *result, gpointer user_data)
{
    WsResolve *resolve = user_data;
    g_autoptr(GError) error = NULL;
    GList *list = g_resolver_lookup_by_name_finish(G_RESOLVER(resolver), result, &error);
    if (list != NULL) {
        report(resolve, to_text(list), NULL);
        g_resolver_free_addresses(list);
    } else {
        g_autofree char *why = g_strdup_printf("DNS: cannot resolve %s: %s", resolve->host,
                                               error != NULL ? error->message : "no address");
        report(resolve, NULL, why);
    }
    g_object_unref(resolve->cancellable);
    g_free(resolve->host);
    g_free(resolve);
}

static void time_is_over(gpointer user_data)
{
    WsResolve *resolve = user_data;
    g_autofree char *why =
        g_strdup_printf("DNS: no answer for %s within %u s", resolve->host, resolve->timeout_s);
    g_cancellable_cancel(resolve->cancellable);
    report(resolve, NULL, why);
}

WsResolve *ws_resolve_start(const char *host, guint timeout_s, Clock *clock, WsResolved resolved,
                            gpointer user_data)
{
    WsResolve *resolve = g_new0(WsResolve, 1);
    resolve->cancellable = g_cancellable_new();
    resolve->host = g_strdup(host);
    resolve->timeout_s = timeout_s;
    resolve->clock = clock;
    resolve->resolved = resolved;
    resolve->user_data = user_data;
    clock_timer_set(clock, &resolve->timer, (gint64)timeout_s * 1000, time_is_over, resolve);

    g_autoptr(GResolver) resolver = g_resolver_get_default();
    g_resolver_lookup_by_name_async(resolver, host, resolve->cancellable, looked_up, resolve);
    return resolve;
}

void ws_resolve_cancel(WsResolve *resolve)
{
    if (resolve == NULL) {
        return;
    }
    clock_timer_clear(resolve->clock, &resolve->timer);
    resolve->resolved = NULL;
    g_cancellable_cancel(resolve->cancellable);
}
