/* SPDX-License-Identifier: MIT */
/*
 * listener - a listening socket, and the connections that have come but not yet said who they are.
 * A peer that connects and stays silent keeps nobody waiting.
 */
#ifndef MULTIFD_SOCKET_LISTENER_H
#define MULTIFD_SOCKET_LISTENER_H

#include "transport/socket/connection.h"
#include "transport/socket/greeting.h"

/* Connections that may be silent at once; those that come then wait to be accepted. */
#define SOCKET_PENDING_MAX 64u

/* A connection whose greeting has come. */
struct transport_request {
    int fd;
    uint32_t have; /* bytes of its greeting */
    bool started;  /* some have come, too few to show what it is */
    uint64_t deadline_ns;
    uint8_t bytes[SOCKET_GREETING_BYTES];
    struct transport_greeting greeting;
    char name[SOCKET_NAME_MAX];
};

struct socket_listener {
    int fd; /* -1: it does not listen */
    struct transport_request *pending[SOCKET_PENDING_MAX];
    uint32_t pending_num;
};

/* Listens. 0, or -1 with *err. */
int socket_listener_init(struct socket_listener *listener, const struct transport_address *address,
                         const char *name, uint32_t backlog, uint16_t *port,
                         struct multifd_error *err);

/* Stops listening and closes the connections that have not said who they are. */
void socket_listener_fini(struct socket_listener *listener,
                          const struct transport_address *address);

/* As the endpoint's wait_request; `name` is the endpoint's. */
int socket_listener_wait(struct socket_listener *listener,
                         const struct transport_settings *settings, const char *name, int wake_fd,
                         int timeout_ms, struct transport_request **request,
                         struct multifd_error *err);

/* Closes a request's connection and frees it. */
void socket_request_close(struct transport_request *request);

#endif
