/* SPDX-License-Identifier: MIT */
/*
 * packet - the wire form of a packet header.
 *
 * Layout (big-endian), as QEMU's MultiFDPacket_t:
 *
 *   offset size field
 *        0    4 magic 0x11223344
 *        4    4 version 1
 *        8    4 flags
 *       12    4 pages_alloc
 *       16    4 normal_pages
 *       20    4 next_packet_size
 *       24    8 packet_num
 *       32    4 zero_pages
 *       36    4 sync_channels: of a SYNC in a message, how many channels get one; else 0
 *       40    4 zero_runs: of zero pages alone in a message, the entries that name them; else 0
 *       44   20 reserved, 0
 *       64  256 ramblock, NUL-terminated
 *      320  8*n offsets: normal pages, then zero pages; or zero_runs entries, see zero_runs.h
 *
 * In QEMU's, and over a byte stream, the bytes from 36 to 64 are 0. A message carries just the
 * entries in use: its length says the same as the counts. Over a byte stream, as in QEMU, there is
 * always room for pages_alloc of them.
 */
#ifndef MULTIFD_PACKET_H
#define MULTIFD_PACKET_H

#include <multifd_method.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAGIC       0x11223344u
#define PACKET_VERSION     1u
#define PACKET_NAME_BYTES  256u
#define PACKET_FIXED       320u /* bytes before the offsets */
#define PACKET_FLAGS_KNOWN (MULTIFD_FLAG_SYNC | MULTIFD_FLAG_COMPRESSION_MASK)

/* Who has sent a header, and so what it may look like. */
enum packet_form {
    /* multifd, in a message that is as long as the header; SYNC may come with the last pages. */
    PACKET_EXACT,
    /* multifd, over a byte stream: unused offsets are 0, a SYNC is a packet of its own. */
    PACKET_STREAM,
    /*
     * QEMU. What is not in use may hold anything, since QEMU 7.2 fills one header again and again:
     * next_packet_size, ramblock and the offsets in a packet without pages. There may be pages and
     * SYNC in one packet, and neither in the next.
     */
    PACKET_QEMU,
};

/* Most pages of one packet for a page size: at least one. */
uint32_t packet_page_count(uint32_t page_size);

/*
 * Bytes of the longest payload. Over a byte stream compressed pages may be longer than they were,
 * since a stream cannot leave one packet out; that much is what QEMU has room for too.
 */
uint32_t packet_payload_max(uint32_t page_count, uint32_t page_size, bool stream);

/* Bytes of a header with so many offsets, or runs. */
uint32_t packet_bytes(uint32_t offsets_num);

/*
 * Writes a header and its offsets to `out`, which has room for packet_bytes of them; `zero` has
 * zero_runs entries, or zero_pages if there are none. Returns its length.
 */
uint32_t packet_encode(const struct multifd_packet *packet, const uint64_t *normal,
                       const uint64_t *zero, uint8_t *out);

/* Makes a header that was encoded a SYNC, with or without pages; see sync_channels. */
void packet_mark_sync(uint8_t *out, uint32_t sync_channels);

/*
 * Makes a header that was encoded as long as one with page_count offsets. Returns its new length.
 */
uint32_t packet_pad(uint8_t *out, uint32_t length, uint32_t page_count);

/*
 * Reads and validates everything in a header that does not depend on RAM blocks: length, magic,
 * version, flags, counts (at most page_count entries), the name's end and the reserved bytes.
 * `offsets` has room for page_count entries, which may be zero_runs. *packet and *offsets are
 * written only on success. 0, or -1 with MULTIFD_ERROR_PROTOCOL or MULTIFD_ERROR_VERSION. What a
 * header without pages says of them is not handed on.
 */
int packet_decode(const uint8_t *bytes, size_t length, uint32_t page_count, enum packet_form form,
                  struct multifd_packet *packet, uint64_t *offsets, struct multifd_error *err);

#endif
