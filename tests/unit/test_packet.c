/* SPDX-License-Identifier: MIT */
#include "core/base/error.h"
#include "core/packet.h"
#include "test.h"

#define PAGES 128u /* of 4 KiB */

static const uint64_t normal[] = {0x1000, 0x0102030405060000};
static const uint64_t zero[] = {0x7000};

/* The bytes of a packet with those offsets, each put down by hand. */
static const uint8_t fixed_start[] = {
    0x11, 0x22, 0x33, 0x44,             /* magic */
    0x00, 0x00, 0x00, 0x01,             /* version */
    0x00, 0x00, 0x00, 0x02,             /* flags: ZLIB */
    0x00, 0x00, 0x00, 0x80,             /* pages_alloc */
    0x00, 0x00, 0x00, 0x02,             /* normal_pages */
    0x00, 0x01, 0xd0, 0xc7,             /* next_packet_size */
    0xf1, 0x02, 0x03, 0x04, 0x05, 0x06, /* packet_num */
    0x07, 0x08,                         /* */
    0x00, 0x00, 0x00, 0x01,             /* zero_pages */
};
static const uint8_t name_start[] = {'p', 'c', '.', 'r', 'a', 'm', 0};
static const uint8_t offset_bytes[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, /* normal */
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x00, 0x00, /* normal */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x70, 0x00, /* zero */
};

#define EXAMPLE_BYTES (320 + sizeof(offset_bytes))

/* Three pages, in a buffer that takes far more, so that tests can stretch it. */
struct example {
    uint8_t bytes[320 + 8 * (PAGES + 8)];
    size_t length;
};

static struct example example(void)
{
    struct example made = {.length = EXAMPLE_BYTES};

    memcpy(made.bytes, fixed_start, sizeof(fixed_start));
    memcpy(made.bytes + 64, name_start, sizeof(name_start));
    memcpy(made.bytes + 320, offset_bytes, sizeof(offset_bytes));
    return made;
}

static struct multifd_packet example_packet(void)
{
    return (struct multifd_packet){.magic = 0x11223344,
                                   .version = 1,
                                   .flags = MULTIFD_FLAG_ZLIB,
                                   .pages_alloc = PAGES,
                                   .normal_pages = 2,
                                   .next_packet_size = 0x1d0c7,
                                   .packet_num = UINT64_C(0xf102030405060708),
                                   .zero_pages = 1,
                                   .ramblock = "pc.ram"};
}

static void put(struct example *to, size_t at, uint32_t value)
{
    to->bytes[at] = (uint8_t)(value >> 24);
    to->bytes[at + 1] = (uint8_t)(value >> 16);
    to->bytes[at + 2] = (uint8_t)(value >> 8);
    to->bytes[at + 3] = (uint8_t)value;
}

/* Refused with that code and text, and nothing written. */
static void assert_refused(const struct example *packet, enum multifd_error_code code,
                           const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct multifd_packet out;
    struct multifd_packet before;
    uint64_t offsets[PAGES];
    uint64_t offsets_before[PAGES];

    memset(&out, 0x5a, sizeof(out));
    memset(offsets, 0x5a, sizeof(offsets));
    before = out;
    memcpy(offsets_before, offsets, sizeof(offsets));
    assert_int_equal(
        packet_decode(packet->bytes, packet->length, PAGES, PACKET_EXACT, &out, offsets, &err), -1);
    assert_error(&err, code, part);
    assert_memory_equal(&out, &before, sizeof(out));
    assert_memory_equal(offsets, offsets_before, sizeof(offsets));
}

static void assert_accepted(const struct example *packet, struct multifd_packet *out,
                            uint64_t *offsets)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(
        packet_decode(packet->bytes, packet->length, PAGES, PACKET_EXACT, out, offsets, &err), 0);
    assert_untouched(&err);
}

static void page_counts(void **state)
{
    (void)state;
    assert_int_equal(packet_page_count(512), 1024);
    assert_int_equal(packet_page_count(4096), 128);
    assert_int_equal(packet_page_count(8192), 64);
    assert_int_equal(packet_page_count(16384), 32);
    assert_int_equal(packet_page_count(512 * 1024), 1);
    assert_int_equal(packet_page_count(1024 * 1024), 1);
    assert_int_equal(packet_page_count(1024 * 1024 * 1024), 1);
}

