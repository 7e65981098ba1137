/* SPDX-License-Identifier: MIT */
/* Input: the private data of a connection event. */
#include "fuzz.h"

#include "transport/verbs/private_data.h"

static void check_nothing(const struct transport_greeting *greeting,
                          const struct verbs_sender_peer *peer)
{
    FUZZ_CHECK(greeting->length == 0);
    FUZZ_CHECK(peer->receive_slots == 0);
    FUZZ_CHECK(peer->keepalive_key == 0 && peer->keepalive_address == 0);
}

/* What is not read (byte 1, and the bytes behind the greeting) is sent as zeros. */
static void check_round_trip(const struct transport_greeting *greeting,
                             const struct verbs_sender_peer *peer, const uint8_t *data)
{
    uint8_t expected[VERBS_PRIVATE_DATA_BYTES] = {0};
    uint8_t again[VERBS_PRIVATE_DATA_BYTES];

    FUZZ_CHECK(greeting->length == data[0]);
    FUZZ_CHECK(peer->receive_slots <= UINT16_MAX);
    memcpy(expected, data, 16 + greeting->length);
    expected[1] = 0;
    verbs_private_data_encode(greeting, peer, again);
    FUZZ_CHECK(memcmp(again, expected, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct transport_greeting greeting;
    struct verbs_sender_peer peer;

    memset(&greeting, 0xa5, sizeof(greeting));
    memset(&peer, 0xa5, sizeof(peer));
    verbs_private_data_decode(data, size, &greeting, &peer);
    FUZZ_CHECK(greeting.length <= TRANSPORT_GREETING_MAX);
    for (size_t i = greeting.length; i < sizeof(greeting.bytes); i++) {
        FUZZ_CHECK(greeting.bytes[i] == 0);
    }
    if (size < VERBS_PRIVATE_DATA_BYTES || data[0] > TRANSPORT_GREETING_MAX) {
        check_nothing(&greeting, &peer);
    } else {
        check_round_trip(&greeting, &peer, data);
    }
    return 0;
}
