/* SPDX-License-Identifier: MIT */
#include "mock_verbs.h"
#include "transport/verbs/queue_pair.h"

#include <errno.h>

#define RTR_MASK                                                                                   \
    (IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |                \
     IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER)
#define RTS_MASK                                                                                   \
    (IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN)

/* What a session has that sets nothing. */
static const struct transport_settings defaults = {.timeout_ms = 10000,
                                                   .gid_index = -1,
                                                   .traffic_class = -1,
                                                   .service_level = -1,
                                                   .qp_timeout = -1,
                                                   .retry_count = 7,
                                                   .rnr_timer = 12};

static struct rdma_cm_id id;
static struct ibv_pd *pd;
static struct ibv_cq *cq;
static struct ibv_qp *qp;

/* Libibverbs objects to build on, and a connection that rdma_cm knows how to bring up. */
static int make(void **state)
{
    mock_setup(state);
    memset(&id, 0, sizeof(id));
    id.verbs = mock_context();
    pd = ibv_alloc_pd(mock_context());
    cq = ibv_create_cq(mock_context(), 10, NULL, NULL, 0);
    qp = NULL;
    mock_rdmacm.init_attr_mask = IBV_QP_STATE | IBV_QP_ACCESS_FLAGS;
    mock_log_clear();
    return 0;
}

static int release(void **state)
{
    if (qp != NULL) {
        ibv_destroy_qp(qp);
    }
    ibv_destroy_cq(cq);
    ibv_dealloc_pd(pd);
    return mock_teardown(state);
}

static struct verbs_queue_pair_size wanted(void)
{
    return (struct verbs_queue_pair_size){.send_wr = 50, .receive_wr = 20, .inline_data = 448};
}

static void new_qp(struct verbs_queue_pair_size *size)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    qp = verbs_queue_pair_new(&id, pd, cq, size, &err);
    assert_non_null(qp);
    assert_untouched(&err);
}

/* A queue pair in INIT, for tests of what comes after. */
static void ready_qp(int mask)
{
    struct verbs_queue_pair_size size = wanted();

    new_qp(&size);
    mock_verbs.modify_num = 0;
    mock_rdmacm.init_attr_mask = mask;
    mock_log_clear();
}

static void connect_qp(const struct transport_settings *settings)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(verbs_queue_pair_connect(qp, &id, settings, &err), 0);
    assert_untouched(&err);
    assert_int_equal(mock_verbs.modify_num, 2);
}

static void assert_not_made(const char *part)
{
    struct verbs_queue_pair_size size = wanted();
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_null(verbs_queue_pair_new(&id, pd, cq, &size, &err));
    assert_error(&err, MULTIFD_ERROR_DEVICE, part);
    assert_int_equal(mock_live(), 2); /* pd and cq */
}

