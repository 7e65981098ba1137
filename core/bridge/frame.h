/* SPDX-License-Identifier: MIT */
/*
 * frame - what travels between two bridges on the channel of one of QEMU's connections.
 *
 * Every message is one frame: u32 magic "MFBF", u32 kind, u32 length of the whole frame, and then,
 * big-endian,
 *
 *   BYTES    bytes of the stream, either direction (the main connection)
 *   PACKET   u32 flags, u32 block, u32 pages, u32 payload, u32 header, u32 zeros,
 *            u64 offset of each of the `zeros` pages to clear, `header` bytes of a header
 *
 * A PACKET's payload, if it has one, is in the slot of the destination's staging that belongs to
 * the message (staging.h), or follows on a byte stream. It is handed to QEMU behind the header. A
 * header of 0 bytes goes on with the payload of the packet before.
 */
#ifndef MULTIFD_BRIDGE_FRAME_H
#define MULTIFD_BRIDGE_FRAME_H

#include <multifd.h>

#include "core/bridge/header.h"
#include "transport/transport.h"

#define BRIDGE_FRAME_START  12u
#define BRIDGE_PACKET_START (BRIDGE_FRAME_START + 24u)
#define BRIDGE_FRAME_MAX    (32u << 10)
#define BRIDGE_BYTES_MAX    (BRIDGE_FRAME_MAX - BRIDGE_FRAME_START)
#define BRIDGE_NO_BLOCK     UINT32_MAX

enum bridge_frame_kind { BRIDGE_FRAME_BYTES = 1, BRIDGE_FRAME_PACKET, BRIDGE_FRAME_KINDS };

enum {
    BRIDGE_PACKET_BUFFERED = 1 << 0, /* `pages` were written from a buffer, not from the guest */
    BRIDGE_PACKET_FLAGS = 1,
};

struct bridge_packet {
    uint32_t flags;
    uint32_t block;        /* whose pages were written, or are to be cleared; or none */
    uint32_t pages;        /* that were written */
    uint32_t payload;      /* bytes */
    uint32_t header_bytes; /* 0: none */
    uint32_t zeros;
    const uint8_t *header;
    const uint8_t *zero_offsets; /* encoded */
};

struct bridge_frame {
    enum bridge_frame_kind kind;
    const uint8_t *bytes; /* of BYTES */
    uint32_t length;
    struct bridge_packet packet;
};

/* Writes the start of a frame whose `length` bytes in all are there, or will be. */
void bridge_frame_begin(enum bridge_frame_kind kind, uint32_t length, uint8_t *out);

/* Writes a PACKET; `zeros` in host order. Returns its length. */
uint32_t bridge_frame_packet(const struct bridge_packet *packet, const uint64_t *zeros,
                             uint8_t *out);

/*
 * Reads and validates a frame, which stays where it is, but for what only a table of RAM blocks or
 * the packet before can tell. 0, or -1 with MULTIFD_ERROR_PROTOCOL.
 */
int bridge_frame_decode(const uint8_t *bytes, uint32_t length, struct bridge_frame *frame,
                        struct multifd_error *err);

/* What two bridges tell each other while a connection between them is made. */
enum bridge_greeting_kind {
    BRIDGE_GREETING_CONTROL = 1, /* between the bridges themselves */
    BRIDGE_GREETING_MAIN,        /* for QEMU's main connection */
    BRIDGE_GREETING_CHANNEL,     /* for one of its channels */
    BRIDGE_GREETING_KINDS
};

#define BRIDGE_SESSION_BYTES 7u
#define BRIDGE_UUID_BYTES    16u

struct bridge_greeting {
    enum bridge_greeting_kind kind;
    uint8_t channel;
    uint8_t session[BRIDGE_SESSION_BYTES]; /* a name that the source's bridge has chosen */
    uint8_t uuid[BRIDGE_UUID_BYTES];       /* of QEMU's guest, as a channel starts with it */
};

/*
 *   offset size
 *        0    4 magic "MFBR"
 *        4    2 version of the bridges' protocol
 *        6    1 kind
 *        7    1 channel number
 *        8    7 session
 *       15    1 0, or in a refusal 1: another migration is under way
 *       16   16 UUID
 */
void bridge_greeting_encode(const struct bridge_greeting *greeting, struct transport_greeting *out);
void bridge_greeting_refuse(bool busy, struct transport_greeting *out);

/* -1 with MULTIFD_ERROR_CONNECT or MULTIFD_ERROR_VERSION when it is no bridge's of this version. */
int bridge_greeting_decode(const struct transport_greeting *in, struct bridge_greeting *greeting,
                           struct multifd_error *err);

/* Turns a refusal into an error. */
int bridge_greeting_explain(const struct transport_greeting *in, struct multifd_error *err);

#endif
