/* SPDX-License-Identifier: MIT */
/*
 * connection - the descriptors of TCP and unix sockets: listening, connecting, what is set on them,
 * and waiting for them with a deadline. All of them are non-blocking.
 */
#ifndef MULTIFD_SOCKET_CONNECTION_H
#define MULTIFD_SOCKET_CONNECTION_H

#include <multifd_error.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/address.h"

/* Room for the name of a peer, for errors. */
#define SOCKET_NAME_MAX 160

/* Writes an address as HOST:PORT or PATH; a long one is cut. */
void socket_name(const struct transport_address *address, char name[SOCKET_NAME_MAX]);

/*
 * Listens on every address of the host that is meant. *port is the port, 0 for a unix socket, whose
 * path is taken over from a listener that is gone. The descriptor, or -1 with *err.
 */
int socket_listen(const struct transport_address *address, const char *name, uint32_t backlog,
                  uint16_t *port, struct multifd_error *err);

/*
 * Connects to the first of the host's addresses that answers, until the deadline or until wake_fd
 * is readable. The descriptor, or -1 with *err.
 */
int socket_connect(const struct transport_address *address, const char *name, uint64_t deadline_ns,
                   int wake_fd, struct multifd_error *err);

/*
 * Takes the next connection from a listener, with the peer's name where it has one (else `name`
 * stays). The descriptor, or -1 when there is none.
 */
int socket_accept(int listener, char name[SOCKET_NAME_MAX]);

/* Has the kernel send at once, and give up on a peer that has not answered for so long. */
void socket_tune(int fd, uint32_t timeout_ms);

/*
 * Waits for poll(2) events on a descriptor. 0, or -1 with *err: MULTIFD_ERROR_TIMEOUT after the
 * deadline, or once wake_fd is readable.
 */
int socket_wait(int fd, short events, const char *name, uint64_t deadline_ns, int wake_fd,
                struct multifd_error *err);

/* Sends or receives exactly so many bytes, with the same errors, or MULTIFD_ERROR_DISCONNECTED. */
int socket_send_all(int fd, const void *bytes, size_t length, const char *name,
                    uint64_t deadline_ns, int wake_fd, struct multifd_error *err);
int socket_receive_all(int fd, void *bytes, size_t length, const char *name, uint64_t deadline_ns,
                       int wake_fd, struct multifd_error *err);

/* Sets *err for a connection that has ended: errnum is 0 when the peer closed it. Returns -1. */
int socket_ended(int errnum, const char *name, struct multifd_error *err);

#endif
