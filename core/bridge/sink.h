/* SPDX-License-Identifier: MIT */
/*
 * sink - where bytes of a socket go that nobody needs: by way of a pipe to /dev/null, so that the
 * kernel hands its pages on and copies none.
 */
#ifndef MULTIFD_BRIDGE_SINK_H
#define MULTIFD_BRIDGE_SINK_H

#include "multifd_error.h"

#include <stdint.h>

/* All -1: none. */
struct bridge_sink {
    int in;
    int out;
    int null;
};

#define BRIDGE_NO_SINK ((struct bridge_sink){-1, -1, -1})

/* 0, or -1 with *err and nothing open. */
int bridge_sink_init(struct bridge_sink *sink, struct multifd_error *err);

/* Accepts one that is none. */
void bridge_sink_fini(struct bridge_sink *sink);

/*
 * Takes up to `most` bytes from a socket that does not block: their number, 0 when none have come,
 * -1 with *err; MULTIFD_ERROR_DISCONNECTED when the peer has closed it.
 */
int bridge_sink_take(const struct bridge_sink *sink, int socket, uint32_t most,
                     struct multifd_error *err);

#endif
