/*
 * SPDX-License-Identifier: MIT
 *
 * The fabric's connection manager.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pair.h"

enum { REJECTED_NO_SERVICE = 8, REJECTED_BY_CONSUMER = 28 };

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

static int setup_strict(void **state)
{
    struct fabric_options options;

    fabric_options_init(&options);
    options.strict_cm = true;
    fabric_reset(&options);
    *state = pair_new();
    return 0;
}

static int reset_only(void **state)
{
    (void)state;
    fabric_reset(NULL);
    return 0;
}

static void disconnect_ends_both_sides(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(post_recv(&pair->active, 1, 0, 8), 0);
    assert_int_equal(post_recv(&pair->passive, 2, 0, 8), 0);
    assert_int_equal(rdma_disconnect(pair->active.id), 0);
    expect_event(pair->active.events, RDMA_CM_EVENT_DISCONNECTED, 0);
    expect_event(pair->passive.events, RDMA_CM_EVENT_DISCONNECTED, 0);
    expect_wc(&pair->active, 1, IBV_WC_WR_FLUSH_ERR);
    expect_wc(&pair->passive, 2, IBV_WC_WR_FLUSH_ERR);
    assert_int_equal(rdma_disconnect(pair->passive.id), 0);
}

static void strict_disconnect_leaves_queue_pairs_alone(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(post_recv(&pair->active, 1, 0, 8), 0);
    assert_int_equal(rdma_disconnect(pair->passive.id), 0);
    expect_event(pair->active.events, RDMA_CM_EVENT_DISCONNECTED, 0);
    expect_no_wc(&pair->active);
}

static void destroying_a_queue_pair_disconnects(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(ibv_destroy_qp(pair->passive.qp), 0);
    pair->passive.qp = NULL;
    expect_event(pair->active.events, RDMA_CM_EVENT_DISCONNECTED, 0);
}

static void destroying_an_id_disconnects(void **state)
{
    struct pair *pair = *state;
    struct rdma_cm_id *id;

    assert_int_equal(post_recv(&pair->active, 1, 0, 8), 0);
    assert_int_equal(rdma_destroy_id(pair->passive.id), 0);
    expect_event(pair->active.events, RDMA_CM_EVENT_DISCONNECTED, 0);
    expect_wc(&pair->active, 1, IBV_WC_WR_FLUSH_ERR);
    /* The teardown wants an id to destroy. */
    assert_int_equal(rdma_create_id(pair->passive.events, &id, NULL, RDMA_PS_TCP), 0);
    pair->passive.id = id;
}

