/* SPDX-License-Identifier: MIT */
#include "core/option_parse.h"
#include "test.h"

#define assert_refused(parse, text)                                                                \
    do {                                                                                           \
        uint64_t ignored;                                                                          \
        assert_false(parse(text, &ignored));                                                       \
    } while (0)
#define assert_value(parse, text, expected)                                                        \
    do {                                                                                           \
        uint64_t value = 0;                                                                        \
        assert_true(parse(text, &value));                                                          \
        assert_int_equal(value, expected);                                                         \
    } while (0)

static void counts(void **state)
{
    (void)state;
    assert_value(parse_count, "0", 0);
    assert_value(parse_count, "007", 7);
    assert_value(parse_count, "18446744073709551615", UINT64_MAX);
    assert_refused(parse_count, "18446744073709551616");
    assert_refused(parse_count, "");
    assert_refused(parse_count, "-1");
    assert_refused(parse_count, "+1");
    assert_refused(parse_count, " 1");
    assert_refused(parse_count, "1 ");
    assert_refused(parse_count, "1K");
    assert_refused(parse_count, "0x10");
    assert_refused(parse_count, "1.5");
}

static void sizes(void **state)
{
    (void)state;
    assert_value(parse_size, "4096", 4096);
    assert_value(parse_size, "4K", 4096);
    assert_value(parse_size, "3M", UINT64_C(3) << 20);
    assert_value(parse_size, "512G", UINT64_C(512) << 30);
    assert_value(parse_size, "2T", UINT64_C(2) << 40);
    assert_value(parse_size, "16777215T", UINT64_C(16777215) << 40);
    assert_refused(parse_size, "16777216T"); /* 2^64 */
    assert_refused(parse_size, "K");
    assert_refused(parse_size, "4k");
    assert_refused(parse_size, "4KiB");
    assert_refused(parse_size, "4 K");
    assert_refused(parse_size, "-4K");
    assert_refused(parse_size, "1.5G");
}

static void times(void **state)
{
    (void)state;
    assert_value(parse_time, "10", UINT64_C(10000000000));
    assert_value(parse_time, "10s", UINT64_C(10000000000));
    assert_value(parse_time, "500ms", UINT64_C(500000000));
    assert_value(parse_time, "20us", UINT64_C(20000));
    assert_value(parse_time, "2min", UINT64_C(120000000000));
    assert_refused(parse_time, "99999999999min");
    assert_refused(parse_time, "s");
    assert_refused(parse_time, "10h");
    assert_refused(parse_time, "10m");
    assert_refused(parse_time, "10 s");
    assert_refused(parse_time, "-1s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(sizes),
        cmocka_unit_test(times),
    };

    return cmocka_run_group_tests_name("core/option_parse", tests, NULL, NULL);
}
