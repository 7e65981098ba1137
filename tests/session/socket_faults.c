/* SPDX-License-Identifier: MIT */
#include "socket_faults.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

static atomic_ulong calls;
static atomic_ulong target;
static atomic_int fault;
static atomic_bool polls;
static _Atomic(const char *) struck;

void socket_faults_set(unsigned long nth, int errnum)
{
    atomic_store(&target, nth);
    atomic_store(&fault, errnum);
    atomic_store(&calls, 0);
    atomic_store(&struck, NULL);
}

unsigned long socket_faults_calls(void)
{
    return atomic_load(&calls);
}

void socket_faults_count_polls(int count)
{
    atomic_store(&polls, count != 0);
}

const char *socket_faults_struck(void)
{
    return atomic_load(&struck);
}

enum { MOVES_BYTES = 1, WAITS = 2 }; /* what a call does, and so how it can fail */

static bool can_fail_so(int what, int errnum)
{
    switch (errnum) {
    case SOCKET_FAULT_SHORT:
    case ECONNRESET:
        return what == MOVES_BYTES;
    case EINTR:
    case EAGAIN:
        return what != 0;
    default:
        return true;
    }
}

/* The errno with which this call is to fail, 0, or SOCKET_FAULT_SHORT. */
static int enter(const char *call, int what)
{
    int errnum = atomic_load(&fault);

    if (atomic_fetch_add(&calls, 1) + 1 != atomic_load(&target) || !can_fail_so(what, errnum)) {
        return 0;
    }
    atomic_store(&struck, call);
    if (errnum > 0) {
        errno = errnum;
    }
    return errnum;
}

#define WRAP(result, name, what, parameters, arguments)                                            \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters                                                                \
    {                                                                                              \
        return enter(#name, what) > 0 ? -1 : __real_##name arguments;                              \
    }

WRAP(int, socket, 0, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, bind, 0, (int fd, const struct sockaddr *at, socklen_t length), (fd, at, length))
WRAP(int, listen, 0, (int fd, int backlog), (fd, backlog))
WRAP(int, accept4, WAITS, (int fd, struct sockaddr *at, socklen_t *length, int flags),
     (fd, at, length, flags))
WRAP(int, connect, WAITS, (int fd, const struct sockaddr *at, socklen_t length), (fd, at, length))
WRAP(int, setsockopt, 0, (int fd, int level, int name, const void *value, socklen_t length),
     (fd, level, name, value, length))
WRAP(int, getsockopt, 0, (int fd, int level, int name, void *value, socklen_t *length),
     (fd, level, name, value, length))

ssize_t __real_send(int fd, const void *bytes, size_t length, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags);
ssize_t __real_recv(int fd, void *bytes, size_t length, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t length, int flags);
ssize_t __real_readv(int fd, const struct iovec *iov, int num);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int num);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_poll(struct pollfd *fds, nfds_t num, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t num, int timeout);

ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags)
{
    int errnum = enter("send", MOVES_BYTES);

    return errnum > 0 ? -1 : __real_send(fd, bytes, errnum < 0 ? 1 : length, flags);
}

ssize_t __wrap_recv(int fd, void *bytes, size_t length, int flags)
{
    int errnum = enter("recv", MOVES_BYTES);

    return errnum > 0 ? -1 : __real_recv(fd, bytes, errnum < 0 ? 1 : length, flags);
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int num)
{
    int errnum = enter("readv", MOVES_BYTES);

    if (errnum < 0) {
        return __real_recv(fd, iov->iov_base, 1, 0);
    }
    return errnum > 0 ? -1 : __real_readv(fd, iov, num);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    int errnum = enter("sendmsg", MOVES_BYTES);

    if (errnum < 0) {
        return __real_send(fd, message->msg_iov->iov_base, 1, flags);
    }
    return errnum > 0 ? -1 : __real_sendmsg(fd, message, flags);
}

/* What it says of the descriptors is undefined when it fails. */
int __wrap_poll(struct pollfd *fds, nfds_t num, int timeout)
{
    int errnum = atomic_load(&polls) ? enter("poll", WAITS) : 0;

    if (errnum <= 0) {
        return __real_poll(fds, num, timeout);
    }
    for (nfds_t i = 0; i < num; i++) {
        fds[i].revents = 0x5555;
    }
    return -1;
}
