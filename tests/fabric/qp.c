/*
 * SPDX-License-Identifier: MIT
 *
 * Queue pairs: creation, state, destruction.
 */
#include <stdlib.h>
#include <string.h>

#include "fabric_internal.h"

/* All queue pairs, under fabric_tables. */
static struct fabric_qp *queue_pairs;
static _Atomic uint32_t next_number = 0x100;

/* What a transition needs and may change in addition to IBV_QP_STATE. */
struct transition {
    int from;
    enum ibv_qp_state to;
    int needed;
    int allowed;
};

static const struct transition transitions[] = {
    {IBV_QPS_RESET, IBV_QPS_INIT, IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, 0},
    {IBV_QPS_INIT, IBV_QPS_INIT, 0, IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS},
    {IBV_QPS_INIT, IBV_QPS_RTR,
     IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
         IBV_QP_MIN_RNR_TIMER,
     IBV_QP_ALT_PATH | IBV_QP_ACCESS_FLAGS | IBV_QP_PKEY_INDEX},
    {IBV_QPS_RTR, IBV_QPS_RTS,
     IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC,
     IBV_QP_CUR_STATE | IBV_QP_ALT_PATH | IBV_QP_ACCESS_FLAGS | IBV_QP_MIN_RNR_TIMER |
         IBV_QP_PATH_MIG_STATE},
    {IBV_QPS_RTS, IBV_QPS_RTS, 0,
     IBV_QP_CUR_STATE | IBV_QP_ALT_PATH | IBV_QP_ACCESS_FLAGS | IBV_QP_MIN_RNR_TIMER |
         IBV_QP_PATH_MIG_STATE},
};

static struct fabric_qp *qp_of(struct ibv_qp *qp)
{
    return container_of(qp, struct fabric_qp, qp);
}

static void ring_init(struct fabric_ring *ring, uint32_t depth, uint32_t sges, uint32_t inlined)
{
    ring->depth = depth;
    ring->slots = fabric_calloc(depth, sizeof(*ring->slots));
    for (uint32_t i = 0; i < depth; i++) {
        ring->slots[i].sges = fabric_calloc(sges, sizeof(struct ibv_sge));
        ring->slots[i].inlined = inlined ? fabric_calloc(inlined, 1) : NULL;
    }
}

static void ring_fini(struct fabric_ring *ring)
{
    for (uint32_t i = 0; i < ring->depth; i++) {
        free(ring->slots[i].sges);
        free(ring->slots[i].inlined);
    }
    free(ring->slots);
}

static int check_caps(const struct ibv_qp_init_attr *init)
{
    const struct fabric_options *options = fabric_opts();
    const struct ibv_qp_cap *cap = &init->cap;

    if (init->qp_type != IBV_QPT_RC || !init->send_cq || !init->recv_cq || init->srq) {
        return EINVAL;
    }
    if (cap->max_send_wr > (uint32_t)options->max_qp_wr ||
        cap->max_recv_wr > (uint32_t)options->max_qp_wr ||
        cap->max_send_sge > (uint32_t)options->max_sge ||
        cap->max_recv_sge > (uint32_t)options->max_sge ||
        cap->max_inline_data > options->max_inline) {
        return EINVAL;
    }
    return 0;
}

static struct fabric_qp *qp_new(struct ibv_pd *pd, const struct ibv_qp_init_attr *init)
{
    struct fabric_qp *qp = fabric_calloc(1, sizeof(*qp));

    qp->qp.context = pd->context;
    qp->qp.qp_context = init->qp_context;
    qp->qp.pd = pd;
    qp->qp.send_cq = init->send_cq;
    qp->qp.recv_cq = init->recv_cq;
    qp->qp.qp_type = init->qp_type;
    qp->qp.qp_num = atomic_fetch_add_explicit(&next_number, 1, memory_order_relaxed);
    qp->qp.state = IBV_QPS_RESET;
    qp->cap = init->cap;
    qp->sig_all = init->sq_sig_all != 0;
    qp->random = (fabric_opts()->seed + qp->qp.qp_num) * 0x9e3779b97f4a7c15U | 1;
    pthread_mutex_init(&qp->lock, NULL);
    fabric_cond_init(&qp->wake);
    ring_init(&qp->sq, init->cap.max_send_wr, init->cap.max_send_sge, init->cap.max_inline_data);
    ring_init(&qp->rq, init->cap.max_recv_wr, init->cap.max_recv_sge, 0);
    return qp;
}