static void header_bytes(void **state)
{
    (void)state;
    assert_int_equal(packet_bytes(0), 320);
    assert_int_equal(packet_bytes(3), 344);
    assert_int_equal(packet_bytes(128), 1344);
}

static void encode_is_byte_exact(void **state)
{
    const struct example expected = example();
    const struct multifd_packet packet = example_packet();
    uint8_t out[EXAMPLE_BYTES + 8];

    (void)state;
    memset(out, 0xaa, sizeof(out));
    assert_int_equal(packet_encode(&packet, normal, zero, out), EXAMPLE_BYTES);
    assert_memory_equal(out, expected.bytes, EXAMPLE_BYTES);
    for (size_t i = EXAMPLE_BYTES; i < sizeof(out); i++) {
        assert_int_equal(out[i], 0xaa);
    }
}

static void encode_clears_what_stands_behind_the_name(void **state)
{
    struct multifd_packet packet = example_packet();
    const struct example expected = example();
    uint8_t out[EXAMPLE_BYTES];

    (void)state;
    memset(packet.ramblock + 7, 'x', sizeof(packet.ramblock) - 8);
    packet_encode(&packet, normal, zero, out);
    assert_memory_equal(out, expected.bytes, EXAMPLE_BYTES);
}

static void encode_always_ends_the_name(void **state)
{
    struct multifd_packet packet = example_packet();
    uint8_t out[EXAMPLE_BYTES];

    (void)state;
    memset(packet.ramblock, 'n', sizeof(packet.ramblock));
    packet_encode(&packet, normal, zero, out);
    assert_int_equal(out[64 + 254], 'n');
    assert_int_equal(out[64 + 255], 0);
}

static void decode_reads_every_field(void **state)
{
    const struct example packet = example();
    struct multifd_packet out;
    uint64_t offsets[PAGES];

    (void)state;
    memset(offsets, 0xee, sizeof(offsets));
    assert_accepted(&packet, &out, offsets);
    assert_int_equal(out.magic, 0x11223344);
    assert_int_equal(out.version, 1);
    assert_int_equal(out.flags, MULTIFD_FLAG_ZLIB);
    assert_int_equal(out.pages_alloc, 128);
    assert_int_equal(out.normal_pages, 2);
    assert_int_equal(out.next_packet_size, 0x1d0c7);
    assert_int_equal(out.packet_num, UINT64_C(0xf102030405060708));
    assert_int_equal(out.zero_pages, 1);
    assert_string_equal(out.ramblock, "pc.ram");
    assert_int_equal(offsets[0], normal[0]);
    assert_int_equal(offsets[1], normal[1]);
    assert_int_equal(offsets[2], zero[0]);
    assert_int_equal(offsets[3], UINT64_C(0xeeeeeeeeeeeeeeee));
}

static void round_trip_of_a_full_packet(void **state)
{
    struct multifd_packet packet = example_packet();
    struct multifd_packet out;
    struct example wire = {.length = 0};
    uint8_t again[sizeof(wire.bytes)];
    uint64_t sent[PAGES];
    uint64_t offsets[PAGES];

    (void)state;
    for (uint32_t i = 0; i < PAGES; i++) {
        sent[i] = (PAGES - i) * UINT64_C(0x100001000);
    }
    packet.normal_pages = 100;
    packet.zero_pages = 28;
    memset(packet.ramblock, 'n', 255);
    wire.length = packet_encode(&packet, sent, sent + 100, wire.bytes);
    assert_int_equal(wire.length, 1344);
    assert_accepted(&wire, &out, offsets);
    assert_memory_equal(offsets, sent, sizeof(sent));
    assert_string_equal(out.ramblock, packet.ramblock);
    assert_int_equal(packet_encode(&out, offsets, offsets + 100, again), wire.length);
    assert_memory_equal(again, wire.bytes, wire.length);
}

static void decode_accepts_zero_pages_alone(void **state)
{
    struct example packet = example();
    struct multifd_packet out;
    uint64_t offsets[PAGES];

    (void)state;
    put(&packet, 8, 0);
    put(&packet, 16, 0);
    put(&packet, 20, 0);
    put(&packet, 32, 200);
    put(&packet, 40, 3);
    assert_accepted(&packet, &out, offsets);
    assert_int_equal(out.zero_pages, 200);
    assert_int_equal(out.zero_runs, 3);
    assert_int_equal(offsets[2], 0x7000);
}

