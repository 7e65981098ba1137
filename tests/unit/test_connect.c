/* SPDX-License-Identifier: MIT */
#include "core/base/clock.h"
#include "core/base/error.h"
#include "mock_verbs.h"
#include "transport/verbs/channel.h"
#include "transport/verbs/connect.h"
#include "transport/verbs/private_data.h"
#include "transport/verbs/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const struct transport_profile profile = {.receive_slots = 4};
static const struct transport_greeting greeting = {.bytes = "from us", .length = 7};
static const struct transport_greeting peers = {.bytes = "from the peer", .length = 13};

static struct verbs_endpoint endpoint;
static struct transport_endpoint *base = &endpoint.base;
static int wake_fd;

/* ---- Fakes of what connecting is made of -------------------------------------------------------
 */

struct verbs_channel {
    struct transport_channel base;
    struct verbs_cm cm;
};

/* Logs a step; -1 with *err naming it when it is to fail. */
static int step(const char *name, struct multifd_error *err)
{
    return mock_enter(name) != 0 ? error_set(err, MULTIFD_ERROR_LIMIT, "%s", name) : 0;
}

int verbs_resolve_address(const struct verbs_endpoint *of, struct verbs_cm *cm,
                          struct multifd_error *err)
{
    assert_ptr_equal(of, &endpoint);
    assert_string_equal(cm->peer, endpoint.name);
    return step("resolve_address", err);
}

int verbs_endpoint_use_device(struct verbs_endpoint *of, struct rdma_cm_id *id,
                              struct multifd_error *err)
{
    assert_ptr_equal(of, &endpoint);
    assert_non_null(id);
    return step("use_device", err);
}

struct verbs_channel *verbs_channel_new(struct verbs_cm *cm, const struct verbs_domain *domain,
                                        const struct transport_profile *wanted,
                                        const struct transport_settings *settings,
                                        struct multifd_error *err)
{
    struct verbs_channel *channel;

    assert_ptr_equal(domain, endpoint.domain);
    assert_ptr_equal(wanted, &profile);
    assert_ptr_equal(settings, &endpoint.settings);
    if (step("channel_new", err) != 0) {
        return NULL;
    }
    channel = mock_object(sizeof(*channel));
    channel->cm = *cm;
    memset(cm, 0, sizeof(*cm));
    return channel;
}

void verbs_channel_delete(struct verbs_channel **channel)
{
    mock_enter("channel_delete");
    verbs_cm_fini(&(*channel)->cm);
    mock_object_free(*channel);
    *channel = NULL;
}

struct verbs_cm *verbs_channel_cm(struct verbs_channel *channel)
{
    return &channel->cm;
}

void verbs_channel_conn_param(const struct verbs_channel *channel,
                              const struct transport_greeting *own,
                              uint8_t data[VERBS_PRIVATE_DATA_MAX], struct rdma_conn_param *param)
{
    (void)channel;
    memcpy(data, own->bytes, own->length);
    *param = (struct rdma_conn_param){
        .private_data = data, .private_data_len = (uint8_t)own->length, .qp_num = 0x99};
}

int verbs_channel_ready(struct verbs_channel *channel, struct multifd_error *err)
{
    (void)channel;
    return step("channel_ready", err);
}

int verbs_channel_meet(struct verbs_channel *channel, const struct verbs_cm_event *event,
                       struct multifd_error *err)
{
    (void)channel;
    assert_true(event->private_data_len >= VERBS_PRIVATE_DATA_BYTES);
    return step("channel_meet", err);
}

struct transport_channel *verbs_channel_base(struct verbs_channel *channel)
{
    return &channel->base;
}

/* ---- Connecting --------------------------------------------------------------------------------
 */

static int make(void **state)
{
    static struct verbs_domain domain;
    struct multifd_error err;
    int status;

    mock_setup(state);
    wake_fd = eventfd(0, EFD_CLOEXEC);
    memset(&endpoint, 0, sizeof(endpoint));
    endpoint.settings.timeout_ms = 30;
    endpoint.domain = &domain;
    strcpy(endpoint.name, "192.0.2.1:4444");
    status = verbs_cm_init(&endpoint.listener, endpoint.name, &err);
    mock_log_clear();
    return status;
}

static int release(void **state)
{
    verbs_cm_fini(&endpoint.listener);
    close(wake_fd);
    return mock_teardown(state);
}

static void wake(void)
{
    const uint64_t one = 1;

    assert_int_equal(write(wake_fd, &one, sizeof(one)), sizeof(one));
}

static void answer_event(enum rdma_cm_event_type type, int status)
{
    const struct verbs_sender_peer peer = {.receive_slots = 4};
    uint8_t data[VERBS_PRIVATE_DATA_BYTES];

    verbs_private_data_encode(&peers, &peer, data);
    mock_event(type, status, data, sizeof(data), NULL);
}

/* The events of a connection that succeeds. */
static void expect_connection(void)
{
    mock_event(RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL, 0, NULL);
    mock_event(RDMA_CM_EVENT_ROUTE_RESOLVED, 0, NULL, 0, NULL);
    answer_event(RDMA_CM_EVENT_CONNECT_RESPONSE, 0);
}

/* The steps in the log, without the taking of events. */
static void assert_steps(const char *expected)
{
    char steps[1024] = "";
    char log[4096];
    char *rest = log;
    const char *word;

    strcpy(log, mock_log());
    while ((word = strsep(&rest, " ")) != NULL) {
        if (word[0] != '\0' && strstr(word, "cm_event") == NULL) {
            strcat(strcat(steps, word), " ");
        }
    }
    assert_string_equal(steps, expected);
}

static void assert_answer(const struct transport_greeting *answer)
{
    assert_int_equal(answer->length, peers.length);
    assert_memory_equal(answer->bytes, peers.bytes, peers.length);
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
    assert_int_equal(mock_live(), 2); /* the listener of these tests */
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
        assert_int_equal(release(state), 0);
        assert_int_equal(make(state), 0);
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
        assert_int_equal(release(state), 0);
        assert_int_equal(make(state), 0);
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

/* ---- Requests ----------------------------------------------------------------------------------
 */

/* A peer at 192.0.2.9:700 wants a connection. */
static void request_event(void)
{
    const struct verbs_sender_peer peer = {.receive_slots = 4};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htobe16(700)};
    uint8_t data[VERBS_PRIVATE_DATA_MAX] = {0}; /* padded, as transports deliver it */

    inet_pton(AF_INET, "192.0.2.9", &in.sin_addr);
    verbs_private_data_encode(&peers, &peer, data);
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
    assert_int_equal(mock_live(), 2); /* the listener */
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
    assert_int_equal(mock_live(), 2); /* the listener: the request is gone */
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

#define with_endpoint(function) cmocka_unit_test_setup_teardown(function, make, release)

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
        with_endpoint(a_request_has_a_greeting),
        with_endpoint(a_request_without_private_data_has_none),
        with_endpoint(waiting_for_a_request_ends),
        with_endpoint(each_step_of_taking_a_request_can_fail),
        with_endpoint(listening_fails_when_the_device_goes),
        with_endpoint(a_request_is_accepted),
        with_endpoint(each_step_of_accepting_can_fail),
        with_endpoint(each_step_of_accepting_can_fail_and_then_destroy),
        with_endpoint(a_peer_that_goes_away_while_it_is_accepted),
        with_endpoint(a_request_is_refused_with_a_greeting),
    };

    return cmocka_run_group_tests_name("transport/verbs/connect", tests, NULL, NULL);
}
