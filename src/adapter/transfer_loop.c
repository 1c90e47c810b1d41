/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libcurl's multi interface on GLib's default main context: its sockets and its one timer are
 * sources of ours.
 */
#include <glib-unix.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transfer_internal.h"

struct _TransferLoop {
    CURLM *multi;
    TransferEnded ended;
    gpointer user_data;
    guint timer;
    GArray *sockets; /* int; all that are open */
    guint inside;
    gboolean freed;
};

static void drive(TransferLoop *loop, curl_socket_t socket, int events);

/* --- What libcurl wants to be told --- */

static gboolean on_timer(gpointer user_data)
{
    TransferLoop *loop = user_data;

    loop->timer = 0;
    drive(loop, CURL_SOCKET_TIMEOUT, 0);
    return G_SOURCE_REMOVE;
}

static int want_timer(CURLM *multi, long timeout_ms, void *user_data)
{
    TransferLoop *loop = user_data;

    (void)multi;
    g_clear_handle_id(&loop->timer, g_source_remove);
    if (timeout_ms >= 0)
        loop->timer = g_timeout_add((guint)MIN(timeout_ms, G_MAXINT), on_timer, loop);
    return 0;
}

static gboolean on_socket(int fd, GIOCondition condition, gpointer user_data)
{
    int events = 0;

    if (condition & G_IO_IN)
        events |= CURL_CSELECT_IN;
    if (condition & G_IO_OUT)
        events |= CURL_CSELECT_OUT;
    if (condition & (G_IO_ERR | G_IO_HUP | G_IO_NVAL))
        events |= CURL_CSELECT_ERR;
    drive(user_data, fd, events);
    return G_SOURCE_CONTINUE; /* of no meaning when libcurl has replaced it */
}

static guint watch_socket(TransferLoop *loop, curl_socket_t socket, GIOCondition condition)
{
    g_autoptr(GSource) source = g_unix_fd_source_new(socket, condition);

    /* the kind of function that a GUnixFDSource calls is not GSourceFunc's */
    g_source_set_callback(source, G_SOURCE_FUNC(on_socket), loop, NULL);
    /* Else GLib stops and begins watching around each dispatch, at the cost of two wake-ups of its
     * own. */
    g_source_set_can_recurse(source, TRUE);
    return g_source_attach(source, NULL);
}

/* `assigned` is the id of the socket's source. */
static int want_socket(CURL *easy, curl_socket_t socket, int what, void *user_data, void *assigned)
{
    TransferLoop *loop = user_data;
    guint source = GPOINTER_TO_UINT(assigned);
    GIOCondition condition = 0;

    (void)easy;
    if (source)
        g_source_remove(source);
    source = 0;
    if (what & CURL_POLL_IN && what != CURL_POLL_REMOVE)
        condition |= G_IO_IN;
    if (what & CURL_POLL_OUT && what != CURL_POLL_REMOVE)
        condition |= G_IO_OUT;
    if (condition)
        source = watch_socket(loop, socket, condition);
    curl_multi_assign(loop->multi, socket, GUINT_TO_POINTER(source));
    return 0;
}

/* --- The sockets themselves --- */

static curl_socket_t open_socket(void *user_data, curlsocktype purpose,
                                 struct curl_sockaddr *address)
{
    TransferLoop *loop = user_data;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    if (fd < 0)
        return CURL_SOCKET_BAD;
    g_array_append_val(loop->sockets, fd);
    return fd;
}

static int close_socket(void *user_data, curl_socket_t fd)
{
    TransferLoop *loop = user_data;

    for (guint i = 0; i < loop->sockets->len; i++) {
        if (g_array_index(loop->sockets, int, i) == fd) {
            g_array_remove_index_fast(loop->sockets, i);
            break;
        }
    }
    return close(fd);
}

gboolean transfer_loop_watch_sockets(TransferLoop *loop, CURL *easy)
{
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, loop) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, loop) == CURLE_OK;
}