static void qp_free(struct fabric_qp *qp)
{
    ring_fini(&qp->sq);
    ring_fini(&qp->rq);
    free(qp->message.bytes);
    pthread_cond_destroy(&qp->wake);
    pthread_mutex_destroy(&qp->lock);
    free(qp);
}

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *init)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_create_qp");
    struct fabric_qp *qp;

    error = error ? error : check_caps(init);
    if (error) {
        errno = error;
        return NULL;
    }
    qp = qp_new(pd, init);
    error = pthread_create(&qp->thread, NULL, fabric_wire_main, qp);
    if (error) {
        qp_free(qp);
        errno = error;
        return NULL;
    }
    pthread_rwlock_wrlock(&fabric_tables);
    qp->next = queue_pairs;
    queue_pairs = qp;
    pthread_rwlock_unlock(&fabric_tables);

    fabric_object_use(fabric_pd_object(pd));
    fabric_object_use(fabric_cq_object(init->send_cq));
    fabric_object_use(fabric_cq_object(init->recv_cq));
    fabric_object_add(&qp->object, FABRIC_QP);
    return &qp->qp;
}

int ibv_destroy_qp(struct ibv_qp *qp)
{
    int injected = fabric_fault(FABRIC_CLEANUP, "ibv_destroy_qp");
    struct fabric_qp *own = qp_of(qp), **link;

    pthread_mutex_lock(&own->lock);
    own->stopping = true;
    pthread_cond_broadcast(&own->wake);
    pthread_mutex_unlock(&own->lock);
    pthread_join(own->thread, NULL);

    pthread_rwlock_wrlock(&fabric_tables);
    for (link = &queue_pairs; *link && *link != own; link = &(*link)->next) {
    }
    if (!*link) {
        fabric_misuse("ibv_destroy_qp of a queue pair that does not exist");
    }
    *link = own->next;
    pthread_rwlock_unlock(&fabric_tables);

    fabric_cq_purge(qp->send_cq, own);
    fabric_cq_purge(qp->recv_cq, own);
    fabric_object_unuse(fabric_pd_object(qp->pd));
    fabric_object_unuse(fabric_cq_object(qp->send_cq));
    fabric_object_unuse(fabric_cq_object(qp->recv_cq));
    fabric_object_remove(&own->object);
    fabric_cm_qp_gone(qp->qp_num);
    qp_free(own);
    return injected;
}

static void empty(struct fabric_ring *ring)
{
    ring->posted = 0;
    ring->done = 0;
    atomic_store_explicit(&ring->released, 0, memory_order_relaxed);
}

/* With the queue pair's lock held. */
static void to_reset(struct fabric_qp *qp)
{
    atomic_store_explicit(&qp->state, IBV_QPS_RESET, memory_order_relaxed);
    while (qp->executing) {
        pthread_cond_wait(&qp->wake, &qp->lock);
    }
    fabric_cq_purge(qp->qp.send_cq, qp);
    fabric_cq_purge(qp->qp.recv_cq, qp);
    empty(&qp->sq);
    empty(&qp->rq);
    qp->head_started = false;
    qp->message_ready = false;
    qp->stalled_since_us = 0;
}

static int check_values(const struct ibv_qp_attr *attr, int mask)
{
    if ((mask & IBV_QP_PORT) && attr->port_num != 1) {
        return EINVAL;
    }
    if ((mask & IBV_QP_PATH_MTU) && attr->path_mtu > fabric_opts()->active_mtu) {
        return EINVAL;
    }
    if ((mask & IBV_QP_MIN_RNR_TIMER) && attr->min_rnr_timer > 31) {
        return EINVAL;
    }
    if ((mask & IBV_QP_RNR_RETRY) && attr->rnr_retry > 7) {
        return EINVAL;
    }
    return 0;
}

static int check_transition(int from, const struct ibv_qp_attr *attr, int mask)
{
    enum ibv_qp_state to = (mask & IBV_QP_STATE) ? attr->qp_state : (enum ibv_qp_state)from;

    if (to == IBV_QPS_ERR || to == IBV_QPS_RESET) {
        return mask == IBV_QP_STATE ? 0 : EINVAL;
    }
    mask &= ~IBV_QP_STATE;
    for (size_t i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++) {
        const struct transition *known = &transitions[i];
        if (known->from == from && known->to == to) {
            bool complete = (mask & known->needed) == known->needed;
            return complete && (mask & ~(known->needed | known->allowed)) == 0
                       ? check_values(attr, mask)
                       : EINVAL;
        }
    }
    return EINVAL;
}

