/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other end for tests of reading by FTP: a server of one user and a few files in threads of its
 * own, which counts logins and requests and can be cut.  It knows as much of FTP as libcurl asks
 * for.
 *
 * All of it but ftp_peer_...() runs in its threads: no ck_assert there.
 */
#pragma once

#include <string.h>

#include "threaded_server.h"

#define FTP_PEER_USER     "charger"
#define FTP_PEER_PASSWORD "s3cret"

typedef struct {
    ThreadedServer server; /* its lock is of all that follows, too */
    GHashTable *files;     /* name -> GBytes* */
    GString *requests;     /* "NAME OFFSET" and a newline each */
    guint count;           /* of them */
    guint logins, sessions, most_sessions;
    gint64 cut_after; /* bytes of a file until its connections are cut, once; -1: never */
    gboolean gone;    /* every connection is cut at once */
} FtpPeer;

typedef struct {
    FtpPeer *peer;
    int control, passive; /* -1: none */
    gint64 rest;
} FtpSession;

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
    return threaded_server_send(session->control, line, strlen(line));
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

/* How many bytes are to be sent, and notes what was asked. */
static inline gint64 ftp_peer_note(FtpPeer *peer, const char *name, gint64 rest, gint64 size)
{
    gint64 length = size - rest;

    g_mutex_lock(&peer->server.lock);
    peer->count++;
    g_string_append_printf(peer->requests, "%s %" G_GINT64_FORMAT "\n", name, rest);
    if (peer->cut_after >= 0 && peer->cut_after < length) {
        length = peer->cut_after;
        peer->cut_after = -1;
    }
    g_mutex_unlock(&peer->server.lock);
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

    threaded_server_keep(&session->peer->server, fd);
    ftp_peer_say(session, "150 here it comes");
    sent = threaded_server_send(fd, bytes + session->rest, (gsize)length);
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

    g_mutex_lock(&peer->server.lock);
    file = g_hash_table_lookup(peer->files, name);
    if (file)
        g_bytes_ref(file);
    g_mutex_unlock(&peer->server.lock);
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
    g_mutex_lock(&peer->server.lock);
    peer->logins++;
    g_mutex_unlock(&peer->server.lock);
    return ftp_peer_say(session, "230 welcome");
}

static inline gboolean ftp_peer_listen_for_data(FtpSession *session)
{
    guint16 port = 0;

    session->passive = threaded_server_listen(&port);
    threaded_server_keep(&session->peer->server, session->passive);
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
    g_mutex_lock(&peer->server.lock);
    peer->sessions = (guint)((gint)peer->sessions + more);
    peer->most_sessions = MAX(peer->most_sessions, peer->sessions);
    g_mutex_unlock(&peer->server.lock);
}

static inline gboolean ftp_peer_is_gone(FtpPeer *peer)
{
    g_mutex_lock(&peer->server.lock);
    gboolean gone = peer->gone;
    g_mutex_unlock(&peer->server.lock);
    return gone;
}

static inline void ftp_peer_serve(int fd, gpointer user_data)
{
    FtpPeer *peer = user_data;
    FtpSession session = {.peer = peer, .control = fd, .passive = -1};
    gboolean goes_on;

    ftp_peer_count_session(peer, 1);
    goes_on = !ftp_peer_is_gone(peer) && ftp_peer_say(&session, "220 hello");
    while (goes_on) {
        g_autofree char *line = ftp_peer_read(&session);
        char *argument = line ? strchr(line, ' ') : NULL;

        if (!line)
            break;
        if (argument)
            *argument++ = '\0';
        goes_on = ftp_peer_obey(&session, line, argument ? argument : "");
    }
    ftp_peer_count_session(peer, -1);
}

static inline void ftp_peer_start(FtpPeer *peer)
{
    *peer = (FtpPeer){.cut_after = -1};
    peer->files =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_bytes_unref);
    peer->requests = g_string_new(NULL);
    threaded_server_start(&peer->server, ftp_peer_serve, peer);
}

/* Everything that is open is cut; `gone`: and what comes. */
static inline void ftp_peer_cut(FtpPeer *peer, gboolean gone)
{
    g_mutex_lock(&peer->server.lock);
    peer->gone = gone;
    g_mutex_unlock(&peer->server.lock);
    threaded_server_cut(&peer->server);
}

static inline guint ftp_peer_count(FtpPeer *peer)
{
    g_mutex_lock(&peer->server.lock);
    guint count = peer->count;
    g_mutex_unlock(&peer->server.lock);
    return count;
}

static inline void ftp_peer_end(FtpPeer *peer)
{
    threaded_server_end(&peer->server);
    g_hash_table_unref(peer->files);
    g_string_free(peer->requests, TRUE);
}
