/* SPDX-License-Identifier: MIT */
/* What completes, where and how, and how connections begin and end. */
#include "null_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

static void a_chain_completes_once(void **state)
{
    static char page[4096];
    struct ibv_sge sges[] = {{.addr = (uintptr_t)page, .length = sizeof(page)},
                             {.addr = (uintptr_t) "header", .length = 7}};
    struct ibv_send_wr wrs[] = {
        {.wr_id = 1, .next = &wrs[1], .sg_list = sges, .num_sge = 1, .opcode = IBV_WR_RDMA_WRITE},
        {.wr_id = 2, .sg_list = &sges[1], .num_sge = 1, .opcode = IBV_WR_SEND}};
    struct ibv_send_wr *bad;
    struct ibv_wc wc;
    struct pair pair;

    (void)state;
    connect_pair(&pair);
    wrs[1].send_flags = IBV_SEND_SIGNALED;
    assert_int_equal(ibv_post_send(pair.active.qp, wrs, &bad), 0);
    expect_completion(&pair.active, 2, IBV_WC_SUCCESS);
    expect_nothing(&pair.active);
    assert_int_equal(ibv_poll_cq(pair.passive.cq, 1, &wc), 1);
    assert_int_equal(wc.opcode, IBV_WC_RECV);
    assert_int_equal(wc.byte_len, 7);
    assert_string_equal((char *)pair.passive.bytes[wc.wr_id], "header");
    expect_nothing(&pair.passive);
    disconnect_pair(&pair);
}

static void queues_have_their_depth(void **state)
{
    struct pair pair;

    (void)state;
    connect_pair(&pair);
    for (uint64_t i = 0; i < DEPTH; i++) {
        assert_int_equal(post_send(&pair.active, i, "x", IBV_SEND_SIGNALED), 0);
    }
    assert_int_equal(post_send(&pair.active, DEPTH, "x", IBV_SEND_SIGNALED), ENOMEM);
    for (uint64_t i = 0; i < DEPTH; i++) {
        expect_completion(&pair.active, i, IBV_WC_SUCCESS);
        expect_completion(&pair.passive, i, IBV_WC_SUCCESS);
    }
    disconnect_pair(&pair);
}

static void *post_receives_late(void *arg)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    struct ibv_wc wc;

    nanosleep(&pause, NULL);
    while (ibv_poll_cq(((struct end *)arg)->cq, 1, &wc) == 1) {
        if (post_receive(arg, wc.wr_id) != 0) {
            return NULL;
        }
    }
    return arg;
}

/* A chain that takes more receives than there are: those it has got are seen while it waits. */
static void a_send_waits_for_its_receive(void **state)
{
    struct ibv_send_wr wrs[DEPTH + 1];
    struct ibv_send_wr *bad;
    struct pair pair;
    pthread_t thread;
    void *fine;

    (void)state;
    connect_pair(&pair);
    for (int i = 0; i <= DEPTH; i++) {
        wrs[i] =
            (struct ibv_send_wr){.next = i < DEPTH ? &wrs[i + 1] : NULL, .opcode = IBV_WR_SEND};
    }
    assert_int_equal(pthread_create(&thread, NULL, post_receives_late, &pair.passive), 0);
    assert_int_equal(ibv_post_send(pair.active.qp, wrs, &bad), 0);
    pthread_join(thread, &fine);
    assert_non_null(fine);
    expect_nothing(&pair.active);
    disconnect_pair(&pair);
}

static void too_long_a_message_fails_at_both_ends(void **state)
{
    static char text[MESSAGE + 2];
    struct pair pair;

    (void)state;
    connect_pair(&pair);
    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(post_send(&pair.active, 7, text, 0), 0);
    expect_completion(&pair.active, 7, IBV_WC_REM_INV_REQ_ERR);
    expect_completion(&pair.passive, 0, IBV_WC_LOC_LEN_ERR);
    disconnect_pair(&pair);
}

