/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "progress.h"

static void assert_text(uint64_t done, uint64_t total, double rate, const char *expected)
{
    const struct progress_sample sample = {done, total, rate};
    char text[PROGRESS_TEXT];

    progress_format(text, &sample);
    assert_string_equal(text, expected);
}

static void lines(void **state)
{
    const uint64_t gib = UINT64_C(1) << 30;

    (void)state;
    assert_text(0, gib, 0, "  0 %  0 B of 1.0 GiB  0.00 Gb/s  ? left");
    assert_text(gib / 2, gib, 125e6, " 50 %  512.0 MiB of 1.0 GiB  1.00 Gb/s  5 s left");
    assert_text(gib - 4096, gib, 1e9, " 99 %  1024.0 MiB of 1.0 GiB  8.00 Gb/s  1 s left");
    assert_text(gib, gib, 1e9, "100 %  1.0 GiB of 1.0 GiB  8.00 Gb/s  0 s left");
    assert_text(0, gib << 10, 1e9, "  0 %  0 B of 1.0 TiB  8.00 Gb/s  18 min 19 s left");
}

static void pages_sent_again_are_no_surprise(void **state)
{
    (void)state;
    assert_text(3 << 20, 2 << 20, 1e9, "100 %  3.0 MiB of 2.0 MiB  8.00 Gb/s  0 s left");
    assert_text(0, 0, 0, "100 %  0 B of 0 B  0.00 Gb/s  0 s left");
}

static void a_tiny_rate_needs_no_room(void **state)
{
    (void)state;
    assert_text(0, UINT64_MAX, 1e-9, "  0 %  0 B of 16777216.0 TiB  0.00 Gb/s  over a year left");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(pages_sent_again_are_no_surprise),
        cmocka_unit_test(a_tiny_rate_needs_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
