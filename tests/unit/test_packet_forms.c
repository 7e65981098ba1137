/* SPDX-License-Identifier: MIT */
/* Headers as they stand in a byte stream: multifd's, and QEMU's, which says less. */
#include "core/base/bytes.h"
#include "core/packet.h"
#include "test.h"

#define PAGES  128u
#define LENGTH (320u + 8 * PAGES)

enum { AT_MAGIC = 0, AT_VERSION = 4, AT_FLAGS = 8, AT_ALLOC = 12, AT_NORMAL = 16, AT_SIZE = 20 };
enum { AT_ZERO = 32, AT_RESERVED = 36, AT_NAME = 64 };

static const uint64_t normal[] = {0x3000, 0x1000};
static const uint64_t zero[] = {0x7000};
static uint8_t bytes[LENGTH + 8];

/* Two pages and a zero page; a SYNC without any. */
static void make_pages(void)
{
    const struct multifd_packet packet = {.magic = PACKET_MAGIC,
                                          .version = PACKET_VERSION,
                                          .flags = MULTIFD_FLAG_ZLIB,
                                          .pages_alloc = PAGES,
                                          .normal_pages = 2,
                                          .next_packet_size = 99,
                                          .packet_num = 7,
                                          .zero_pages = 1,
                                          .ramblock = "pc.ram"};

    memset(bytes, 0xee, sizeof(bytes));
    assert_int_equal(packet_pad(bytes, packet_encode(&packet, normal, zero, bytes), PAGES), LENGTH);
    assert_int_equal(bytes[LENGTH], 0xee);
}

static void make_sync(void)
{
    const struct multifd_packet packet = {.magic = PACKET_MAGIC,
                                          .version = PACKET_VERSION,
                                          .flags = MULTIFD_FLAG_SYNC,
                                          .pages_alloc = PAGES,
                                          .packet_num = 8};

    packet_pad(bytes, packet_encode(&packet, NULL, NULL, bytes), PAGES);
}

static struct multifd_packet accept(enum packet_form form)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct multifd_packet packet;
    uint64_t offsets[PAGES];

    assert_int_equal(packet_decode(bytes, LENGTH, PAGES, form, &packet, offsets, &err), 0);
    assert_untouched(&err);
    if (packet.normal_pages == 2) {
        assert_memory_equal(offsets, normal, sizeof(normal));
    }
    if (packet.zero_pages == 1) {
        assert_int_equal(offsets[packet.normal_pages], zero[0]);
    }
    return packet;
}

static void assert_refused_as(enum packet_form form, size_t length, enum multifd_error_code code,
                              const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct multifd_packet packet = {.flags = 77};
    uint64_t offsets[PAGES] = {77};

    assert_int_equal(packet_decode(bytes, length, PAGES, form, &packet, offsets, &err), -1);
    assert_error(&err, code, part);
    assert_int_equal(packet.flags, 77);
    assert_int_equal(offsets[0], 77);
}

static void assert_refused(enum packet_form form, const char *part)
{
    assert_refused_as(form, LENGTH, MULTIFD_ERROR_PROTOCOL, part);
}

static void padding_is_zero(void **state)
{
    (void)state;
    make_pages();
    for (size_t at = 320 + 8 * 3; at < LENGTH; at++) {
        assert_int_equal(bytes[at], 0);
    }
    assert_int_equal(get_be64(bytes + 320 + 16), zero[0]);
    memset(bytes, 0xee, sizeof(bytes));
    assert_int_equal(packet_pad(bytes, LENGTH, PAGES), LENGTH); /* nothing to do */
    assert_int_equal(bytes[LENGTH - 1], 0xee);
    assert_int_equal(packet_pad(bytes, 320, 1), 328);
    assert_int_equal(bytes[319], 0xee);
    assert_int_equal(bytes[328], 0xee);
}

static void payloads(void **state)
{
    (void)state;
    assert_int_equal(packet_payload_max(128, 4096, false), MULTIFD_PACKET_SIZE);
    assert_int_equal(packet_payload_max(128, 4096, true), 1 << 20); /* QEMU's buffer */
    assert_int_equal(packet_payload_max(1, 1u << 30, true), 1u << 31);
}

static void both_forms_read_every_field(void **state)
{
    (void)state;
    for (int form = PACKET_STREAM; form <= PACKET_QEMU; form++) {
        struct multifd_packet packet;

        make_pages();
        packet = accept((enum packet_form)form);
        assert_int_equal(packet.flags, MULTIFD_FLAG_ZLIB);
        assert_int_equal(packet.pages_alloc, PAGES);
        assert_int_equal(packet.normal_pages, 2);
        assert_int_equal(packet.zero_pages, 1);
        assert_int_equal(packet.next_packet_size, 99);
        assert_int_equal(packet.packet_num, 7);
        assert_string_equal(packet.ramblock, "pc.ram");
        make_sync();
        packet = accept((enum packet_form)form);
        assert_int_equal(packet.flags, MULTIFD_FLAG_SYNC);
        assert_int_equal(packet.normal_pages + packet.zero_pages, 0);
    }
}

/* A byte stream's header has one length, whatever is in it. */
static void other_lengths(void **state)
{
    static const size_t lengths[] = {320 + 24, LENGTH - 8, LENGTH - 1, LENGTH + 8};

    (void)state;
    for (int form = PACKET_STREAM; form <= PACKET_QEMU; form++) {
        for (size_t i = 0; i < COUNT_OF(lengths); i++) {
            make_pages();
            assert_refused_as((enum packet_form)form, lengths[i], MULTIFD_ERROR_PROTOCOL,
                              "length does not fit");
        }
        assert_refused_as((enum packet_form)form, 319, MULTIFD_ERROR_PROTOCOL, "truncated");
    }
    make_pages();
    assert_refused(PACKET_EXACT, "length does not fit"); /* not even where messages have one */
}

