/* SPDX-License-Identifier: MIT */
#include "raw_loop.h"

#include "core/base/clock.h"

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_BYTES (512u * 1024u)
#define HEADER_FIXED 320u

/* One channel: a queue pair at each end and one completion queue at each end. */
struct pair {
    struct ibv_cq *send_cq;
    struct ibv_cq *receive_cq;
    struct ibv_qp *send_qp;
    struct ibv_qp *receive_qp;
    uint32_t in_flight; /* packets whose SEND has not completed */
    uint32_t credits;   /* receives that are posted */
};

struct raw_loop {
    struct transfer_plan plan;
    struct ibv_context *context;
    struct ibv_pd *pd;
    struct ibv_mr *source;
    struct ibv_mr *destination;
    struct ibv_mr *header;
    uint8_t *header_bytes;
    uint32_t header_max;
    uint32_t packet_pages;
    struct pair *pairs;
    struct ibv_send_wr *wrs;
    struct ibv_sge *sges;
    union ibv_gid gid;
    int gid_index;
    enum ibv_mtu mtu;
};

static void check(bool fine, const char *what)
{
    if (!fine) {
        perror(what);
        exit(1);
    }
}

static void *allocate(size_t num, size_t size)
{
    void *memory = calloc(num, size);

    check(memory != NULL, "calloc");
    return memory;
}

static void open_device(struct raw_loop *loop)
{
    struct ibv_device **list = ibv_get_device_list(NULL);
    struct ibv_port_attr port;

    check(list != NULL && list[0] != NULL, "no RDMA device");
    loop->context = ibv_open_device(list[0]);
    ibv_free_device_list(list);
    check(loop->context != NULL, "ibv_open_device");
    check(ibv_query_port(loop->context, 1, &port) == 0, "ibv_query_port");
    loop->mtu = port.active_mtu;
    loop->gid_index = port.gid_tbl_len > 1 ? 1 : 0; /* 0 is link-local, 1 the first address */
    check(ibv_query_gid(loop->context, 1, loop->gid_index, &loop->gid) == 0, "ibv_query_gid");
    loop->pd = ibv_alloc_pd(loop->context);
    check(loop->pd != NULL, "ibv_alloc_pd");
}

static struct ibv_mr *register_memory(struct raw_loop *loop, void *address, size_t length)
{
    struct ibv_mr *mr =
        ibv_reg_mr(loop->pd, address, length, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);

    check(mr != NULL, "ibv_reg_mr");
    return mr;
}

static struct ibv_qp *make_qp(struct raw_loop *loop, struct ibv_cq *cq, uint32_t send_wr,
                              uint32_t receive_wr)
{
    struct ibv_qp_init_attr attr = {
        .send_cq = cq,
        .recv_cq = cq,
        .cap = {.max_send_wr = send_wr,
                .max_recv_wr = receive_wr,
                .max_send_sge = 1,
                .max_recv_sge = 1},
        .qp_type = IBV_QPT_RC,
    };
    struct ibv_qp_attr init = {
        .qp_state = IBV_QPS_INIT,
        .port_num = 1,
        .qp_access_flags = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE,
    };
    struct ibv_qp *qp = ibv_create_qp(loop->pd, &attr);

    check(qp != NULL, "ibv_create_qp");
    check(ibv_modify_qp(qp, &init,
                        IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS) == 0,
          "ibv_modify_qp(INIT)");
    return qp;
}

static void connect_qp(const struct raw_loop *loop, struct ibv_qp *qp, uint32_t peer)
{
    struct ibv_qp_attr rtr = {
        .qp_state = IBV_QPS_RTR,
        .path_mtu = loop->mtu,
        .dest_qp_num = peer,
        .max_dest_rd_atomic = 1,
        .min_rnr_timer = 12,
        .ah_attr = {.is_global = 1,
                    .port_num = 1,
                    .grh = {.dgid = loop->gid,
                            .sgid_index = (uint8_t)loop->gid_index,
                            .hop_limit = 64}},
    };
    struct ibv_qp_attr rts = {
        .qp_state = IBV_QPS_RTS, .timeout = 16, .retry_cnt = 7, .rnr_retry = 7, .max_rd_atomic = 1};

    check(ibv_modify_qp(qp, &rtr,
                        IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
                            IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER) == 0,
          "ibv_modify_qp(RTR)");
    check(ibv_modify_qp(qp, &rts,
                        IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                            IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC) == 0,
          "ibv_modify_qp(RTS)");
}

/* The receives' content is not looked at, so all of them share one buffer. */
static void post_receives(struct raw_loop *loop, struct pair *pair, uint32_t num)
{
    struct ibv_sge sge = {.addr = (uintptr_t)loop->header_bytes + loop->header_max,
                          .length = loop->header_max,
                          .lkey = loop->header->lkey};
    struct ibv_recv_wr wr = {.sg_list = &sge, .num_sge = 1};
    struct ibv_recv_wr *bad;

    for (uint32_t i = 0; i < num; i++) {
        check(ibv_post_recv(pair->receive_qp, &wr, &bad) == 0, "ibv_post_recv");
    }
    pair->credits += num;
}

