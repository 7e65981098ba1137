/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "pair.h"

enum { PATIENCE_MS = 5000 };

struct sockaddr_in pair_address(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

void expect_event(struct rdma_event_channel *events, enum rdma_cm_event_type type, int status)
{
    struct rdma_cm_event *event;

    assert_int_equal(rdma_get_cm_event(events, &event), 0);
    assert_string_equal(rdma_event_str(event->event), rdma_event_str(type));
    assert_int_equal(event->status, status);
    assert_int_equal(rdma_ack_cm_event(event), 0);
}

void end_open(struct end *end)
{
    struct ibv_qp_init_attr init = {
        .qp_type = IBV_QPT_RC,
        .cap = {.max_send_wr = PAIR_SLOTS,
                .max_recv_wr = PAIR_SLOTS,
                .max_send_sge = 4,
                .max_recv_sge = 2,
                .max_inline_data = 64},
    };

    assert_non_null(end->id->verbs);
    assert_non_null(end->pd = ibv_alloc_pd(end->id->verbs));
    assert_non_null(end->channel = ibv_create_comp_channel(end->id->verbs));
    assert_non_null(end->cq = ibv_create_cq(end->id->verbs, 2 * PAIR_SLOTS, end, end->channel, 0));
    init.send_cq = end->cq;
    init.recv_cq = end->cq;
    assert_non_null(end->qp = ibv_create_qp(end->pd, &init));
    assert_non_null(end->mr = ibv_reg_mr(end->pd, end->memory, sizeof(end->memory),
                                         IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE));
}

void end_close(struct end *end)
{
    if (end->qp) {
        assert_int_equal(ibv_destroy_qp(end->qp), 0);
    }
    assert_int_equal(ibv_destroy_cq(end->cq), 0);
    assert_int_equal(ibv_destroy_comp_channel(end->channel), 0);
    assert_int_equal(ibv_dereg_mr(end->mr), 0);
    assert_int_equal(ibv_dealloc_pd(end->pd), 0);
}

void end_modify(struct end *end, enum ibv_qp_state state)
{
    struct ibv_qp_attr attr = {.qp_state = state};
    int mask;

    assert_int_equal(rdma_init_qp_attr(end->id, &attr, &mask), 0);
    if (state == IBV_QPS_INIT) {
        attr.qp_access_flags |= IBV_ACCESS_REMOTE_WRITE;
    }
    if (state == IBV_QPS_RTR) {
        attr.min_rnr_timer = 1;
    }
    assert_int_equal(ibv_modify_qp(end->qp, &attr, mask), 0);
}

void pair_listen(struct pair *pair)
{
    struct sockaddr_in any = pair_address(0);

    assert_non_null(pair->listen_events = rdma_create_event_channel());
    assert_int_equal(rdma_create_id(pair->listen_events, &pair->listener, pair, RDMA_PS_TCP), 0);
    assert_int_equal(rdma_bind_addr(pair->listener, (struct sockaddr *)&any), 0);
    assert_int_not_equal(rdma_get_src_port(pair->listener), 0);
    assert_int_equal(rdma_listen(pair->listener, 8), 0);
}

void pair_request(struct pair *pair, const void *data, uint8_t length)
{
    struct end *active = &pair->active;
    struct sockaddr_in to = pair_address(ntohs(rdma_get_src_port(pair->listener)));
    struct rdma_conn_param param = {
        .private_data = data, .private_data_len = length, .retry_count = 7, .rnr_retry_count = 7};

    assert_non_null(active->events = rdma_create_event_channel());
    assert_int_equal(rdma_create_id(active->events, &active->id, NULL, RDMA_PS_TCP), 0);
    assert_int_equal(rdma_resolve_addr(active->id, NULL, (struct sockaddr *)&to, 1000), 0);
    expect_event(active->events, RDMA_CM_EVENT_ADDR_RESOLVED, 0);
    assert_int_equal(rdma_resolve_route(active->id, 1000), 0);
    expect_event(active->events, RDMA_CM_EVENT_ROUTE_RESOLVED, 0);
    end_open(active);
    end_modify(active, IBV_QPS_INIT);
    param.qp_num = active->qp->qp_num;
    assert_int_equal(rdma_connect(active->id, &param), 0);
}

static void take_request(struct pair *pair)
{
    struct rdma_cm_event *event;
    struct end *passive = &pair->passive;

    assert_int_equal(rdma_get_cm_event(pair->listen_events, &event), 0);
    assert_int_equal(event->event, RDMA_CM_EVENT_CONNECT_REQUEST);
    assert_ptr_equal(event->listen_id, pair->listener);
    assert_int_equal(event->param.conn.qp_num, pair->active.qp->qp_num);
    passive->id = event->id;
    assert_non_null(passive->events = rdma_create_event_channel());
    assert_int_equal(rdma_migrate_id(passive->id, passive->events), 0);
    assert_int_equal(rdma_ack_cm_event(event), 0);
}

static void accept_request(struct pair *pair)
{
    struct end *passive = &pair->passive;
    struct rdma_conn_param param = {.rnr_retry_count = 7};

    end_open(passive);
    end_modify(passive, IBV_QPS_INIT);
    end_modify(passive, IBV_QPS_RTR);
    end_modify(passive, IBV_QPS_RTS);
    param.qp_num = passive->qp->qp_num;
    assert_int_equal(rdma_accept(passive->id, &param), 0);
    expect_event(pair->active.events, RDMA_CM_EVENT_CONNECT_RESPONSE, 0);
    end_modify(&pair->active, IBV_QPS_RTR);
    end_modify(&pair->active, IBV_QPS_RTS);
    assert_int_equal(rdma_establish(pair->active.id), 0);
    expect_event(passive->events, RDMA_CM_EVENT_ESTABLISHED, 0);
}

struct pair *pair_new(void)
{
    struct pair *pair = calloc(1, sizeof(*pair));

    assert_non_null(pair);
    pair_listen(pair);
    pair_request(pair, NULL, 0);
    take_request(pair);
    accept_request(pair);
    return pair;
}

void pair_close(struct pair *pair)
{
    end_close(&pair->active);
    end_close(&pair->passive);
    assert_int_equal(rdma_destroy_id(pair->active.id), 0);
    assert_int_equal(rdma_destroy_id(pair->passive.id), 0);
    assert_int_equal(rdma_destroy_id(pair->listener), 0);
    rdma_destroy_event_channel(pair->active.events);
    rdma_destroy_event_channel(pair->passive.events);
    rdma_destroy_event_channel(pair->listen_events);
    free(pair);
}

void pair_delete(struct pair *pair)
{
    pair_close(pair);
    fabric_print_live_objects();
    assert_int_equal(fabric_live_objects(), 0);
}

int post_write(struct end *from, uint64_t wr_id, uint32_t offset, uint32_t length, uint64_t to,
               uint32_t rkey, unsigned int flags)
{
    struct ibv_sge sge = {(uintptr_t)from->memory + offset, length, from->mr->lkey};
    struct ibv_send_wr wr = {
        .wr_id = wr_id, .sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_RDMA_WRITE};
    struct ibv_send_wr *bad;

    wr.send_flags = flags;
    wr.wr.rdma.remote_addr = to;
    wr.wr.rdma.rkey = rkey;
    return ibv_post_send(from->qp, &wr, &bad);
}

int post_send(struct end *from, uint64_t wr_id, uint32_t offset, uint32_t length,
              unsigned int flags)
{
    struct ibv_sge sge = {(uintptr_t)from->memory + offset, length, from->mr->lkey};
    struct ibv_send_wr wr = {.wr_id = wr_id, .sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_SEND};
    struct ibv_send_wr *bad;

    wr.send_flags = flags;
    return ibv_post_send(from->qp, &wr, &bad);
}

int post_recv(struct end *at, uint64_t wr_id, uint32_t offset, uint32_t length)
{
    struct ibv_sge sge = {(uintptr_t)at->memory + offset, length, at->mr->lkey};
    struct ibv_recv_wr wr = {.wr_id = wr_id, .sg_list = &sge, .num_sge = 1};
    struct ibv_recv_wr *bad;

    return ibv_post_recv(at->qp, &wr, &bad);
}

static void sleep_ms(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&pause, NULL);
}

struct ibv_wc next_wc(struct end *at)
{
    struct ibv_wc wc = {0};

    for (int waited = 0; waited < PATIENCE_MS; waited++) {
        int count = ibv_poll_cq(at->cq, 1, &wc);
        assert_true(count >= 0);
        if (count == 1) {
            return wc;
        }
        sleep_ms(1);
    }
    fail_msg("no completion");
    return wc;
}

void expect_wc(struct end *at, uint64_t wr_id, enum ibv_wc_status status)
{
    struct ibv_wc wc = next_wc(at);

    assert_string_equal(ibv_wc_status_str(wc.status), ibv_wc_status_str(status));
    assert_int_equal(wc.wr_id, wr_id);
    assert_int_equal(wc.qp_num, at->qp->qp_num);
}

void expect_no_wc(struct end *at)
{
    struct ibv_wc wc;

    sleep_ms(20);
    assert_int_equal(ibv_poll_cq(at->cq, 1, &wc), 0);
}