static void new_makes_an_rc_queue_pair_in_init(void **state)
{
    struct verbs_queue_pair_size size = wanted();

    (void)state;
    new_qp(&size);
    assert_calls("ibv_create_qp rdma_init_qp_attr ibv_modify_qp ");
    assert_int_equal(mock_verbs.qp_attr.qp_type, IBV_QPT_RC);
    assert_int_equal(mock_verbs.qp_attr.sq_sig_all, 0);
    assert_ptr_equal(mock_verbs.qp_attr.send_cq, cq);
    assert_ptr_equal(mock_verbs.qp_attr.recv_cq, cq);
    assert_int_equal(mock_verbs.qp_attr.cap.max_send_wr, 50);
    assert_int_equal(mock_verbs.qp_attr.cap.max_recv_wr, 20);
    assert_int_equal(mock_verbs.qp_attr.cap.max_send_sge, 1);
    assert_int_equal(mock_verbs.qp_attr.cap.max_recv_sge, 1);
    assert_int_equal(mock_verbs.qp_attr.cap.max_inline_data, 448);
    assert_int_equal(size.inline_data, 448);
    assert_int_equal(mock_verbs.modify[0].attr.qp_state, IBV_QPS_INIT);
    assert_int_equal(mock_verbs.modify[0].mask, IBV_QP_STATE | IBV_QP_ACCESS_FLAGS);
    assert_int_equal(mock_verbs.modify[0].attr.qp_access_flags,
                     IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
}

static void a_device_without_inline_data(void **state)
{
    struct verbs_queue_pair_size size = wanted();

    (void)state;
    mock_fail_nth("ibv_create_qp", 1, EINVAL);
    new_qp(&size);
    assert_int_equal(mock_calls("ibv_create_qp"), 2);
    assert_int_equal(size.inline_data, 0);
    assert_int_equal(mock_verbs.qp_attr.cap.max_inline_data, 0);
    assert_int_equal(mock_verbs.qp_attr.cap.max_send_wr, 50);
    assert_int_equal(mock_verbs.qp_attr.cap.max_recv_wr, 20);
}

static void create_fails(void **state)
{
    (void)state;
    mock_fail("ibv_create_qp", ENOMEM);
    assert_not_made("ibv_create_qp(mock0, 50 send and 20 receive entries): Cannot allocate memory");
    assert_calls("ibv_create_qp ");
}

static void create_fails_without_inline_data_too(void **state)
{
    (void)state;
    mock_fail("ibv_create_qp", EINVAL);
    assert_not_made("ibv_create_qp(mock0, 50 send and 20 receive entries): Invalid argument");
    assert_calls("ibv_create_qp ibv_create_qp ");
}

static void init_attr_fails(void **state)
{
    (void)state;
    mock_fail("rdma_init_qp_attr", EINVAL);
    assert_not_made("rdma_init_qp_attr(INIT): Invalid argument");
    assert_calls("ibv_create_qp rdma_init_qp_attr ibv_destroy_qp ");
}

static void modify_to_init_fails(void **state)
{
    (void)state;
    mock_fail("ibv_modify_qp", EIO);
    assert_not_made("ibv_modify_qp(INIT): Input/output error");
    assert_calls("ibv_create_qp rdma_init_qp_attr ibv_modify_qp ibv_destroy_qp ");
}

static void modify_to_init_fails_and_then_destroy(void **state)
{
    (void)state;
    mock_fail("ibv_modify_qp", EIO);
    mock_fail("ibv_destroy_qp", EBUSY);
    assert_not_made("ibv_modify_qp(INIT): Input/output error");
    mock_succeed("ibv_destroy_qp");
}

static void connect_goes_through_rtr_to_rts(void **state)
{
    (void)state;
    ready_qp(RTR_MASK | RTS_MASK);
    mock_rdmacm.init_attr.path_mtu = IBV_MTU_2048;
    mock_rdmacm.init_attr.dest_qp_num = 0x123;
    mock_rdmacm.init_attr.ah_attr.sl = 3;
    mock_rdmacm.init_attr.ah_attr.grh.traffic_class = 9;
    connect_qp(&defaults);
    assert_calls("rdma_init_qp_attr ibv_modify_qp rdma_init_qp_attr ibv_modify_qp ");
    assert_int_equal(mock_verbs.modify[0].attr.qp_state, IBV_QPS_RTR);
    assert_int_equal(mock_verbs.modify[1].attr.qp_state, IBV_QPS_RTS);
    assert_int_equal(mock_verbs.modify[0].mask, RTR_MASK | RTS_MASK);
    assert_int_equal(mock_verbs.modify[0].attr.dest_qp_num, 0x123);
    assert_int_equal(mock_verbs.modify[0].attr.path_mtu, IBV_MTU_2048);
    assert_int_equal(mock_verbs.modify[0].attr.ah_attr.sl, 3);
    assert_int_equal(mock_verbs.modify[0].attr.ah_attr.grh.traffic_class, 9);
    assert_int_equal(mock_verbs.modify[0].attr.min_rnr_timer, 12);
    assert_int_equal(mock_verbs.modify[1].attr.retry_cnt, 7);
    assert_int_equal(mock_verbs.modify[1].attr.rnr_retry, 7);
    assert_int_equal(mock_verbs.modify[1].attr.timeout, verbs_ack_timeout(10000, 7));
}

static void settings_go_over_what_rdma_cm_negotiated(void **state)
{
    struct transport_settings settings = defaults;

    (void)state;
    settings.mtu = 1024;
    settings.traffic_class = 106;
    settings.service_level = 5;
    settings.qp_timeout = 0;
    settings.retry_count = 3;
    settings.rnr_timer = 20;
    ready_qp(RTR_MASK | RTS_MASK);
    mock_rdmacm.init_attr.path_mtu = IBV_MTU_2048;
    connect_qp(&settings);
    assert_int_equal(mock_verbs.modify[0].attr.path_mtu, IBV_MTU_1024);
    assert_int_equal(mock_verbs.modify[0].attr.ah_attr.grh.traffic_class, 106);
    assert_int_equal(mock_verbs.modify[0].attr.ah_attr.sl, 5);
    assert_int_equal(mock_verbs.modify[0].attr.min_rnr_timer, 20);
    assert_int_equal(mock_verbs.modify[1].attr.timeout, 0);
    assert_int_equal(mock_verbs.modify[1].attr.retry_cnt, 3);
}

static void an_mtu_above_the_paths_is_refused(void **state)
{
    struct transport_settings settings = defaults;
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    settings.mtu = 4096;
    ready_qp(RTR_MASK);
    mock_rdmacm.init_attr.path_mtu = IBV_MTU_1024;
    assert_int_equal(verbs_queue_pair_connect(qp, &id, &settings, &err), -1);
    assert_error(&err, MULTIFD_ERROR_LIMIT, "4096");
    assert_error(&err, MULTIFD_ERROR_LIMIT, "1024");
    assert_int_equal(mock_calls("ibv_modify_qp"), 0);
    settings.mtu = 1024;
    assert_int_equal(verbs_queue_pair_connect(qp, &id, &settings, &err), 0);
}

static void bits_for_the_kernel_alone_are_taken_out(void **state)
{
    (void)state;
    ready_qp(RTR_MASK | 0xe00000);
    connect_qp(&defaults);
    assert_int_equal(mock_verbs.modify[0].mask, RTR_MASK);
    assert_int_equal(mock_verbs.modify[1].mask, RTR_MASK);
}

static void each_step_of_connect_can_fail(void **state)
{
    static const struct {
        const char *call;
        unsigned nth;
        const char *part;
    } steps[] = {
        {"rdma_init_qp_attr", 1, "rdma_init_qp_attr(RTR): Connection timed out"},
        {"ibv_modify_qp", 1, "ibv_modify_qp(RTR): Connection timed out"},
        {"rdma_init_qp_attr", 2, "rdma_init_qp_attr(RTS): Connection timed out"},
        {"ibv_modify_qp", 2, "ibv_modify_qp(RTS): Connection timed out"},
    };

    (void)state;
    ready_qp(RTR_MASK);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct multifd_error err = ERROR_UNTOUCHED;

        mock_verbs.modify_num = 0;
        mock_log_clear();
        mock_fail_nth(steps[i].call, steps[i].nth, ETIMEDOUT);
        assert_int_equal(verbs_queue_pair_connect(qp, &id, &defaults, &err), -1);
        assert_error(&err, MULTIFD_ERROR_DEVICE, steps[i].part);
        assert_int_equal(mock_calls(steps[i].call), steps[i].nth); /* nothing after it */
        mock_succeed(steps[i].call);
    }
}

