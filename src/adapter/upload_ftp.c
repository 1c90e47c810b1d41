/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FTP has two connections, and libcurl looks at one only: at that for data while it sends, then it
 * closes that one and blocks until the server says on the other what became of the file.  With
 * megabytes on the way, that is minutes; and what a server says when it refuses in the middle (552:
 * quota exceeded) is lost when the other connection breaks first.
 *
 * So libcurl is given the file's bytes as long as the server is silent and the line takes them.  At
 * the end of the file it is made to wait until all bytes have arrived and the last word is there;
 * then it finds that at once.  The end of the file is told to the server here, by closing our half
 * of the connection for data.
 */
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "upload_internal.h"

static gboolean has(int fd, short events)
{
    struct pollfd look = {.fd = fd, .events = events};

    return poll(&look, 1, 0) > 0;
}

/* Bytes that the server has not got yet, as far as this kernel knows. */
static int on_the_way(int fd)
{
    int bytes = 0;

    return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

/* FALSE: libcurl has to do it. */
static gboolean half_close(Upload *upload, int data)
{
    if (upload->url.scheme == TRANSFER_FTPS && !transfer_tls_say_goodbye(&upload->trust, data)) {
        transfer_loop_set_abrupt(upload->loop, FALSE); /* what TLS says at the end is to arrive */
        return FALSE;
    }
    upload->half_closed = TRUE;
    return shutdown(data, SHUT_WR) == 0;
}

UploadTurn upload_ftp_turn(Upload *upload)
{
    gboolean at_end = upload->offset == upload->size;
    int control, data;

    if (!transfer_loop_pair(upload->loop, &control, &data))
        return at_end ? UPLOAD_END : UPLOAD_SEND;
    if (has(control, POLLIN))
        return UPLOAD_END;
    if (has(data, POLLRDHUP)) /* its reason is on its way */
        return UPLOAD_WAIT;
    if (!at_end)
        return UPLOAD_SEND;
    if (on_the_way(data) > 0)
        return UPLOAD_WAIT;
    if (!upload->half_closed && !half_close(upload, data))
        return UPLOAD_END;
    return UPLOAD_WAIT;
}

static gboolean on_tick(gpointer user_data)
{
    Upload *upload = user_data;

    if (upload_ftp_turn(upload) == UPLOAD_WAIT)
        return G_SOURCE_CONTINUE;
    upload->tick = 0;
    /* cannot fail: no bytes of the server's are held back */
    transfer_loop_resume(upload->loop, upload->easy);
    return G_SOURCE_REMOVE;
}

void upload_ftp_wait(Upload *upload)
{
    if (!upload->tick)
        upload->tick = g_timeout_add(UPLOAD_TICK_MS, on_tick, upload);
}
