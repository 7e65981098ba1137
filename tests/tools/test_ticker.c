/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "ticker.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

static sem_t called;
static atomic_uint calls;

static void count(void *opaque)
{
    atomic_fetch_add((atomic_uint *)opaque, 1);
    (void)sem_post(&called);
}

static int enter(void **state)
{
    (void)state;
    atomic_store(&calls, 0);
    return sem_init(&called, 0, 0);
}

static int leave(void **state)
{
    (void)state;
    return sem_destroy(&called);
}

static void calls_until_it_is_stopped(void **state)
{
    static const struct timespec intervals = {.tv_nsec = 20000000};
    struct ticker *ticker = ticker_start(1000000, count, &calls);
    unsigned before;

    (void)state;
    assert_non_null(ticker);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sem_wait(&called), 0);
    }
    ticker_stop(&ticker);
    assert_null(ticker);
    before = atomic_load(&calls);
    (void)nanosleep(&intervals, NULL);
    assert_int_equal(atomic_load(&calls), before);
    ticker_stop(&ticker);
}

static void stops_before_the_first_call(void **state)
{
    struct ticker *ticker = ticker_start(UINT64_C(3600000000000), count, &calls);

    (void)state;
    assert_non_null(ticker);
    ticker_stop(&ticker);
    assert_int_equal(atomic_load(&calls), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(calls_until_it_is_stopped, enter, leave),
        cmocka_unit_test_setup_teardown(stops_before_the_first_call, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
