/* SPDX-License-Identifier: MIT */
/*
 * greeting - what stands at the start of a connection, before its first message.
 *
 *   offset size
 *        0   32 the greeting, as TRANSPORT_GREETING_MAX says
 *       32   31 0
 *       63    1 in an answer: 1 when the connection is refused; otherwise 0
 *
 * The connecting side sends one. The other answers it unless the channel's framing is fixed: such a
 * channel looks like one of QEMU's, whose 64 bytes of MultiFDInit_t end in 32 that are 0.
 */
#ifndef MULTIFD_SOCKET_GREETING_H
#define MULTIFD_SOCKET_GREETING_H

#include <stdbool.h>

#include "transport/transport.h"

#define SOCKET_GREETING_BYTES 64u

void socket_greeting_encode(const struct transport_greeting *greeting, bool refused,
                            uint8_t bytes[SOCKET_GREETING_BYTES]);

/* False, and *greeting is empty, when the bytes are none. */
bool socket_greeting_decode(const uint8_t bytes[SOCKET_GREETING_BYTES],
                            struct transport_greeting *greeting, bool *refused);

#endif