static void make_pair(struct raw_loop *loop, struct pair *pair)
{
    uint32_t window = loop->plan.window;
    uint32_t entries = window * (loop->packet_pages + 1);

    pair->send_cq = ibv_create_cq(loop->context, (int)entries, NULL, NULL, 0);
    pair->receive_cq = ibv_create_cq(loop->context, (int)(2 * window), NULL, NULL, 0);
    check(pair->send_cq != NULL && pair->receive_cq != NULL, "ibv_create_cq");
    pair->send_qp = make_qp(loop, pair->send_cq, entries, 1);
    pair->receive_qp = make_qp(loop, pair->receive_cq, 1, window);
    connect_qp(loop, pair->send_qp, pair->receive_qp->qp_num);
    connect_qp(loop, pair->receive_qp, pair->send_qp->qp_num);
    post_receives(loop, pair, window);
}

struct raw_loop *raw_loop_new(const struct transfer_plan *plan)
{
    struct raw_loop *loop = allocate(1, sizeof(*loop));

    loop->plan = *plan;
    loop->packet_pages = PACKET_BYTES / plan->page_size;
    loop->header_max = HEADER_FIXED + 8 * loop->packet_pages;
    open_device(loop);
    loop->source = register_memory(loop, plan->source, plan->length);
    loop->destination = register_memory(loop, plan->destination, plan->length);
    loop->header_bytes = allocate(2, loop->header_max);
    loop->header = register_memory(loop, loop->header_bytes, (size_t)2 * loop->header_max);
    loop->wrs = allocate(loop->packet_pages + 1, sizeof(*loop->wrs));
    loop->sges = allocate(loop->packet_pages + 1, sizeof(*loop->sges));
    loop->pairs = allocate(plan->channels, sizeof(*loop->pairs));
    for (uint32_t i = 0; i < plan->channels; i++) {
        make_pair(loop, &loop->pairs[i]);
    }
    return loop;
}

void raw_loop_delete(struct raw_loop *loop)
{
    for (uint32_t i = 0; i < loop->plan.channels; i++) {
        ibv_destroy_qp(loop->pairs[i].send_qp);
        ibv_destroy_qp(loop->pairs[i].receive_qp);
        ibv_destroy_cq(loop->pairs[i].send_cq);
        ibv_destroy_cq(loop->pairs[i].receive_cq);
    }
    ibv_dereg_mr(loop->source);
    ibv_dereg_mr(loop->destination);
    ibv_dereg_mr(loop->header);
    ibv_dealloc_pd(loop->pd);
    ibv_close_device(loop->context);
    free(loop->header_bytes);
    free(loop->wrs);
    free(loop->sges);
    free(loop->pairs);
    free(loop);
}

/* The WRITEs of a packet, one for each run; their number. */
static uint32_t build_writes(struct raw_loop *loop, const uint64_t *offsets, uint32_t pages)
{
    uint32_t page_size = loop->plan.page_size;
    uint32_t num = 0;

    for (uint32_t i = 0; i < pages; i++) {
        if (i != 0 && offsets[i] == offsets[i - 1] + page_size) {
            loop->sges[num - 1].length += page_size;
            continue;
        }
        loop->sges[num] = (struct ibv_sge){.addr = (uintptr_t)loop->plan.source + offsets[i],
                                           .length = page_size,
                                           .lkey = loop->source->lkey};
        loop->wrs[num] = (struct ibv_send_wr){
            .next = &loop->wrs[num + 1],
            .sg_list = &loop->sges[num],
            .num_sge = 1,
            .opcode = IBV_WR_RDMA_WRITE,
            .wr.rdma = {.remote_addr = (uintptr_t)loop->plan.destination + offsets[i],
                        .rkey = loop->destination->rkey},
        };
        num++;
    }
    return num;
}

static void post_packet(struct raw_loop *loop, struct pair *pair, const uint64_t *offsets,
                        uint32_t pages)
{
    uint32_t num = build_writes(loop, offsets, pages);
    struct ibv_send_wr *bad;

    loop->sges[num] = (struct ibv_sge){.addr = (uintptr_t)loop->header_bytes,
                                       .length = HEADER_FIXED + 8 * pages,
                                       .lkey = loop->header->lkey};
    loop->wrs[num] = (struct ibv_send_wr){.sg_list = &loop->sges[num],
                                          .num_sge = 1,
                                          .opcode = IBV_WR_SEND,
                                          .send_flags = IBV_SEND_SIGNALED};
    check(ibv_post_send(pair->send_qp, loop->wrs, &bad) == 0, "ibv_post_send");
    pair->in_flight++;
    pair->credits--;
}

static uint32_t reap(struct ibv_cq *cq)
{
    struct ibv_wc wc[16];
    int got = ibv_poll_cq(cq, 16, wc);

    check(got >= 0, "ibv_poll_cq");
    for (int i = 0; i < got; i++) {
        check(wc[i].status == IBV_WC_SUCCESS, ibv_wc_status_str(wc[i].status));
    }
    return (uint32_t)got;
}

uint64_t raw_loop_run(struct raw_loop *loop)
{
    const struct transfer_plan *plan = &loop->plan;
    uint64_t start = clock_now_ns();
    uint32_t in_flight = 0;
    uint32_t next = 0;

    while (next < plan->pages || in_flight != 0) {
        in_flight = 0;
        for (uint32_t i = 0; i < plan->channels; i++) {
            struct pair *pair = &loop->pairs[i];

            pair->in_flight -= reap(pair->send_cq);
            post_receives(loop, pair, reap(pair->receive_cq));
            if (next < plan->pages && pair->in_flight < plan->window && pair->credits != 0) {
                uint32_t left = plan->pages - next;
                uint32_t pages = left < loop->packet_pages ? left : loop->packet_pages;

                post_packet(loop, pair, plan->offsets + next, pages);
                next += pages;
            }
            in_flight += pair->in_flight;
        }
    }
    return clock_now_ns() - start;
}
