/* SPDX-License-Identifier: MIT */
#include "mock_socket.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define IOV_NUM 2048

struct mock_socket mock_socket;

int __real_socket(int domain, int type, int protocol);
int __real_bind(int fd, const struct sockaddr *address, socklen_t length);
int __real_listen(int fd, int backlog);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int __real_connect(int fd, const struct sockaddr *address, socklen_t length);
ssize_t __real_send(int fd, const void *bytes, size_t length, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __real_recv(int fd, void *bytes, size_t length, int flags);
ssize_t __real_readv(int fd, const struct iovec *iov, int num);
int __real_poll(struct pollfd *fds, nfds_t num, int timeout);
int __real_ioctl(int fd, unsigned long request, void *argument);
int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found);
void __real_freeaddrinfo(struct addrinfo *found);

int __wrap_socket(int domain, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_listen(int fd, int backlog);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length);
ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t length, int flags);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int num);
int __wrap_poll(struct pollfd *fds, nfds_t num, int timeout);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found);
void __wrap_freeaddrinfo(struct addrinfo *found);

int mock_socket_setup(void **state)
{
    memset(&mock_socket, 0, sizeof(mock_socket));
    return mock_setup(state);
}

static size_t at_most(size_t length)
{
    return mock_socket.most != 0 && length > mock_socket.most ? mock_socket.most : length;
}

/* The same buffers, cut to what one call may take. Returns their number. */
static int cut(struct iovec *to, const struct iovec *from, size_t num)
{
    size_t left = mock_socket.most == 0 ? SIZE_MAX : mock_socket.most;
    size_t used = 0;

    for (size_t i = 0; i < num && left != 0; i++) {
        assert_true(used < IOV_NUM);
        to[used] = from[i];
        to[used].iov_len = from[i].iov_len < left ? from[i].iov_len : left;
        left -= to[used++].iov_len;
    }
    return (int)used;
}

int __wrap_socket(int domain, int type, int protocol)
{
    return mock_check("socket") != 0 ? -1 : __real_socket(domain, type, protocol);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    return mock_check("bind") != 0 ? -1 : __real_bind(fd, address, length);
}

int __wrap_listen(int fd, int backlog)
{
    mock_socket.backlog = backlog;
    return mock_check("listen") != 0 ? -1 : __real_listen(fd, backlog);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    return mock_check("accept4") != 0 ? -1 : __real_accept4(fd, address, length, flags);
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    return mock_check("connect") != 0 ? -1 : __real_connect(fd, address, length);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags)
{
    return mock_check("send") != 0 ? -1 : __real_send(fd, bytes, at_most(length), flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct msghdr part = *message;
    struct iovec iov[IOV_NUM];

    mock_socket.sends++;
    if (mock_check("sendmsg") != 0) {
        return -1;
    }
    part.msg_iov = iov;
    part.msg_iovlen = (size_t)cut(iov, message->msg_iov, message->msg_iovlen);
    return __real_sendmsg(fd, &part, flags);
}

ssize_t __wrap_recv(int fd, void *bytes, size_t length, int flags)
{
    mock_socket.recvs++;
    return mock_check("recv") != 0 ? -1 : __real_recv(fd, bytes, at_most(length), flags);
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int num)
{
    struct iovec part[IOV_NUM];

    return mock_check("readv") != 0 ? -1 : __real_readv(fd, part, cut(part, iov, (size_t)num));
}

int __wrap_poll(struct pollfd *fds, nfds_t num, int timeout)
{
    mock_socket.polls++;
    return mock_check("poll") != 0 ? -1 : __real_poll(fds, num, timeout);
}

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
    return mock_check("ioctl") != 0 ? -1 : __real_ioctl(fd, request, argument);
}

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found)
{
    int status = mock_check("getaddrinfo");

    if (status == 0 && mock_socket.found != NULL) {
        *found = mock_socket.found;
        return 0;
    }
    return status != 0 ? status : __real_getaddrinfo(host, port, hints, found);
}

void __wrap_freeaddrinfo(struct addrinfo *found)
{
    if (found != mock_socket.found) {
        __real_freeaddrinfo(found);
    }
}
