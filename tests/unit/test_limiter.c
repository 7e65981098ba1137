/* SPDX-License-Identifier: MIT */
#include "core/limiter.h"
#include "test.h"

#include <pthread.h>
#include <stdbool.h>

#define MS    UINT64_C(1000000)
#define START (UINT64_C(1000) * 1000 * MS)

static struct limiter limiter;

static void without_a_limit_there_is_none(void **state)
{
    (void)state;
    limiter_init(&limiter, 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(limiter_not_before(&limiter, START), 0);
        limiter_sent(&limiter, UINT64_MAX, START);
    }
}

static void a_packet_takes_its_time(void **state)
{
    (void)state;
    limiter_init(&limiter, 1000000);
    assert_int_equal(limiter_not_before(&limiter, START), 0);
    limiter_sent(&limiter, 5000, START);
    assert_int_equal(limiter_not_before(&limiter, START), START + 5 * MS);
    assert_int_equal(limiter_not_before(&limiter, START + 5 * MS - 1), START + 5 * MS);
    assert_int_equal(limiter_not_before(&limiter, START + 5 * MS), 0);
}

/* Two channels that both found the time come: what they sent together is made good. */
static void what_came_early_is_made_good(void **state)
{
    (void)state;
    limiter_init(&limiter, 1000000);
    limiter_sent(&limiter, 5000, START);
    limiter_sent(&limiter, 5000, START);
    assert_int_equal(limiter_not_before(&limiter, START), START + 10 * MS);
}

static void a_late_wake_is_caught_up(void **state)
{
    (void)state;
    limiter_init(&limiter, 1000000);
    limiter_sent(&limiter, 5000, START);
    limiter_sent(&limiter, 5000, START + 7 * MS); /* due at 5 ms, sent at 7 ms */
    assert_int_equal(limiter_not_before(&limiter, START + 7 * MS), START + 10 * MS);
}

static void a_pause_is_not(void **state)
{
    (void)state;
    limiter_init(&limiter, 1000000);
    limiter_sent(&limiter, 5000, START);
    limiter_sent(&limiter, 50000, START + 1000 * MS);
    assert_int_equal(limiter_not_before(&limiter, START + 1000 * MS), START + 1040 * MS);
}

static void large_packets_at_slow_rates(void **state)
{
    (void)state;
    limiter_init(&limiter, 1);
    limiter_sent(&limiter, UINT64_C(1) << 30, START);
    assert_int_equal(limiter_not_before(&limiter, START), START + (UINT64_C(1) << 30) * 1000 * MS);
    limiter_init(&limiter, UINT64_C(1) << 40);
    limiter_sent(&limiter, UINT64_C(1) << 40, START);
    assert_int_equal(limiter_not_before(&limiter, START), START + 1000 * MS);
}

/* A channel that asks, waits and sends, with sleeps that end late, on a clock of its own. */
static void the_rate_is_kept_on_the_whole(void **state)
{
    const uint64_t packet = 525632;
    const uint64_t rate = UINT64_C(100) << 20;
    uint64_t now = START;
    uint64_t sent = 0;

    (void)state;
    limiter_init(&limiter, rate);
    while (sent < rate) {
        uint64_t until = limiter_not_before(&limiter, now);

        if (until != 0) {
            now = until + sent % 3 * MS; /* up to 2 ms too late */
            continue;
        }
        limiter_sent(&limiter, packet, now);
        sent += packet;
    }
    assert_in_range(now - START, 980 * MS, 1010 * MS);
}

enum { THREADS = 4, PACKETS = 20000 };

static void *send_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < PACKETS; i++) {
        limiter_sent(&limiter, 1000, START);
    }
    return NULL;
}

static void nothing_that_was_sent_is_lost(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    limiter_init(&limiter, 1000000);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(limiter_not_before(&limiter, START), START + THREADS * PACKETS * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_limit_there_is_none),
        cmocka_unit_test(a_packet_takes_its_time),
        cmocka_unit_test(what_came_early_is_made_good),
        cmocka_unit_test(a_late_wake_is_caught_up),
        cmocka_unit_test(a_pause_is_not),
        cmocka_unit_test(large_packets_at_slow_rates),
        cmocka_unit_test(the_rate_is_kept_on_the_whole),
        cmocka_unit_test(nothing_that_was_sent_is_lost),
    };

    return cmocka_run_group_tests_name("core/limiter", tests, NULL, NULL);
}
