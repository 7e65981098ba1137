/* SPDX-License-Identifier: MIT */
/*
 * private_data - what rdma_cm carries for us while a connection is made: the greeting of the
 * session, and what the two queue pairs must know of each other.
 *
 *   offset size
 *        0    1  bytes of the greeting
 *        1    1  0
 *        2    2  receive slots: messages that may be in flight towards the writer of this
 *        4    4  key of the keepalive target
 *        8    8  address of the keepalive target
 *       16   32  greeting
 *
 * Big-endian, 48 bytes; transports may deliver it padded with zeros.
 */
#ifndef MULTIFD_VERBS_PRIVATE_DATA_H
#define MULTIFD_VERBS_PRIVATE_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "transport/transport.h"
#include "transport/verbs/sender.h"

#define VERBS_PRIVATE_DATA_BYTES (16u + TRANSPORT_GREETING_MAX)

/* Writes VERBS_PRIVATE_DATA_BYTES bytes. */
void verbs_private_data_encode(const struct transport_greeting *greeting,
                               const struct verbs_sender_peer *self, uint8_t *data);

/*
 * Reads what a peer sent. Anything may come from a peer that is not multifd: *greeting then has
 * length 0, or bytes that the session does not know.
 */
void verbs_private_data_decode(const uint8_t *data, size_t length,
                               struct transport_greeting *greeting, struct verbs_sender_peer *peer);

#endif
