/* SPDX-License-Identifier: MIT */
/*
 * mock_socket - the system calls of sockets, which are real but for what a test asks of them:
 * mock_fail("recv", EINTR) and the like fail one of socket, bind, listen, accept4, connect, send,
 * sendmsg, recv, readv, poll, ioctl and getaddrinfo (which then returns that number).
 */
#ifndef MULTIFD_UNIT_MOCK_SOCKET_H
#define MULTIFD_UNIT_MOCK_SOCKET_H

#include "mock.h"

#include <netdb.h>
#include <stdatomic.h>

struct mock_socket {
    size_t most;            /* bytes that one call sends or receives, 0: any number */
    struct addrinfo *found; /* by getaddrinfo, if it is not NULL */
    atomic_uint polls;
    atomic_uint recvs;
    atomic_uint sends;  /* sendmsg */
    atomic_int backlog; /* of the last listen */
};

extern struct mock_socket mock_socket;

int mock_socket_setup(void **state);
#define socket_test(function)                                                                      \
    cmocka_unit_test_setup_teardown(function, mock_socket_setup, mock_teardown)

#endif
