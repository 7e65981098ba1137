/* SPDX-License-Identifier: MIT */
#include "transport/verbs/private_data.h"

#include "core/base/bytes.h"

#include <string.h>

void verbs_private_data_encode(const struct transport_greeting *greeting,
                               const struct verbs_sender_peer *self, uint8_t *data)
{
    memset(data, 0, VERBS_PRIVATE_DATA_BYTES);
    data[0] = (uint8_t)greeting->length;
    put_be16(data + 2, (uint16_t)self->receive_slots);
    put_be32(data + 4, self->keepalive_key);
    put_be64(data + 8, self->keepalive_address);
    memcpy(data + 16, greeting->bytes, greeting->length);
}

void verbs_private_data_decode(const uint8_t *data, size_t length,
                               struct transport_greeting *greeting, struct verbs_sender_peer *peer)
{
    memset(greeting, 0, sizeof(*greeting));
    memset(peer, 0, sizeof(*peer));
    if (length < VERBS_PRIVATE_DATA_BYTES || data[0] > TRANSPORT_GREETING_MAX) {
        return;
    }
    greeting->length = data[0];
    memcpy(greeting->bytes, data + 16, greeting->length);
    peer->receive_slots = get_be16(data + 2);
    peer->keepalive_key = get_be32(data + 4);
    peer->keepalive_address = get_be64(data + 8);
}
