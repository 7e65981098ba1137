/* SPDX-License-Identifier: MIT */
/* Input: a byte that chooses the page size, 1K << byte % 21, then a header of one of QEMU's
 * channels. */
#include "fuzz.h"

#include "core/bridge/header.h"

#define LEAST_SHIFT 10u
#define SHIFTS      21u

static void check_header(const struct bridge_header *header, uint32_t page_count,
                         uint32_t page_size)
{
    const struct multifd_packet *packet = &header->packet;

    if (header->device_state) {
        FUZZ_CHECK(header->payload != 0 && !header->sync);
        return;
    }
    FUZZ_CHECK((uint64_t)packet->normal_pages + packet->zero_pages <= page_count);
    FUZZ_CHECK(memchr(packet->ramblock, '\0', sizeof(packet->ramblock)) != NULL);
    if (packet->normal_pages == 0) {
        FUZZ_CHECK(header->payload == 0 && !header->compressed);
    } else if (header->compressed) {
        FUZZ_CHECK(header->payload != 0);
        FUZZ_CHECK(header->payload <= packet_payload_max(page_count, page_size, true));
    } else {
        FUZZ_CHECK(header->payload == (uint64_t)packet->normal_pages * page_size);
    }
}

/* Without its pages it is a header that is followed by nothing, and ends a round as before. */
static void check_stripped(uint8_t *bytes, uint32_t page_size, bool sync)
{
    static struct bridge_header header;
    struct multifd_error err;

    bridge_header_strip(bytes);
    FUZZ_CHECK(bridge_header_decode(bytes, page_size, &header, &err) == 0);
    FUZZ_CHECK(!header.device_state && header.payload == 0 && header.sync == sync);
    FUZZ_CHECK(header.packet.normal_pages == 0 && header.packet.zero_pages == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bridge_header header;
    uint8_t bytes[BRIDGE_HEADER_MAX];
    struct multifd_error err;
    uint32_t page_size;
    uint32_t page_count;
    uint32_t length;

    if (size < 1 + BRIDGE_HEADER_START || size - 1 > sizeof(bytes)) {
        return 0;
    }
    page_size = UINT32_C(1) << (LEAST_SHIFT + data[0] % SHIFTS);
    page_count = packet_page_count(page_size);
    memcpy(bytes, data + 1, size - 1);
    fuzz_error_poison(&err);
    length = bridge_header_length(bytes, page_count, &err);
    if (length == 0) {
        fuzz_check_refusal(&err);
        return 0;
    }
    FUZZ_CHECK(length <= BRIDGE_HEADER_MAX);
    if (length > size - 1) {
        return 0;
    }
    if (bridge_header_decode(bytes, page_size, &header, &err) != 0) {
        fuzz_check_refusal(&err);
        return 0;
    }
    FUZZ_CHECK(header.bytes == length);
    check_header(&header, page_count, page_size);
    if (!header.device_state) {
        check_stripped(bytes, page_size, header.sync);
    }
    return 0;
}