static void event_channel_does_not_block_when_asked(void **state)
{
    struct pair *pair = *state;
    struct pollfd descriptor = {.fd = pair->active.events->fd, .events = POLLIN};
    struct rdma_cm_event *event;

    assert_int_equal(fcntl(descriptor.fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(rdma_get_cm_event(pair->active.events, &event), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(poll(&descriptor, 1, 0), 0);
    assert_int_equal(rdma_disconnect(pair->passive.id), 0);
    assert_int_equal(poll(&descriptor, 1, 0), 1);
    assert_int_equal(rdma_get_cm_event(pair->active.events, &event), 0);
    assert_int_equal(fabric_live(FABRIC_CM_EVENT), 1);
    assert_int_equal(rdma_ack_cm_event(event), 0);
    assert_int_equal(poll(&descriptor, 1, 0), 0);
}

/* A connection up to the request, and what is needed to take it down again. */
struct request {
    struct pair pair;
    struct rdma_cm_event *event;
};

static void request_open(struct request *request, const void *data, uint8_t length)
{
    memset(request, 0, sizeof(*request));
    pair_listen(&request->pair);
    pair_request(&request->pair, data, length);
}

static void request_close(struct request *request)
{
    end_close(&request->pair.active);
    assert_int_equal(rdma_destroy_id(request->pair.active.id), 0);
    rdma_destroy_event_channel(request->pair.active.events);
    if (request->pair.listener) {
        assert_int_equal(rdma_destroy_id(request->pair.listener), 0);
    }
    rdma_destroy_event_channel(request->pair.listen_events);
    fabric_print_live_objects();
    assert_int_equal(fabric_live_objects(), 0);
}

static struct rdma_cm_id *request_take(struct request *request)
{
    struct rdma_cm_id *id;

    assert_int_equal(rdma_get_cm_event(request->pair.listen_events, &request->event), 0);
    assert_int_equal(request->event->event, RDMA_CM_EVENT_CONNECT_REQUEST);
    id = request->event->id;
    assert_non_null(id->verbs);
    assert_ptr_equal(id->context, &request->pair);
    return id;
}

static void expect_data(struct rdma_event_channel *events, enum rdma_cm_event_type type,
                        const char *text, uint8_t length)
{
    struct rdma_cm_event *event;
    const uint8_t *data;

    assert_int_equal(rdma_get_cm_event(events, &event), 0);
    assert_int_equal(event->event, type);
    assert_int_equal(event->param.conn.private_data_len, length);
    data = event->param.conn.private_data;
    assert_memory_equal(data, text, strlen(text));
    for (size_t i = strlen(text); i < length; i++) {
        assert_int_equal(data[i], 0);
    }
    assert_int_equal(rdma_ack_cm_event(event), 0);
}

static void private_data_travels_both_ways(void **state)
{
    static struct request request;
    struct rdma_conn_param param = {.private_data = "welcome", .private_data_len = 7, .qp_num = 1};
    struct rdma_cm_id *id;

    (void)state;
    request_open(&request, "hello", 5);
    id = request_take(&request);
    assert_int_equal(rdma_get_dst_port(id), rdma_get_src_port(request.pair.active.id));
    assert_int_equal(request.event->param.conn.private_data_len, 56);
    assert_memory_equal(request.event->param.conn.private_data, "hello\0\0", 7);
    assert_int_equal(rdma_ack_cm_event(request.event), 0);
    assert_int_equal(rdma_accept(id, &param), 0);
    expect_data(request.pair.active.events, RDMA_CM_EVENT_CONNECT_RESPONSE, "welcome", 196);
    assert_int_equal(rdma_destroy_id(id), 0);
    expect_event(request.pair.active.events, RDMA_CM_EVENT_REJECTED, REJECTED_BY_CONSUMER);
    request_close(&request);
}

static void reject_carries_its_reason(void **state)
{
    static struct request request;
    struct rdma_cm_id *id;

    (void)state;
    request_open(&request, NULL, 0);
    id = request_take(&request);
    assert_int_equal(rdma_reject(id, "no", 2), 0);
    assert_int_equal(rdma_ack_cm_event(request.event), 0);
    assert_int_equal(rdma_destroy_id(id), 0);
    expect_data(request.pair.active.events, RDMA_CM_EVENT_REJECTED, "no", 148);
    request_close(&request);
}

static void listener_that_goes_away_rejects(void **state)
{
    static struct request request;

    (void)state;
    request_open(&request, NULL, 0);
    assert_int_equal(rdma_destroy_id(request.pair.listener), 0);
    request.pair.listener = NULL;
    expect_event(request.pair.active.events, RDMA_CM_EVENT_REJECTED, REJECTED_BY_CONSUMER);
    request_close(&request);
}

static void request_whose_sender_is_gone_cannot_be_accepted(void **state)
{
    static struct request request;
    struct rdma_conn_param param = {0};
    struct rdma_cm_id *id;

    (void)state;
    request_open(&request, NULL, 0);
    assert_int_equal(rdma_destroy_id(request.pair.active.id), 0);
    id = request_take(&request);
    assert_int_equal(rdma_ack_cm_event(request.event), 0);
    assert_int_equal(rdma_accept(id, &param), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(rdma_destroy_id(id), 0);
    assert_int_equal(
        rdma_create_id(request.pair.active.events, &request.pair.active.id, NULL, RDMA_PS_TCP), 0);
    request_close(&request);
}

static void unanswered_request_is_unreachable(void **state)
{
    static struct request request;

    (void)state;
    memset(&request, 0, sizeof(request));
    pair_listen(&request.pair);
    fabric_cut(true);
    pair_request(&request.pair, NULL, 0);
    expect_event(request.pair.active.events, RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT);
    request_close(&request);
}

static void nobody_listens(void **state)
{
    static struct request request;
    struct rdma_cm_id *listener;

    (void)state;
    memset(&request, 0, sizeof(request));
    pair_listen(&request.pair);
    listener = request.pair.listener;
    /* An id that is bound but does not listen. */
    assert_int_equal(rdma_destroy_id(listener), 0);
    assert_int_equal(
        rdma_create_id(request.pair.listen_events, &request.pair.listener, NULL, RDMA_PS_TCP), 0);
    pair_request(&request.pair, NULL, 0);
    expect_event(request.pair.active.events, RDMA_CM_EVENT_REJECTED, REJECTED_NO_SERVICE);
    request_close(&request);
}

static int bind_port(struct rdma_cm_id *id, uint16_t port, uint32_t host)
{
    struct sockaddr_in address = pair_address(port);

    address.sin_addr.s_addr = htonl(host);
    return rdma_bind_addr(id, (struct sockaddr *)&address) == 0 ? 0 : errno;
}

static void ports_are_exclusive(void **state)
{
    struct rdma_event_channel *events = rdma_create_event_channel();
    struct rdma_cm_id *ids[3];
    int one = 1;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rdma_create_id(events, &ids[i], NULL, RDMA_PS_TCP), 0);
    }
    assert_int_equal(
        rdma_set_option(ids[0], RDMA_OPTION_ID, RDMA_OPTION_ID_REUSEADDR, &one, sizeof(one)), 0);
    assert_int_equal(
        rdma_set_option(ids[1], RDMA_OPTION_ID, RDMA_OPTION_ID_REUSEADDR, &one, sizeof(one)), 0);
    assert_int_equal(bind_port(ids[0], 4444, INADDR_ANY), 0);
    assert_null(ids[0]->verbs);
    assert_int_equal(bind_port(ids[2], 4444, INADDR_LOOPBACK), EADDRINUSE);
    assert_int_equal(bind_port(ids[2], 4445, INADDR_LOOPBACK), 0);
    assert_non_null(ids[2]->verbs);
    assert_int_equal(bind_port(ids[1], 4444, INADDR_LOOPBACK), 0);
    assert_int_equal(rdma_listen(ids[1], 0), 0);
    assert_int_equal(rdma_listen(ids[0], 0), -1);
    assert_int_equal(errno, EADDRINUSE);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rdma_destroy_id(ids[i]), 0);
    }
    rdma_destroy_event_channel(events);
    assert_int_equal(fabric_live_objects(), 0);
}

