/* SPDX-License-Identifier: MIT */
/* SYNC in a message: alone or with pages, and of how many channels. */
#include "core/base/bytes.h"
#include "core/packet.h"
#include "test.h"

enum { PAGES = 8, LENGTH = 320 + 2 * 8, AT_FLAGS = 8, AT_SYNC_CHANNELS = 36 };

static const uint64_t normal[] = {0x3000, 0x1000};
static uint8_t bytes[LENGTH];

/* Returns its length. */
static uint32_t make(uint32_t flags, uint32_t pages, uint32_t sync_channels)
{
    const struct multifd_packet packet = {.magic = PACKET_MAGIC,
                                          .version = PACKET_VERSION,
                                          .flags = flags,
                                          .pages_alloc = PAGES,
                                          .normal_pages = pages,
                                          .next_packet_size = 99 * pages,
                                          .packet_num = 7,
                                          .sync_channels = sync_channels};

    return packet_encode(&packet, normal, NULL, bytes);
}

static void encode_is_byte_exact(void **state)
{
    static const uint8_t start[AT_SYNC_CHANNELS + 4] = {
        0x11,
        0x22,
        0x33,
        0x44,     /* magic */
        [7] = 1,  /* version */
        [11] = 1, /* flags */
        [15] = PAGES,
        [31] = 7, /* pages_alloc, packet_num */
        [AT_SYNC_CHANNELS + 2] = 1,
        0xff, /* sync_channels */
    };

    (void)state;
    memset(bytes, 0xee, sizeof(bytes));
    assert_int_equal(make(MULTIFD_FLAG_SYNC, 0, 0x1ff), 320);
    assert_memory_equal(bytes, start, sizeof(start));
    for (size_t i = sizeof(start); i < 320; i++) {
        assert_int_equal(bytes[i], 0);
    }
    assert_int_equal(bytes[320], 0xee);
}

static void alone_or_with_pages(void **state)
{
    static const uint32_t channels[] = {1, 255, UINT32_MAX};
    uint64_t offsets[PAGES];
    struct multifd_packet out;

    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(channels) * 3; i++) {
        struct multifd_error err = ERROR_UNTOUCHED;
        uint32_t flags = MULTIFD_FLAG_SYNC | (i % 3 != 0 ? MULTIFD_FLAG_ZLIB : 0);
        uint32_t length = make(flags, i % 3, channels[i / 3]);

        assert_int_equal(packet_decode(bytes, length, PAGES, PACKET_EXACT, &out, offsets, &err), 0);
        assert_untouched(&err);
        assert_int_equal(out.flags, flags);
        assert_int_equal(out.normal_pages, i % 3);
        assert_int_equal(out.sync_channels, channels[i / 3]);
    }
}

static void assert_refused(uint32_t length, enum packet_form form, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    uint64_t offsets[PAGES];
    struct multifd_packet out;

    assert_int_equal(
        packet_decode(bytes, length, form == PACKET_EXACT ? PAGES : 2, form, &out, offsets, &err),
        -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, part);
}

static void it_is_of_some_channels_and_nothing_else_is(void **state)
{
    (void)state;
    assert_refused(make(MULTIFD_FLAG_SYNC, 0, 0), PACKET_EXACT, "SYNC, and sync_channels 0");
    assert_refused(make(MULTIFD_FLAG_SYNC, 2, 0), PACKET_EXACT, "SYNC, and sync_channels 0");
    assert_refused(make(0, 2, 1), PACKET_EXACT, "no SYNC, but sync_channels 1");
    assert_refused(make(0, 2, 0x80000000), PACKET_EXACT, "no SYNC, but sync_channels 2147483648");
}

static void in_a_stream_those_bytes_are_reserved(void **state)
{
    (void)state;
    assert_refused(make(0, 2, 1), PACKET_STREAM, "reserved byte set, at 39");
    assert_refused(make(0, 2, 1), PACKET_QEMU, "reserved byte set, at 39");
    assert_refused(packet_pad(bytes, make(MULTIFD_FLAG_SYNC, 0, 0x01000000), 2), PACKET_STREAM,
                   "reserved byte set, at 36");
}

static void marking_changes_nothing_else(void **state)
{
    uint8_t before[LENGTH];

    (void)state;
    assert_int_equal(make(MULTIFD_FLAG_ZSTD, 2, 0), LENGTH);
    memcpy(before, bytes, LENGTH);
    packet_mark_sync(bytes, 0x10203);
    put_be32(before + AT_FLAGS, MULTIFD_FLAG_ZSTD | MULTIFD_FLAG_SYNC);
    put_be32(before + AT_SYNC_CHANNELS, 0x10203);
    assert_memory_equal(bytes, before, LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode_is_byte_exact),
        cmocka_unit_test(alone_or_with_pages),
        cmocka_unit_test(it_is_of_some_channels_and_nothing_else_is),
        cmocka_unit_test(in_a_stream_those_bytes_are_reserved),
        cmocka_unit_test(marking_changes_nothing_else),
    };

    return cmocka_run_group_tests_name("core/packet, SYNC", tests, NULL, NULL);
}