static void store_attributes(struct fabric_qp *qp, const struct ibv_qp_attr *attr, int mask)
{
    struct ibv_qp_attr *own = &qp->attr;

    if (mask & IBV_QP_ACCESS_FLAGS) {
        own->qp_access_flags = attr->qp_access_flags;
        atomic_store_explicit(&qp->access, attr->qp_access_flags, memory_order_relaxed);
    }
    if (mask & IBV_QP_DEST_QPN) {
        own->dest_qp_num = attr->dest_qp_num;
        atomic_store_explicit(&qp->dest_qp_num, attr->dest_qp_num, memory_order_relaxed);
    }
    if (mask & IBV_QP_PATH_MTU) {
        own->path_mtu = attr->path_mtu;
    }
    if (mask & IBV_QP_MIN_RNR_TIMER) {
        own->min_rnr_timer = attr->min_rnr_timer;
    }
    if (mask & IBV_QP_RNR_RETRY) {
        own->rnr_retry = attr->rnr_retry;
    }
    if (mask & IBV_QP_RETRY_CNT) {
        own->retry_cnt = attr->retry_cnt;
    }
    if (mask & IBV_QP_TIMEOUT) {
        own->timeout = attr->timeout;
    }
    if (mask & IBV_QP_PORT) {
        own->port_num = attr->port_num;
    }
}

int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int attr_mask)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_modify_qp");
    struct fabric_qp *own = qp_of(qp);
    int state;

    pthread_mutex_lock(&own->lock);
    state = atomic_load_explicit(&own->state, memory_order_relaxed);
    error = error ? error : check_transition(state, attr, attr_mask);
    if (!error) {
        store_attributes(own, attr, attr_mask);
        if ((attr_mask & IBV_QP_STATE) && attr->qp_state == IBV_QPS_RESET) {
            to_reset(own);
        } else if (attr_mask & IBV_QP_STATE) {
            atomic_store_explicit(&own->state, (int)attr->qp_state, memory_order_relaxed);
        }
        pthread_cond_broadcast(&own->wake);
    }
    pthread_mutex_unlock(&own->lock);
    if (!error && (attr_mask & IBV_QP_STATE)) {
        qp->state = attr->qp_state;
    }
    return error;
}

int ibv_query_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int attr_mask,
                 struct ibv_qp_init_attr *init)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_query_qp");
    struct fabric_qp *own = qp_of(qp);

    (void)attr_mask;
    if (error) {
        return error;
    }
    memset(init, 0, sizeof(*init));
    init->qp_context = qp->qp_context;
    init->send_cq = qp->send_cq;
    init->recv_cq = qp->recv_cq;
    init->cap = own->cap;
    init->qp_type = qp->qp_type;
    init->sq_sig_all = own->sig_all;
    pthread_mutex_lock(&own->lock);
    *attr = own->attr;
    attr->cap = own->cap;
    attr->qp_state = (enum ibv_qp_state)atomic_load_explicit(&own->state, memory_order_relaxed);
    pthread_mutex_unlock(&own->lock);
    attr->cur_qp_state = attr->qp_state;
    qp->state = attr->qp_state;
    return 0;
}

struct fabric_qp *fabric_qp_find(uint32_t qp_num)
{
    struct fabric_qp *qp = queue_pairs;

    while (qp && qp->qp.qp_num != qp_num) {
        qp = qp->next;
    }
    return qp;
}

void fabric_qp_error(struct fabric_qp *qp)
{
    pthread_mutex_lock(&qp->lock);
    if (atomic_load_explicit(&qp->state, memory_order_relaxed) != IBV_QPS_RESET) {
        atomic_store_explicit(&qp->state, IBV_QPS_ERR, memory_order_relaxed);
        pthread_cond_broadcast(&qp->wake);
    }
    pthread_mutex_unlock(&qp->lock);
}

void fabric_qp_error_by_number(uint32_t qp_num)
{
    struct fabric_qp *qp;

    pthread_rwlock_rdlock(&fabric_tables);
    qp = fabric_qp_find(qp_num);
    if (qp) {
        fabric_qp_error(qp);
    }
    pthread_rwlock_unlock(&fabric_tables);
}

void fabric_cut_qp(uint32_t qp_num, bool cut)
{
    struct fabric_qp *qp;

    pthread_rwlock_rdlock(&fabric_tables);
    qp = fabric_qp_find(qp_num);
    if (!qp) {
        fabric_misuse("fabric_cut_qp of %u, which does not exist", qp_num);
    }
    atomic_store_explicit(&qp->cut, cut, memory_order_relaxed);
    pthread_rwlock_unlock(&fabric_tables);
}
