/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of a transfer know of each other: its state, the loop that drives libcurl, the
 * judgement of answers, errors and the timing (which a unit test shortens).  Nobody but
 * src/adapter/transfer*.c, upload*.c and their tests includes it.
 */
#pragma once

#include <curl/curl.h>

#include "adapter/transfer.h"

#define TRANSFER_MAX_URL           8192  /* bytes */
#define TRANSFER_MAX_ETAG          256   /* bytes; a longer one counts as none */
#define TRANSFER_MAX_HEAD          65536 /* bytes that a server says before the file */
#define TRANSFER_MAX_DISCARD       65536 /* bytes of a refusal's body, read for the connection's sake */
#define TRANSFER_MAX_RETRY_AFTER_S 86400
#define TRANSFER_CONNECT_S         30 /* when the configuration names none */
#define TRANSFER_IDLE_S            60 /* so long an idle connection is kept */
#define TRANSFER_BUFFER_BYTES      131072
#define TRANSFER_GOODBYE_MS        2000 /* for the last word of a server whose bytes have all come */

#define TRANSFER_NUDGE_MS 50

/* The unit tests have no half minute to wait. */
typedef struct {
    guint stall_s; /* TRANSFER_STALL_S */
    guint held_s;  /* TRANSFER_HELD_S */
} TransferTiming;

Transfers *transfers_new_with_timing(const TransferConfig *config, const TransferTiming *timing);

/* --- transfer_libcurl.c --- */

CURLUcode transfer_url_get(CURLU *url, CURLUPart part, char **ret_text, unsigned int flags);

/* --- transfer_url.c --- */

typedef enum {
    TRANSFER_HTTP,
    TRANSFER_HTTPS,
    TRANSFER_FTP,
    TRANSFER_FTPS,
    TRANSFER_SFTP,
} TransferScheme;

typedef struct {
    TransferScheme scheme;
    char *text;            /* for libcurl: without user, password and fragment */
    char *user, *password; /* decoded; NULL: none */
    char *host, *port;
    char *name; /* for people: without user, password and query */
} TransferUrl;

/* TRANSFER_ERROR_URL.  `ret_url` holds nothing before. */
gboolean transfer_url_parse(const char *text, TransferUrl *ret_url, GError **error);
void transfer_url_clear(TransferUrl *url);
/* Where a Location of an answer leads from `base`; g_free().  NULL: nowhere. */
char *transfer_url_resolve(const TransferUrl *base, const char *location);
/* Whether a secret for the one may be told to the other. */
gboolean transfer_url_same_server(const TransferUrl *one, const TransferUrl *other);
/* Schemes, for CURLOPT_PROTOCOLS_STR. */
const char *transfer_scheme_name(TransferScheme scheme);
/* Whether a redirect may lead from the one to the other. */
gboolean transfer_scheme_may_redirect(TransferScheme from, TransferScheme to);
gboolean transfer_scheme_is_http(TransferScheme scheme);

/* --- transfer_loop.c: libcurl's multi interface on the default main context --- */

typedef struct _TransferLoop TransferLoop;

/* Called outside of libcurl, with the handle already removed: anything may be done, also
 * transfer_loop_free(). */
typedef void (*TransferEnded)(CURL *easy, CURLcode code, gpointer user_data);

TransferLoop *transfer_loop_new(TransferEnded ended, gpointer user_data);
void transfer_loop_free(TransferLoop *loop); /* hangs up */
gboolean transfer_loop_add(TransferLoop *loop, CURL *easy);
void transfer_loop_remove(TransferLoop *loop, CURL *easy);
/* Before a connection is given up that may be dead: closing never waits for the server after
 * this. */
void transfer_loop_hang_up(TransferLoop *loop);
/* A handle whose bytes were refused with CURL_WRITEFUNC_PAUSE gets them again, from within the
 * call.  What is not CURLE_OK is the handle's end, which ended() is not told of. */
CURLcode transfer_loop_resume(TransferLoop *loop, CURL *easy);
/* Whether libcurl is on the stack: nothing may be removed then. */
gboolean transfer_loop_is_inside(const TransferLoop *loop);
/* Has libcurl look at all its sockets, also at those that it did not ask to be told of. */
void transfer_loop_nudge(TransferLoop *loop);
/* To be set for each handle. */
gboolean transfer_loop_watch_sockets(TransferLoop *loop, CURL *easy);
/* What is on its way when a connection closes is given up; or not. */
void transfer_loop_set_abrupt(const TransferLoop *loop, gboolean abrupt);
/* The two connections of FTP; FALSE: there are not two. */
gboolean transfer_loop_pair(const TransferLoop *loop, int *ret_control, int *ret_data);

/* --- transfer_options.c: what requests for reading and for sending have in common --- */

/* Nothing is sent of a request to which an option is missing, a secret or a check least of all. */
typedef struct {
    CURL *easy;
    CURLcode worst; /* CURLE_OK: all were taken */
} TransferOptions;

#define TRANSFER_SET(options, option, value)                                                       \
    do {                                                                                           \
        CURLcode code_ = curl_easy_setopt((options)->easy, option, value);                         \
        if (code_ != CURLE_OK)                                                                     \
            (options)->worst = code_;                                                              \
    } while (0)

/* At which time certificates are judged. */
typedef struct {
    const TransferConfig *config;
    gint64 judged_at_s; /* 0: none was yet */
    /* For transfer_tls_say_goodbye(); only with whom outlives the connections. */
    gboolean keeps_newest;
    gpointer context, newest; /* of OpenSSL: of the connection that was made last; NULL: none */
} TransferTrust;

