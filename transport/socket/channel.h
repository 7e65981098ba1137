/* SPDX-License-Identifier: MIT */
/* channel - a transport channel over one socket. */
#ifndef MULTIFD_SOCKET_CHANNEL_H
#define MULTIFD_SOCKET_CHANNEL_H

#include "transport/transport.h"

/*
 * A channel over a connection that is past its greeting; `name` is the peer's, for errors. Owns the
 * descriptor, also when it fails: NULL on error.
 */
struct transport_channel *socket_channel_new(int fd, const char *name,
                                             const struct transport_profile *profile,
                                             struct multifd_error *err);

#endif
