/* SPDX-License-Identifier: MIT */
/* The destination's half of making connections. */
#include "core/base/clock.h"
#include "fake_channel.h"
#include "transport/verbs/connect.h"
#include "transport/verbs/private_data.h"

#include <arpa/inet.h>
#include <errno.h>

/* A peer at 192.0.2.9:700 wants a connection. */
static void request_event(void)
{
    const struct verbs_sender_peer peer = {.receive_slots = 4};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htobe16(700)};
    uint8_t data[VERBS_PRIVATE_DATA_MAX] = {0}; /* padded, as transports deliver it */

    inet_pton(AF_INET, "192.0.2.9", &in.sin_addr);
    verbs_private_data_encode(&peers_greeting, &peer, data);
    mock_event(RDMA_CM_EVENT_CONNECT_REQUEST, 0, data, sizeof(data),
               mock_request_id((struct sockaddr *)&in, sizeof(in)));
}

static struct transport_request *request(void)
{
    struct transport_request *made = NULL;
    struct multifd_error err = ERROR_UNTOUCHED;

    request_event();
    assert_int_equal(verbs_wait_request(base, wake_fd, -1, &made, &err), 0);
    assert_non_null(made);
    assert_untouched(&err);
    mock_log_clear();
    return made;
}

static void a_request_has_a_greeting(void **state)
{
    struct transport_request *made = request();

    (void)state;
    assert_answer(verbs_request_greeting(made));
    verbs_reject(base, made, &greeting);
}

static void a_request_without_private_data_has_none(void **state)
{
    const struct sockaddr_in in = {.sin_family = AF_INET};
    struct transport_request *made = NULL;
    struct multifd_error err;

    (void)state;
    mock_event(RDMA_CM_EVENT_CONNECT_REQUEST, 0, NULL, 0,
               mock_request_id((const struct sockaddr *)&in, sizeof(in)));
    assert_int_equal(verbs_wait_request(base, wake_fd, -1, &made, &err), 0);
    assert_int_equal(verbs_request_greeting(made)->length, 0);
    verbs_reject(base, made, &greeting);
}

static void assert_no_request(int timeout_ms)
{
    struct transport_request *made = (void *)&endpoint;
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(verbs_wait_request(base, wake_fd, timeout_ms, &made, &err), 0);
    assert_null(made);
    assert_untouched(&err);
}

static void waiting_for_a_request_ends(void **state)
{
    uint64_t before = clock_now_ns();

    (void)state;
    assert_no_request(0);
    assert_no_request(20);
    assert_true(clock_now_ns() - before >= 20 * NS_PER_MS);
    mock_event(RDMA_CM_EVENT_TIMEWAIT_EXIT, 0, NULL, 0, NULL);
    assert_no_request(20);
    wake();
    assert_no_request(-1);
}

static void assert_waiting_fails(enum multifd_error_code code, const char *part)
{
    struct transport_request *made = (void *)&endpoint;
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(verbs_wait_request(base, wake_fd, 20, &made, &err), -1);
    assert_error(&err, code, part);
    assert_null(made);
    assert_int_equal(mock_live(), ENDPOINT_LIVE);
}

static void each_step_of_taking_a_request_can_fail(void **state)
{
    static const char *const calls[] = {"rdma_create_event_channel", "rdma_migrate_id"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        request_event();
        mock_fail(calls[i], EMFILE);
        assert_waiting_fails(MULTIFD_ERROR_DEVICE, calls[i]);
        mock_succeed(calls[i]);
    }
    request_event();
    mock_fail("malloc", ENOMEM);
    assert_waiting_fails(MULTIFD_ERROR_SYSTEM, "memory");
    mock_fail("rdma_get_cm_event", EIO);
    assert_waiting_fails(MULTIFD_ERROR_DEVICE, "rdma_get_cm_event");
}

static void listening_fails_when_the_device_goes(void **state)
{
    (void)state;
    mock_event(RDMA_CM_EVENT_DEVICE_REMOVAL, 0, NULL, 0, NULL);
    assert_waiting_fails(MULTIFD_ERROR_DEVICE, "192.0.2.1:4444");
}

static void a_request_is_accepted(void **state)
{
    struct transport_request *made = request();
    struct multifd_error err = ERROR_UNTOUCHED;
    struct transport_channel *channel;

    (void)state;
    mock_event(RDMA_CM_EVENT_ESTABLISHED, 0, NULL, 0, NULL);
    channel = verbs_accept(base, made, &profile, &greeting, wake_fd, &err);
    assert_non_null(channel);
    assert_untouched(&err);
    assert_steps("use_device channel_new channel_meet channel_ready rdma_accept ");
    assert_memory_equal(mock_rdmacm.private_data, "from us", 7);
    assert_string_equal(((struct verbs_channel *)channel)->cm.peer, "192.0.2.9:700");
    verbs_channel_delete((struct verbs_channel **)&channel);
}

static void assert_refused(struct transport_request *made, enum multifd_error_code code,
                           const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_null(verbs_accept(base, made, &profile, &greeting, wake_fd, &err));
    assert_error(&err, code, part);
    assert_int_equal(mock_live(), ENDPOINT_LIVE);
}

