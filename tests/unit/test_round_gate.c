/* SPDX-License-Identifier: MIT */
#include "core/round_gate.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>

#define CHANNELS 3u
#define ROUNDS   20000u

static struct round_gate gate;

static int make(void **state)
{
    (void)state;
    memset(&gate, 0, sizeof(gate));
    return 0;
}

static void arrive(uint32_t channels)
{
    assert_false(round_gate_is_complete(&gate));
    for (uint32_t i = 1; i <= channels; i++) {
        bool last = i < channels;

        assert_true(round_gate_arrive(&gate, channels, &last));
        assert_int_equal(last, i == channels);
        assert_int_equal(round_gate_is_complete(&gate), i == channels);
    }
}

static void arrive_all(void)
{
    arrive(CHANNELS);
}

static void the_last_channel_ends_an_awaited_round(void **state)
{
    (void)state;
    round_gate_await(&gate, 1);
    arrive_all();
    assert_true(round_gate_claim(&gate, 1));
    assert_false(round_gate_claim(&gate, 1));
}

static void the_calling_thread_ends_a_round_that_nobody_awaited(void **state)
{
    (void)state;
    arrive_all();
    assert_false(round_gate_claim(&gate, 1)); /* the last channel's try */
    round_gate_await(&gate, 1);
    assert_true(round_gate_is_complete(&gate));
    assert_true(round_gate_claim(&gate, 1));
    assert_false(round_gate_claim(&gate, 1));
}

static void a_new_round_is_not_complete(void **state)
{
    (void)state;
    for (uint64_t round = 1; round < 10; round++) {
        round_gate_await(&gate, round);
        arrive_all();
        assert_true(round_gate_claim(&gate, round));
        round_gate_reset(&gate);
        assert_false(round_gate_is_complete(&gate));
    }
}

static void as_many_take_part_as_their_syncs_say(void **state)
{
    static const uint32_t channels[] = {1, CHANNELS, 2, 255, UINT16_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(channels); i++) {
        arrive(channels[i]);
        round_gate_reset(&gate);
    }
}

static void syncs_that_contradict_each_other(void **state)
{
    bool last = true;

    (void)state;
    assert_true(round_gate_arrive(&gate, 2, &last));
    assert_false(last);
    last = true;
    assert_false(round_gate_arrive(&gate, 1, &last));
    assert_false(round_gate_arrive(&gate, 3, &last));
    assert_true(last); /* untouched */
    assert_false(round_gate_is_complete(&gate));
    assert_true(round_gate_arrive(&gate, 2, &last));
    assert_true(last);
    assert_false(round_gate_arrive(&gate, 2, &last)); /* one too many */
    assert_true(round_gate_is_complete(&gate));
}

static void who_comes_late_to_a_round_does_not_end_the_next(void **state)
{
    (void)state;
    arrive_all(); /* the last channel is off its processor from here */
    round_gate_await(&gate, 1);
    assert_true(round_gate_claim(&gate, 1));
    round_gate_reset(&gate);
    round_gate_await(&gate, 2);
    assert_false(round_gate_claim(&gate, 1)); /* and here again */
    assert_true(round_gate_claim(&gate, 2));
}

static void who_waits_no_longer_leaves_nothing_to_end(void **state)
{
    (void)state;
    round_gate_await(&gate, 1);
    assert_true(round_gate_claim(&gate, 1));
    arrive_all();
    assert_false(round_gate_claim(&gate, 1));
}

/* ---- All of them at once ---- */

static atomic_uint arrived; /* in this round */
static _Atomic uint64_t ended;
static _Atomic uint64_t wrong; /* rounds ended twice, out of order or too soon */

static void end(uint64_t round)
{
    if (atomic_exchange(&arrived, 0) != CHANNELS || atomic_load(&ended) != round - 1) {
        atomic_fetch_add(&wrong, 1);
    }
    round_gate_reset(&gate);
    atomic_store(&ended, round);
}

/* Others run between two of a thread's steps, in turn with its running through. */
static void stall(uint64_t round, unsigned who)
{
    for (uint64_t i = (round * (who + 3)) % 7; i > 3; i--) {
        sched_yield();
    }
}

static void await_end(uint64_t round)
{
    while (atomic_load(&ended) < round && atomic_load(&wrong) == 0) {
        sched_yield();
    }
}

static void *run_channel(void *opaque)
{
    unsigned who = *(unsigned *)opaque;

    for (uint64_t round = 1; round <= ROUNDS; round++) {
        bool last = false;

        atomic_fetch_add(&arrived, 1);
        if (!round_gate_arrive(&gate, CHANNELS, &last)) {
            atomic_fetch_add(&wrong, 1);
        }
        stall(round, who);
        if (last && round_gate_claim(&gate, round)) {
            end(round);
        }
        await_end(round);
    }
    return NULL;
}

static void each_round_is_ended_once_and_complete(void **state)
{
    pthread_t threads[CHANNELS];
    unsigned numbers[CHANNELS];

    (void)state;
    for (unsigned i = 0; i < CHANNELS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, run_channel, &numbers[i]), 0);
    }
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        round_gate_await(&gate, round);
        stall(round, CHANNELS);
        if (round_gate_is_complete(&gate) && round_gate_claim(&gate, round)) {
            end(round);
        }
        await_end(round);
    }
    for (unsigned i = 0; i < CHANNELS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&ended), ROUNDS);
    assert_int_equal(atomic_load(&wrong), 0);
}

#define gate_test(function) cmocka_unit_test_setup(function, make)

int main(void)
{
    const struct CMUnitTest tests[] = {
        gate_test(the_last_channel_ends_an_awaited_round),
        gate_test(the_calling_thread_ends_a_round_that_nobody_awaited),
        gate_test(a_new_round_is_not_complete),
        gate_test(as_many_take_part_as_their_syncs_say),
        gate_test(syncs_that_contradict_each_other),
        gate_test(who_comes_late_to_a_round_does_not_end_the_next),
        gate_test(who_waits_no_longer_leaves_nothing_to_end),
        gate_test(each_round_is_ended_once_and_complete),
    };

    return cmocka_run_group_tests_name("core/round_gate", tests, NULL, NULL);
}
