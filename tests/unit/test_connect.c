/* SPDX-License-Identifier: MIT */
#include "core/base/clock.h"
#include "fake_channel.h"
#include "transport/verbs/connect.h"
#include "transport/verbs/private_data.h"

#include <errno.h>

static void answer_event(enum rdma_cm_event_type type, int status)
{
    const struct verbs_sender_peer peer = {.receive_slots = 4};
    uint8_t data[VERBS_PRIVATE_DATA_BYTES];

    verbs_private_data_encode(&peers_greeting, &peer, data);
    mock_event(type, status, data, sizeof(data), NULL);
}

/* The events of a connection that succeeds. */
static void expect_connection(void)
{
    mock_event(RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL, 0, NULL);
    mock_event(RDMA_CM_EVENT_ROUTE_RESOLVED, 0, NULL, 0, NULL);
    answer_event(RDMA_CM_EVENT_CONNECT_RESPONSE, 0);
}

static void a_connection_is_made(void **state)
{
    struct transport_greeting answer = {.length = 9};
    struct multifd_error err = ERROR_UNTOUCHED;
    struct transport_channel *made;

    (void)state;
    expect_connection();
    made = verbs_connect(base, &profile, &greeting, wake_fd, &answer, &err);
    assert_non_null(made);
    assert_untouched(&err);
    assert_steps("rdma_create_event_channel rdma_create_id resolve_address rdma_resolve_route "
                 "use_device channel_new rdma_connect channel_meet channel_ready rdma_establish ");
    assert_answer(&answer);
    assert_int_equal(mock_rdmacm.param.private_data_len, 7);
    assert_memory_equal(mock_rdmacm.private_data, "from us", 7);
    assert_int_equal(mock_rdmacm.param.qp_num, 0x99);
    verbs_channel_delete((struct verbs_channel **)&made);
}

static void a_transport_that_connects_by_itself(void **state)
{
    struct transport_greeting answer;
    struct multifd_error err;
    struct transport_channel *made;

    (void)state;
    mock_event(RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL, 0, NULL);
    mock_event(RDMA_CM_EVENT_ROUTE_RESOLVED, 0, NULL, 0, NULL);
    answer_event(RDMA_CM_EVENT_ESTABLISHED, 0);
    made = verbs_connect(base, &profile, &greeting, wake_fd, &answer, &err);
    assert_non_null(made);
    assert_answer(&answer);
    assert_int_equal(mock_calls("channel_meet"), 1);
    assert_int_equal(mock_calls("channel_ready"), 0);
    assert_int_equal(mock_calls("rdma_establish"), 0);
    verbs_channel_delete((struct verbs_channel **)&made);
}

static void assert_not_connected(enum multifd_error_code code, const char *part,
                                 struct transport_greeting *answer)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    answer->length = 9;
    assert_null(verbs_connect(base, &profile, &greeting, wake_fd, answer, &err));
    assert_error(&err, code, part);
    assert_int_equal(mock_live(), ENDPOINT_LIVE);
}

static const struct {
    const char *call;
    enum multifd_error_code code;
} connect_steps[] = {
    {"rdma_create_event_channel", MULTIFD_ERROR_DEVICE},
    {"rdma_create_id", MULTIFD_ERROR_DEVICE},
    {"resolve_address", MULTIFD_ERROR_LIMIT},
    {"rdma_resolve_route", MULTIFD_ERROR_CONNECT},
    {"use_device", MULTIFD_ERROR_LIMIT},
    {"channel_new", MULTIFD_ERROR_LIMIT},
    {"rdma_connect", MULTIFD_ERROR_CONNECT},
    {"channel_meet", MULTIFD_ERROR_LIMIT},
    {"channel_ready", MULTIFD_ERROR_LIMIT},
    {"rdma_establish", MULTIFD_ERROR_CONNECT},
};

static void each_step_of_connecting_can_fail(void **state)
{
    struct transport_greeting answer;

    for (size_t i = 0; i < COUNT_OF(connect_steps); i++) {
        expect_connection();
        mock_fail(connect_steps[i].call, ENETDOWN);
        assert_not_connected(connect_steps[i].code, connect_steps[i].call, &answer);
        /* Nothing goes on behind it but releasing. */
        assert_int_equal(mock_calls("rdma_establish"), i == COUNT_OF(connect_steps) - 1);
        mock_succeed(connect_steps[i].call);
        assert_int_equal(endpoint_teardown(state), 0);
        assert_int_equal(endpoint_setup(state), 0);
    }
}

