/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bench/lowest_rate.h"

enum { WINDOW = 1000, BEFORE = 7 };

struct look {
    uint64_t ns;
    uint64_t bytes;
};

static double lowest_of(const struct look *looks, size_t num)
{
    struct multifd_error err;
    struct lowest_rate *rate = lowest_rate_new(WINDOW, BEFORE, &err);

    assert_non_null(rate);
    for (size_t i = 0; i < num; i++) {
        lowest_rate_look(rate, looks[i].ns, BEFORE + looks[i].bytes);
    }
    double gbps = lowest_rate_gbps(rate);
    lowest_rate_delete(&rate);
    assert_null(rate);
    return gbps;
}

#define assert_lowest(expected, ...)                                                               \
    do {                                                                                           \
        static const struct look looks[] = {__VA_ARGS__};                                          \
        assert_true(lowest_of(looks, sizeof(looks) / sizeof(looks[0])) == (expected));             \
    } while (0)

static void no_stretch(void **state)
{
    (void)state;
    assert_lowest(0, {0, 0});
    assert_lowest(0, {0, 0}, {10, 0}, {20, 999});
    assert_lowest(0, {0, 0}, {0, 5000});
}

static void any_stretch_counts(void **state)
{
    (void)state;
    assert_lowest(8, {0, 0}, {1000, 1000});
    assert_lowest(8, {0, 0}, {500, 1000}, {1000, 1600}, {1500, 2000}, {2000, 3000});
    assert_lowest(4, {0, 0}, {1000, 2000}, {2000, 2500}, {3000, 3000}, {3500, 4000});
}

static void stretches_are_no_longer_than_they_must(void **state)
{
    (void)state;
    assert_lowest(16, {0, 0}, {100, 500}, {200, 2000}, {1000, 3600});
}

static void a_stall_is_in_a_stretch(void **state)
{
    (void)state;
    assert_lowest(2, {0, 0}, {1000, 4000}, {2000, 4000}, {3000, 4000}, {5000, 5000});
    assert_lowest(2, {0, 500}, {1000, 500}, {4000, 1500}); /* looked at late */
}

static void waiting_for_the_first_bytes_is_in_none(void **state)
{
    (void)state;
    assert_lowest(8, {0, 0}, {1000, 0}, {9000, 0}, {10000, 1000});
}

static void more_looks_than_are_kept(void **state)
{
    struct multifd_error err;
    struct lowest_rate *rate = lowest_rate_new(WINDOW * WINDOW, 0, &err);

    (void)state;
    assert_non_null(rate);
    for (uint64_t i = 0; i <= 5 * WINDOW; i++) {
        lowest_rate_look(rate, i, i);
    }
    lowest_rate_look(rate, 2 * WINDOW * WINDOW, WINDOW * WINDOW);
    double gbps = lowest_rate_gbps(rate);
    lowest_rate_delete(&rate);
    assert_true(gbps == 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_stretch),
        cmocka_unit_test(any_stretch_counts),
        cmocka_unit_test(stretches_are_no_longer_than_they_must),
        cmocka_unit_test(a_stall_is_in_a_stretch),
        cmocka_unit_test(waiting_for_the_first_bytes_is_in_none),
        cmocka_unit_test(more_looks_than_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
