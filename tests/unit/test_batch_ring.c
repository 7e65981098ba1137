/* SPDX-License-Identifier: MIT */
#include "core/batch_ring.h"
#include "mock.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#define PAGES 128u
#define SLOTS 8u

static struct batch_ring *ring;

static int make(void **state)
{
    struct multifd_error err;

    mock_setup(state);
    ring = batch_ring_new(SLOTS, PAGES, &err);
    return ring == NULL ? -1 : 0;
}

static int release(void **state)
{
    batch_ring_delete(&ring);
    if (ring != NULL) {
        return -1;
    }
    batch_ring_delete(&ring);
    return mock_teardown(state);
}

static void an_empty_ring_has_nothing_to_take(void **state)
{
    (void)state;
    assert_null(batch_ring_peek(ring));
    assert_non_null(batch_ring_reserve(ring));
    assert_null(batch_ring_peek(ring)); /* reserved is not handed over */
}

static void the_batch_stays_the_same_until_it_is_handed_over(void **state)
{
    struct page_batch *batch = batch_ring_reserve(ring);

    (void)state;
    assert_ptr_equal(batch_ring_reserve(ring), batch);
    batch->packet_num = 77;
    batch_ring_publish(ring);
    assert_ptr_not_equal(batch_ring_reserve(ring), batch);
    assert_ptr_equal(batch_ring_peek(ring), batch);
    assert_ptr_equal(batch_ring_peek(ring), batch);
    assert_int_equal(batch->packet_num, 77);
    batch_ring_consume(ring);
    assert_null(batch_ring_peek(ring));
}

/* Publishes until nothing more can be reserved; returns the number of batches. */
static unsigned fill(void)
{
    unsigned filled = 0;
    struct page_batch *batch;

    while ((batch = batch_ring_reserve(ring)) != NULL) {
        batch->packet_num = filled;
        for (uint32_t i = 0; i < PAGES; i++) {
            batch->offsets[i] = filled * PAGES + i;
        }
        batch_ring_publish(ring);
        filled++;
        assert_true(filled < 1000);
    }
    return filled;
}

static void each_batch_has_room_of_its_own(void **state)
{
    unsigned filled = fill();
    const struct page_batch *batch;

    (void)state;
    assert_int_equal(filled, SLOTS);
    for (unsigned i = 0; i < filled; i++) {
        batch = batch_ring_peek(ring);
        assert_int_equal(batch->packet_num, i);
        assert_int_equal(batch->offsets[0], i * PAGES);
        assert_int_equal(batch->offsets[PAGES - 1], i * PAGES + PAGES - 1);
        batch_ring_consume(ring);
    }
    assert_null(batch_ring_peek(ring));
}

static void a_batch_given_back_can_be_filled_again(void **state)
{
    unsigned filled = fill();

    (void)state;
    for (unsigned i = 0; i < 10 * filled; i++) {
        const struct page_batch *oldest = batch_ring_peek(ring);

        assert_null(batch_ring_reserve(ring));
        batch_ring_consume(ring);
        assert_ptr_equal(batch_ring_reserve(ring), oldest);
        batch_ring_publish(ring);
    }
}

static struct page_batch *publish(uint64_t packet_num)
{
    struct page_batch *batch = batch_ring_reserve(ring);

    batch->packet_num = packet_num;
    batch_ring_publish(ring);
    return batch;
}

static void batches_are_looked_at_once_and_ahead(void **state)
{
    (void)state;
    assert_null(batch_ring_look(ring));
    assert_false(batch_ring_looked(ring));
    for (unsigned turn = 0; turn < 5 * SLOTS; turn++) { /* around the ring and around again */
        const struct page_batch *first = publish(1);
        const struct page_batch *second = publish(2);

        assert_false(batch_ring_looked(ring));
        assert_ptr_equal(batch_ring_look(ring), first);
        assert_true(batch_ring_looked(ring));
        assert_ptr_equal(batch_ring_look(ring), second);
        assert_null(batch_ring_look(ring));
        assert_ptr_equal(batch_ring_peek(ring), first); /* looking takes nothing away */
        batch_ring_consume(ring);
        assert_true(batch_ring_looked(ring));
        batch_ring_consume(ring);
        assert_false(batch_ring_looked(ring));
    }
}

#define BATCHES 20000u

/* The consumer's thread; counts what is wrong, since it must not assert. */
static void *consume(void *arg)
{
    unsigned *wrong = arg;

    for (uint64_t i = 0; i < BATCHES; i++) {
        const struct page_batch *batch;

        while ((batch = batch_ring_peek(ring)) == NULL) {
            sched_yield();
        }
        *wrong += batch->packet_num != i || batch->num != i % PAGES;
        for (uint32_t j = 0; j < batch->num; j++) {
            *wrong += batch->offsets[j] != i + j;
        }
        batch_ring_consume(ring);
    }
    return NULL;
}

static void what_one_thread_fills_another_reads(void **state)
{
    unsigned wrong = 0;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, consume, &wrong), 0);
    for (uint64_t i = 0; i < BATCHES; i++) {
        struct page_batch *batch;

        while ((batch = batch_ring_reserve(ring)) == NULL) {
            sched_yield();
        }
        batch->packet_num = i;
        batch->num = (uint32_t)(i % PAGES);
        for (uint32_t j = 0; j < batch->num; j++) {
            batch->offsets[j] = i + j;
        }
        batch_ring_publish(ring);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(wrong, 0);
}

static void what_waits_behind_the_oldest(void **state)
{
    (void)state;
    assert_false(batch_ring_has_next(ring));
    batch_ring_reserve(ring);
    batch_ring_publish(ring);
    assert_false(batch_ring_has_next(ring));
    batch_ring_reserve(ring);
    assert_false(batch_ring_has_next(ring));
    batch_ring_publish(ring);
    assert_true(batch_ring_has_next(ring));
    batch_ring_consume(ring);
    assert_false(batch_ring_has_next(ring));
}

static void both_sides_are_told_how_many_wait(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        batch_ring_reserve(ring);
        assert_int_equal(batch_ring_publish(ring), 1);
        batch_ring_reserve(ring);
        assert_int_equal(batch_ring_publish(ring), 2);
        assert_int_equal(batch_ring_consume(ring), 1);
        batch_ring_reserve(ring);
        assert_int_equal(batch_ring_publish(ring), 2);
        assert_int_equal(batch_ring_consume(ring), 1);
        assert_int_equal(batch_ring_consume(ring), 0);
    }
}

static void no_memory(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 3; nth++) {
        struct multifd_error err = ERROR_UNTOUCHED;

        mock_fail_nth("malloc", nth, ENOMEM);
        assert_null(batch_ring_new(SLOTS, PAGES, &err));
        assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
        mock_succeed("malloc");
    }
}

#define with_ring(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_ring(an_empty_ring_has_nothing_to_take),
        with_ring(the_batch_stays_the_same_until_it_is_handed_over),
        with_ring(each_batch_has_room_of_its_own),
        with_ring(a_batch_given_back_can_be_filled_again),
        with_ring(batches_are_looked_at_once_and_ahead),
        with_ring(what_waits_behind_the_oldest),
        with_ring(both_sides_are_told_how_many_wait),
        with_ring(what_one_thread_fills_another_reads),
        mocked_test(no_memory),
    };

    return cmocka_run_group_tests_name("core/batch_ring", tests, NULL, NULL);
}
