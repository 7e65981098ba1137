/*
 * SPDX-License-Identifier: MIT
 *
 * The fabric's data path: bytes, order, access, receives, flushes, the limits of queues.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pair.h"

static int setup(void **state)
{
    fabric_reset(NULL);
    *state = pair_new();
    return 0;
}

static int teardown(void **state)
{
    pair_delete(*state);
    return 0;
}

static uint64_t remote(const struct pair *pair, uint32_t offset)
{
    return (uintptr_t)pair->passive.memory + offset;
}

static void write_moves_bytes(void **state)
{
    struct pair *pair = *state;

    memset(pair->active.memory, 0xab, 4096);
    assert_int_equal(post_write(&pair->active, 1, 0, 4096, remote(pair, 8192),
                                pair->passive.mr->rkey, IBV_SEND_SIGNALED),
                     0);
    struct ibv_wc wc = next_wc(&pair->active);
    assert_int_equal(wc.status, IBV_WC_SUCCESS);
    assert_int_equal(wc.opcode, IBV_WC_RDMA_WRITE);
    assert_memory_equal(pair->passive.memory + 8192, pair->active.memory, 4096);
    assert_int_equal(pair->passive.memory[8191], 0);
    assert_int_equal(pair->passive.memory[8192 + 4096], 0);
    assert_int_equal(fabric_bytes_written(), 4096);
    expect_no_wc(&pair->passive);
}

/* These ends open their memory to WRITEs only. */
static void read_needs_access(void **state)
{
    struct pair *pair = *state;
    struct end *from = &pair->active;
    struct ibv_sge sge = {.addr = (uintptr_t)from->memory, .length = 64, .lkey = from->mr->lkey};
    struct ibv_send_wr wr = {.wr_id = 3,
                             .sg_list = &sge,
                             .num_sge = 1,
                             .opcode = IBV_WR_RDMA_READ,
                             .send_flags = IBV_SEND_INLINE,
                             .wr.rdma = {remote(pair, 0), pair->passive.mr->rkey}};
    struct ibv_send_wr *bad;

    assert_int_equal(ibv_post_send(from->qp, &wr, &bad), EINVAL);
    wr.send_flags = IBV_SEND_SIGNALED;
    assert_int_equal(ibv_post_send(from->qp, &wr, &bad), 0);
    expect_wc(from, 3, IBV_WC_REM_ACCESS_ERR);
}

static void write_of_nothing_is_a_keepalive(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(post_write(&pair->active, 1, 0, 0, remote(pair, 0), pair->passive.mr->rkey,
                                IBV_SEND_SIGNALED),
                     0);
    expect_wc(&pair->active, 1, IBV_WC_SUCCESS);
}

static void chain_arrives_in_order_with_one_completion(void **state)
{
    struct pair *pair = *state;
    struct ibv_sge sges[3];
    struct ibv_send_wr wrs[3], *bad;

    assert_int_equal(post_recv(&pair->passive, 77, 0, 64), 0);
    for (uint32_t i = 0; i < 3; i++) {
        pair->active.memory[i] = (uint8_t)(i + 1);
        sges[i] = (struct ibv_sge){(uintptr_t)pair->active.memory + i, 1, pair->active.mr->lkey};
        wrs[i] = (struct ibv_send_wr){.wr_id = i,
                                      .next = i < 2 ? &wrs[i + 1] : NULL,
                                      .sg_list = &sges[i],
                                      .num_sge = 1,
                                      .opcode = IBV_WR_RDMA_WRITE};
        wrs[i].wr.rdma.remote_addr = remote(pair, 4096);
        wrs[i].wr.rdma.rkey = pair->passive.mr->rkey;
    }
    wrs[2].opcode = IBV_WR_SEND;
    wrs[2].send_flags = IBV_SEND_SIGNALED;
    assert_int_equal(ibv_post_send(pair->active.qp, wrs, &bad), 0);

    struct ibv_wc wc = next_wc(&pair->passive);
    assert_int_equal(wc.wr_id, 77);
    assert_int_equal(wc.opcode, IBV_WC_RECV);
    assert_int_equal(wc.byte_len, 1);
    assert_int_equal(pair->passive.memory[0], 3);
    assert_int_equal(pair->passive.memory[4096], 2);
    expect_wc(&pair->active, 2, IBV_WC_SUCCESS);
    expect_no_wc(&pair->active);
}