/* What a request is made of besides the file. */
typedef struct {
    const TransferConfig *config;
    const TransferUrl *url;
    guint stall_s;
    TransferLoop *loop;
    TransferTrust *trust;
    char *detail; /* CURL_ERROR_SIZE */
} TransferMeans;

/* Resets the handle first: address, secrets, TLS, proxy, limits of time. */
void transfer_options_set(TransferOptions *options, const TransferMeans *means);

/* --- The state, shared by transfer.c (life), transfer_request.c (options) and transfer_answer.c
 * --- */

struct _Transfers {
    TransferConfig config; /* the strings are ours */
    TransferTiming timing;
    TransferLoop *loop; /* NULL: not needed yet, or no more */
    char *server;       /* that the idle connection leads to */
    GQueue waiting;     /* Transfer* */
    Transfer *active;   /* NULL: none */
    guint next, idle;   /* sources */

    GQueue uploads;    /* Upload*; the first is under way unless `next_upload` is to start it */
    guint next_upload; /* source */
};

/* --- transfers.c --- */

/* A loop whose idle connection, if there is one, leads to the server of `url`. */
gboolean transfers_open_loop(Transfers *transfers, const TransferUrl *url, TransferEnded ended);
void transfers_close_loop(Transfers *transfers);
/* Nothing is to be done for now: closes the loop after a while. */
void transfers_rest(Transfers *transfers);

struct _Transfer {
    Transfers *transfers;
    TransferEvents events;
    gpointer user_data;
    gint64 offset, length;
    gboolean has_known;
    TransferFile known;

    char *asked_url; /* until it has been parsed */
    TransferUrl url; /* the redirects followed */
    guint redirects;

    CURL *easy; /* NULL: not started */
    struct curl_slist *headers;
    char detail[CURL_ERROR_SIZE];
    TransferTrust trust;
    gboolean open_ended; /* asked to the end though `length` says less; the rest is cut off */

    gboolean http; /* the answer is one of HTTP */
    gboolean head_complete;
    gint64 ftp_size; /* -1: not told */
    gboolean judged; /* the answer has been looked at */
    gint64 expected; /* bytes that will come; -1: till the end, wherever that is */
    gint64 received; /* bytes given to data() */
    gint64 head_bytes;
    gint64 discarded;              /* bytes of a refusal */
    gint64 last_heard_us;          /* monotonic; when a byte came */
    guint watchdog, nudge, resume; /* sources */
    gboolean complete, cancelled;
    gboolean held;
    GError *error; /* the first is the cause */
};

/* --- transfer_request.c: the options of a request --- */

/* Sets the handle up for `transfer->url`, anew after a redirect. */
gboolean transfer_request_prepare(Transfer *transfer, GError **error);

/* --- transfer_answer.c: what the server says of the file --- */

/* The Location of an answer that leads elsewhere (borrowed), else NULL. */
const char *transfer_answer_redirect(const Transfer *transfer);
/* The file and how many bytes will come, when it is the right answer. */
gboolean transfer_answer_judge(Transfer *transfer, TransferFile *ret_file, gint64 *ret_expected,
                               GError **error);
/* A line of the head. */
void transfer_answer_line(Transfer *transfer, const char *line, gsize length);
guint transfer_answer_retry_after_s(Transfer *transfer);

/* --- transfer_file.c --- */

/* Seconds since 1970 as HTTP writes them; g_free().  NULL: out of range. */
char *transfer_file_http_date(gint64 seconds);
gboolean transfer_file_etag_is_strong(const char *etag);
/* CHANGED, with what differs. */
gboolean transfer_file_check_same(const TransferFile *known, const TransferFile *file,
                                  const char *name, GError **error);

/* --- transfer_tls.c --- */

/* A CURLOPT_SSL_CTX_FUNCTION with a TransferTrust. */
CURLcode transfer_tls_context(CURL *easy, void *context, void *user_data);
/* Says on the newest connection, whose socket is `fd`, that nothing more will come; libcurl says it
 * only when it closes.  FALSE: not possible. */
gboolean transfer_tls_say_goodbye(const TransferTrust *trust, int fd);
/* Why a certificate was refused, or what `detail` means; g_free(). */
char *transfer_tls_words(const char *detail, TransferScheme scheme, gint64 judged_at_s,
                         long verify_result);
/* Whether the words of libcurl tell of TLS itself and not of a connection that broke. */
gboolean transfer_tls_is_cause(const char *detail);

/* --- transfer_error.c --- */

/* "cannot read http://host/path: " and the words. */
GError *transfer_error_make(const char *name, TransferError code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* Of an answer that is a refusal: a status of HTTP, or of FTP. */
GError *transfer_error_from_http(const char *name, long status);
/* Of a transfer that libcurl ended. */
GError *transfer_error_from_curl(Transfer *transfer, CURLcode code);

/* A request that libcurl ended. */
typedef struct {
    CURL *easy;
    CURLcode code;
    char *detail; /* CURL_ERROR_SIZE; is made fit to be shown */
    TransferScheme scheme;
    gboolean http; /* the answer is one of HTTP */
    gint64 judged_at_s;
} TransferFailure;

/* What it is, with words to be freed by g_free(). */
TransferError transfer_failure_explain(const TransferFailure *failure, char **ret_words);
/* FTP's last status, where a server of FTP was the one that refused; else 0. */
long transfer_failure_ftp_status(const TransferFailure *failure);
/* The same of a status of HTTP that is a refusal. */
TransferError transfer_status_explain(long status, char **ret_words);
