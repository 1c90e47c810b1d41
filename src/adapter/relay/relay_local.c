/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bundle that lies on this device already, served in place of the URL's, for the sake of the
 * casync store beside that. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "relay_internal.h"

#define LOCAL_BYTES (256 << 10)

gboolean relay_local_open(Relay *relay, const char *path, GError **error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        g_set_error(error, TRANSFER_ERROR, TRANSFER_ERROR_LOCAL, "cannot read %s: %s", path,
                    fd < 0 ? g_strerror(errno) : "not a regular file");
        if (fd >= 0)
            close(fd);
        return FALSE;
    }
    relay->local_fd = fd;
    relay->local_size = status.st_size;
    return TRUE;
}

void relay_local_close(Relay *relay)
{
    if (relay->local_fd >= 0)
        close(relay->local_fd);
    g_free(relay->local_bytes);
}

/* What a socket did not take is asked for again: one buffer serves all connections. */
static const guint8 *body(gint64 offset, gsize *length, gpointer body_data)
{
    Relay *relay = body_data;
    gssize got = 0;

    *length = MIN(*length, LOCAL_BYTES);
    if (relay->local_bytes == NULL)
        relay->local_bytes = g_malloc(LOCAL_BYTES);
    got = pread(relay->local_fd, relay->local_bytes, *length, offset);
    if (got <= 0) /* the file became shorter, or the disk is broken */
        return NULL;
    *length = (gsize)got;
    return relay->local_bytes;
}

void relay_local_serve(RelayJob *job, gboolean head)
{
    Relay *relay = job->relay;
    RelayRange range = {0, relay->local_size};
    RelayAnswer answer = {
        .size = relay->local_size, .status = 200, .body = body, .body_data = relay};

    if (job->ranged && !relay_range_resolve(&job->asked, relay->local_size, &range)) {
        relay_answer_status(job, 416, relay->local_size);
        return;
    }
    if (job->ranged)
        answer.status = 206;
    answer.offset = range.offset;
    answer.length = range.length;
    if (!head)
        relay_window_read(&relay->window, relay->cache, &range);
    relay_answer(job, &answer);
}
