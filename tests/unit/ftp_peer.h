/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other end for tests of reading by FTP: a server of one user and a few files in threads of its own, which counts logins and
 * requests and can be cut.  It knows as much of FTP as libcurl asks for.
 *
 * All of it but ftp_peer_...() runs in its threads: no ck_assert there.
 */
#pragma once

#include <arpa/inet.h>
#include <check.h>
#include <gio/gio.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FTP_PEER_USER     "charger"
#define FTP_PEER_PASSWORD "s3cret"

typedef struct {
    int listener;
    guint16 port;
    GThread *thread;
    GMutex lock;        /* of all that follows */
    GHashTable *files;  /* name -> GBytes* */
    GPtrArray *workers; /* GThread* */
    GArray *sockets;    /* int; shut down, and closed at the end */
    GString *requests;  /* "NAME OFFSET" and a newline each */
    guint count;        /* of them */
    guint logins, sessions, most_sessions;
    gint64 cut_after; /* bytes of a file until its connections are cut, once; -1: never */
    gboolean gone;    /* every connection is cut at once */
} FtpPeer;

typedef struct {
    FtpPeer *peer;
    int control, passive; /* -1: none */
    gint64 rest;
} FtpSession;

static inline int ftp_peer_listen(guint16 *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 16) < 0)
        return -1;
    getsockname(fd, (struct sockaddr *)&address, &length);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static inline gboolean ftp_peer_send(int fd, const void *data, gsize size)
{
    for (gsize sent = 0; sent < size;) {
        gssize n = send(fd, (const char *)data + sent, size - sent, MSG_NOSIGNAL);

        if (n <= 0)
            return FALSE;
        sent += (gsize)n;
    }
    return TRUE;
}

G_GNUC_PRINTF(2, 3)
static inline gboolean ftp_peer_say(const FtpSession *session, const char *format, ...)
{
    va_list arguments;
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    line = g_strconcat(text, "\r\n", NULL);
    return ftp_peer_send(session->control, line, strlen(line));
}

/* Without its end; NULL: the client went away. */
static inline char *ftp_peer_read(const FtpSession *session)
{
    g_autoptr(GString) line = g_string_new(NULL);
    char c = 0;

    while (recv(session->control, &c, 1, 0) == 1) {
        if (c == '\n')
            return g_strdup(g_strchomp(line->str));
        g_string_append_c(line, c);
    }
    return NULL;
}

static inline void ftp_peer_keep(FtpPeer *peer, int fd)
{
    g_mutex_lock(&peer->lock);
    g_array_append_val(peer->sockets, fd);
    g_mutex_unlock(&peer->lock);
}

/* How many bytes are to be sent, and notes what was asked. */
static inline gint64 ftp_peer_note(FtpPeer *peer, const char *name, gint64 rest, gint64 size)
{
    gint64 length = size - rest;

    g_mutex_lock(&peer->lock);
    peer->count++;
    g_string_append_printf(peer->requests, "%s %" G_GINT64_FORMAT "\n", name, rest);
    if (peer->cut_after >= 0 && peer->cut_after < length) {
        length = peer->cut_after;
        peer->cut_after = -1;
    }
    g_mutex_unlock(&peer->lock);
    return length;
}

/* FALSE: the end of the session. */
static inline gboolean ftp_peer_retrieve(FtpSession *session, const char *name, GBytes *file)
{
    gsize size = 0;
    const guint8 *bytes = g_bytes_get_data(file, &size);
    int fd = accept(session->passive, NULL, NULL);
    gint64 length = ftp_peer_note(session->peer, name, session->rest, (gint64)size);
    gboolean sent;

    ftp_peer_keep(session->peer, fd);
    ftp_peer_say(session, "150 here it comes");
    sent = ftp_peer_send(fd, bytes + session->rest, (gsize)length);
    shutdown(fd, SHUT_RDWR);
    if (length < (gint64)size - session->rest)
        return FALSE;
    session->rest = 0;
    return ftp_peer_say(session, sent ? "226 done" : "426 you hung up");
}

static inline gboolean ftp_peer_of_file(FtpSession *session, const char *verb, const char *name)
{
    FtpPeer *peer = session->peer;
    g_autoptr(GBytes) file = NULL;

    g_mutex_lock(&peer->lock);
    file = g_hash_table_lookup(peer->files, name);
    if (file)
        g_bytes_ref(file);
    g_mutex_unlock(&peer->lock);
    if (!file)
        return ftp_peer_say(session, "550 no such file");
    if (g_str_equal(verb, "SIZE"))
        return ftp_peer_say(session, "213 %" G_GSIZE_FORMAT, g_bytes_get_size(file));
    if (g_str_equal(verb, "MDTM"))
        return ftp_peer_say(session, "213 20240101000000");
    return ftp_peer_retrieve(session, name, file);
}

static inline gboolean ftp_peer_log_in(FtpSession *session, const char *password)
{
    FtpPeer *peer = session->peer;

    if (!g_str_equal(password, FTP_PEER_PASSWORD))
        return ftp_peer_say(session, "530 no");
    g_mutex_lock(&peer->lock);
    peer->logins++;
    g_mutex_unlock(&peer->lock);
    return ftp_peer_say(session, "230 welcome");
}

