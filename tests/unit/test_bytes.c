/* SPDX-License-Identifier: MIT */
#include "core/base/bytes.h"
#include "test.h"

/* Each value is written one byte off any alignment, with a guard on both sides. */

static void sixteen_bits(void **state)
{
    const uint8_t expected[] = {0xaa, 0x12, 0xf4, 0xaa};
    uint8_t bytes[4];

    (void)state;
    memset(bytes, 0xaa, sizeof(bytes));
    put_be16(bytes + 1, 0x12f4);
    assert_memory_equal(bytes, expected, sizeof(expected));
    assert_int_equal(get_be16(bytes + 1), 0x12f4);
}

static void thirty_two_bits(void **state)
{
    const uint8_t expected[] = {0xaa, 0x11, 0x22, 0x33, 0xf4, 0xaa};
    uint8_t bytes[6];

    (void)state;
    memset(bytes, 0xaa, sizeof(bytes));
    put_be32(bytes + 1, 0x112233f4);
    assert_memory_equal(bytes, expected, sizeof(expected));
    assert_int_equal(get_be32(bytes + 1), 0x112233f4);
}

static void sixty_four_bits(void **state)
{
    const uint8_t expected[] = {0xaa, 0xf1, 2, 3, 4, 5, 6, 7, 0xf8, 0xaa};
    uint8_t bytes[10];

    (void)state;
    memset(bytes, 0xaa, sizeof(bytes));
    put_be64(bytes + 1, UINT64_C(0xf1020304050607f8));
    assert_memory_equal(bytes, expected, sizeof(expected));
    assert_int_equal(get_be64(bytes + 1), UINT64_C(0xf1020304050607f8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_bits),
        cmocka_unit_test(thirty_two_bits),
        cmocka_unit_test(sixty_four_bits),
    };

    return cmocka_run_group_tests_name("core/base/bytes", tests, NULL, NULL);
}
