/* SPDX-License-Identifier: MIT */
#include "stranger.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct stranger {
    struct rdma_event_channel *channel;
    struct rdma_cm_id *listener;
    enum stranger_answer answer;
    uint8_t data[196];
    uint8_t length;
    pthread_t thread;
};

/* What goes wrong here is a mistake in the test, or in the fabric. */
static void insist(int status)
{
    if (status != 0) {
        abort();
    }
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static enum rdma_cm_event_type take_event(struct rdma_event_channel *channel,
                                          struct rdma_cm_id **id)
{
    struct rdma_cm_event *event;
    enum rdma_cm_event_type type;

    insist(rdma_get_cm_event(channel, &event));
    type = event->event;
    if (id != NULL) {
        *id = event->id;
    }
    insist(rdma_ack_cm_event(event));
    return type;
}

/* A queue pair that nobody uses: a connection has one. */
static struct ibv_qp *make_qp(struct rdma_cm_id *id, struct ibv_pd **pd, struct ibv_cq **cq)
{
    struct ibv_qp_init_attr attr = {.qp_type = IBV_QPT_RC, .cap = {1, 1, 1, 1, 0}};
    struct ibv_qp *qp;

    *pd = ibv_alloc_pd(id->verbs);
    *cq = ibv_create_cq(id->verbs, 2, NULL, NULL, 0);
    attr.send_cq = attr.recv_cq = *cq;
    qp = ibv_create_qp(*pd, &attr);
    insist(qp == NULL);
    return qp;
}

static void release(struct ibv_qp *qp, struct ibv_pd *pd, struct ibv_cq *cq)
{
    insist(ibv_destroy_qp(qp));
    insist(ibv_destroy_cq(cq));
    insist(ibv_dealloc_pd(pd));
}

enum rdma_cm_event_type stranger_connect(uint16_t port, const void *data, uint8_t length)
{
    struct rdma_event_channel *channel = rdma_create_event_channel();
    struct sockaddr_in address = loopback(port);
    struct rdma_conn_param param = {.private_data = data, .private_data_len = length};
    enum rdma_cm_event_type answer;
    struct rdma_cm_id *id;
    struct ibv_qp *qp;
    struct ibv_pd *pd;
    struct ibv_cq *cq;

    insist(rdma_create_id(channel, &id, NULL, RDMA_PS_TCP));
    insist(rdma_resolve_addr(id, NULL, (struct sockaddr *)&address, 1000));
    insist(take_event(channel, NULL) != RDMA_CM_EVENT_ADDR_RESOLVED);
    insist(rdma_resolve_route(id, 1000));
    insist(take_event(channel, NULL) != RDMA_CM_EVENT_ROUTE_RESOLVED);
    qp = make_qp(id, &pd, &cq);
    param.qp_num = qp->qp_num;
    insist(rdma_connect(id, &param));
    answer = take_event(channel, NULL);
    rdma_disconnect(id);
    release(qp, pd, cq);
    insist(rdma_destroy_id(id));
    rdma_destroy_event_channel(channel);
    return answer;
}

static void *answer_one(void *arg)
{
    struct stranger *stranger = arg;
    struct rdma_conn_param param = {.private_data = stranger->data,
                                    .private_data_len = stranger->length};
    struct rdma_cm_id *id;
    struct ibv_qp *qp;
    struct ibv_pd *pd;
    struct ibv_cq *cq;

    insist(take_event(stranger->channel, &id) != RDMA_CM_EVENT_CONNECT_REQUEST);
    qp = make_qp(id, &pd, &cq);
    param.qp_num = qp->qp_num;
    if (stranger->answer == STRANGER_REJECTS) {
        insist(rdma_reject(id, stranger->data, stranger->length));
    } else if (stranger->answer == STRANGER_ACCEPTS) {
        insist(rdma_accept(id, &param));
        take_event(stranger->channel, NULL); /* it was given up, or stood and ended */
    }
    release(qp, pd, cq);
    if (stranger->answer != STRANGER_IS_SILENT) {
        insist(rdma_destroy_id(id));
        return NULL;
    }
    return id;
}

struct stranger *stranger_listen(enum stranger_answer answer, const void *data, uint8_t length)
{
    struct stranger *stranger = calloc(1, sizeof(*stranger));
    struct sockaddr_in address = loopback(0);

    insist(stranger == NULL);
    stranger->answer = answer;
    stranger->length = length;
    memcpy(stranger->data, data, length);
    stranger->channel = rdma_create_event_channel();
    insist(rdma_create_id(stranger->channel, &stranger->listener, NULL, RDMA_PS_TCP));
    insist(rdma_bind_addr(stranger->listener, (struct sockaddr *)&address));
    insist(rdma_listen(stranger->listener, 1));
    insist(pthread_create(&stranger->thread, NULL, answer_one, stranger));
    return stranger;
}

uint16_t stranger_port(const struct stranger *stranger)
{
    return ntohs(rdma_get_src_port(stranger->listener));
}

void stranger_delete(struct stranger **stranger)
{
    struct stranger *gone = *stranger;
    void *id;

    insist(pthread_join(gone->thread, &id));
    if (id != NULL) {
        insist(rdma_destroy_id(id));
    }
    insist(rdma_destroy_id(gone->listener));
    rdma_destroy_event_channel(gone->channel);
    free(gone);
    *stranger = NULL;
}