static void what_is_not_in_use_is_zero_but_for_qemu(void **state)
{
    (void)state;
    for (size_t at = 320 + 24; at < LENGTH; at++) {
        make_pages();
        bytes[at] = 1;
        assert_refused(PACKET_STREAM, "an offset behind the last one, at");
        accept(PACKET_QEMU);
    }
    make_sync();
    bytes[320] = 1;
    assert_refused(PACKET_STREAM, "at 320");
    accept(PACKET_QEMU);
}

/* QEMU 7.2 fills one header again and again. */
static void stale_fields(void **state)
{
    struct multifd_packet packet;

    (void)state;
    make_pages();
    put_be32(bytes + AT_FLAGS, MULTIFD_FLAG_SYNC | MULTIFD_FLAG_ZLIB);
    put_be32(bytes + AT_NORMAL, 0);
    put_be32(bytes + AT_ZERO, 0);
    put_be32(bytes + AT_SIZE, 118983);
    packet = accept(PACKET_QEMU);
    assert_int_equal(packet.next_packet_size, 0); /* no payload follows */
    assert_int_equal(packet.flags, MULTIFD_FLAG_SYNC);
    assert_int_equal(packet.normal_pages, 0);
    put_be32(bytes + AT_SIZE, UINT32_MAX);
    assert_int_equal(accept(PACKET_QEMU).next_packet_size, 0);
    memset(bytes + 320, 0, LENGTH - 320);
    assert_refused(PACKET_STREAM, "a payload without pages");
    put_be32(bytes + AT_SIZE, 0);
    assert_refused(PACKET_STREAM, "a method without pages");
}

static void zero_pages_beside_a_stale_size(void **state)
{
    struct multifd_packet packet;

    (void)state;
    make_pages();
    put_be32(bytes + AT_NORMAL, 0);
    put_be64(bytes + 320, zero[0]);
    packet = accept(PACKET_QEMU);
    assert_int_equal(packet.next_packet_size, 0);
    assert_int_equal(packet.zero_pages, 1);
}

static void sync_with_pages_and_then_neither(void **state)
{
    struct multifd_packet packet;

    (void)state;
    make_pages();
    put_be32(bytes + AT_FLAGS, MULTIFD_FLAG_SYNC | MULTIFD_FLAG_ZLIB);
    packet = accept(PACKET_QEMU);
    assert_int_equal(packet.flags, MULTIFD_FLAG_SYNC | MULTIFD_FLAG_ZLIB);
    assert_int_equal(packet.normal_pages, 2);
    assert_refused(PACKET_STREAM, "SYNC with pages");
    make_sync();
    put_be32(bytes + AT_FLAGS, 0);
    assert_int_equal(accept(PACKET_QEMU).flags, 0);
    assert_refused(PACKET_STREAM, "neither pages nor SYNC");
}

/* Whoever sends it. */
static void what_nobody_may_send(void **state)
{
    static const struct {
        size_t at;
        uint32_t value;
        const char *part;
    } fields[] = {
        {AT_MAGIC, 0x11223345, "wrong magic"},
        {AT_FLAGS, 1u << 4, "unknown flags"},
        {AT_FLAGS, 1u << 6, "unknown flags"}, /* device state */
        {AT_FLAGS, 1u << 31, "unknown flags"},
        {AT_ALLOC, PAGES + 1, "pages_alloc"},
        {AT_ALLOC, 1, "more normal_pages than pages_alloc"},
        {AT_NORMAL, PAGES + 1, "more normal_pages"},
        {AT_NORMAL, UINT32_MAX, "more normal_pages"},
        {AT_ZERO, PAGES - 1, "more zero_pages than"},
        {AT_ZERO, UINT32_MAX, "more zero_pages than"},
        {AT_RESERVED, 1, "reserved byte"},
        {AT_NAME - 4, 1u << 24, "reserved byte"},
        {AT_NAME + 252, 0x61616161, "bytes behind the end of ramblock"},
    };

    (void)state;
    for (int form = PACKET_STREAM; form <= PACKET_QEMU; form++) {
        for (size_t i = 0; i < COUNT_OF(fields); i++) {
            make_pages();
            put_be32(bytes + fields[i].at, fields[i].value);
            assert_refused((enum packet_form)form, fields[i].part);
        }
        make_pages();
        put_be32(bytes + AT_VERSION, 2);
        assert_refused_as((enum packet_form)form, LENGTH, MULTIFD_ERROR_VERSION, "version 2");
        make_pages();
        memset(bytes + AT_NAME, 'n', PACKET_NAME_BYTES);
        assert_refused((enum packet_form)form, "ramblock without end");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padding_is_zero),
        cmocka_unit_test(payloads),
        cmocka_unit_test(both_forms_read_every_field),
        cmocka_unit_test(other_lengths),
        cmocka_unit_test(what_is_not_in_use_is_zero_but_for_qemu),
        cmocka_unit_test(stale_fields),
        cmocka_unit_test(zero_pages_beside_a_stale_size),
        cmocka_unit_test(sync_with_pages_and_then_neither),
        cmocka_unit_test(what_nobody_may_send),
    };

    return cmocka_run_group_tests_name("core/packet, in a stream", tests, NULL, NULL);
}
