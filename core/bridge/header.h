/* SPDX-License-Identifier: MIT */
/*
 * header - a packet's header on one of QEMU's channels: how long it is and what follows it, and the
 * headers that a bridge makes itself.
 *
 * packet.h has the layout. On top of it: QEMU 7.2 leaves old values in fields that are not in use,
 * and may set SYNC on a packet with pages (PACKET_QEMU); QEMU 9.0 and later name zero pages; QEMU
 * 10.0 and later may send a device's state, whose header is shorter:
 *
 *   offset size field
 *        0   12 magic, version, flags, as in any packet
 *       12  256 the device
 *      268    4 instance
 *      272    4 bytes that follow, at least 1
 */
#ifndef MULTIFD_BRIDGE_HEADER_H
#define MULTIFD_BRIDGE_HEADER_H

#include <multifd_method.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/packet.h"

#define BRIDGE_HEADER_START 12u  /* bytes that tell how long the header is */
#define BRIDGE_PAGES_MAX    512u /* of a packet: pages have 1 KiB at least */
#define BRIDGE_HEADER_MAX   (PACKET_FIXED + 8 * BRIDGE_PAGES_MAX)

struct bridge_header {
    uint32_t bytes;   /* of the header itself */
    uint32_t payload; /* bytes behind it */
    bool sync;
    bool device_state; /* of what follows, only the two above and `payload` are known */
    bool compressed;
    struct multifd_packet packet;
    uint64_t offsets[BRIDGE_PAGES_MAX]; /* normal pages, then zero pages */
};

/*
 * The length of a header that starts with these BRIDGE_HEADER_START bytes; 0 with *err if it is
 * none, or of a version that is not known.
 */
uint32_t bridge_header_length(const uint8_t *start, uint32_t page_count, struct multifd_error *err);

/*
 * Reads a whole header. 0, or -1 with *err when it cannot be QEMU's: what QEMU's own destination
 * checks, and the lengths that it does not.
 */
int bridge_header_decode(const uint8_t *bytes, uint32_t page_size, struct bridge_header *header,
                         struct multifd_error *err);

/* Takes the pages out of a header, which is then followed by nothing. SYNC stays. */
void bridge_header_strip(uint8_t *bytes);

/*
 * Writes a header without pages; `flags` is MULTIFD_FLAG_SYNC or 0. Returns its length. QEMU takes
 * one with neither pages nor SYNC for nothing, in every version.
 */
uint32_t bridge_header_empty(uint32_t flags, uint32_t page_count, uint8_t *out);

#endif