static void decode_refuses_runs_that_are_not_alone(void **state)
{
    struct example packet = example();

    (void)state;
    put(&packet, 40, 1);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "zero_runs 1");
    put(&packet, 40, PAGES - 1);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "more zero_pages than");
    packet = example();
    put(&packet, 16, 0);
    put(&packet, 20, 0);
    put(&packet, 32, 3);
    put(&packet, 8, 0);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "zero pages alone, and zero_runs 0");
    put(&packet, 40, 2);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "length does not fit");
    put(&packet, 40, PAGES + 1);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "more zero_pages than");
}

static void round_trip_of_runs(void **state)
{
    struct multifd_packet packet = example_packet();
    const uint64_t runs[] = {0x5003, 0x1000, 0xf000fff};
    struct example wire = {.length = 0};
    struct multifd_packet out;
    uint64_t offsets[PAGES];

    (void)state;
    packet.flags = 0;
    packet.normal_pages = 0;
    packet.next_packet_size = 0;
    packet.zero_pages = 4101;
    packet.zero_runs = 3;
    wire.length = packet_encode(&packet, NULL, runs, wire.bytes);
    assert_int_equal(wire.length, 344);
    assert_int_equal(wire.bytes[43], 3);
    assert_accepted(&wire, &out, offsets);
    assert_memory_equal(offsets, runs, sizeof(runs));
    assert_int_equal(out.zero_runs, 3);
    assert_int_equal(out.zero_pages, 4101);
}

static void decode_refuses_every_truncation(void **state)
{
    struct example packet = example();

    (void)state;
    for (packet.length = 0; packet.length < 320; packet.length++) {
        /* Behind the end is what would be valid, so only the length can tell. */
        assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "truncated");
    }
    for (; packet.length < EXAMPLE_BYTES; packet.length++) {
        assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "length");
    }
}

static void decode_refuses_bytes_too_many(void **state)
{
    struct example packet = example();

    (void)state;
    packet.length = EXAMPLE_BYTES + 1;
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "length");
    packet.length = EXAMPLE_BYTES + 8;
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "length");
    packet.length = sizeof(packet.bytes);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "length");
}

static void decode_refuses_another_magic(void **state)
{
    struct example packet = example();

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        packet = example();
        packet.bytes[i] ^= 1;
        assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "magic");
    }
}

static void decode_refuses_another_version(void **state)
{
    struct example packet = example();

    (void)state;
    put(&packet, 4, 2);
    assert_refused(&packet, MULTIFD_ERROR_VERSION, "version 2");
    put(&packet, 4, 0);
    assert_refused(&packet, MULTIFD_ERROR_VERSION, "version 0");
    put(&packet, 4, 0x01000001);
    assert_refused(&packet, MULTIFD_ERROR_VERSION, "version");
}

static void decode_refuses_unknown_flags(void **state)
{
    (void)state;
    for (unsigned bit = 4; bit < 32; bit++) {
        struct example packet = example();

        put(&packet, 8, MULTIFD_FLAG_ZLIB | 1u << bit);
        assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "flags");
    }
}

static void decode_refuses_reserved_bytes(void **state)
{
    (void)state;
    for (size_t i = 44; i < 64; i++) {
        struct example packet = example();

        packet.bytes[i] = 1;
        assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "reserved");
    }
}

static void decode_refuses_more_pages_than_a_packet_holds(void **state)
{
    struct example packet = example();

    (void)state;
    put(&packet, 12, PAGES + 1);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "pages_alloc");
    put(&packet, 12, UINT32_MAX);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "pages_alloc");
    /* Consistent in itself, but more than the receiver has room for. */
    put(&packet, 12, PAGES + 8);
    put(&packet, 16, PAGES + 8);
    put(&packet, 32, 0);
    packet.length = 320 + 8 * (PAGES + 8);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "pages_alloc");
}

static void decode_refuses_more_normal_pages_than_allocated(void **state)
{
    struct example packet = example();

    (void)state;
    put(&packet, 12, 1);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "normal_pages");
    put(&packet, 12, PAGES);
    put(&packet, 16, UINT32_MAX);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "normal_pages");
}

