/*
 * SPDX-License-Identifier: MIT
 *
 * Posting of work requests.
 */
#include <string.h>

#include "fabric_internal.h"

static struct fabric_qp *qp_of(struct ibv_qp *qp)
{
    return container_of(qp, struct fabric_qp, qp);
}

static int state_of(struct fabric_qp *qp)
{
    return atomic_load_explicit(&qp->state, memory_order_relaxed);
}

static uint64_t length_of(const struct ibv_sge *sges, int count)
{
    uint64_t length = 0;

    for (int i = 0; i < count; i++) {
        length += sges[i].length;
    }
    return length;
}

/* The next slot, or NULL: a slot is free again only when a completion that covers it has been
 * polled. */
static struct fabric_work *claim(struct fabric_ring *ring)
{
    uint64_t released = atomic_load_explicit(&ring->released, memory_order_relaxed);

    if (ring->posted - released >= ring->depth) {
        return NULL;
    }
    return &ring->slots[ring->posted % ring->depth];
}

static void copy_inline(struct fabric_work *work, const struct ibv_send_wr *wr)
{
    uint64_t done = 0;

    for (int i = 0; i < wr->num_sge; i++) {
        if (wr->sg_list[i].length > 0) {
            memcpy(work->inlined + done, (const void *)(uintptr_t)wr->sg_list[i].addr,
                   wr->sg_list[i].length);
        }
        done += wr->sg_list[i].length;
    }
}

static int check_send(const struct fabric_qp *qp, const struct ibv_send_wr *wr)
{
    if (wr->opcode != IBV_WR_RDMA_WRITE && wr->opcode != IBV_WR_SEND &&
        (wr->opcode != IBV_WR_RDMA_READ || (wr->send_flags & IBV_SEND_INLINE))) {
        return EINVAL;
    }
    if (wr->num_sge < 0 || (uint32_t)wr->num_sge > qp->cap.max_send_sge) {
        return EINVAL;
    }
    if ((wr->send_flags & IBV_SEND_INLINE) &&
        length_of(wr->sg_list, wr->num_sge) > qp->cap.max_inline_data) {
        return EINVAL;
    }
    return 0;
}

static int enqueue_send(struct fabric_qp *qp, const struct ibv_send_wr *wr)
{
    int state = state_of(qp);
    int error = state == IBV_QPS_RTS || state == IBV_QPS_ERR ? check_send(qp, wr) : EINVAL;
    struct fabric_work *work;

    if (error) {
        return error;
    }
    work = claim(&qp->sq);
    if (!work) {
        return ENOMEM;
    }
    work->wr_id = wr->wr_id;
    work->opcode = wr->opcode;
    work->flags = wr->send_flags | (qp->sig_all ? IBV_SEND_SIGNALED : 0U);
    work->remote_addr = wr->wr.rdma.remote_addr;
    work->rkey = wr->wr.rdma.rkey;
    work->num_sge = wr->num_sge;
    work->length = length_of(wr->sg_list, wr->num_sge);
    if ((wr->send_flags & IBV_SEND_INLINE) && work->length > 0) {
        copy_inline(work, wr);
    } else if (wr->num_sge > 0) {
        memcpy(work->sges, wr->sg_list, (size_t)wr->num_sge * sizeof(*wr->sg_list));
    }
    qp->sq.posted++;
    return 0;
}

int fabric_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad_wr)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_post_send");
    struct fabric_qp *own = qp_of(qp);

    pthread_mutex_lock(&own->lock);
    while (wr && !error) {
        error = enqueue_send(own, wr);
        wr = error ? wr : wr->next;
    }
    pthread_cond_broadcast(&own->wake);
    pthread_mutex_unlock(&own->lock);
    if (error) {
        *bad_wr = wr;
    }
    return error;
}

static int enqueue_recv(struct fabric_qp *qp, const struct ibv_recv_wr *wr)
{
    struct fabric_work *work;

    if (state_of(qp) == IBV_QPS_RESET || wr->num_sge < 0 ||
        (uint32_t)wr->num_sge > qp->cap.max_recv_sge) {
        return EINVAL;
    }
    work = claim(&qp->rq);
    if (!work) {
        return ENOMEM;
    }
    work->wr_id = wr->wr_id;
    work->num_sge = wr->num_sge;
    work->length = length_of(wr->sg_list, wr->num_sge);
    if (wr->num_sge > 0) {
        memcpy(work->sges, wr->sg_list, (size_t)wr->num_sge * sizeof(*wr->sg_list));
    }
    qp->rq.posted++;
    return 0;
}

int fabric_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_wr)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_post_recv");
    struct fabric_qp *own = qp_of(qp);

    pthread_mutex_lock(&own->lock);
    while (wr && !error) {
        error = enqueue_recv(own, wr);
        wr = error ? wr : wr->next;
    }
    /* In the error state the wire thread has to flush it. */
    pthread_cond_broadcast(&own->wake);
    pthread_mutex_unlock(&own->lock);
    if (error) {
        *bad_wr = wr;
    }
    return error;
}
