/*
 * SPDX-License-Identifier: MIT
 *
 * The fabric's faults, and whole traffic from several threads for the sanitizers.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pair.h"

static int reset_only(void **state)
{
    (void)state;
    fabric_reset(NULL);
    return 0;
}

/* A device list, a context, a domain: three calls that can fail, two clean-up calls. 0 or the errno
 * of the failure. */
static int small_session(void)
{
    struct ibv_device **list = ibv_get_device_list(NULL);
    struct ibv_context *context;
    struct ibv_pd *pd;
    int error = 0;

    if (!list) {
        return errno;
    }
    context = ibv_open_device(list[0]);
    if (!context) {
        error = errno;
        ibv_free_device_list(list);
        return error;
    }
    pd = ibv_alloc_pd(context);
    error = pd ? ibv_dealloc_pd(pd) : errno;
    if (ibv_close_device(context) != 0 && !error) {
        error = errno;
    }
    ibv_free_device_list(list);
    return error;
}

static void nth_call_fails(void **state)
{
    const char *const names[] = {"ibv_get_device_list", "ibv_open_device", "ibv_alloc_pd"};

    (void)state;
    for (unsigned long n = 1; n <= 3; n++) {
        fabric_reset(NULL);
        fabric_fail_call(n, ENOSPC);
        assert_int_equal(small_session(), ENOSPC);
        assert_string_equal(fabric_failed_call_name(), names[n - 1]);
        assert_int_equal(fabric_failed_calls(), 1);
        assert_int_equal(fabric_calls(), n);
        assert_int_equal(fabric_live_objects(), 0);
    }
    fabric_fail_call(4, ENOSPC);
    assert_int_equal(small_session(), 0);
    assert_int_equal(fabric_failed_calls(), 1);
    assert_int_equal(small_session(), ENOSPC);
}

static void cleanup_fails_separately(void **state)
{
    (void)state;
    for (unsigned long n = 1; n <= 2; n++) {
        fabric_reset(NULL);
        fabric_fail_cleanup_call(n, EIO);
        assert_int_equal(small_session(), EIO);
        assert_string_equal(fabric_failed_call_name(),
                            n == 1 ? "ibv_dealloc_pd" : "ibv_close_device");
        assert_int_equal(fabric_cleanup_calls(), 2);
        assert_int_equal(fabric_live_objects(), 0);
    }
    /* A first failure, and one while cleaning up after it. */
    fabric_reset(NULL);
    fabric_fail_call(3, ENOMEM);
    fabric_fail_cleanup_call(1, EIO);
    assert_int_equal(small_session(), ENOMEM);
    assert_int_equal(fabric_failed_calls(), 2);
    assert_string_equal(fabric_failed_call_name(), "ibv_alloc_pd");
}

static void named_call_fails(void **state)
{
    (void)state;
    fabric_fail_call_named("ibv_alloc_pd", 2, EPERM);
    assert_int_equal(small_session(), 0);
    assert_int_equal(small_session(), EPERM);
    assert_int_equal(small_session(), 0);
    assert_int_equal(fabric_calls_named("ibv_alloc_pd"), 3);
    assert_int_equal(fabric_calls_named("ibv_create_qp"), 0);
}

static void data_path_calls_fail(void **state)
{
    struct pair *pair = pair_new();
    struct ibv_wc wc;

    (void)state;
    fabric_fail_call_named("ibv_post_send", 1, EFAULT);
    assert_int_equal(post_send(&pair->active, 1, 0, 1, 0), EFAULT);
    fabric_fail_call_named("ibv_post_recv", 1, EFAULT);
    assert_int_equal(post_recv(&pair->passive, 1, 0, 1), EFAULT);
    fabric_fail_call_named("ibv_req_notify_cq", 1, EFAULT);
    assert_int_equal(ibv_req_notify_cq(pair->active.cq, 0), EFAULT);
    fabric_fail_call_named("ibv_poll_cq", 1, EFAULT);
    assert_int_equal(ibv_poll_cq(pair->active.cq, 1, &wc), 0);
    assert_int_equal(ibv_req_notify_cq(pair->active.cq, 0), 0);
    assert_int_equal(post_write(&pair->active, 2, 0, 0, (uintptr_t)pair->passive.memory,
                                pair->passive.mr->rkey, IBV_SEND_SIGNALED),
                     0);
    while (ibv_poll_cq(pair->active.cq, 1, &wc) == 0) {
    }
    expect_wc(&pair->active, 2, IBV_WC_SUCCESS);
    pair_delete(pair);
}