static void decode_refuses_more_zero_pages_than_left(void **state)
{
    struct example packet = example();

    (void)state;
    put(&packet, 12, 2);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "zero_pages");
    put(&packet, 12, PAGES);
    /* With normal_pages the sum would wrap to 1. */
    put(&packet, 32, UINT32_MAX);
    packet.length = 320 + 8;
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "zero_pages");
}

static void decode_refuses_counts_that_do_not_fit_the_length(void **state)
{
    struct example packet = example();

    (void)state;
    put(&packet, 16, 3);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "length");
    put(&packet, 16, 1);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "length");
}

static void decode_refuses_a_packet_for_nothing(void **state)
{
    struct example packet = example();

    (void)state;
    put(&packet, 8, 0);
    put(&packet, 16, 0);
    put(&packet, 20, 0);
    put(&packet, 32, 0);
    packet.length = 320;
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "neither");
}

static void decode_refuses_a_payload_without_pages(void **state)
{
    struct example packet = example();

    (void)state;
    put(&packet, 8, 0);
    put(&packet, 16, 0);
    put(&packet, 20, 4096);
    put(&packet, 32, 3);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "payload");
    put(&packet, 8, MULTIFD_FLAG_SYNC);
    put(&packet, 32, 0);
    put(&packet, 36, 1);
    packet.length = 320;
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "payload");
}

static void decode_refuses_a_method_without_pages(void **state)
{
    struct example packet = example();

    (void)state;
    put(&packet, 8, MULTIFD_FLAG_ZSTD);
    put(&packet, 16, 0);
    put(&packet, 20, 0);
    put(&packet, 32, 3);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "method");
    put(&packet, 8, MULTIFD_FLAG_SYNC | MULTIFD_FLAG_ZLIB);
    put(&packet, 32, 0);
    packet.length = 320;
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "method");
}

static void decode_refuses_a_name_without_end(void **state)
{
    struct example packet = example();

    (void)state;
    memset(packet.bytes + 64, 'n', 256);
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "ramblock");
}

static void decode_refuses_bytes_behind_the_name(void **state)
{
    struct example packet = example();

    (void)state;
    packet.bytes[64 + 7] = 'x';
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "ramblock");
    packet = example();
    packet.bytes[64 + 255] = 'x';
    assert_refused(&packet, MULTIFD_ERROR_PROTOCOL, "ramblock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_counts),
        cmocka_unit_test(header_bytes),
        cmocka_unit_test(encode_is_byte_exact),
        cmocka_unit_test(encode_clears_what_stands_behind_the_name),
        cmocka_unit_test(encode_always_ends_the_name),
        cmocka_unit_test(decode_reads_every_field),
        cmocka_unit_test(round_trip_of_a_full_packet),
        cmocka_unit_test(decode_accepts_zero_pages_alone),
        cmocka_unit_test(decode_refuses_runs_that_are_not_alone),
        cmocka_unit_test(round_trip_of_runs),
        cmocka_unit_test(decode_refuses_every_truncation),
        cmocka_unit_test(decode_refuses_bytes_too_many),
        cmocka_unit_test(decode_refuses_another_magic),
        cmocka_unit_test(decode_refuses_another_version),
        cmocka_unit_test(decode_refuses_unknown_flags),
        cmocka_unit_test(decode_refuses_reserved_bytes),
        cmocka_unit_test(decode_refuses_more_pages_than_a_packet_holds),
        cmocka_unit_test(decode_refuses_more_normal_pages_than_allocated),
        cmocka_unit_test(decode_refuses_more_zero_pages_than_left),
        cmocka_unit_test(decode_refuses_counts_that_do_not_fit_the_length),
        cmocka_unit_test(decode_refuses_a_packet_for_nothing),
        cmocka_unit_test(decode_refuses_a_payload_without_pages),
        cmocka_unit_test(decode_refuses_a_method_without_pages),
        cmocka_unit_test(decode_refuses_a_name_without_end),
        cmocka_unit_test(decode_refuses_bytes_behind_the_name),
    };

    return cmocka_run_group_tests_name("core/packet", tests, NULL, NULL);
}