static void each_step_of_connecting_can_fail_and_then_destroy(void **state)
{
    struct transport_greeting answer;

    for (size_t i = 2; i < COUNT_OF(connect_steps); i++) {
        expect_connection();
        mock_fail(connect_steps[i].call, ENETDOWN);
        mock_fail("rdma_destroy_id", EBUSY);
        assert_not_connected(connect_steps[i].code, connect_steps[i].call, &answer);
        assert_int_equal(mock_calls("rdma_destroy_event_channel"), 1);
        assert_int_equal(endpoint_teardown(state), 0);
        assert_int_equal(endpoint_setup(state), 0);
    }
}

static void nobody_answers(void **state)
{
    static const enum rdma_cm_event_type events[] = {RDMA_CM_EVENT_ADDR_RESOLVED,
                                                     RDMA_CM_EVENT_ROUTE_RESOLVED};
    struct transport_greeting answer;

    (void)state;
    for (size_t i = 0; i <= COUNT_OF(events); i++) {
        uint64_t before = clock_now_ns();

        for (size_t j = 0; j < i; j++) {
            mock_event(events[j], 0, NULL, 0, NULL);
        }
        assert_not_connected(MULTIFD_ERROR_TIMEOUT, "192.0.2.1:4444", &answer);
        assert_int_equal(answer.length, 0);
        assert_true(clock_now_ns() - before >= 30 * NS_PER_MS);
    }
}

static void a_wake_up_gives_up(void **state)
{
    uint64_t before = clock_now_ns();
    struct transport_greeting answer;
    struct multifd_error err;

    (void)state;
    endpoint.settings.timeout_ms = 20000;
    wake();
    assert_null(verbs_connect(base, &profile, &greeting, wake_fd, &answer, &err));
    assert_true(clock_now_ns() - before < 10000 * NS_PER_MS);
}

static void unreachable_peers(void **state)
{
    struct transport_greeting answer;

    (void)state;
    mock_event(RDMA_CM_EVENT_ADDR_ERROR, -ENODEV, NULL, 0, NULL);
    assert_not_connected(MULTIFD_ERROR_CONNECT, "No such device", &answer);
    mock_event(RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL, 0, NULL);
    mock_event(RDMA_CM_EVENT_ROUTE_ERROR, -EHOSTUNREACH, NULL, 0, NULL);
    assert_not_connected(MULTIFD_ERROR_CONNECT, "No route to host", &answer);
    mock_event(RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL, 0, NULL);
    mock_event(RDMA_CM_EVENT_ROUTE_RESOLVED, 0, NULL, 0, NULL);
    mock_event(RDMA_CM_EVENT_REJECTED, 8, NULL, 0, NULL);
    assert_not_connected(MULTIFD_ERROR_CONNECT, "nobody listens", &answer);
    assert_int_equal(answer.length, 0);
}

static void a_refusal_comes_with_its_greeting(void **state)
{
    struct transport_greeting answer;

    (void)state;
    mock_event(RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL, 0, NULL);
    mock_event(RDMA_CM_EVENT_ROUTE_RESOLVED, 0, NULL, 0, NULL);
    answer_event(RDMA_CM_EVENT_REJECTED, 28);
    assert_not_connected(MULTIFD_ERROR_REFUSED, "192.0.2.1:4444", &answer);
    assert_answer(&answer);
    assert_int_equal(mock_calls("channel_meet"), 0);
}

/* It had agreed, so that what it says now is no refusal, nor is its greeting the reason for one. */
static void a_destination_that_agrees_and_then_goes(void **state)
{
    static const enum rdma_cm_event_type ends[] = {RDMA_CM_EVENT_REJECTED,
                                                   RDMA_CM_EVENT_DISCONNECTED};
    struct transport_greeting answer;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        expect_connection();
        mock_event(ends[i], ends[i] == RDMA_CM_EVENT_REJECTED ? 28 : 0, NULL, 0, NULL);
        mock_fail("channel_ready", EINVAL);
        assert_not_connected(MULTIFD_ERROR_DISCONNECTED, "closed the connection while it was made",
                             &answer);
        mock_succeed("channel_ready");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_endpoint(a_connection_is_made),
        with_endpoint(a_transport_that_connects_by_itself),
        with_endpoint(each_step_of_connecting_can_fail),
        with_endpoint(each_step_of_connecting_can_fail_and_then_destroy),
        with_endpoint(nobody_answers),
        with_endpoint(a_wake_up_gives_up),
        with_endpoint(unreachable_peers),
        with_endpoint(a_refusal_comes_with_its_greeting),
        with_endpoint(a_destination_that_agrees_and_then_goes),
    };

    return cmocka_run_group_tests_name("transport/verbs/connect", tests, NULL, NULL);
}
