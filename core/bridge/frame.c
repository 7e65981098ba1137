/* SPDX-License-Identifier: MIT */
#include "core/bridge/frame.h"

#include "core/base/bytes.h"
#include "core/base/error.h"

#include <assert.h>
#include <string.h>

#define FRAME_MAGIC      0x4d464246u /* "MFBF" */
#define GREETING_MAGIC   0x4d464252u /* "MFBR" */
#define GREETING_VERSION 1u
#define GREETING_BYTES   32u

static_assert(BRIDGE_FRAME_START >= TRANSPORT_MESSAGE_LEAST, "shorter ones are the transport's");
static_assert(GREETING_BYTES <= TRANSPORT_GREETING_MAX, "a greeting fits the transport");
static_assert(BRIDGE_PACKET_START + BRIDGE_HEADER_MAX + 8 * BRIDGE_PAGES_MAX <= BRIDGE_FRAME_MAX,
              "the longest packet fits a frame");

void bridge_frame_begin(enum bridge_frame_kind kind, uint32_t length, uint8_t *out)
{
    put_be32(out, FRAME_MAGIC);
    put_be32(out + 4, (uint32_t)kind);
    put_be32(out + 8, length);
}

uint32_t bridge_frame_packet(const struct bridge_packet *packet, const uint64_t *zeros,
                             uint8_t *out)
{
    uint8_t *at = out + BRIDGE_PACKET_START;

    put_be32(out + 12, packet->flags);
    put_be32(out + 16, packet->block);
    put_be32(out + 20, packet->pages);
    put_be32(out + 24, packet->payload);
    put_be32(out + 28, packet->header_bytes);
    put_be32(out + 32, packet->zeros);
    for (uint32_t i = 0; i < packet->zeros; i++) {
        put_be64(at, zeros[i]);
        at += 8;
    }
    if (packet->header_bytes != 0) {
        memcpy(at, packet->header, packet->header_bytes);
        at += packet->header_bytes;
    }
    bridge_frame_begin(BRIDGE_FRAME_PACKET, (uint32_t)(at - out), out);
    return (uint32_t)(at - out);
}

static int malformed(uint32_t kind, uint32_t length, struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_PROTOCOL,
                     "a frame of the other bridge is malformed: kind %u, %u bytes", kind, length);
}

static int decode_packet(const uint8_t *bytes, uint32_t length, struct bridge_packet *packet,
                         struct multifd_error *err)
{
    if (length < BRIDGE_PACKET_START) {
        return malformed(BRIDGE_FRAME_PACKET, length, err);
    }
    *packet = (struct bridge_packet){
        .flags = get_be32(bytes + 12),
        .block = get_be32(bytes + 16),
        .pages = get_be32(bytes + 20),
        .payload = get_be32(bytes + 24),
        .header_bytes = get_be32(bytes + 28),
        .zeros = get_be32(bytes + 32),
        .zero_offsets = bytes + BRIDGE_PACKET_START,
    };
    if ((packet->flags & ~(uint32_t)BRIDGE_PACKET_FLAGS) != 0 || packet->pages > BRIDGE_PAGES_MAX ||
        packet->zeros > BRIDGE_PAGES_MAX || packet->header_bytes > BRIDGE_HEADER_MAX ||
        length != BRIDGE_PACKET_START + packet->header_bytes + 8 * packet->zeros) {
        return malformed(BRIDGE_FRAME_PACKET, length, err);
    }
    packet->header = packet->zero_offsets + 8 * (size_t)packet->zeros;
    /* What was written or is cleared is of a block, and then nothing of it goes to QEMU. */
    if ((packet->pages + packet->zeros != 0) != (packet->block != BRIDGE_NO_BLOCK) ||
        (packet->block != BRIDGE_NO_BLOCK && (packet->payload != 0 || packet->header_bytes == 0)) ||
        (packet->header_bytes == 0 && packet->payload == 0)) {
        return malformed(BRIDGE_FRAME_PACKET, length, err);
    }
    return 0;
}

int bridge_frame_decode(const uint8_t *bytes, uint32_t length, struct bridge_frame *frame,
                        struct multifd_error *err)
{
    uint32_t kind = length < BRIDGE_FRAME_START ? 0 : get_be32(bytes + 4);

    if (length < BRIDGE_FRAME_START || length > BRIDGE_FRAME_MAX ||
        get_be32(bytes) != FRAME_MAGIC || get_be32(bytes + 8) != length || kind == 0 ||
        kind >= BRIDGE_FRAME_KINDS) {
        return malformed(kind, length, err);
    }
    frame->kind = (enum bridge_frame_kind)kind;
    frame->bytes = bytes + BRIDGE_FRAME_START;
    frame->length = length - BRIDGE_FRAME_START;
    if (frame->length == 0) {
        return malformed(kind, length, err);
    }
    return frame->kind == BRIDGE_FRAME_PACKET ? decode_packet(bytes, length, &frame->packet, err)
                                              : 0;
}

static void begin_greeting(struct transport_greeting *out)
{
    memset(out, 0, sizeof(*out));
    out->length = GREETING_BYTES;
    put_be32(out->bytes, GREETING_MAGIC);
    put_be16(out->bytes + 4, GREETING_VERSION);
}

void bridge_greeting_encode(const struct bridge_greeting *greeting, struct transport_greeting *out)
{
    begin_greeting(out);
    out->bytes[6] = (uint8_t)greeting->kind;
    out->bytes[7] = greeting->channel;
    memcpy(out->bytes + 8, greeting->session, BRIDGE_SESSION_BYTES);
    memcpy(out->bytes + 16, greeting->uuid, BRIDGE_UUID_BYTES);
}

void bridge_greeting_refuse(bool busy, struct transport_greeting *out)
{
    begin_greeting(out);
    out->bytes[6] = BRIDGE_GREETING_CONTROL;
    out->bytes[15] = busy ? 1 : 0;
}

int bridge_greeting_decode(const struct transport_greeting *in, struct bridge_greeting *greeting,
                           struct multifd_error *err)
{
    if (in->length < 6 || get_be32(in->bytes) != GREETING_MAGIC) {
        return error_set(err, MULTIFD_ERROR_CONNECT, "the peer is not a bridge");
    }
    if (get_be16(in->bytes + 4) != GREETING_VERSION) {
        return error_set(err, MULTIFD_ERROR_VERSION,
                         "the peer speaks version %u of the bridges' protocol, this side %u",
                         get_be16(in->bytes + 4), GREETING_VERSION);
    }
    if (in->length < GREETING_BYTES || in->bytes[6] == 0 || in->bytes[6] >= BRIDGE_GREETING_KINDS ||
        in->bytes[7] >= MULTIFD_CHANNELS_MAX) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "the peer's greeting is malformed");
    }
    greeting->kind = (enum bridge_greeting_kind)in->bytes[6];
    greeting->channel = in->bytes[7];
    memcpy(greeting->session, in->bytes + 8, BRIDGE_SESSION_BYTES);
    memcpy(greeting->uuid, in->bytes + 16, BRIDGE_UUID_BYTES);
    return 0;
}

int bridge_greeting_explain(const struct transport_greeting *in, struct multifd_error *err)
{
    struct bridge_greeting greeting;

    if (bridge_greeting_decode(in, &greeting, err) != 0) {
        return -1;
    }
    return error_set(err, MULTIFD_ERROR_REFUSED, "the destination's bridge refused: %s",
                     in->bytes[15] == 1 ? "it is busy with another migration"
                                        : "it does not expect this connection");
}
