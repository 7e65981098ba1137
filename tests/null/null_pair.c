/* SPDX-License-Identifier: MIT */
#include "null_pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

struct rdma_cm_event *next_event(struct end *end, enum rdma_cm_event_type type)
{
    struct rdma_cm_event *event;

    assert_int_equal(rdma_get_cm_event(end->events, &event), 0);
    assert_string_equal(rdma_event_str(event->event), rdma_event_str(type));
    return event;
}

void expect_event(struct end *end, enum rdma_cm_event_type type)
{
    rdma_ack_cm_event(next_event(end, type));
}

void open_end(struct end *end)
{
    end->events = rdma_create_event_channel();
    assert_non_null(end->events);
    assert_int_equal(rdma_create_id(end->events, &end->id, NULL, RDMA_PS_TCP), 0);
}

int post_receive(struct end *end, uint64_t slot)
{
    struct ibv_sge sge = {.addr = (uintptr_t)end->bytes[slot], .length = MESSAGE};
    struct ibv_recv_wr wr = {.wr_id = slot, .sg_list = &sge, .num_sge = 1};
    struct ibv_recv_wr *bad;

    return ibv_post_recv(end->qp, &wr, &bad);
}

static void modify(struct end *end, enum ibv_qp_state state)
{
    struct ibv_qp_attr attr = {.qp_state = state};
    int mask = 0;

    assert_int_equal(rdma_init_qp_attr(end->id, &attr, &mask), 0);
    assert_int_equal(ibv_modify_qp(end->qp, &attr, mask), 0);
}

static void make_queues(struct pair *pair, struct end *end)
{
    struct ibv_qp_init_attr attr = {
        .cap = {.max_send_wr = DEPTH, .max_recv_wr = DEPTH, .max_send_sge = 1, .max_recv_sge = 1},
        .qp_type = IBV_QPT_RC,
    };

    end->channel = ibv_create_comp_channel(end->id->verbs);
    assert_non_null(end->channel);
    end->cq = ibv_create_cq(end->id->verbs, 2 * DEPTH, NULL, end->channel, 0);
    assert_non_null(end->cq);
    attr.send_cq = attr.recv_cq = end->cq;
    end->qp = ibv_create_qp(pair->pd, &attr);
    assert_non_null(end->qp);
    modify(end, IBV_QPS_INIT);
    for (uint64_t i = 0; i < DEPTH; i++) {
        assert_int_equal(post_receive(end, i), 0);
    }
    assert_int_equal(post_receive(end, 0), ENOMEM);
}

void resolve(struct end *end, in_port_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    assert_int_equal(rdma_resolve_addr(end->id, NULL, (struct sockaddr *)&to, 1000), 0);
    expect_event(end, RDMA_CM_EVENT_ADDR_RESOLVED);
    assert_int_equal(rdma_resolve_route(end->id, 1000), 0);
    expect_event(end, RDMA_CM_EVENT_ROUTE_RESOLVED);
}

/* The passive end leaves the listener's channel before it answers, as the engine does. */
static void accept_request(struct pair *pair, struct end *listener)
{
    struct end *passive = &pair->passive;
    struct rdma_cm_event *event = next_event(listener, RDMA_CM_EVENT_CONNECT_REQUEST);
    struct rdma_conn_param param = {.private_data = "answer", .private_data_len = 7};

    assert_string_equal(event->param.conn.private_data, "question");
    assert_ptr_equal(event->listen_id, listener->id);
    passive->id = event->id;
    rdma_ack_cm_event(event);
    passive->events = rdma_create_event_channel();
    assert_int_equal(rdma_migrate_id(passive->id, passive->events), 0);
    make_queues(pair, passive);
    modify(passive, IBV_QPS_RTR);
    modify(passive, IBV_QPS_RTS);
    param.qp_num = passive->qp->qp_num;
    assert_int_equal(rdma_accept(passive->id, &param), 0);
}

void connect_pair(struct pair *pair)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct rdma_conn_param param = {.private_data = "question", .private_data_len = 9};
    struct end *active = &pair->active;
    struct rdma_cm_event *event;
    struct end listener;

    memset(pair, 0, sizeof(*pair));
    open_end(&listener);
    open_end(active);
    assert_int_equal(rdma_bind_addr(listener.id, (struct sockaddr *)&any), 0);
    assert_int_equal(rdma_listen(listener.id, 1), 0);
    resolve(active, rdma_get_src_port(listener.id));
    pair->pd = ibv_alloc_pd(active->id->verbs);
    make_queues(pair, active);
    param.qp_num = active->qp->qp_num;
    assert_int_equal(rdma_connect(active->id, &param), 0);
    accept_request(pair, &listener);
    event = next_event(active, RDMA_CM_EVENT_CONNECT_RESPONSE);
    assert_string_equal(event->param.conn.private_data, "answer");
    rdma_ack_cm_event(event);
    modify(active, IBV_QPS_RTR);
    modify(active, IBV_QPS_RTS);
    assert_int_equal(rdma_establish(active->id), 0);
    expect_event(&pair->passive, RDMA_CM_EVENT_ESTABLISHED);
    rdma_destroy_id(listener.id);
    rdma_destroy_event_channel(listener.events);
}

void close_end(struct end *end)
{
    if (end->qp != NULL) {
        assert_int_equal(ibv_destroy_cq(end->cq), EBUSY);
        assert_int_equal(ibv_destroy_qp(end->qp), 0);
    }
    rdma_destroy_id(end->id);
    rdma_destroy_event_channel(end->events);
    assert_int_equal(ibv_destroy_cq(end->cq), 0);
    assert_int_equal(ibv_destroy_comp_channel(end->channel), 0);
}

void disconnect_pair(struct pair *pair)
{
    assert_int_equal(rdma_disconnect(pair->active.id), 0);
    expect_event(&pair->active, RDMA_CM_EVENT_DISCONNECTED);
    expect_event(&pair->passive, RDMA_CM_EVENT_DISCONNECTED);
    close_end(&pair->active);
    close_end(&pair->passive);
    ibv_dealloc_pd(pair->pd);
}

int post_send(struct end *end, uint64_t wr_id, const char *text, unsigned flags)
{
    struct ibv_sge sge = {.addr = (uintptr_t)text, .length = (uint32_t)strlen(text) + 1};
    struct ibv_send_wr wr = {
        .wr_id = wr_id, .sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_SEND, .send_flags = flags};
    struct ibv_send_wr *bad;

    return ibv_post_send(end->qp, &wr, &bad);
}

void expect_completion(struct end *end, uint64_t wr_id, enum ibv_wc_status status)
{
    struct ibv_wc wc;

    assert_int_equal(ibv_poll_cq(end->cq, 1, &wc), 1);
    assert_int_equal(wc.wr_id, wr_id);
    assert_int_equal(wc.status, status);
    assert_int_equal(wc.qp_num, end->qp->qp_num);
}

void expect_nothing(struct end *end)
{
    struct ibv_wc wc;

    assert_int_equal(ibv_poll_cq(end->cq, 1, &wc), 0);
}