static inline gboolean ftp_peer_listen_for_data(FtpSession *session)
{
    guint16 port = 0;

    session->passive = ftp_peer_listen(&port);
    ftp_peer_keep(session->peer, session->passive);
    return ftp_peer_say(session, "229 come (|||%u|)", port);
}

/* FALSE: the end of the session. */
static inline gboolean ftp_peer_obey(FtpSession *session, const char *verb, const char *argument)
{
    if (g_str_equal(verb, "USER"))
        return ftp_peer_say(session, "331 and the password?");
    if (g_str_equal(verb, "PASS"))
        return ftp_peer_log_in(session, argument);
    if (g_str_equal(verb, "PWD"))
        return ftp_peer_say(session, "257 \"/\"");
    if (g_str_equal(verb, "CWD"))
        return ftp_peer_say(session, "250 there");
    if (g_str_equal(verb, "TYPE"))
        return ftp_peer_say(session, "200 so be it");
    if (g_str_equal(verb, "EPSV"))
        return ftp_peer_listen_for_data(session);
    if (g_str_equal(verb, "REST")) {
        session->rest = g_ascii_strtoll(argument, NULL, 10);
        return ftp_peer_say(session, "350 from there");
    }
    if (g_str_equal(verb, "SIZE") || g_str_equal(verb, "MDTM") || g_str_equal(verb, "RETR"))
        return ftp_peer_of_file(session, verb, argument);
    return ftp_peer_say(session, "502 what?") && !g_str_equal(verb, "QUIT");
}

static inline void ftp_peer_count_session(FtpPeer *peer, gint more)
{
    g_mutex_lock(&peer->lock);
    peer->sessions = (guint)((gint)peer->sessions + more);
    peer->most_sessions = MAX(peer->most_sessions, peer->sessions);
    g_mutex_unlock(&peer->lock);
}

static inline gpointer ftp_peer_work(gpointer user_data)
{
    g_autofree FtpSession *session = user_data;
    gboolean goes_on = ftp_peer_say(session, "220 hello");

    while (goes_on) {
        g_autofree char *line = ftp_peer_read(session);
        char *argument = line ? strchr(line, ' ') : NULL;

        if (!line)
            break;
        if (argument)
            *argument++ = '\0';
        goes_on = ftp_peer_obey(session, line, argument ? argument : "");
    }
    ftp_peer_count_session(session->peer, -1);
    shutdown(session->control, SHUT_RDWR);
    return NULL;
}

static inline gpointer ftp_peer_accept(gpointer user_data)
{
    FtpPeer *peer = user_data;
    int fd;

    while ((fd = accept(peer->listener, NULL, NULL)) >= 0) {
        FtpSession *session = g_new0(FtpSession, 1);
        int on = 1;

        *session = (FtpSession){.peer = peer, .control = fd, .passive = -1};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        ftp_peer_keep(peer, fd);
        ftp_peer_count_session(peer, 1);
        g_mutex_lock(&peer->lock);
        if (peer->gone)
            shutdown(fd, SHUT_RDWR);
        g_ptr_array_add(peer->workers, g_thread_new("ftp", ftp_peer_work, session));
        g_mutex_unlock(&peer->lock);
    }
    return NULL;
}

static inline void ftp_peer_start(FtpPeer *peer)
{
    *peer = (FtpPeer){.cut_after = -1};
    g_mutex_init(&peer->lock);
    peer->files =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_bytes_unref);
    peer->workers = g_ptr_array_new();
    peer->sockets = g_array_new(FALSE, FALSE, sizeof(int));
    peer->requests = g_string_new(NULL);
    peer->listener = ftp_peer_listen(&peer->port);
    ck_assert_int_ge(peer->listener, 0);
    peer->thread = g_thread_new("ftp", ftp_peer_accept, peer);
}

/* Everything that is open is cut; `gone`: and what comes. */
static inline void ftp_peer_cut(FtpPeer *peer, gboolean gone)
{
    g_mutex_lock(&peer->lock);
    peer->gone = gone;
    for (guint i = 0; i < peer->sockets->len; i++)
        shutdown(g_array_index(peer->sockets, int, i), SHUT_RDWR);
    g_mutex_unlock(&peer->lock);
}

static inline guint ftp_peer_count(FtpPeer *peer)
{
    g_mutex_lock(&peer->lock);
    guint count = peer->count;
    g_mutex_unlock(&peer->lock);
    return count;
}

static inline void ftp_peer_end(FtpPeer *peer)
{
    shutdown(peer->listener, SHUT_RDWR);
    g_thread_join(peer->thread);
    ftp_peer_cut(peer, TRUE);
    for (guint i = 0; i < peer->workers->len; i++)
        g_thread_join(g_ptr_array_index(peer->workers, i));
    for (guint i = 0; i < peer->sockets->len; i++)
        close(g_array_index(peer->sockets, int, i));
    close(peer->listener);
    g_ptr_array_unref(peer->workers);
    g_array_unref(peer->sockets);
    g_hash_table_unref(peer->files);
    g_string_free(peer->requests, TRUE);
    g_mutex_clear(&peer->lock);
}
