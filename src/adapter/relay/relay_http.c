/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connection is a source of the main loop with one file descriptor, of which it wants one thing
 * at a time: a request (readable), the news that the other side went away (a request is held), or
 * room for the answer (writable).
 */
#include "relay_http.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay_head.h"

#define BACKLOG          16
#define ACCEPTS_PER_TURN 16
/* Other connections have their turn after so much of an answer. */
#define SEND_PER_TURN (1 << 20)
/* What is still read after a refusal, so that closing does not take the refusal back. */
#define GOODBYE_BYTES 65536

typedef enum {
    CALL_READS,   /* the next request */
    CALL_IS_HELD, /* its owner will answer */
    CALL_SENDS,
    CALL_LEAVES, /* the last answer is out */
} CallState;

static const GIOCondition conditions[] = {
    [CALL_READS] = G_IO_IN,
    [CALL_IS_HELD] = (GIOCondition)POLLRDHUP,
    [CALL_SENDS] = G_IO_OUT,
    [CALL_LEAVES] = G_IO_IN,
};

struct _RelayCall {
    RelayHttp *http;
    int fd;
    GSource *source;
    gpointer tag;
    CallState state;
    GIOCondition watched; /* of the source */
    gboolean busy;        /* the source is told what to watch when this ends */
    gpointer data;
    gint64 deadline_ms; /* the connection's limit of time */
    gint64 timer_ms;    /* when the timer fires; it stays when the deadline is put off */
    guint timer;
    gboolean trusted;
    gboolean asked; /* asked() was called, ended() not yet */
    gboolean head, last;
    RelayAnswer answer;
    char out[RELAY_ANSWER_HEAD]; /* the head of the answer */
    gsize out_length, out_sent;
    gint64 sent; /* of the body */
    gsize discarded;
    char in[RELAY_MAX_HEAD];
    gsize in_length;
};

struct _RelayHttp {
    Clock *clock;
    RelayHttpEvents events;
    gpointer user_data;
    int listener;
    guint accepting;
    guint16 port;
    GPtrArray *calls; /* RelayCall*: one for each connection, the oldest first */
};

typedef struct {
    GSource source;
    RelayCall *call;
} CallSource;

static void close_call(RelayCall *call)
{
    RelayHttp *http = call->http;

    clock_timer_clear(http->clock, &call->timer);
    g_source_destroy(call->source);
    g_source_unref(call->source);
    close(call->fd);
    g_ptr_array_remove(http->calls, call);
    if (call->asked)
        http->events.ended(call, call->sent, http->user_data);
    g_free(call);
}

/* ---- limits of time: most of them are never reached, so that moving the timer for each would be
 * the larger part of the work ---- */

static void on_timer(gpointer user_data);

static void set_timer(RelayCall *call)
{
    Clock *clock = call->http->clock;

    call->timer_ms = call->deadline_ms;
    clock_timer_set(clock, &call->timer, call->deadline_ms - clock_boottime_ms(clock), on_timer,
                    call);
}

static void on_timer(gpointer user_data)
{
    RelayCall *call = user_data;

    call->timer_ms = G_MAXINT64;
    if (call->deadline_ms <= clock_boottime_ms(call->http->clock))
        close_call(call);
    else if (call->deadline_ms != G_MAXINT64)
        set_timer(call);
}

static void limit(RelayCall *call, gint64 ms)
{
    call->deadline_ms = clock_boottime_ms(call->http->clock) + ms;
    if (call->deadline_ms < call->timer_ms)
        set_timer(call);
}

static void limit_idle(RelayCall *call)
{
    limit(call, call->trusted ? RELAY_IDLE_MS : RELAY_STRANGER_IDLE_MS);
}

/* ---- what is waited for ---- */

static void watch(RelayCall *call)
{
    GIOCondition wanted = conditions[call->state];

    if (call->watched == wanted || call->busy)
        return;
    call->watched = wanted;
    g_source_modify_unix_fd(call->source, call->tag, wanted);
}

static void enter(RelayCall *call, CallState state)
{
    call->state = state;
    watch(call);
}

/* ---- answers ---- */

static gint64 body_left(const RelayCall *call)
{
    return call->head || call->answer.body == NULL ? 0 : call->answer.length - call->sent;
}

/* Head and body together, without copying: one packet, one wake-up of RAUC.  How many bytes went;
 * 0: the socket is full; -1: the connection, or the body, cannot be had. */