/* The one for data is opened last, and the others that were tried for control are closed by
 * then. */
gboolean transfer_loop_pair(const TransferLoop *loop, int *ret_control, int *ret_data)
{
    if (loop->sockets->len != 2)
        return FALSE;
    *ret_control = g_array_index(loop->sockets, int, 0);
    *ret_data = g_array_index(loop->sockets, int, 1);
    return TRUE;
}

void transfer_loop_set_abrupt(const TransferLoop *loop, gboolean abrupt)
{
    const struct linger linger = {.l_onoff = abrupt};

    for (guint i = 0; i < loop->sockets->len; i++)
        setsockopt(g_array_index(loop->sockets, int, i), SOL_SOCKET, SO_LINGER, &linger,
                   sizeof(linger));
}

/* --- Driving --- */

static void loop_clear(gpointer memory)
{
    TransferLoop *loop = memory;

    g_array_unref(loop->sockets);
}

static void drive(TransferLoop *loop, curl_socket_t socket, int events)
{
    CURLMsg *message;
    int running, left;

    g_rc_box_acquire(loop);
    loop->inside++;
    curl_multi_socket_action(loop->multi, socket, events, &running);
    loop->inside--;
    while (!loop->freed && (message = curl_multi_info_read(loop->multi, &left))) {
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_multi_remove_handle(loop->multi, easy);
        loop->ended(easy, code, loop->user_data);
    }
    g_rc_box_release_full(loop, loop_clear);
}

void transfer_loop_nudge(TransferLoop *loop)
{
    g_autoptr(GArray) sockets = g_array_copy(loop->sockets);

    g_rc_box_acquire(loop);
    for (guint i = 0; i < sockets->len && !loop->freed; i++)
        drive(loop, g_array_index(sockets, int, i), CURL_CSELECT_IN);
    g_rc_box_release_full(loop, loop_clear);
}

static gboolean set_options(TransferLoop *loop)
{
    CURLM *multi = loop->multi;

    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, want_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, loop) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, want_timer) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, loop) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 1L) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, 1L) == CURLM_OK;
}

TransferLoop *transfer_loop_new(TransferEnded ended, gpointer user_data)
{
    TransferLoop *loop;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    loop = g_rc_box_new0(TransferLoop);
    loop->ended = ended;
    loop->user_data = user_data;
    loop->sockets = g_array_new(FALSE, FALSE, sizeof(int));
    loop->multi = curl_multi_init();
    if (!loop->multi || !set_options(loop)) {
        transfer_loop_free(loop);
        return NULL;
    }
    return loop;
}

/* libcurl would say goodbye on a connection of FTP or SFTP and block for the answer, up to two
 * minutes when the server has vanished; on a socket that is shut down it gives up at once. */
void transfer_loop_hang_up(TransferLoop *loop)
{
    for (guint i = 0; i < loop->sockets->len; i++)
        shutdown(g_array_index(loop->sockets, int, i), SHUT_RDWR);
}

void transfer_loop_free(TransferLoop *loop)
{
    if (!loop)
        return;
    transfer_loop_hang_up(loop);
    curl_multi_cleanup(loop->multi);
    g_clear_handle_id(&loop->timer, g_source_remove);
    curl_global_cleanup();
    loop->freed = TRUE;
    g_rc_box_release_full(loop, loop_clear);
}

gboolean transfer_loop_add(TransferLoop *loop, CURL *easy)
{
    return curl_multi_add_handle(loop->multi, easy) == CURLM_OK;
}

void transfer_loop_remove(TransferLoop *loop, CURL *easy)
{
    curl_multi_remove_handle(loop->multi, easy);
}

CURLcode transfer_loop_resume(TransferLoop *loop, CURL *easy)
{
    CURLcode code;

    loop->inside++;
    code = curl_easy_pause(easy, CURLPAUSE_CONT);
    loop->inside--;
    return code;
}

gboolean transfer_loop_is_inside(const TransferLoop *loop)
{
    return loop->inside > 0;
}
