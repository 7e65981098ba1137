/* SPDX-License-Identifier: MIT */
#include "core/piece_queue.h"
#include "mock.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define PIECES  1000u
#define RUN_MAX 4u

static struct piece_queue *queue;

static int make(void **state)
{
    struct multifd_error err;

    mock_setup(state);
    queue = piece_queue_new(PIECES, RUN_MAX, &err);
    return queue == NULL ? -1 : 0;
}

static int release(void **state)
{
    piece_queue_delete(&queue);
    if (queue != NULL) {
        return -1;
    }
    piece_queue_delete(&queue);
    return mock_teardown(state);
}

static void push_range(uint32_t block, uint32_t first, uint32_t num)
{
    for (uint32_t i = 0; i < num; i++) {
        piece_queue_push(queue, block, first + i);
    }
}

static void assert_takes(uint32_t block, uint32_t first, uint32_t num)
{
    struct piece_run run;

    assert_true(piece_queue_take(queue, &run));
    assert_int_equal(run.block, block);
    assert_int_equal(run.first, first);
    assert_int_equal(run.num, num);
}

static void adjacent_pieces_come_together(void **state)
{
    (void)state;
    push_range(2, 5, 3);
    push_range(2, 9, 1);  /* not adjacent */
    push_range(3, 10, 2); /* another block */
    push_range(3, 11, 1); /* once more, and backwards */
    push_range(3, 10, 1);
    assert_takes(2, 5, 3);
    assert_takes(2, 9, 1);
    assert_takes(3, 10, 2);
    assert_takes(3, 11, 1);
    assert_takes(3, 10, 1);
}

static void a_run_has_a_limit(void **state)
{
    (void)state;
    push_range(0, 0, 2 * RUN_MAX + 1);
    assert_takes(0, 0, RUN_MAX);
    assert_takes(0, RUN_MAX, RUN_MAX);
    assert_takes(0, 2 * RUN_MAX, 1);
}

static void it_takes_as_many_as_was_said(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PIECES; i++) {
        push_range(0, 2 * i, 1);
        assert_takes(0, 2 * i, 1);
    }
}

static void stopped_it_gives_nothing(void **state)
{
    struct piece_run run;

    (void)state;
    push_range(0, 0, 3);
    piece_queue_stop(queue);
    assert_false(piece_queue_take(queue, &run));
    assert_false(piece_queue_take(queue, &run));
}

/* ---- Threads ---- */

static void *count(void *arg)
{
    uint32_t *pieces = arg;
    struct piece_run run;

    while (piece_queue_take(queue, &run)) {
        *pieces += run.num;
    }
    return NULL;
}

static void threads_wait_and_are_ended(void **state)
{
    uint32_t pieces[3] = {0};
    pthread_t threads[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, &pieces[i]), 0);
    }
    for (uint32_t i = 0; i < PIECES; i++) {
        push_range(i % 7, i, 1);
        if (i % 100 == 0) {
            usleep(500); /* until they wait */
        }
    }
    usleep(100000);
    piece_queue_stop(queue);
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(pieces[0] + pieces[1] + pieces[2], PIECES);
}

static void no_memory(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    mock_setup(state);
    mock_fail("malloc", ENOMEM);
    assert_null(piece_queue_new(1, 1, &err));
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
    mock_teardown(state);
}

#define with_queue(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_queue(adjacent_pieces_come_together), with_queue(a_run_has_a_limit),
        with_queue(it_takes_as_many_as_was_said),  with_queue(stopped_it_gives_nothing),
        with_queue(threads_wait_and_are_ended),    cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests_name("core/piece_queue", tests, NULL, NULL);
}