/* 4.096 us * 2^code, four times, for each try: not above the limit, and twice as long would be. */
static void ack_timeouts_keep_the_limit(void **state)
{
    static const uint32_t limits_ms[] = {10, 100, 1000, 5000, 10000, 60000, 600000};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(limits_ms); i++) {
        for (uint32_t retries = 0; retries <= 7; retries++) {
            uint64_t tries_ns = UINT64_C(4) * (retries + 1) * 4096;
            uint64_t limit_ns = limits_ms[i] * UINT64_C(1000000);
            uint8_t code = verbs_ack_timeout(limits_ms[i], retries);

            assert_true(tries_ns << code <= limit_ns);
            assert_true(tries_ns << (code + 1) > limit_ns);
        }
    }
}

static void ack_timeouts_are_codes(void **state)
{
    (void)state;
    assert_int_equal(verbs_ack_timeout(10000, 7), 16); /* 268 ms, 8.6 s in the worst case */
    assert_int_equal(verbs_ack_timeout(0, 7), 1);      /* 0 would mean: wait for ever */
    assert_int_equal(verbs_ack_timeout(UINT32_MAX, 0), 31);
}

#define with_objects(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_objects(new_makes_an_rc_queue_pair_in_init),
        with_objects(a_device_without_inline_data),
        with_objects(create_fails),
        with_objects(create_fails_without_inline_data_too),
        with_objects(init_attr_fails),
        with_objects(modify_to_init_fails),
        with_objects(modify_to_init_fails_and_then_destroy),
        with_objects(connect_goes_through_rtr_to_rts),
        with_objects(settings_go_over_what_rdma_cm_negotiated),
        with_objects(an_mtu_above_the_paths_is_refused),
        with_objects(bits_for_the_kernel_alone_are_taken_out),
        with_objects(each_step_of_connect_can_fail),
        cmocka_unit_test(ack_timeouts_keep_the_limit),
        cmocka_unit_test(ack_timeouts_are_codes),
    };

    return cmocka_run_group_tests_name("transport/verbs/queue_pair", tests, NULL, NULL);
}
