/* SPDX-License-Identifier: MIT */
#include "core/bridge/header.h"

#include "core/base/bytes.h"
#include "core/base/error.h"

#include <string.h>

#define FLAG_DEVICE_STATE 0x40u
/* Of all methods that QEMU has had: zlib, zstd, qpl, uadk, qatzip. */
#define FLAGS_COMPRESSION 0x3eu
#define FLAGS_ALL         (MULTIFD_FLAG_SYNC | FLAGS_COMPRESSION | FLAG_DEVICE_STATE)

#define DEVICE_NAME    12u
#define DEVICE_PAYLOAD 272u
#define DEVICE_BYTES   276u

enum field {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_FLAGS = 8,
    AT_NORMAL_PAGES = 16,
    AT_NEXT_PACKET_SIZE = 20,
    AT_ZERO_PAGES = 32,
};

uint32_t bridge_header_length(const uint8_t *start, uint32_t page_count, struct multifd_error *err)
{
    uint32_t flags = get_be32(start + AT_FLAGS);

    if (get_be32(start + AT_MAGIC) != PACKET_MAGIC) {
        error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: wrong magic %#x",
                  get_be32(start + AT_MAGIC));
        return 0;
    }
    if (get_be32(start + AT_VERSION) != PACKET_VERSION || (flags & ~FLAGS_ALL) != 0) {
        error_set(err, MULTIFD_ERROR_VERSION,
                  "packet refused: version %u, flags %#x: a QEMU that is not known sends this",
                  get_be32(start + AT_VERSION), flags);
        return 0;
    }
    return (flags & FLAG_DEVICE_STATE) != 0 ? DEVICE_BYTES : packet_bytes(page_count);
}

static int decode_device_state(const uint8_t *bytes, struct bridge_header *header,
                               struct multifd_error *err)
{
    header->device_state = true;
    header->bytes = DEVICE_BYTES;
    header->payload = get_be32(bytes + DEVICE_PAYLOAD);
    if (header->sync || header->payload == 0 ||
        memchr(bytes + DEVICE_NAME, '\0', PACKET_NAME_BYTES) == NULL) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: device state of %u bytes, with SYNC or without a name",
                         header->payload);
    }
    return 0;
}

/* QEMU reads as many bytes as there are pages, or as are announced, without comparing the two. */
static int check_payload(const struct bridge_header *header, uint32_t page_count,
                         uint32_t page_size, struct multifd_error *err)
{
    uint32_t pages = header->packet.normal_pages * page_size;

    if (header->compressed ? header->payload == 0 ||
                                 header->payload > packet_payload_max(page_count, page_size, true)
                           : header->payload != pages) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: %u bytes for %u pages of %u bytes", header->payload,
                         header->packet.normal_pages, page_size);
    }
    return 0;
}

static int decode_pages(const uint8_t *bytes, uint32_t page_size, struct bridge_header *header,
                        struct multifd_error *err)
{
    uint32_t page_count = packet_page_count(page_size);
    uint32_t flags = get_be32(bytes + AT_FLAGS);
    uint8_t plain[BRIDGE_HEADER_MAX];

    header->bytes = packet_bytes(page_count);
    memcpy(plain, bytes, header->bytes);
    put_be32(plain + AT_FLAGS, flags & ~FLAGS_COMPRESSION);
    if (packet_decode(plain, header->bytes, page_count, PACKET_QEMU, &header->packet,
                      header->offsets, err) != 0) {
        return -1;
    }
    if (header->packet.normal_pages == 0) {
        return 0; /* whatever next_packet_size says: it may be of another packet */
    }
    header->compressed = (flags & FLAGS_COMPRESSION) != 0;
    header->payload = header->packet.next_packet_size;
    return check_payload(header, page_count, page_size, err);
}

int bridge_header_decode(const uint8_t *bytes, uint32_t page_size, struct bridge_header *header,
                         struct multifd_error *err)
{
    uint32_t flags = get_be32(bytes + AT_FLAGS);

    header->sync = (flags & MULTIFD_FLAG_SYNC) != 0;
    header->payload = 0;
    header->compressed = false;
    header->device_state = false;
    if (bridge_header_length(bytes, packet_page_count(page_size), err) == 0) {
        return -1;
    }
    return (flags & FLAG_DEVICE_STATE) != 0 ? decode_device_state(bytes, header, err)
                                            : decode_pages(bytes, page_size, header, err);
}

void bridge_header_strip(uint8_t *bytes)
{
    put_be32(bytes + AT_FLAGS, get_be32(bytes + AT_FLAGS) & MULTIFD_FLAG_SYNC);
    put_be32(bytes + AT_NORMAL_PAGES, 0);
    put_be32(bytes + AT_NEXT_PACKET_SIZE, 0);
    put_be32(bytes + AT_ZERO_PAGES, 0);
}

uint32_t bridge_header_empty(uint32_t flags, uint32_t page_count, uint8_t *out)
{
    const struct multifd_packet packet = {.magic = PACKET_MAGIC,
                                          .version = PACKET_VERSION,
                                          .flags = flags,
                                          .pages_alloc = page_count};

    return packet_pad(out, packet_encode(&packet, NULL, NULL, out), page_count);
}