static gssize send_some(RelayCall *call)
{
    gsize head = call->out_length - call->out_sent;
    gsize length = (gsize)body_left(call);
    const guint8 *bytes = NULL;

    if (length > 0) {
        bytes =
            call->answer.body(call->answer.offset + call->sent, &length, call->answer.body_data);
        if (bytes == NULL)
            return -1;
    }
    /* What is sent is not written to, whatever the type says. */
    struct iovec parts[] = {{call->out + call->out_sent, head}, {(void *)(guintptr)bytes, length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = G_N_ELEMENTS(parts)};
    gssize sent = sendmsg(call->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    gsize of_head = MIN((gsize)sent, head);
    call->out_sent += of_head;
    call->sent += sent - (gssize)of_head;
    return sent;
}

static void finish(RelayCall *call)
{
    call->asked = FALSE;
    call->http->events.ended(call, call->sent, call->http->user_data);
    if (call->last) {
        shutdown(call->fd, SHUT_WR);
        call->discarded = 0;
        enter(call, CALL_LEAVES);
        limit(call, RELAY_GOODBYE_MS);
    } else {
        enter(call, CALL_READS);
        limit_idle(call);
    }
}

static gboolean is_out(const RelayCall *call)
{
    return call->out_sent == call->out_length && body_left(call) == 0;
}

/* A turn's part of the answer; FALSE: the connection, or the body, cannot be had. */
static gboolean send_part(RelayCall *call)
{
    gssize sent = 0;

    for (gsize turn = 0; turn < SEND_PER_TURN && !is_out(call); turn += (gsize)sent) {
        sent = send_some(call);
        if (sent <= 0)
            return sent == 0;
    }
    return TRUE;
}

/* FALSE: the connection was closed. */
static gboolean send_answer(RelayCall *call)
{
    if (!send_part(call)) {
        close_call(call);
        return FALSE;
    }
    if (is_out(call)) {
        finish(call);
        return TRUE;
    }
    enter(call, CALL_SENDS);
    limit(call, RELAY_SEND_MS);
    return TRUE;
}

void relay_call_answer(RelayCall *call, const RelayAnswer *answer)
{
    g_return_if_fail(call->asked && call->state == CALL_IS_HELD);
    call->answer = *answer;
    call->out_length = relay_head_format(answer, call->last, call->out);
    call->out_sent = 0;
    enter(call, CALL_SENDS);
    limit(call, RELAY_SEND_MS);
    /* RAUC waits: it need not wait for what the main loop is at.  The end of the call, good or bad,
     * has its turn. */
    if (!call->busy)
        (void)send_part(call);
}

void relay_call_trust(RelayCall *call)
{
    call->trusted = TRUE;
}

void relay_call_set_data(RelayCall *call, gpointer data)
{
    call->data = data;
}

gpointer relay_call_data(const RelayCall *call)
{
    return call->data;
}

/* ---- requests ---- */

static void ask(RelayCall *call, const RelayHead *head)
{
    RelayRequest request = {head->head, head->path, head->range};
    RelayAnswer refusal = {.status = head->refuse, .size = -1};

    call->deadline_ms = G_MAXINT64;
    enter(call, CALL_IS_HELD);
    call->asked = TRUE;
    call->head = head->head;
    call->last = head->last;
    call->sent = 0;
    call->data = NULL;
    if (head->refuse != 0)
        relay_call_answer(call, &refusal);
    else
        call->http->events.asked(call, &request, call->http->user_data);
}

/* The requests that are there, one after the other.  FALSE: the connection was closed. */
static gboolean take_requests(RelayCall *call)
{
    while (call->state == CALL_READS && call->in_length > 0) {
        RelayHead head = {0};
        gsize used = relay_head_parse(call->in, call->in_length, &head);

        if (used == 0 && call->in_length < sizeof(call->in))
            return TRUE;
        if (used == 0) { /* never ends */
            head = (RelayHead){.refuse = 400, .last = TRUE};
            used = call->in_length;
        }
        ask(call, &head);
        call->in_length -= used;
        memmove(call->in, call->in + used, call->in_length);
        if (call->state == CALL_SENDS && !send_answer(call))
            return FALSE;
    }
    return TRUE;
}

/* FALSE: the connection was closed. */
static gboolean read_some(RelayCall *call)
{
    gssize length =
        recv(call->fd, call->in + call->in_length, sizeof(call->in) - call->in_length, 0);

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return TRUE;
    if (length <= 0) {
        close_call(call);
        return FALSE;
    }
    call->in_length += (gsize)length;
    return take_requests(call);
}

static gboolean discard_some(RelayCall *call)
{
    gssize length = recv(call->fd, call->in, sizeof(call->in), 0);

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return TRUE;
    call->discarded += (gsize)MAX(length, 0);
    if (length > 0 && call->discarded < GOODBYE_BYTES)
        return TRUE;
    close_call(call);
    return FALSE;
}

static gboolean go_on(RelayCall *call)
{
    switch (call->state) {
    case CALL_READS:
        return read_some(call);
    case CALL_SENDS:
        return send_answer(call) && take_requests(call);
    case CALL_LEAVES:
        return discard_some(call);
    case CALL_IS_HELD: /* the other side went away */
    default:
        close_call(call);
        return FALSE;
    }
}

static gboolean dispatch(GSource *source, G_GNUC_UNUSED GSourceFunc callback,
                         G_GNUC_UNUSED gpointer user_data)
{
    RelayCall *call = ((CallSource *)source)->call;

    call->busy = TRUE;
    if (!go_on(call))
        return G_SOURCE_REMOVE;
    call->busy = FALSE;
    watch(call);
    return G_SOURCE_CONTINUE;
}

/* ---- connections ---- */

static RelayCall *oldest_stranger(const RelayHttp *http)
{
    for (guint i = 0; i < http->calls->len; i++) {
        RelayCall *call = g_ptr_array_index(http->calls, i);

        if (!call->trusted)
            return call;
    }
    return NULL;
}

static gboolean has_place(RelayHttp *http)
{
    if (http->calls->len < RELAY_MAX_CONNECTIONS)
        return TRUE;
    RelayCall *stranger = oldest_stranger(http);
    if (stranger != NULL)
        close_call(stranger);
    return stranger != NULL;
}

static void take_connection(RelayHttp *http, int fd)
{
    static GSourceFuncs funcs = {.dispatch = dispatch};
    int on = 1;

    if (!has_place(http)) {
        close(fd);
        return;
    }
    /* An answer's last packet waits for nothing. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    RelayCall *call = g_new0(RelayCall, 1);
    call->http = http;
    call->fd = fd;
    call->state = CALL_READS;
    call->watched = conditions[CALL_READS];
    call->timer_ms = G_MAXINT64;
    call->source = g_source_new(&funcs, sizeof(CallSource));
    ((CallSource *)call->source)->call = call;
    call->tag = g_source_add_unix_fd(call->source, fd, call->watched);
    /* Else GLib stops and begins watching around each dispatch, at the cost of two wake-ups of its
     * own. */
    g_source_set_can_recurse(call->source, TRUE);
    g_source_attach(call->source, NULL);
    g_ptr_array_add(http->calls, call);
    limit_idle(call);
}

static gboolean on_connection(int fd, G_GNUC_UNUSED GIOCondition condition, gpointer user_data)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (peer < 0)
            break;
        take_connection(user_data, peer);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean listen_on(RelayHttp *http, guint16 port, GError **error)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int on = 1;

    http->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Connections of before that have not ended yet do not keep the port from us. */
    if (http->listener < 0 ||
        setsockopt(http->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(http->listener, (struct sockaddr *)&address, size) < 0 ||
        listen(http->listener, BACKLOG) < 0 ||
        getsockname(http->listener, (struct sockaddr *)&address, &size) < 0) {
        g_set_error(error, RELAY_ERROR, RELAY_ERROR_PORT,
                    "the relay cannot listen on port %u of 127.0.0.1: %s", port, g_strerror(errno));
        return FALSE;
    }
    http->port = ntohs(address.sin_port);
    http->accepting = g_unix_fd_add(http->listener, G_IO_IN, on_connection, http);
    return TRUE;
}

RelayHttp *relay_http_new(guint16 port, Clock *clock, const RelayHttpEvents *events,
                          gpointer user_data, GError **error)
{
    RelayHttp *http = g_new0(RelayHttp, 1);

    http->clock = clock;
    http->events = *events;
    http->user_data = user_data;
    http->calls = g_ptr_array_new();
    if (!listen_on(http, port, error)) {
        relay_http_free(http);
        return NULL;
    }
    return http;
}

void relay_http_free(RelayHttp *http)
{
    if (http == NULL)
        return;
    g_clear_handle_id(&http->accepting, g_source_remove);
    if (http->listener >= 0)
        close(http->listener);
    while (http->calls->len > 0)
        close_call(g_ptr_array_index(http->calls, 0));
    g_ptr_array_unref(http->calls);
    g_free(http);
}

gboolean relay_http_is_asked(const RelayHttp *http)
{
    struct pollfd fds[RELAY_MAX_CONNECTIONS];
    nfds_t count = 0;

    for (guint i = 0; i < http->calls->len; i++) {
        const RelayCall *call = g_ptr_array_index(http->calls, i);

        if (call->state == CALL_READS || (call->state == CALL_SENDS && is_out(call)))
            fds[count++] = (struct pollfd){.fd = call->fd, .events = POLLIN};
    }
    return count > 0 && poll(fds, count, 0) > 0;
}

guint16 relay_http_port(const RelayHttp *http)
{
    return http->port;
}