static void assert_not_accepted(enum multifd_error_code code, const char *part)
{
    assert_refused(request(), code, part);
}

static const char *const accept_steps[] = {"use_device", "channel_new", "channel_meet",
                                           "channel_ready", "rdma_accept"};

static void each_step_of_accepting_can_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(accept_steps); i++) {
        mock_fail(accept_steps[i], ENETDOWN);
        assert_not_accepted(i == 4 ? MULTIFD_ERROR_CONNECT : MULTIFD_ERROR_LIMIT, accept_steps[i]);
        assert_int_equal(mock_calls("rdma_accept"), i == 4);
        mock_succeed(accept_steps[i]);
    }
}

static void each_step_of_accepting_can_fail_and_then_destroy(void **state)
{
    (void)state;
    mock_fail("rdma_destroy_id", EBUSY);
    for (size_t i = 0; i < COUNT_OF(accept_steps); i++) {
        mock_fail(accept_steps[i], ENETDOWN);
        assert_not_accepted(i == 4 ? MULTIFD_ERROR_CONNECT : MULTIFD_ERROR_LIMIT, accept_steps[i]);
        assert_int_equal(mock_calls("rdma_destroy_event_channel"), 1);
        mock_succeed(accept_steps[i]);
    }
}

static void a_peer_that_goes_away_while_it_is_accepted(void **state)
{
    struct transport_request *made = request();

    (void)state;
    mock_event(RDMA_CM_EVENT_CONNECT_ERROR, -ECONNRESET, NULL, 0, NULL);
    assert_refused(made, MULTIFD_ERROR_CONNECT, "192.0.2.9:700");
    assert_not_accepted(MULTIFD_ERROR_TIMEOUT, "192.0.2.9:700");
}

/* Woken, since the session has failed: the peer shall hear why, over a connection that comes now.
 */
static void a_wake_up_lets_the_connection_come(void **state)
{
    struct transport_request *made = request();
    struct multifd_error err;
    struct transport_channel *channel;

    (void)state;
    endpoint.settings.timeout_ms = 20000;
    wake();
    mock_event(RDMA_CM_EVENT_ESTABLISHED, 0, NULL, 0, NULL);
    mock_rdmacm.late = 1;
    channel = verbs_accept(base, made, &profile, &greeting, wake_fd, &err);
    assert_non_null(channel);
    assert_int_equal(mock_rdmacm.late, 0);
    verbs_channel_delete((struct verbs_channel **)&channel);
}

static void a_wake_up_ends_the_wait_for_a_connection(void **state)
{
    uint64_t before = clock_now_ns();

    (void)state;
    endpoint.settings.timeout_ms = 20000;
    wake();
    assert_not_accepted(MULTIFD_ERROR_TIMEOUT, "192.0.2.9:700");
    assert_true(clock_now_ns() - before < 10000 * NS_PER_MS);
}

/* That it has gone shows when the queue pair cannot follow. */
static void a_peer_that_closes_the_connection_while_it_is_made(void **state)
{
    struct transport_request *made = request();

    (void)state;
    mock_fail("channel_ready", EINVAL);
    mock_event(RDMA_CM_EVENT_REJECTED, 28, NULL, 0, NULL);
    assert_refused(made, MULTIFD_ERROR_DISCONNECTED, "192.0.2.9:700 closed the connection while");
}

static void a_request_is_refused_with_a_greeting(void **state)
{
    struct transport_request *made = request();
    struct transport_greeting seen;
    struct verbs_sender_peer peer;

    (void)state;
    mock_fail("rdma_reject", EINVAL); /* the peer may be gone */
    verbs_reject(base, made, &greeting);
    assert_calls("rdma_reject rdma_destroy_id rdma_destroy_event_channel ");
    verbs_private_data_decode(mock_rdmacm.private_data, mock_rdmacm.param.private_data_len, &seen,
                              &peer);
    assert_int_equal(seen.length, 7);
    assert_memory_equal(seen.bytes, "from us", 7);
    assert_int_equal(peer.receive_slots, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_endpoint(a_request_has_a_greeting),
        with_endpoint(a_request_without_private_data_has_none),
        with_endpoint(waiting_for_a_request_ends),
        with_endpoint(each_step_of_taking_a_request_can_fail),
        with_endpoint(listening_fails_when_the_device_goes),
        with_endpoint(a_request_is_accepted),
        with_endpoint(each_step_of_accepting_can_fail),
        with_endpoint(each_step_of_accepting_can_fail_and_then_destroy),
        with_endpoint(a_peer_that_goes_away_while_it_is_accepted),
        with_endpoint(a_wake_up_lets_the_connection_come),
        with_endpoint(a_wake_up_ends_the_wait_for_a_connection),
        with_endpoint(a_peer_that_closes_the_connection_while_it_is_made),
        with_endpoint(a_request_is_refused_with_a_greeting),
    };

    return cmocka_run_group_tests_name("transport/verbs/connect, requests", tests, NULL, NULL);
}
