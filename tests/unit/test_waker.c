/* SPDX-License-Identifier: MIT */
#include "core/base/clock.h"
#include "core/base/waker.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

static int make(void **state)
{
    static struct waker waker;
    struct multifd_error err;

    *state = &waker;
    return waker_init(&waker, &err);
}

static int release(void **state)
{
    waker_fini(*state);
    return 0;
}

static bool readable(const struct waker *waker)
{
    struct pollfd fd = {.fd = waker->fd, .events = POLLIN};

    return poll(&fd, 1, 0) > 0;
}

static void the_descriptor_is_private(void **state)
{
    struct waker *waker = *state;

    assert_true((fcntl(waker->fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void a_wake_of_the_awake_costs_no_event(void **state)
{
    struct waker *waker = *state;

    waker_wake(waker);
    assert_false(readable(waker));
}

static void a_wake_after_arm_makes_the_descriptor_readable(void **state)
{
    struct waker *waker = *state;

    waker_arm(waker);
    assert_false(readable(waker));
    waker_wake(waker);
    assert_true(readable(waker));
}

static void disarm_takes_the_event(void **state)
{
    struct waker *waker = *state;

    waker_arm(waker);
    waker_wake(waker);
    waker_disarm(waker, true);
    assert_false(readable(waker));
    waker_wake(waker);
    assert_false(readable(waker));
}

static void disarm_without_an_event_ends_the_sleep(void **state)
{
    struct waker *waker = *state;

    waker_arm(waker);
    waker_disarm(waker, false);
    waker_wake(waker);
    assert_false(readable(waker));
}

static void one_event_for_many_wakes(void **state)
{
    struct waker *waker = *state;
    uint64_t count = 0;

    waker_arm(waker);
    waker_wake(waker);
    waker_wake(waker);
    waker_wake(waker);
    assert_int_equal(read(waker->fd, &count, sizeof(count)), sizeof(count));
    assert_int_equal(count, 1);
}

static void a_wake_that_was_late_ends_one_later_sleep(void **state)
{
    struct waker *waker = *state;

    waker_arm(waker);
    waker_wake(waker);
    waker_disarm(waker, false); /* poll had not seen it yet */
    waker_arm(waker);
    assert_true(readable(waker));
    waker_disarm(waker, true);
    waker_arm(waker);
    assert_false(readable(waker));
}

static void sleep_ends_at_a_wake(void **state)
{
    struct waker *waker = *state;

    waker_arm(waker);
    waker_wake(waker);
    waker_sleep(waker, -1); /* without the wake it would never end */
    assert_false(readable(waker));
    waker_wake(waker);
    assert_false(readable(waker)); /* disarmed */
}

static void sleep_ends_in_time(void **state)
{
    struct waker *waker = *state;
    uint64_t before = clock_now_ns();

    waker_arm(waker);
    waker_sleep(waker, 20);
    assert_true(clock_now_ns() - before >= 19 * NS_PER_MS);
    waker_wake(waker);
    assert_false(readable(waker)); /* disarmed */
}

static void fini_closes_once_and_accepts_none(void **state)
{
    struct waker none = {.fd = -1};
    struct waker waker;
    struct multifd_error err;
    int fd;

    (void)state;
    assert_int_equal(waker_init(&waker, &err), 0);
    fd = waker.fd;
    waker_fini(&waker);
    assert_int_equal(waker.fd, -1);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    waker_fini(&waker);
    waker_fini(&none);
}

static void without_descriptors_init_fails(void **state)
{
    struct rlimit before;
    struct rlimit none;
    struct waker waker;
    struct multifd_error err = ERROR_UNTOUCHED;
    int status;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    status = waker_init(&waker, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, strerror(EMFILE));
    waker_fini(&waker);
}

#define with_waker(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_waker(the_descriptor_is_private),
        with_waker(a_wake_of_the_awake_costs_no_event),
        with_waker(a_wake_after_arm_makes_the_descriptor_readable),
        with_waker(disarm_takes_the_event),
        with_waker(disarm_without_an_event_ends_the_sleep),
        with_waker(one_event_for_many_wakes),
        with_waker(a_wake_that_was_late_ends_one_later_sleep),
        with_waker(sleep_ends_at_a_wake),
        with_waker(sleep_ends_in_time),
        cmocka_unit_test(fini_closes_once_and_accepts_none),
        cmocka_unit_test(without_descriptors_init_fails),
    };

    return cmocka_run_group_tests_name("core/base/waker", tests, NULL, NULL);
}