static void calls_out_of_order_are_refused(void **state)
{
    struct rdma_event_channel *events = rdma_create_event_channel();
    struct rdma_conn_param param = {0};
    struct rdma_cm_id *id;
    struct ibv_qp_attr attr = {.qp_state = IBV_QPS_INIT};
    int mask;

    (void)state;
    assert_int_equal(rdma_create_id(events, &id, NULL, RDMA_PS_TCP), 0);
    assert_int_equal(rdma_resolve_route(id, 1), -1);
    assert_int_equal(rdma_connect(id, &param), -1);
    assert_int_equal(rdma_listen(id, 1), -1);
    assert_int_equal(rdma_accept(id, &param), -1);
    assert_int_equal(rdma_establish(id), -1);
    assert_int_equal(rdma_disconnect(id), -1);
    assert_int_equal(rdma_init_qp_attr(id, &attr, &mask), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(rdma_destroy_id(id), 0);
    rdma_destroy_event_channel(events);
}

static void host_without_devices(void **state)
{
    struct fabric_options options;
    struct ibv_device **list;
    int count;

    (void)state;
    fabric_options_init(&options);
    options.devices = 0;
    fabric_reset(&options);
    assert_null(rdma_create_event_channel());
    assert_int_equal(errno, ENODEV);
    assert_non_null(list = ibv_get_device_list(&count));
    assert_int_equal(count, 0);
    assert_null(list[0]);
    ibv_free_device_list(list);
    assert_int_equal(fabric_live_objects(), 0);
}

static void device_says_its_limits(void **state)
{
    struct fabric_options options;
    struct ibv_device_attr_ex attr;
    struct ibv_port_attr port;
    struct ibv_context *context;
    struct ibv_device **list;
    union ibv_gid gid;

    (void)state;
    fabric_options_init(&options);
    options.devices = 2;
    options.max_sge = 3;
    options.odp = true;
    options.active_mtu = IBV_MTU_1024;
    fabric_reset(&options);
    list = ibv_get_device_list(NULL);
    assert_string_equal(ibv_get_device_name(list[1]), "fabric1");
    assert_non_null(context = ibv_open_device(list[1]));
    ibv_free_device_list(list);
    assert_int_equal(ibv_query_device_ex(context, NULL, &attr), 0);
    assert_int_equal(attr.orig_attr.max_sge, 3);
    assert_int_equal(attr.odp_caps.general_caps, IBV_ODP_SUPPORT);
    assert_int_equal(ibv_query_port(context, 1, &port), 0);
    assert_int_equal(port.active_mtu, IBV_MTU_1024);
    assert_int_equal(port.state, IBV_PORT_ACTIVE);
    assert_int_equal(ibv_query_gid(context, 1, 0, &gid), 0);
    assert_int_equal(ibv_close_device(context), 0);
    assert_int_equal(fabric_live_objects(), 0);
}

#define PAIR_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
#define BARE_TEST(function) cmocka_unit_test_setup(function, reset_only)

int run_cm_tests(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(disconnect_ends_both_sides),
        cmocka_unit_test_setup_teardown(strict_disconnect_leaves_queue_pairs_alone, setup_strict,
                                        teardown),
        PAIR_TEST(destroying_a_queue_pair_disconnects),
        PAIR_TEST(destroying_an_id_disconnects),
        PAIR_TEST(event_channel_does_not_block_when_asked),
        BARE_TEST(private_data_travels_both_ways),
        BARE_TEST(reject_carries_its_reason),
        BARE_TEST(listener_that_goes_away_rejects),
        BARE_TEST(request_whose_sender_is_gone_cannot_be_accepted),
        BARE_TEST(unanswered_request_is_unreachable),
        BARE_TEST(nobody_listens),
        BARE_TEST(ports_are_exclusive),
        BARE_TEST(calls_out_of_order_are_refused),
        BARE_TEST(host_without_devices),
        BARE_TEST(device_says_its_limits),
    };

    return cmocka_run_group_tests_name("connection manager", tests, NULL, NULL);
}
