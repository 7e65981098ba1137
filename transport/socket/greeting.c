/* SPDX-License-Identifier: MIT */
#include "transport/socket/greeting.h"

#include <string.h>

#define AT_REFUSED (SOCKET_GREETING_BYTES - 1)

void socket_greeting_encode(const struct transport_greeting *greeting, bool refused,
                            uint8_t bytes[SOCKET_GREETING_BYTES])
{
    memset(bytes, 0, SOCKET_GREETING_BYTES);
    memcpy(bytes, greeting->bytes, greeting->length);
    bytes[AT_REFUSED] = refused ? 1 : 0;
}

bool socket_greeting_decode(const uint8_t bytes[SOCKET_GREETING_BYTES],
                            struct transport_greeting *greeting, bool *refused)
{
    greeting->length = 0;
    for (uint32_t i = TRANSPORT_GREETING_MAX; i < AT_REFUSED; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    if (bytes[AT_REFUSED] > 1) {
        return false;
    }
    memcpy(greeting->bytes, bytes, TRANSPORT_GREETING_MAX);
    greeting->length = TRANSPORT_GREETING_MAX;
    *refused = bytes[AT_REFUSED] == 1;
    return true;
}
