/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded into the user-mode Linux of the guest: lets it run on processors with AMX.
 *
 * UML 6.1 keeps 2,696 bytes of a process's extended registers, as much as AVX-512 needs, and hands
 * just these back to ptrace().  With AMX there are 11,008, the host refuses anything less (EFAULT),
 * and the guest's first process dies.  Here the missing end is added, as the host has it; nothing
 * in the guest uses AMX, which has to be asked for.
 */
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Not on the stack: the kernel's are small.  Only the one thread that runs the guest's processes
 * comes here. */
static char whole_area[64 * 1024];

static long set_registers(long pid, struct iovec *given)
{
    struct iovec whole = {whole_area, sizeof(whole_area)};
    if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &whole) < 0)
        return -1;
    if (whole.iov_len <= given->iov_len)
        return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, given);
    memcpy(whole_area, given->iov_base, given->iov_len);
    return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &whole);
}

/* In the place of the C library's. */
long ptrace(enum __ptrace_request request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    long pid = va_arg(arguments, int);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);

    if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE)
        return set_registers(pid, data);
    if (request != PTRACE_PEEKTEXT && request != PTRACE_PEEKDATA && request != PTRACE_PEEKUSER)
        return syscall(SYS_ptrace, request, pid, address, data);
    /* The system call stores the word where the C library returns it. */
    long word = 0;
    if (syscall(SYS_ptrace, request, pid, address, &word) < 0)
        return -1;
    errno = 0;
    return word;
}
