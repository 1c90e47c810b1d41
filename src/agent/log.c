/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log: GLib's messages as lines on stderr, for the journal or for people. */
#include "agent/log.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/text.h"

typedef struct {
    gboolean verbose;
    gboolean journal;
} LogWriter;

static const struct {
    GLogLevelFlags level;
    int priority;
    const char *name;
} LEVELS[] = {
    {G_LOG_LEVEL_ERROR, 2, "critical"},  {G_LOG_LEVEL_CRITICAL, 2, "critical"},
    {G_LOG_LEVEL_WARNING, 4, "warning"}, {G_LOG_LEVEL_MESSAGE, 5, "notice"},
    {G_LOG_LEVEL_INFO, 6, "info"},       {G_LOG_LEVEL_DEBUG, 7, "debug"},
};

/* systemd sets JOURNAL_STREAM to `device:inode` of the socket that it gave as stderr.  The variable
 * is inherited by children whose stderr may be something else, hence the comparison. */
static gboolean stderr_is_journal(void)
{
    const char *stream = g_getenv("JOURNAL_STREAM");
    struct stat st;
    char own[64];
    if (!stream || fstat(STDERR_FILENO, &st) != 0)
        return FALSE;
    g_snprintf(own, sizeof own, "%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, (guint64)st.st_dev,
               (guint64)st.st_ino);
    return g_str_equal(stream, own);
}

static const char *find_field(const GLogField *fields, gsize n_fields, const char *key,
                              gsize *ret_length)
{
    for (gsize i = 0; i < n_fields; i++) {
        if (g_str_equal(fields[i].key, key)) {
            const char *value = fields[i].value;
            *ret_length = fields[i].length < 0 ? strlen(value) : (gsize)fields[i].length;
            return value;
        }
    }
    *ret_length = 0;
    return NULL;
}

/* An error is of no use to anybody here: there is no other place to tell it. */
static void write_all(const char *line, gsize length)
{
    while (length > 0) {
        ssize_t n = write(STDERR_FILENO, line, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        line += n;
        length -= (gsize)n;
    }
}

/* The line is put together on the stack and written at once: nothing is allocated, and lines of
 * several processes on one stderr do not mix. */
static GLogWriterOutput write_message(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                                      gpointer user_data)
{
    const LogWriter *writer = user_data;
    gsize length, domain_length;
    const char *text = find_field(fields, n_fields, "MESSAGE", &length);
    const char *domain = find_field(fields, n_fields, "GLIB_DOMAIN", &domain_length);
    /* What the libraries say below a warning is not for this log. */
    GLogLevelFlags quiet = G_LOG_LEVEL_DEBUG;
    if (domain)
        quiet |= G_LOG_LEVEL_INFO;
    else if (writer->verbose)
        quiet = 0;
    if (!text || (level & quiet))
        return G_LOG_WRITER_HANDLED;

    gsize i = 0;
    while (i < G_N_ELEMENTS(LEVELS) - 1 && !(level & LEVELS[i].level))
        i++;
    char line[LOG_MAX_LINE + 1]; /* the last byte is for a NUL that is not written */
    if (writer->journal)
        g_snprintf(line, sizeof line, "<%d>", LEVELS[i].priority);
    else
        g_snprintf(line, sizeof line, "%s: ", LEVELS[i].name);
    gsize at = strlen(line);
    if (domain)
        at += (gsize)g_snprintf(line + at, 64, "%.*s: ", (int)MIN(domain_length, 60), domain);
    at += text_make_visible(line + at, sizeof line - at - 1, text, length);
    line[at++] = '\n';
    write_all(line, at);
    return G_LOG_WRITER_HANDLED;
}

void log_init(gboolean verbose)
{
    LogWriter *writer = g_new(LogWriter, 1);
    writer->verbose = verbose;
    writer->journal = stderr_is_journal();
    g_log_set_writer_func(write_message, writer, g_free);
}
