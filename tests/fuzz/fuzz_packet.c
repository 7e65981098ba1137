/* SPDX-License-Identifier: MIT */
/*
 * Input: one byte that chooses the page size and the form of the header, then a packet. The wire
 * form of a header is unique, so what is accepted must be encoded to the same bytes again; but for
 * QEMU's.
 */
#include "fuzz.h"

#include "core/packet.h"

static void check_refused(const struct multifd_packet *packet, const uint64_t *offsets,
                          uint32_t page_count, const struct multifd_error *err)
{
    struct multifd_packet untouched;

    memset(&untouched, 0x5a, sizeof(untouched));
    FUZZ_CHECK(fuzz_same_bytes(packet, &untouched, sizeof(untouched)));
    for (uint32_t i = 0; i < page_count; i++) {
        FUZZ_CHECK(offsets[i] == UINT64_C(0x5a5a5a5a5a5a5a5a));
    }
    fuzz_check_refusal(err);
    FUZZ_CHECK(err->code == MULTIFD_ERROR_PROTOCOL || err->code == MULTIFD_ERROR_VERSION);
}

static void check_same(const struct multifd_packet *packet, const uint64_t *offsets,
                       uint32_t page_count, enum packet_form form, const uint8_t *bytes,
                       size_t length)
{
    uint8_t *again = malloc(packet_bytes(page_count));
    uint32_t encoded;

    FUZZ_CHECK(again != NULL);
    encoded = packet_encode(packet, offsets, offsets + packet->normal_pages, again);
    if (form == PACKET_STREAM) {
        encoded = packet_pad(again, encoded, page_count);
    }
    FUZZ_CHECK(encoded == length);
    FUZZ_CHECK(memcmp(again, bytes, length) == 0);
    free(again);
}

static void check_accepted(const struct multifd_packet *packet, uint32_t page_count,
                           enum packet_form form, size_t length)
{
    uint32_t zero = packet->zero_runs != 0 ? packet->zero_runs : packet->zero_pages;
    uint32_t entries = packet->normal_pages + zero;

    FUZZ_CHECK(packet->normal_pages <= page_count && zero <= page_count);
    FUZZ_CHECK(entries <= packet->pages_alloc && packet->pages_alloc <= page_count);
    FUZZ_CHECK((packet->zero_runs != 0) ==
               (form == PACKET_EXACT && packet->zero_pages != 0 && packet->normal_pages == 0));
    FUZZ_CHECK((packet->flags & ~PACKET_FLAGS_KNOWN) == 0);
    FUZZ_CHECK(memchr(packet->ramblock, '\0', sizeof(packet->ramblock)) != NULL);
    FUZZ_CHECK(length == packet_bytes(form == PACKET_EXACT ? entries : page_count));
    FUZZ_CHECK(packet->normal_pages != 0 || packet->next_packet_size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct multifd_packet packet;
    struct multifd_error err;
    enum packet_form form;
    uint32_t page_count;
    uint64_t *offsets;

    if (size == 0) {
        return 0;
    }
    page_count = packet_page_count(1024u << (data[0] % 21));
    form = (enum packet_form)(data[0] / 21 % 3);
    FUZZ_CHECK(page_count >= 1 && page_count <= 512);
    offsets = malloc(page_count * sizeof(*offsets));
    FUZZ_CHECK(offsets != NULL);
    memset(offsets, 0x5a, page_count * sizeof(*offsets));
    memset(&packet, 0x5a, sizeof(packet));
    fuzz_error_poison(&err);
    if (packet_decode(data + 1, size - 1, page_count, form, &packet, offsets, &err) == 0) {
        check_accepted(&packet, page_count, form, size - 1);
        if (form != PACKET_QEMU) {
            check_same(&packet, offsets, page_count, form, data + 1, size - 1);
        }
    } else {
        check_refused(&packet, offsets, page_count, &err);
    }
    free(offsets);
    return 0;
}