static void sges_are_gathered_and_scattered(void **state)
{
    struct pair *pair = *state;
    struct ibv_sge from[3] = {
        {(uintptr_t)pair->active.memory, 3, pair->active.mr->lkey},
        {0, 0, 0},
        {(uintptr_t)pair->active.memory + 100, 5, pair->active.mr->lkey},
    };
    struct ibv_sge to[2] = {
        {(uintptr_t)pair->passive.memory, 6, pair->passive.mr->lkey},
        {(uintptr_t)pair->passive.memory + 50, 6, pair->passive.mr->lkey},
    };
    struct ibv_send_wr send = {.sg_list = from, .num_sge = 3, .opcode = IBV_WR_SEND}, *bad_send;
    struct ibv_recv_wr receive = {.wr_id = 1, .sg_list = to, .num_sge = 2}, *bad_receive;

    memcpy(pair->active.memory, "abc", 3);
    memcpy(pair->active.memory + 100, "defgh", 5);
    assert_int_equal(ibv_post_recv(pair->passive.qp, &receive, &bad_receive), 0);
    assert_int_equal(ibv_post_send(pair->active.qp, &send, &bad_send), 0);
    expect_wc(&pair->passive, 1, IBV_WC_SUCCESS);
    assert_memory_equal(pair->passive.memory, "abcdef", 6);
    assert_memory_equal(pair->passive.memory + 50, "gh", 3);
}

static void source_is_read_when_it_is_sent(void **state)
{
    struct pair *pair = *state;

    fabric_cut(true);
    pair->active.memory[0] = 1;
    assert_int_equal(post_write(&pair->active, 1, 0, 1, remote(pair, 0), pair->passive.mr->rkey, 0),
                     0);
    assert_int_equal(post_write(&pair->active, 2, 0, 1, remote(pair, 1), pair->passive.mr->rkey,
                                IBV_SEND_SIGNALED | IBV_SEND_INLINE),
                     0);
    pair->active.memory[0] = 2;
    fabric_cut(false);
    expect_wc(&pair->active, 2, IBV_WC_SUCCESS);
    assert_int_equal(pair->passive.memory[0], 2);
    assert_int_equal(pair->passive.memory[1], 1);
}

static void expect_both_in_error(struct pair *pair)
{
    struct ibv_qp_attr attr;
    struct ibv_qp_init_attr init;

    assert_int_equal(ibv_query_qp(pair->active.qp, &attr, IBV_QP_STATE, &init), 0);
    assert_int_equal(attr.qp_state, IBV_QPS_ERR);
    assert_int_equal(ibv_query_qp(pair->passive.qp, &attr, IBV_QP_STATE, &init), 0);
    assert_int_equal(attr.qp_state, IBV_QPS_ERR);
}

/* A refused write, and that everything behind it and every receive is flushed. */
static void expect_refused(struct pair *pair, uint64_t to, uint32_t length, uint32_t rkey)
{
    assert_int_equal(post_recv(&pair->passive, 50, 0, 8), 0);
    assert_int_equal(post_recv(&pair->active, 60, 0, 8), 0);
    fabric_cut(true); /* until all is posted */
    assert_int_equal(post_write(&pair->active, 1, 0, length, to, rkey, 0), 0);
    assert_int_equal(post_write(&pair->active, 2, 0, 1, remote(pair, 0), pair->passive.mr->rkey, 0),
                     0);
    fabric_cut(false);
    expect_wc(&pair->active, 1, IBV_WC_REM_ACCESS_ERR);
    expect_wc(&pair->active, 2, IBV_WC_WR_FLUSH_ERR);
    expect_wc(&pair->active, 60, IBV_WC_WR_FLUSH_ERR);
    expect_wc(&pair->passive, 50, IBV_WC_WR_FLUSH_ERR);
    expect_both_in_error(pair);
    assert_int_equal(fabric_bytes_written(), 0);
}

static void write_beyond_the_region_is_refused(void **state)
{
    struct pair *pair = *state;

    expect_refused(pair, remote(pair, PAIR_MEMORY - 7), 8, pair->passive.mr->rkey);
}