static void nth_completion_fails_even_unsignalled(void **state)
{
    struct pair *pair = pair_new();

    (void)state;
    fabric_fail_completion(2, IBV_WC_GENERAL_ERR);
    for (uint64_t i = 1; i <= 3; i++) {
        pair->active.memory[i] = (uint8_t)i;
        assert_int_equal(post_write(&pair->active, i, (uint32_t)i, 1,
                                    (uintptr_t)pair->passive.memory + i, pair->passive.mr->rkey, 0),
                         0);
    }
    expect_wc(&pair->active, 2, IBV_WC_GENERAL_ERR);
    expect_wc(&pair->active, 3, IBV_WC_WR_FLUSH_ERR);
    assert_true(fabric_completion_failed());
    assert_int_equal(fabric_completions(), 2);
    assert_memory_equal(pair->passive.memory, "\0\1\0\0", 4);
    assert_int_equal(post_recv(&pair->passive, 9, 0, 1), 0);
    expect_no_wc(&pair->passive);
    pair_delete(pair);
}

static void events_can_be_replaced_and_lost(void **state)
{
    struct sockaddr_in to = pair_address(1);
    struct rdma_event_channel *events = rdma_create_event_channel();
    struct rdma_cm_id *id;

    (void)state;
    fabric_fail_event(RDMA_CM_EVENT_ADDR_RESOLVED, 1, RDMA_CM_EVENT_ADDR_ERROR, -ETIMEDOUT);
    assert_int_equal(rdma_create_id(events, &id, NULL, RDMA_PS_TCP), 0);
    assert_int_equal(rdma_resolve_addr(id, NULL, (struct sockaddr *)&to, 1000), 0);
    expect_event(events, RDMA_CM_EVENT_ADDR_ERROR, -ETIMEDOUT);
    assert_int_equal(rdma_destroy_id(id), 0);

    fabric_fail_event(RDMA_CM_EVENT_ROUTE_RESOLVED, 1, FABRIC_EVENT_LOST, 0);
    assert_int_equal(rdma_create_id(events, &id, NULL, RDMA_PS_TCP), 0);
    assert_int_equal(rdma_resolve_addr(id, NULL, (struct sockaddr *)&to, 1000), 0);
    expect_event(events, RDMA_CM_EVENT_ADDR_RESOLVED, 0);
    assert_int_equal(rdma_resolve_route(id, 1000), 0);
    assert_int_equal(rdma_connect(id, &(struct rdma_conn_param){0}), 0);
    expect_event(events, RDMA_CM_EVENT_REJECTED, 8);
    assert_int_equal(rdma_destroy_id(id), 0);
    rdma_destroy_event_channel(events);
    assert_int_equal(fabric_live_objects(), 0);
}

static void registration_obeys_its_limits(void **state)
{
    static uint8_t memory[8192];
    struct fabric_options options;
    struct pair *pair;

    (void)state;
    fabric_options_init(&options);
    options.max_mr_size = PAIR_MEMORY;
    options.memlock = 2 * PAIR_MEMORY + 4096;
    fabric_reset(&options);
    pair = pair_new();
    assert_null(ibv_reg_mr(pair->active.pd, memory, 4097, 0));
    assert_int_equal(errno, ENOMEM);
    assert_null(ibv_reg_mr(pair->active.pd, memory, 64, IBV_ACCESS_REMOTE_WRITE));
    assert_int_equal(errno, EINVAL);
    assert_null(ibv_reg_mr(pair->active.pd, memory, PAIR_MEMORY + 1, 0));
    assert_int_equal(errno, EINVAL);
    assert_null(ibv_reg_mr(pair->active.pd, memory, 64, IBV_ACCESS_ON_DEMAND));
    struct ibv_mr *mr = ibv_reg_mr(pair->active.pd, memory, 4096, IBV_ACCESS_RELAXED_ORDERING);
    assert_non_null(mr);
    assert_int_equal(ibv_dereg_mr(mr), 0);
    pair_delete(pair);
}

enum { PAIRS = 4, ROUNDS = 200, PAGE = 512, WINDOW = 4 };

