/* SPDX-License-Identifier: MIT */
#include "core/base/clock.h"
#include "mock_verbs.h"
#include "transport/verbs/cm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RELEASED "rdma_destroy_id rdma_destroy_event_channel "

static struct verbs_cm cm;
static int wake_fd;

static int make(void **state)
{
    struct multifd_error err;
    int status;

    mock_setup(state);
    wake_fd = eventfd(0, EFD_CLOEXEC);
    status = verbs_cm_init(&cm, "192.0.2.1:4444", &err);
    mock_log_clear();
    return status;
}

static int release(void **state)
{
    verbs_cm_fini(&cm);
    close(wake_fd);
    return mock_teardown(state);
}

static void assert_not_made(enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(verbs_cm_init(&cm, "peer", &err), -1);
    assert_error(&err, code, part);
    assert_int_equal(mock_live(), 0);
}

static void init_makes_an_identifier_with_events_of_its_own(void **state)
{
    (void)state;
    assert_ptr_equal(cm.id->channel, cm.channel);
    assert_int_equal(verbs_cm_fd(&cm), cm.channel->fd);
    assert_true((fcntl(cm.channel->fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_string_equal(cm.peer, "192.0.2.1:4444");
}

static void create_event_channel_fails(void **state)
{
    (void)state;
    mock_fail("rdma_create_event_channel", ENODEV);
    assert_not_made(MULTIFD_ERROR_DEVICE, "No such device");
    assert_calls("rdma_create_event_channel ");
}

static void nonblocking_mode_fails(void **state)
{
    (void)state;
    mock_verbs.bad_fd = true;
    assert_not_made(MULTIFD_ERROR_SYSTEM, "Bad file descriptor");
    assert_calls("rdma_create_event_channel rdma_destroy_event_channel ");
}

static void create_id_fails(void **state)
{
    (void)state;
    mock_fail("rdma_create_id", ENOMEM);
    assert_not_made(MULTIFD_ERROR_DEVICE, "rdma_create_id: Cannot allocate memory");
    assert_calls("rdma_create_event_channel rdma_create_id rdma_destroy_event_channel ");
}

static struct rdma_cm_id *request_from(int family, const char *host, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htobe16(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htobe16(port)};

    if (family == AF_INET) {
        assert_int_equal(inet_pton(AF_INET, host, &in.sin_addr), 1);
        return mock_request_id((struct sockaddr *)&in, sizeof(in));
    }
    assert_int_equal(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
    return mock_request_id((struct sockaddr *)&in6, sizeof(in6));
}

static void a_request_moves_to_events_of_its_own(void **state)
{
    struct rdma_cm_id *id = request_from(AF_INET, "192.0.2.9", 700);
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(verbs_cm_init_request(&cm, id, &err), 0);
    assert_untouched(&err);
    assert_ptr_equal(cm.id, id);
    assert_ptr_equal(id->channel, cm.channel);
    assert_true((fcntl(cm.channel->fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_string_equal(cm.peer, "192.0.2.9:700");
    verbs_cm_fini(&cm);
}

static void a_request_over_ipv6_is_named(void **state)
{
    struct rdma_cm_id *id = request_from(AF_INET6, "2001:db8:1111:2222:3333:4444:5555:6666", 65535);
    struct multifd_error err;

    (void)state;
    assert_int_equal(verbs_cm_init_request(&cm, id, &err), 0);
    assert_string_equal(cm.peer, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
    verbs_cm_fini(&cm);
}

/* The request is owned from the start, so it is gone after each failure. */
static void a_request_is_destroyed_on_every_error(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("rdma_create_event_channel", EMFILE);
    assert_int_equal(verbs_cm_init_request(&cm, request_from(AF_INET, "192.0.2.9", 1), &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "Too many open files");
    assert_int_equal(mock_live(), 0);
    mock_succeed("rdma_create_event_channel");

    mock_log_clear();
    mock_fail("rdma_migrate_id", EINVAL);
    assert_int_equal(verbs_cm_init_request(&cm, request_from(AF_INET, "192.0.2.9", 1), &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "rdma_migrate_id: Invalid argument");
    assert_calls("rdma_create_event_channel rdma_migrate_id " RELEASED);

    mock_fail("rdma_destroy_id", EBUSY);
    assert_int_equal(verbs_cm_init_request(&cm, request_from(AF_INET, "192.0.2.9", 1), &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "rdma_migrate_id: Invalid argument");
    assert_int_equal(mock_live(), 0);
}

static void fini_releases_in_reverse_and_once(void **state)
{
    (void)state;
    mock_fail("rdma_destroy_id", EBUSY); /* and the other step still runs */
    verbs_cm_fini(&cm);
    assert_calls(RELEASED);
    verbs_cm_fini(&cm);
    assert_calls(RELEASED);
    memset(&cm, 0, sizeof(cm));
    verbs_cm_fini(&cm);
    assert_calls(RELEASED);
}

static void an_event_is_copied_and_acknowledged(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct verbs_cm_event event;
    uint8_t data[48];

    (void)state;
    memset(data, 0x5c, sizeof(data));
    mock_event(RDMA_CM_EVENT_REJECTED, 28, data, sizeof(data), cm.id);
    assert_int_equal(verbs_cm_take_event(&cm, &event, &err), 1);
    assert_calls("rdma_get_cm_event rdma_ack_cm_event ");
    assert_int_equal(event.type, RDMA_CM_EVENT_REJECTED);
    assert_int_equal(event.status, 28);
    assert_ptr_equal(event.id, cm.id);
    assert_int_equal(event.private_data_len, sizeof(data));
    assert_memory_equal(event.private_data, data, sizeof(data));
    assert_int_equal(verbs_cm_take_event(&cm, &event, &err), 0);
    assert_untouched(&err);
}

static void an_event_without_private_data(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct verbs_cm_event event;

    (void)state;
    memset(&event, 0xee, sizeof(event));
    mock_event(RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL, 0, cm.id);
    assert_int_equal(verbs_cm_take_event(&cm, &event, &err), 1);
    assert_int_equal(event.private_data_len, 0);
}

static void private_data_that_is_padded_is_cut(void **state)
{
    struct multifd_error err;
    struct verbs_cm_event event;
    uint8_t data[196] = {1};

    (void)state;
    data[55] = 0x55;
    mock_event(RDMA_CM_EVENT_CONNECT_RESPONSE, 0, data, sizeof(data), cm.id);
    assert_int_equal(verbs_cm_take_event(&cm, &event, &err), 1);
    assert_int_equal(event.private_data_len, VERBS_PRIVATE_DATA_MAX);
    assert_memory_equal(event.private_data, data, VERBS_PRIVATE_DATA_MAX);
}

static void taking_an_event_fails(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct verbs_cm_event event;

    (void)state;
    mock_fail_nth("rdma_get_cm_event", 1, EINTR);
    assert_int_equal(verbs_cm_take_event(&cm, &event, &err), 0);
    assert_untouched(&err);
    mock_fail("rdma_get_cm_event", EIO);
    assert_int_equal(verbs_cm_take_event(&cm, &event, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "rdma_get_cm_event: Input/output error");
    assert_int_equal(verbs_cm_wait_event(&cm, UINT64_MAX, wake_fd, &event, &err), -1);
}

static void waiting_ends_with_an_event(void **state)
{
    struct multifd_error err;
    struct verbs_cm_event event;

    (void)state;
    mock_event(RDMA_CM_EVENT_ESTABLISHED, 0, NULL, 0, cm.id);
    mock_fail_nth("rdma_get_cm_event", 1, EAGAIN); /* so it really sleeps on the descriptor */
    assert_int_equal(verbs_cm_wait_event(&cm, UINT64_MAX, wake_fd, &event, &err), 1);
    assert_int_equal(event.type, RDMA_CM_EVENT_ESTABLISHED);
}

static void waiting_ends_at_the_deadline(void **state)
{
    uint64_t deadline = clock_now_ns() + 20 * NS_PER_MS;
    struct multifd_error err = ERROR_UNTOUCHED;
    struct verbs_cm_event event;

    (void)state;
    assert_int_equal(verbs_cm_wait_event(&cm, deadline, wake_fd, &event, &err), 0);
    assert_true(clock_now_ns() >= deadline);
    assert_int_equal(verbs_cm_wait_event(&cm, 0, wake_fd, &event, &err), 0);
    assert_untouched(&err);
}

static void waiting_ends_with_a_wake_up(void **state)
{
    const uint64_t one = 1;
    struct multifd_error err = ERROR_UNTOUCHED;
    struct verbs_cm_event event;

    (void)state;
    assert_int_equal(write(wake_fd, &one, sizeof(one)), sizeof(one));
    assert_int_equal(verbs_cm_wait_event(&cm, UINT64_MAX, wake_fd, &event, &err), 0);
    assert_untouched(&err);
}

static int expect_established(struct multifd_error *err)
{
    struct verbs_cm_event event;

    return verbs_cm_expect(&cm, RDMA_CM_EVENT_CONNECT_RESPONSE, RDMA_CM_EVENT_ESTABLISHED, 0,
                           wake_fd, &event, err);
}

static void expect_takes_either_event(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_event(RDMA_CM_EVENT_ESTABLISHED, 0, NULL, 0, cm.id);
    mock_event(RDMA_CM_EVENT_CONNECT_RESPONSE, 0, NULL, 0, cm.id);
    assert_int_equal(expect_established(&err), 0);
    assert_int_equal(expect_established(&err), 0);
    assert_untouched(&err);
}

static void expect_says_what_came_instead(void **state)
{
    static const struct {
        enum rdma_cm_event_type type;
        int status;
        enum multifd_error_code code;
        const char *part;
    } cases[] = {
        {RDMA_CM_EVENT_REJECTED, 28, MULTIFD_ERROR_REFUSED,
         "192.0.2.1:4444 refused the connection without a reason"},
        {RDMA_CM_EVENT_REJECTED, 8, MULTIFD_ERROR_CONNECT, "nobody listens at 192.0.2.1:4444"},
        {RDMA_CM_EVENT_REJECTED, -ECONNREFUSED, MULTIFD_ERROR_CONNECT, "nobody listens"},
        {RDMA_CM_EVENT_REJECTED, 10, MULTIFD_ERROR_CONNECT, "reason 10"},
        {RDMA_CM_EVENT_ADDR_ERROR, -ENODEV, MULTIFD_ERROR_CONNECT, "No such device"},
        {RDMA_CM_EVENT_ROUTE_ERROR, -EHOSTUNREACH, MULTIFD_ERROR_CONNECT, "No route to host"},
        {RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT, MULTIFD_ERROR_CONNECT, "192.0.2.1:4444"},
        {RDMA_CM_EVENT_CONNECT_ERROR, -EINVAL, MULTIFD_ERROR_CONNECT, "Invalid argument"},
        {RDMA_CM_EVENT_DISCONNECTED, 0, MULTIFD_ERROR_DISCONNECTED, "192.0.2.1:4444 closed"},
        {RDMA_CM_EVENT_TIMEWAIT_EXIT, 0, MULTIFD_ERROR_DEVICE, "RDMA_CM_EVENT_TIMEWAIT_EXIT"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct multifd_error err = ERROR_UNTOUCHED;

        mock_event(cases[i].type, cases[i].status, NULL, 0, cm.id);
        assert_int_equal(expect_established(&err), -1);
        assert_error(&err, cases[i].code, cases[i].part);
    }
}

static void expect_keeps_what_a_refusal_says(void **state)
{
    struct multifd_error err;
    struct verbs_cm_event event;

    (void)state;
    mock_event(RDMA_CM_EVENT_REJECTED, 28, "why", 4, cm.id);
    assert_int_equal(verbs_cm_expect(&cm, RDMA_CM_EVENT_ESTABLISHED, RDMA_CM_EVENT_ESTABLISHED, 0,
                                     wake_fd, &event, &err),
                     -1);
    assert_int_equal(event.private_data_len, 4);
    assert_memory_equal(event.private_data, "why", 4);
}

static void expect_ends_without_an_answer(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(expect_established(&err), -1);
    assert_error(&err, MULTIFD_ERROR_TIMEOUT, "192.0.2.1:4444");
    mock_fail("rdma_get_cm_event", EIO);
    assert_int_equal(expect_established(&err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "rdma_get_cm_event");
}

#define with_cm(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_cm(init_makes_an_identifier_with_events_of_its_own),
        mocked_test(create_event_channel_fails),
        mocked_test(nonblocking_mode_fails),
        mocked_test(create_id_fails),
        mocked_test(a_request_moves_to_events_of_its_own),
        mocked_test(a_request_over_ipv6_is_named),
        mocked_test(a_request_is_destroyed_on_every_error),
        with_cm(fini_releases_in_reverse_and_once),
        with_cm(an_event_is_copied_and_acknowledged),
        with_cm(an_event_without_private_data),
        with_cm(private_data_that_is_padded_is_cut),
        with_cm(taking_an_event_fails),
        with_cm(waiting_ends_with_an_event),
        with_cm(waiting_ends_at_the_deadline),
        with_cm(waiting_ends_with_a_wake_up),
        with_cm(expect_takes_either_event),
        with_cm(expect_says_what_came_instead),
        with_cm(expect_keeps_what_a_refusal_says),
        with_cm(expect_ends_without_an_answer),
    };

    return cmocka_run_group_tests_name("transport/verbs/cm", tests, NULL, NULL);
}
