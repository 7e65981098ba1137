/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "units.h"

static void sizes_with_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t size;
    } cases[] = {
        {"0", 0},
        {"4096", 4096},
        {"64K", 65536},
        {"512M", UINT64_C(512) << 20},
        {"4G", UINT64_C(4) << 30},
        {"2T", UINT64_C(2) << 40},
        {"18446744073709551615", UINT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t size = 1;
        assert_int_equal(units_parse_size(cases[i].text, &size), 0);
        assert_int_equal(size, cases[i].size);
    }
}

static void no_sizes(void **state)
{
    static const char *const texts[] = {
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "G",
        "1k",
        "1GB",
        "0x10",
        "1.5G",
        "18446744073709551616",
        "16777216T",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t size = 7;
        assert_int_equal(units_parse_size(texts[i], &size), -1);
        assert_int_equal(size, 7);
    }
}

static void times_with_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t nanoseconds;
    } cases[] = {
        {"0", 0},
        {"7us", 7000},
        {"500ms", 500000000},
        {"2", 2000000000},
        {"2s", 2000000000},
        {"3min", UINT64_C(180000000000)},
        {"18446744073", UINT64_C(18446744073000000000)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t nanoseconds = 1;
        assert_int_equal(units_parse_time(cases[i].text, &nanoseconds), 0);
        assert_int_equal(nanoseconds, cases[i].nanoseconds);
    }
}

static void no_times(void **state)
{
    static const char *const texts[] = {
        "", "-1", "+1", " 1", "1 ", "s", "1S", "1h", "1.5", "1 s", "18446744074", "400000000min",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t nanoseconds = 7;
        assert_int_equal(units_parse_time(texts[i], &nanoseconds), -1);
        assert_int_equal(nanoseconds, 7);
    }
}

static void assert_size_text(uint64_t bytes, const char *expected)
{
    char text[UNITS_TEXT];

    units_format_size(text, bytes);
    assert_string_equal(text, expected);
}

static void sizes_as_text(void **state)
{
    (void)state;
    assert_size_text(0, "0 B");
    assert_size_text(1023, "1023 B");
    assert_size_text(1024, "1.0 KiB");
    assert_size_text(UINT64_C(256) << 20, "256.0 MiB");
    assert_size_text(UINT64_C(3) << 29, "1.5 GiB");
    assert_size_text(UINT64_MAX, "16777216.0 TiB");
}

static void assert_seconds_text(double seconds, const char *expected)
{
    char text[UNITS_TEXT];

    units_format_seconds(text, seconds);
    assert_string_equal(text, expected);
}

static void times_as_text(void **state)
{
    (void)state;
    assert_seconds_text(0, "0.000 s");
    assert_seconds_text(0.2754, "0.275 s");
    assert_seconds_text(12.34, "12.3 s");
    assert_seconds_text(245, "4 min 05 s");
    assert_seconds_text(1e30, "over a year");
}

static void rates(void **state)
{
    (void)state;
    assert_true(units_gigabits(1000000000, 1000000000) == 8.0);
    assert_true(units_gigabits(1, 0) == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_with_units),
        cmocka_unit_test(no_sizes),
        cmocka_unit_test(times_with_units),
        cmocka_unit_test(no_times),
        cmocka_unit_test(sizes_as_text),
        cmocka_unit_test(times_as_text),
        cmocka_unit_test(rates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
