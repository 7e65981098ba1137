/* SPDX-License-Identifier: MIT */
/* socket_rig - addresses, scratch paths and peers for the tests of sockets. */
#ifndef MULTIFD_UNIT_SOCKET_RIG_H
#define MULTIFD_UNIT_SOCKET_RIG_H

#include "core/base/clock.h"
#include "mock_socket.h"
#include "transport/address.h"

#define NAME "the peer"

/* An address that is well-formed. */
struct transport_address rig_address(const char *text);

/* A path for a unix socket, where nothing is; the same one in each test. */
const char *rig_path(void);
struct transport_address rig_unix_address(void);

/* So many milliseconds from now. */
uint64_t rig_soon(int ms);

/* Connected stream sockets that do not block. `buffer` is what one may send at most, 0: any. */
void rig_socketpair(int fds[2], int buffer);

/* A blocking connection to a port of 127.0.0.1, or to rig_path. */
int rig_connect_tcp(uint16_t port);
int rig_connect_unix(void);

void rig_write(int fd, const void *bytes, size_t length);

/* Descriptors that this process has open. */
unsigned rig_open_descriptors(void);

/* Sends as much as the kernel takes; returns how much. */
size_t rig_fill_up(int fd);

#endif