static void nothing_goes_to_a_peer_that_is_gone(void **state)
{
    struct pair pair;

    (void)state;
    connect_pair(&pair);
    assert_int_equal(ibv_destroy_qp(pair.passive.qp), 0);
    pair.passive.qp = NULL;
    assert_int_equal(post_send(&pair.active, 7, "x", 0), 0);
    expect_completion(&pair.active, 7, IBV_WC_WR_FLUSH_ERR);
    disconnect_pair(&pair);
}

static void nobody_listens(void **state)
{
    struct rdma_conn_param param = {.qp_num = 1};
    struct rdma_cm_event *event;
    struct end end;

    (void)state;
    open_end(&end);
    resolve(&end, htons(1));
    assert_int_equal(rdma_connect(end.id, &param), 0);
    event = next_event(&end, RDMA_CM_EVENT_REJECTED);
    assert_int_equal(event->status, 8);
    rdma_ack_cm_event(event);
    assert_int_equal(fcntl(end.events->fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(rdma_get_cm_event(end.events, &event), -1);
    assert_int_equal(errno, EAGAIN);
    rdma_destroy_id(end.id);
    rdma_destroy_event_channel(end.events);
}

/* A request that nobody has taken ends with the listener, and one that is refused says so. */
static void requests_end(void **state)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct rdma_conn_param param = {.qp_num = 1};
    struct rdma_cm_event *event;
    struct end listener, first, second;

    (void)state;
    open_end(&listener);
    open_end(&first);
    open_end(&second);
    assert_int_equal(rdma_bind_addr(listener.id, (struct sockaddr *)&any), 0);
    assert_int_equal(rdma_listen(listener.id, 2), 0);
    resolve(&first, rdma_get_src_port(listener.id));
    resolve(&second, rdma_get_src_port(listener.id));
    assert_int_equal(rdma_connect(first.id, &param), 0);
    assert_int_equal(rdma_connect(second.id, &param), 0);
    event = next_event(&listener, RDMA_CM_EVENT_CONNECT_REQUEST);
    assert_int_equal(rdma_reject(event->id, "no", 3), 0);
    rdma_destroy_id(event->id);
    rdma_ack_cm_event(event);
    event = next_event(&first, RDMA_CM_EVENT_REJECTED);
    assert_string_equal(event->param.conn.private_data, "no");
    rdma_ack_cm_event(event);
    rdma_destroy_id(listener.id);
    rdma_destroy_event_channel(listener.events);
    expect_event(&second, RDMA_CM_EVENT_REJECTED);
    rdma_destroy_id(first.id);
    rdma_destroy_event_channel(first.events);
    rdma_destroy_id(second.id);
    rdma_destroy_event_channel(second.events);
}

static void *post_until_the_peer_is_gone(void *arg)
{
    struct end *end = arg;
    struct ibv_wc wc = {.status = IBV_WC_SUCCESS};

    while (wc.status == IBV_WC_SUCCESS) {
        if (post_send(end, 0, "x", IBV_SEND_SIGNALED) != 0 || ibv_poll_cq(end->cq, 1, &wc) != 1) {
            return NULL;
        }
    }
    return end;
}

static void a_peer_may_go_while_the_other_posts(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct pair pair;
        pthread_t thread;
        void *ended;

        connect_pair(&pair);
        assert_int_equal(pthread_create(&thread, NULL, post_until_the_peer_is_gone, &pair.active),
                         0);
        assert_int_equal(rdma_disconnect(pair.passive.id), 0);
        close_end(&pair.passive);
        pthread_join(thread, &ended);
        assert_non_null(ended);
        close_end(&pair.active);
        ibv_dealloc_pd(pair.pd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_completes_once),
        cmocka_unit_test(queues_have_their_depth),
        cmocka_unit_test(a_send_waits_for_its_receive),
        cmocka_unit_test(too_long_a_message_fails_at_both_ends),
        cmocka_unit_test(nothing_goes_to_a_peer_that_is_gone),
        cmocka_unit_test(a_peer_may_go_while_the_other_posts),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(requests_end),
    };

    return cmocka_run_group_tests_name("null device", tests, NULL, NULL);
}