struct traffic {
    struct pair *pair;
    unsigned int failures; /* of this side: the other thread has its own */
};

/* Writes a page and announces it, `WINDOW` at a time; the value of a page is its round. */
static void *send_rounds(void *opaque)
{
    struct traffic *traffic = opaque;
    struct end *from = &traffic->pair->active;
    struct ibv_wc wc;

    for (uint32_t round = 0, polled = 0; polled < ROUNDS;) {
        uint32_t slot = round % WINDOW * PAGE;
        if (round < ROUNDS && round - polled < WINDOW) {
            memset(from->memory + slot, (int)(round & 0xff), PAGE);
            traffic->failures +=
                post_write(from, round, slot, PAGE, (uintptr_t)traffic->pair->passive.memory + slot,
                           traffic->pair->passive.mr->rkey, 0) != 0;
            traffic->failures += post_send(from, round++, slot, 1, IBV_SEND_SIGNALED) != 0;
        }
        if (ibv_poll_cq(from->cq, 1, &wc) == 1) {
            traffic->failures += wc.status != IBV_WC_SUCCESS || wc.wr_id != polled++;
        }
    }
    return NULL;
}

static void *receive_rounds(void *opaque)
{
    struct traffic *traffic = opaque;
    struct end *at = &traffic->pair->passive;
    struct ibv_wc wc;

    for (uint32_t round = 0; round < ROUNDS;) {
        uint8_t *page = at->memory + round % WINDOW * PAGE;
        if (ibv_poll_cq(at->cq, 1, &wc) != 1) {
            continue;
        }
        /* The sender may be a window ahead, so the page is this round's or a later one's of the
         * same slot. */
        uint8_t ahead = (uint8_t)(page[PAGE - 1] - (round & 0xff));
        traffic->failures +=
            wc.status != IBV_WC_SUCCESS || wc.wr_id != round || ahead % WINDOW != 0;
        traffic->failures += at->memory[PAIR_MEMORY - 1 - round % WINDOW] != (round & 0xff);
        round++;
        if (round + WINDOW <= ROUNDS) {
            traffic->failures +=
                post_recv(at, round + WINDOW - 1, PAIR_MEMORY - 1 - (round - 1) % WINDOW, 1) != 0;
        }
    }
    return NULL;
}

static void pairs_run_beside_each_other(void **state)
{
    struct traffic traffic[2 * PAIRS] = {0};
    struct fabric_options options;
    pthread_t threads[2 * PAIRS];

    (void)state;
    fabric_options_init(&options);
    options.max_delay_us = 50;
    options.seed = 7;
    fabric_reset(&options);
    for (int i = 0; i < PAIRS; i++) {
        struct pair *pair = pair_new();
        traffic[2 * i].pair = pair;
        traffic[2 * i + 1].pair = pair;
        for (uint32_t slot = 0; slot < WINDOW; slot++) {
            assert_int_equal(post_recv(&pair->passive, slot, PAIR_MEMORY - 1 - slot, 1), 0);
        }
    }
    for (int i = 0; i < 2 * PAIRS; i++) {
        pthread_create(&threads[i], NULL, i % 2 ? receive_rounds : send_rounds, &traffic[i]);
    }
    for (int i = 0; i < 2 * PAIRS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(traffic[i].failures, 0);
    }
    assert_int_equal(fabric_bytes_written(), (uint64_t)PAIRS * ROUNDS * PAGE);
    assert_int_equal(fabric_completions(), 2 * PAIRS * ROUNDS);
    for (int i = 0; i < PAIRS; i++) {
        assert_int_equal(rdma_disconnect(traffic[2 * i].pair->passive.id), 0);
        pair_close(traffic[2 * i].pair);
    }
    assert_int_equal(fabric_live_objects(), 0);
}

#define BARE_TEST(function) cmocka_unit_test_setup(function, reset_only)

int run_fault_tests(void)
{
    const struct CMUnitTest tests[] = {
        BARE_TEST(nth_call_fails),
        BARE_TEST(cleanup_fails_separately),
        BARE_TEST(named_call_fails),
        BARE_TEST(data_path_calls_fail),
        BARE_TEST(nth_completion_fails_even_unsignalled),
        BARE_TEST(events_can_be_replaced_and_lost),
        BARE_TEST(registration_obeys_its_limits),
        BARE_TEST(pairs_run_beside_each_other),
    };

    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
