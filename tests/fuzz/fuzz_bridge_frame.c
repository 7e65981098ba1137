/* SPDX-License-Identifier: MIT */
/* Input: a frame of the other bridge's, or a greeting; both decoders get it. */
#include "fuzz.h"

#include "core/base/bytes.h"
#include "core/bridge/frame.h"

static void check_packet(const struct bridge_packet *packet, const uint8_t *data, size_t size)
{
    uint64_t zeros[BRIDGE_PAGES_MAX];
    static uint8_t again[BRIDGE_FRAME_MAX];

    FUZZ_CHECK(packet->pages <= BRIDGE_PAGES_MAX && packet->zeros <= BRIDGE_PAGES_MAX);
    FUZZ_CHECK(packet->zero_offsets == data + BRIDGE_PACKET_START);
    FUZZ_CHECK(packet->header + packet->header_bytes == data + size);
    FUZZ_CHECK(packet->header_bytes + packet->payload != 0);
    for (uint32_t i = 0; i < packet->zeros; i++) {
        zeros[i] = get_be64(packet->zero_offsets + 8 * (size_t)i);
    }
    FUZZ_CHECK(bridge_frame_packet(packet, zeros, again) == size);
    FUZZ_CHECK(memcmp(again, data, size) == 0);
}

static void check_frame(const uint8_t *data, size_t size)
{
    struct bridge_frame frame;
    struct multifd_error err;

    fuzz_error_poison(&err);
    if (bridge_frame_decode(data, (uint32_t)size, &frame, &err) != 0) {
        fuzz_check_refusal(&err);
        FUZZ_CHECK(err.code == MULTIFD_ERROR_PROTOCOL);
        return;
    }
    FUZZ_CHECK(size <= BRIDGE_FRAME_MAX && frame.length != 0);
    FUZZ_CHECK(frame.bytes + frame.length == data + size);
    if (frame.kind == BRIDGE_FRAME_PACKET) {
        check_packet(&frame.packet, data, size);
    } else {
        FUZZ_CHECK(frame.kind == BRIDGE_FRAME_BYTES);
    }
}

static void check_greeting(const uint8_t *data, size_t size)
{
    struct transport_greeting in = {.length = size};
    struct transport_greeting out;
    struct bridge_greeting greeting;
    struct multifd_error err;
    int status;

    if (size > sizeof(in.bytes)) {
        return;
    }
    memset(in.bytes, 0xa5, sizeof(in.bytes)); /* what stands behind the length is not looked at */
    if (size != 0) {
        memcpy(in.bytes, data, size);
    }
    fuzz_error_poison(&err);
    status = bridge_greeting_decode(&in, &greeting, &err);
    if (status != 0) {
        fuzz_check_refusal(&err);
    } else {
        FUZZ_CHECK(greeting.kind >= BRIDGE_GREETING_CONTROL &&
                   greeting.kind < BRIDGE_GREETING_KINDS);
        bridge_greeting_encode(&greeting, &out);
        out.bytes[15] = in.bytes[15]; /* of a refusal */
        FUZZ_CHECK(out.length <= size && memcmp(out.bytes, data, out.length) == 0);
    }
    fuzz_error_poison(&err);
    FUZZ_CHECK(bridge_greeting_explain(&in, &err) == -1);
    fuzz_check_refusal(&err);
    FUZZ_CHECK((err.code == MULTIFD_ERROR_REFUSED) == (status == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_frame(data, size);
    check_greeting(data, size);
    return 0;
}
