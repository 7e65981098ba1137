/* SPDX-License-Identifier: MIT */
#include "core/bridge/header.h"

#include "core/base/bytes.h"
#include "test.h"

#define PAGE  4096u
#define COUNT 128u
#define BYTES 1344u

static uint8_t bytes[BRIDGE_HEADER_MAX];
static struct bridge_header header;

/* A packet of two pages and one that is zero. */
static void compose(uint32_t flags, uint32_t normal, uint32_t payload, uint32_t zeros)
{
    memset(bytes, 0, sizeof(bytes));
    put_be32(bytes, 0x11223344);
    put_be32(bytes + 4, 1);
    put_be32(bytes + 8, flags);
    put_be32(bytes + 12, COUNT);
    put_be32(bytes + 16, normal);
    put_be32(bytes + 20, payload);
    put_be64(bytes + 24, 77);
    put_be32(bytes + 32, zeros);
    strcpy((char *)bytes + 64, "pc.ram");
    for (uint32_t i = 0; i < COUNT; i++) {
        put_be64(bytes + 320 + 8 * (size_t)i, 4096 * (uint64_t)i);
    }
}

static void assert_taken(void)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    if (bridge_header_decode(bytes, PAGE, &header, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_untouched(&err);
}

static void assert_refused(enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(bridge_header_decode(bytes, PAGE, &header, &err), -1);
    assert_error(&err, code, part);
}

static void pages_are_told(void **state)
{
    (void)state;
    compose(0, 2, 2 * PAGE, 1);
    assert_taken();
    assert_int_equal(header.bytes, BYTES);
    assert_int_equal(header.payload, 2 * PAGE);
    assert_false(header.sync || header.compressed || header.device_state);
    assert_int_equal(header.packet.normal_pages, 2);
    assert_int_equal(header.packet.zero_pages, 1);
    assert_string_equal(header.packet.ramblock, "pc.ram");
    assert_int_equal(header.offsets[2], 2 * PAGE);
}

static void sync_rides_on_pages(void **state)
{
    (void)state;
    compose(1, 1, PAGE, 0);
    assert_taken();
    assert_true(header.sync);
    assert_int_equal(header.payload, PAGE);
}

static void what_is_stale_is_not_believed(void **state)
{
    (void)state;
    compose(1, 0, 118983, 0);
    assert_taken();
    assert_true(header.sync);
    assert_int_equal(header.payload, 0);
    compose(0, 0, 118983, 0);
    assert_taken();
    assert_false(header.sync);
    assert_int_equal(header.payload, 0);
}

static void every_method_is_compression(void **state)
{
    static const uint32_t methods[] = {0x02, 0x04, 0x08, 0x10, 0x20};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        compose(methods[i], 3, 1000, 0);
        assert_taken();
        assert_true(header.compressed);
        assert_int_equal(header.payload, 1000);
    }
}

static void device_state_is_told(void **state)
{
    struct multifd_error err;

    (void)state;
    compose(0x40, 0, 0, 0);
    put_be32(bytes + 272, 0xfffffff0);
    assert_int_equal(bridge_header_length(bytes, COUNT, &err), 276);
    assert_taken();
    assert_true(header.device_state);
    assert_int_equal(header.bytes, 276);
    assert_int_equal(header.payload, 0xfffffff0);
    put_be32(bytes + 272, 0);
    assert_refused(MULTIFD_ERROR_PROTOCOL, "device state of 0 bytes");
    put_be32(bytes + 272, 1);
    put_be32(bytes + 8, 0x41);
    assert_refused(MULTIFD_ERROR_PROTOCOL, "with SYNC");
    put_be32(bytes + 8, 0x40);
    memset(bytes + 12, 'x', 256);
    assert_refused(MULTIFD_ERROR_PROTOCOL, "without a name");
}

static void what_is_wrong_is_refused(void **state)
{
    static const struct {
        uint32_t at;
        uint32_t value;
        enum multifd_error_code code;
        const char *part;
    } cases[] = {
        {0, 0x11223345, MULTIFD_ERROR_PROTOCOL, "wrong magic"},
        {4, 2, MULTIFD_ERROR_VERSION, "version 2"},
        {8, 0x80, MULTIFD_ERROR_VERSION, "flags 0x80"},
        {12, 129, MULTIFD_ERROR_PROTOCOL, "pages_alloc 129"},
        {16, 129, MULTIFD_ERROR_PROTOCOL, "normal_pages"},
        {20, 2 * PAGE - 1, MULTIFD_ERROR_PROTOCOL, "8191 bytes for 2 pages"},
        {20, 2 * PAGE + 1, MULTIFD_ERROR_PROTOCOL, "8193 bytes for 2 pages"},
        {32, 127, MULTIFD_ERROR_PROTOCOL, "zero_pages"},
        {40, 1, MULTIFD_ERROR_PROTOCOL, "reserved"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        compose(0, 2, 2 * PAGE, 0);
        put_be32(bytes + cases[i].at, cases[i].value);
        assert_refused(cases[i].code, cases[i].part);
    }
    compose(2, 2, 0, 0);
    assert_refused(MULTIFD_ERROR_PROTOCOL, "0 bytes for 2 pages");
    compose(2, 2, (1u << 20) + 1, 0); /* more than QEMU has room for, which it does not check */
    assert_refused(MULTIFD_ERROR_PROTOCOL, "1048577 bytes for 2 pages");
}

static void a_stripped_header_has_no_pages(void **state)
{
    (void)state;
    compose(0x21, 2, 100, 1);
    bridge_header_strip(bytes);
    assert_taken();
    assert_true(header.sync);
    assert_int_equal(header.payload, 0);
    assert_int_equal(header.packet.normal_pages + header.packet.zero_pages, 0);
    assert_int_equal(header.packet.packet_num, 77);
    assert_int_equal(get_be32(bytes + 8), 1);
    assert_int_equal(get_be32(bytes + 20), 0);
}

static void an_empty_header_means_nothing(void **state)
{
    (void)state;
    assert_int_equal(bridge_header_empty(0, COUNT, bytes), BYTES);
    assert_taken();
    assert_false(header.sync);
    assert_int_equal(header.payload, 0);
    assert_int_equal(bridge_header_empty(MULTIFD_FLAG_SYNC, COUNT, bytes), BYTES);
    assert_taken();
    assert_true(header.sync);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_told),
        cmocka_unit_test(sync_rides_on_pages),
        cmocka_unit_test(what_is_stale_is_not_believed),
        cmocka_unit_test(every_method_is_compression),
        cmocka_unit_test(device_state_is_told),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(a_stripped_header_has_no_pages),
        cmocka_unit_test(an_empty_header_means_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
