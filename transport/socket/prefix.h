/* SPDX-License-Identifier: MIT */
/* prefix - the length that stands before each message of a framed stream. */
#ifndef MULTIFD_SOCKET_PREFIX_H
#define MULTIFD_SOCKET_PREFIX_H

#include "core/base/bytes.h"
#include "transport/transport.h"

/* Bytes of a length. */
#define SOCKET_PREFIX 4u

/* Bytes before a message in a stream of that framing. */
static inline uint32_t socket_prefix_bytes(enum transport_framing framing)
{
    return framing == TRANSPORT_FRAMED ? SOCKET_PREFIX : 0;
}

static inline void socket_prefix_put(uint8_t prefix[SOCKET_PREFIX], uint32_t length)
{
    put_be32(prefix, length);
}

/* The length, or 0 when it is none that a message of at most `most` bytes has. */
static inline uint32_t socket_prefix_get(const uint8_t prefix[SOCKET_PREFIX], uint32_t most)
{
    uint32_t length = get_be32(prefix);

    return length > most ? 0 : length;
}

#endif