static void write_before_the_region_is_refused(void **state)
{
    struct pair *pair = *state;

    expect_refused(pair, remote(pair, 0) - 1, 8, pair->passive.mr->rkey);
}

static void write_with_the_local_key_is_refused(void **state)
{
    struct pair *pair = *state;

    expect_refused(pair, remote(pair, 0), 8, pair->passive.mr->lkey);
}

static void write_with_a_stale_key_is_refused(void **state)
{
    struct pair *pair = *state;
    static uint8_t other[64];
    struct ibv_mr *mr = ibv_reg_mr(pair->passive.pd, other, sizeof(other),
                                   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    uint32_t rkey = mr->rkey;

    assert_int_equal(ibv_dereg_mr(mr), 0);
    expect_refused(pair, (uintptr_t)other, 8, rkey);
}

static void write_without_permission_is_refused(void **state)
{
    struct pair *pair = *state;
    static uint8_t other[64];
    struct ibv_mr *mr = ibv_reg_mr(pair->passive.pd, other, sizeof(other), IBV_ACCESS_LOCAL_WRITE);

    expect_refused(pair, (uintptr_t)other, 8, mr->rkey);
    assert_int_equal(ibv_dereg_mr(mr), 0);
}

static void write_into_another_domain_is_refused(void **state)
{
    struct pair *pair = *state;
    static uint8_t other[64];
    struct ibv_pd *pd = ibv_alloc_pd(pair->passive.id->verbs);
    struct ibv_mr *mr =
        ibv_reg_mr(pd, other, sizeof(other), IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);

    expect_refused(pair, (uintptr_t)other, 8, mr->rkey);
    assert_int_equal(ibv_dealloc_pd(pd), EBUSY);
    assert_int_equal(ibv_dereg_mr(mr), 0);
    assert_int_equal(ibv_dealloc_pd(pd), 0);
}

static void bad_local_key_is_a_protection_error(void **state)
{
    struct pair *pair = *state;
    struct ibv_sge sge = {(uintptr_t)pair->active.memory, 8, pair->active.mr->rkey};
    struct ibv_send_wr wr = {.wr_id = 9, .sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_SEND},
                       *bad;

    assert_int_equal(ibv_post_send(pair->active.qp, &wr, &bad), 0);
    expect_wc(&pair->active, 9, IBV_WC_LOC_PROT_ERR);
}

static void small_receive_fails_both_sides(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(post_recv(&pair->passive, 5, 0, 7), 0);
    assert_int_equal(post_send(&pair->active, 6, 0, 8, 0), 0);
    expect_wc(&pair->passive, 5, IBV_WC_LOC_LEN_ERR);
    expect_wc(&pair->active, 6, IBV_WC_REM_INV_REQ_ERR);
    expect_both_in_error(pair);
}

static void missing_receive_stalls_the_sender(void **state)
{
    struct pair *pair = *state;

    pair->active.memory[0] = 42;
    assert_int_equal(post_send(&pair->active, 1, 0, 1, IBV_SEND_SIGNALED), 0);
    assert_int_equal(post_write(&pair->active, 2, 0, 1, remote(pair, 10), pair->passive.mr->rkey,
                                IBV_SEND_SIGNALED),
                     0);
    expect_no_wc(&pair->active);
    assert_true(fabric_rnr_naks() > 0);
    assert_int_equal(post_recv(&pair->passive, 3, 0, 1), 0);
    expect_wc(&pair->passive, 3, IBV_WC_SUCCESS);
    expect_wc(&pair->active, 1, IBV_WC_SUCCESS);
    expect_wc(&pair->active, 2, IBV_WC_SUCCESS);
    assert_int_equal(pair->passive.memory[0], 42);
}

static void slots_are_free_only_after_the_poll(void **state)
{
    struct pair *pair = *state;
    struct ibv_sge sge = {(uintptr_t)pair->active.memory, 1, pair->active.mr->lkey};
    struct ibv_send_wr wrs[2], *bad = NULL;

    for (uint64_t i = 0; i < PAIR_SLOTS - 1; i++) {
        assert_int_equal(
            post_write(&pair->active, i, 0, 1, remote(pair, 0), pair->passive.mr->rkey, 0), 0);
    }
    expect_no_wc(&pair->active);
    for (int i = 0; i < 2; i++) {
        wrs[i] = (struct ibv_send_wr){.wr_id = 100,
                                      .sg_list = &sge,
                                      .num_sge = 1,
                                      .opcode = IBV_WR_RDMA_WRITE,
                                      .send_flags = IBV_SEND_SIGNALED,
                                      .next = i == 0 ? &wrs[1] : NULL};
        wrs[i].wr.rdma.remote_addr = remote(pair, 0);
        wrs[i].wr.rdma.rkey = pair->passive.mr->rkey;
    }
    assert_int_equal(ibv_post_send(pair->active.qp, wrs, &bad), ENOMEM);
    assert_ptr_equal(bad, &wrs[1]);
    expect_wc(&pair->active, 100, IBV_WC_SUCCESS);
    assert_int_equal(ibv_post_send(pair->active.qp, wrs, &bad), 0);
    expect_wc(&pair->active, 100, IBV_WC_SUCCESS);
    expect_wc(&pair->active, 100, IBV_WC_SUCCESS);

    for (uint64_t i = 0; i < PAIR_SLOTS; i++) {
        assert_int_equal(post_recv(&pair->active, i, 0, 1), 0);
    }
    assert_int_equal(post_recv(&pair->active, 99, 0, 1), ENOMEM);
}

static void inline_beyond_the_limit_is_refused(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(post_send(&pair->active, 1, 0, 65, IBV_SEND_INLINE), EINVAL);
    assert_int_equal(post_recv(&pair->passive, 2, 0, 64), 0);
    assert_int_equal(post_send(&pair->active, 1, 0, 64, IBV_SEND_INLINE), 0);
    expect_wc(&pair->passive, 2, IBV_WC_SUCCESS);
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd descriptor = {.fd = fd, .events = POLLIN};

    return poll(&descriptor, 1, timeout_ms) == 1;
}

static void one_event_per_arming(void **state)
{
    struct pair *pair = *state;
    struct ibv_cq *cq;
    void *context;

    assert_int_equal(fcntl(pair->active.channel->fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(ibv_get_cq_event(pair->active.channel, &cq, &context), -1);
    assert_int_equal(errno, EAGAIN);

    assert_int_equal(ibv_req_notify_cq(pair->active.cq, 0), 0);
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(post_write(&pair->active, i, 0, 1, remote(pair, 0), pair->passive.mr->rkey,
                                    IBV_SEND_SIGNALED),
                         0);
    }
    assert_true(readable(pair->active.channel->fd, 5000));
    expect_wc(&pair->active, 0, IBV_WC_SUCCESS);
    expect_wc(&pair->active, 1, IBV_WC_SUCCESS);
    assert_int_equal(ibv_get_cq_event(pair->active.channel, &cq, &context), 0);
    assert_ptr_equal(cq, pair->active.cq);
    assert_ptr_equal(context, &pair->active);
    assert_false(readable(pair->active.channel->fd, 0));
    assert_int_equal(fabric_live(FABRIC_CQ_EVENT), 1);
    ibv_ack_cq_events(cq, 1);
    assert_int_equal(fabric_live(FABRIC_CQ_EVENT), 0);
    assert_int_equal(ibv_destroy_cq(cq), EBUSY);
    assert_int_equal(ibv_destroy_comp_channel(pair->active.channel), EBUSY);
}

static void solicited_events_only_for_asked_messages(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(ibv_req_notify_cq(pair->passive.cq, 1), 0);
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(post_recv(&pair->passive, i, 0, 1), 0);
    }
    assert_int_equal(post_send(&pair->active, 1, 0, 1, 0), 0);
    expect_wc(&pair->passive, 0, IBV_WC_SUCCESS);
    assert_false(readable(pair->passive.channel->fd, 0));
    assert_int_equal(post_send(&pair->active, 2, 0, 1, IBV_SEND_SOLICITED), 0);
    expect_wc(&pair->passive, 1, IBV_WC_SUCCESS);
    assert_true(readable(pair->passive.channel->fd, 5000));
}

static void cut_wire_ends_with_retries_exceeded(void **state)
{
    struct pair *pair = *state;

    fabric_cut(true);
    assert_int_equal(post_write(&pair->active, 1, 0, 1, remote(pair, 0), pair->passive.mr->rkey, 0),
                     0);
    assert_int_equal(post_send(&pair->active, 2, 0, 1, 0), 0);
    expect_no_wc(&pair->active);
    expect_wc(&pair->active, 1, IBV_WC_RETRY_EXC_ERR);
    expect_wc(&pair->active, 2, IBV_WC_WR_FLUSH_ERR);
    assert_int_equal(pair->passive.memory[0], 0);
}

static void tamper(void *opaque, struct fabric_message *message)
{
    const uint32_t *expected = opaque;

    /* On a wire thread, where an assertion of the test library must not fail. */
    if (message->qp_num != *expected) {
        return;
    }
    message->drop = message->bytes[0] == 2;
    message->bytes[0] = 99;
    message->bytes[message->length++] = 100;
}

static void messages_can_be_changed_in_flight(void **state)
{
    struct pair *pair = *state;

    fabric_on_send(tamper, &pair->active.qp->qp_num);
    for (uint8_t i = 1; i <= 3; i++) {
        pair->active.memory[i] = i;
        assert_int_equal(post_recv(&pair->passive, i, i * 8U, 8), 0);
        assert_int_equal(post_send(&pair->active, i, i, 1, IBV_SEND_SIGNALED), 0);
        expect_wc(&pair->active, i, IBV_WC_SUCCESS);
    }
    expect_wc(&pair->passive, 1, IBV_WC_SUCCESS);
    expect_wc(&pair->passive, 2, IBV_WC_SUCCESS);
    expect_no_wc(&pair->passive);
    assert_int_equal(pair->passive.memory[8], 99);
    assert_int_equal(pair->passive.memory[9], 100);
    fabric_on_send(NULL, NULL);
}

static void error_state_flushes_what_is_posted_later(void **state)
{
    struct pair *pair = *state;
    struct ibv_qp_attr attr = {.qp_state = IBV_QPS_ERR};

    assert_int_equal(ibv_modify_qp(pair->active.qp, &attr, IBV_QP_STATE), 0);
    assert_int_equal(post_send(&pair->active, 1, 0, 1, 0), 0);
    expect_wc(&pair->active, 1, IBV_WC_WR_FLUSH_ERR);
    assert_int_equal(post_recv(&pair->active, 2, 0, 1), 0);
    expect_wc(&pair->active, 2, IBV_WC_WR_FLUSH_ERR);

    attr.qp_state = IBV_QPS_RESET;
    assert_int_equal(ibv_modify_qp(pair->active.qp, &attr, IBV_QP_STATE), 0);
    assert_int_equal(post_recv(&pair->active, 3, 0, 1), EINVAL);
    assert_int_equal(post_send(&pair->active, 3, 0, 1, 0), EINVAL);
}

#define PAIR_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(write_moves_bytes),
        PAIR_TEST(read_needs_access),
        PAIR_TEST(write_of_nothing_is_a_keepalive),
        PAIR_TEST(chain_arrives_in_order_with_one_completion),
        PAIR_TEST(sges_are_gathered_and_scattered),
        PAIR_TEST(source_is_read_when_it_is_sent),
        PAIR_TEST(write_beyond_the_region_is_refused),
        PAIR_TEST(write_before_the_region_is_refused),
        PAIR_TEST(write_with_the_local_key_is_refused),
        PAIR_TEST(write_with_a_stale_key_is_refused),
        PAIR_TEST(write_without_permission_is_refused),
        PAIR_TEST(write_into_another_domain_is_refused),
        PAIR_TEST(bad_local_key_is_a_protection_error),
        PAIR_TEST(small_receive_fails_both_sides),
        PAIR_TEST(missing_receive_stalls_the_sender),
        PAIR_TEST(slots_are_free_only_after_the_poll),
        PAIR_TEST(inline_beyond_the_limit_is_refused),
        PAIR_TEST(one_event_per_arming),
        PAIR_TEST(solicited_events_only_for_asked_messages),
        PAIR_TEST(cut_wire_ends_with_retries_exceeded),
        PAIR_TEST(messages_can_be_changed_in_flight),
        PAIR_TEST(error_state_flushes_what_is_posted_later),
    };
    int failed = cmocka_run_group_tests_name("data path", tests, NULL, NULL);

    failed += run_cm_tests();
    failed += run_fault_tests();
    return failed;
}
