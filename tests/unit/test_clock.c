/* SPDX-License-Identifier: MIT */
#include "core/base/clock.h"
#include "test.h"

static struct timespec now;

int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

/* Takes the place of the C library's for what this program was linked from. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    assert_int_equal(clock, CLOCK_MONOTONIC);
    *time = now;
    return 0;
}

static int at_2_5_seconds(void **state)
{
    (void)state;
    now = (struct timespec){.tv_sec = 2, .tv_nsec = 500000000};
    return 0;
}

static void now_is_in_nanoseconds(void **state)
{
    (void)state;
    assert_int_equal(clock_now_ns(), UINT64_C(2500000000));
    now.tv_sec = 40000000; /* more than a year: beyond 32 bits of milliseconds */
    assert_int_equal(clock_now_ns(), UINT64_C(40000000500000000));
}

static void waits_are_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(clock_ms_until(UINT64_C(2500000001)), 1);
    assert_int_equal(clock_ms_until(UINT64_C(2501000000)), 1);
    assert_int_equal(clock_ms_until(UINT64_C(2501000001)), 2);
}

static void past_deadlines_wait_for_nothing(void **state)
{
    (void)state;
    assert_int_equal(clock_ms_until(UINT64_C(2500000000)), 0);
    assert_int_equal(clock_ms_until(UINT64_C(2499999999)), 0);
    assert_int_equal(clock_ms_until(0), 0);
}

static void far_deadlines_fit_an_int(void **state)
{
    (void)state;
    assert_int_equal(clock_ms_until(UINT64_C(2500000000) + INT32_MAX * NS_PER_MS), INT32_MAX);
    assert_int_equal(clock_ms_until(UINT64_C(1) << 62), INT32_MAX);
}

#define at_a_time(function) cmocka_unit_test_setup(function, at_2_5_seconds)

int main(void)
{
    const struct CMUnitTest tests[] = {
        at_a_time(now_is_in_nanoseconds),
        at_a_time(waits_are_rounded_up),
        at_a_time(past_deadlines_wait_for_nothing),
        at_a_time(far_deadlines_fit_an_int),
    };

    return cmocka_run_group_tests_name("core/base/clock", tests, NULL, NULL);
}
