/* SPDX-License-Identifier: MIT */
/* endpoint - one side of a session over TCP or unix sockets. */
#ifndef MULTIFD_SOCKET_ENDPOINT_H
#define MULTIFD_SOCKET_ENDPOINT_H

#include "transport/transport.h"

/* See transport_endpoint_new. */
struct transport_endpoint *socket_endpoint_new(const struct transport_address *address,
                                               const struct transport_settings *settings,
                                               struct multifd_error *err);

#endif
