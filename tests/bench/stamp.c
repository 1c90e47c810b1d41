/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stamp FILE COMMAND [ARGUMENT...]: adds the time (seconds since 1970) to FILE as its first deed,
 * and becomes COMMAND.  A shell takes longer to start, which would be counted as the agent's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (argc < 3)
        return 2;
    int fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || dprintf(fd, "%lld.%09ld\n", (long long)now.tv_sec, now.tv_nsec) < 0)
        return 1;
    execvp(argv[2], argv + 2);
    return 127;
}
