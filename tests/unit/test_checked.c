/* SPDX-License-Identifier: MIT */
#include "core/base/checked.h"
#include "test.h"

static void ranges(void **state)
{
    (void)state;
    assert_true(range_within(0, 0, 0));
    assert_true(range_within(0, 100, 100));
    assert_true(range_within(60, 40, 100));
    assert_true(range_within(100, 0, 100));
    assert_false(range_within(61, 40, 100));
    assert_false(range_within(0, 101, 100));
    assert_false(range_within(101, 0, 100));
}

static void ranges_that_would_wrap(void **state)
{
    (void)state;
    assert_false(range_within(UINT64_MAX, 2, 100));
    assert_false(range_within(2, UINT64_MAX, 100));
    assert_false(range_within(UINT64_MAX, UINT64_MAX, UINT64_MAX));
    assert_true(range_within(0, UINT64_MAX, UINT64_MAX));
    assert_true(range_within(UINT64_MAX - 1, 1, UINT64_MAX));
}

static void powers_of_two(void **state)
{
    (void)state;
    assert_false(is_power_of_two(0));
    assert_true(is_power_of_two(1));
    assert_true(is_power_of_two(4096));
    assert_true(is_power_of_two(UINT64_C(1) << 63));
    assert_false(is_power_of_two(4097));
    assert_false(is_power_of_two(UINT64_MAX));
}

static void logarithms(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(log2_of(UINT64_C(1) << i), i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),
        cmocka_unit_test(ranges_that_would_wrap),
        cmocka_unit_test(powers_of_two),
        cmocka_unit_test(logarithms),
    };

    return cmocka_run_group_tests_name("core/base/checked", tests, NULL, NULL);
}
