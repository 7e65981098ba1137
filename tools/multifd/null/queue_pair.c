/* SPDX-License-Identifier: MIT */
/*
 * queue_pair - posting, which is also executing.
 *
 * Who posts a send writes to the peer's ring and completion queue, which the peer's owner may be
 * about to destroy. So `posting` is set before `peer` is read, and who destroys clears `peer` of
 * the other side before reading its `posting`, all sequentially consistent: either the poster finds
 * nobody, or it is waited for.
 */
#include "null/completion_queue.h"
#include "null/null_device.h"
#include "null/ring.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long a SEND waits for a receive. */
#define RECEIVE_WAIT_S 10

struct null_qp {
    struct ibv_qp qp;
    struct null_qp *next;
    bool all_signalled;
    struct null_ring sends;
    struct null_ring receives;
    alignas(NULL_CACHE_LINE) _Atomic(struct null_qp *) peer; /* NULL: not connected, or gone */
    atomic_bool posting;
};

/* What one call of null_post_send has done and not shown yet. */
struct doorbell {
    struct null_qp *qp;
    struct null_qp *peer;
    uint32_t sends;    /* cursor `done` of the own sends */
    uint32_t receives; /* cursor `done` of the peer's receives */
    uint32_t receives_shown;
    bool failed;
    bool solicited;
};

/* Guards the list, the numbers, and the connecting and parting of queue pairs. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct null_qp *all;
static uint32_t last_number;

static struct null_qp *of(struct ibv_qp *qp)
{
    return (struct null_qp *)(void *)qp;
}

static bool fits(const struct ibv_qp_init_attr *attr)
{
    const struct ibv_qp_cap *cap = &attr->cap;

    return attr->qp_type == IBV_QPT_RC && attr->srq == NULL &&
           cap->max_send_wr <= NULL_DEVICE_MAX_WR && cap->max_recv_wr <= NULL_DEVICE_MAX_WR &&
           cap->max_send_sge <= 1 && cap->max_recv_sge <= 1 &&
           cap->max_inline_data <= NULL_DEVICE_MAX_INLINE;
}

static void free_qp(struct null_qp *qp)
{
    null_ring_fini(&qp->sends);
    null_ring_fini(&qp->receives);
    free(qp);
}

static void add(struct null_qp *qp)
{
    pthread_mutex_lock(&lock);
    qp->qp.qp_num = ++last_number;
    qp->sends.qp_num = qp->qp.qp_num;
    qp->receives.qp_num = qp->qp.qp_num;
    qp->next = all;
    all = qp;
    pthread_mutex_unlock(&lock);
    null_cq_attach(qp->qp.send_cq, &qp->sends);
    null_cq_attach(qp->qp.recv_cq, &qp->receives);
}

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
    struct null_qp *qp;

    if (!fits(attr)) {
        errno = EINVAL;
        return NULL;
    }
    qp = aligned_alloc(NULL_CACHE_LINE, sizeof(*qp));
    if (qp == NULL) {
        return NULL;
    }
    memset(qp, 0, sizeof(*qp));
    qp->qp = (struct ibv_qp){
        .context = pd->context,
        .qp_context = attr->qp_context,
        .pd = pd,
        .send_cq = attr->send_cq,
        .recv_cq = attr->recv_cq,
        .state = IBV_QPS_RESET,
        .qp_type = attr->qp_type,
    };
    qp->all_signalled = attr->sq_sig_all != 0;
    if (null_ring_init(&qp->sends, attr->cap.max_send_wr) != 0 ||
        null_ring_init(&qp->receives, attr->cap.max_recv_wr) != 0) {
        free_qp(qp);
        errno = ENOMEM;
        return NULL;
    }
    add(qp);
    return &qp->qp;
}

/* Takes it out of the list, and away from whoever has it as a peer. */
static void part(struct null_qp *qp)
{
    struct null_qp **link = &all;

    pthread_mutex_lock(&lock);
    while (*link != qp) {
        link = &(*link)->next;
    }
    *link = qp->next;
    for (struct null_qp *other = all; other != NULL; other = other->next) {
        if (atomic_load(&other->peer) == qp) {
            atomic_store(&other->peer, NULL);
            while (atomic_load(&other->posting)) {
                sched_yield();
            }
        }
    }
    pthread_mutex_unlock(&lock);
}

int ibv_destroy_qp(struct ibv_qp *qp)
{
    struct null_qp *gone = of(qp);

    part(gone);
    null_cq_detach(qp->send_cq, &gone->sends);
    null_cq_detach(qp->recv_cq, &gone->receives);
    free_qp(gone);
    return 0;
}

/* One peer each: a ring of receives has one thread that fills it. */
static int connect_to(struct null_qp *qp, uint32_t number)
{
    struct null_qp *peer = NULL;
    bool taken = false;

    pthread_mutex_lock(&lock);
    for (struct null_qp *other = all; other != NULL; other = other->next) {
        struct null_qp *of_other = atomic_load(&other->peer);

        peer = other->qp.qp_num == number ? other : peer;
        taken = taken || (other != qp && of_other != NULL && of_other->qp.qp_num == number);
    }
    if (peer != NULL && !taken) {
        atomic_store(&qp->peer, peer);
    }
    pthread_mutex_unlock(&lock);
    return peer == NULL || taken ? EINVAL : 0;
}

int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int attr_mask)
{
    int error = 0;

    if (attr_mask & IBV_QP_DEST_QPN) {
        error = connect_to(of(qp), attr->dest_qp_num);
    }
    if (error == 0 && (attr_mask & IBV_QP_STATE)) {
        qp->state = attr->qp_state;
    }
    return error;
}

/* Shows the peer what it has got; once a doorbell, unless the peer has to post receives meanwhile.
 */
static void show_receives(struct doorbell *bell)
{
    if (bell->receives != bell->receives_shown) {
        null_cq_complete(bell->peer->qp.recv_cq, &bell->peer->receives, bell->receives,
                         bell->solicited || bell->failed);
        bell->receives_shown = bell->receives;
    }
}

static bool has_receive(const struct doorbell *bell)
{
    return bell->receives !=
           atomic_load_explicit(&bell->peer->receives.posted, memory_order_acquire);
}

/* As a sender with RNR retries does, but on the poster's time; and not for ever. */
static enum ibv_wc_status wait_for_receive(struct doorbell *bell)
{
    const time_t give_up = time(NULL) + RECEIVE_WAIT_S;

    show_receives(bell);
    while (!has_receive(bell)) {
        if (atomic_load(&bell->qp->peer) == NULL) {
            return IBV_WC_WR_FLUSH_ERR;
        }
        if (time(NULL) > give_up) {
            return IBV_WC_RNR_RETRY_EXC_ERR;
        }
        sched_yield();
    }
    return IBV_WC_SUCCESS;
}

/* The peer's oldest receive takes the message. */
static enum ibv_wc_status deliver(struct doorbell *bell, const struct ibv_send_wr *wr)
{
    struct null_slot *slot = null_ring_slot(&bell->peer->receives, bell->receives);
    uint32_t length = wr->num_sge == 0 ? 0 : wr->sg_list->length;
    enum ibv_wc_status status = has_receive(bell) ? IBV_WC_SUCCESS : wait_for_receive(bell);

    if (status != IBV_WC_SUCCESS) {
        return status;
    }
    bell->receives++;
    bell->solicited = bell->solicited || (wr->send_flags & IBV_SEND_SOLICITED) != 0;
    if (length > slot->length) {
        slot->status = IBV_WC_LOC_LEN_ERR;
        bell->failed = true;
        return IBV_WC_REM_INV_REQ_ERR;
    }
    if (length != 0) {
        memcpy(slot->buffer, (const void *)(uintptr_t)wr->sg_list->addr, length);
    }
    slot->length = length;
    slot->status = IBV_WC_SUCCESS;
    return IBV_WC_SUCCESS;
}

static enum ibv_wc_status execute(struct doorbell *bell, const struct ibv_send_wr *wr)
{
    if (bell->peer == NULL) {
        return IBV_WC_WR_FLUSH_ERR;
    }
    if (wr->opcode == IBV_WR_RDMA_WRITE) {
        return IBV_WC_SUCCESS;
    }
    return wr->opcode == IBV_WR_SEND ? deliver(bell, wr) : IBV_WC_LOC_QP_OP_ERR;
}

/* An unsignalled one that went well leaves no trace. An errno. */
static int run(struct doorbell *bell, const struct ibv_send_wr *wr)
{
    bool silent = !(wr->send_flags & IBV_SEND_SIGNALED) && !bell->qp->all_signalled;
    struct null_ring *sends = &bell->qp->sends;
    enum ibv_wc_status status;

    if (silent && wr->opcode == IBV_WR_RDMA_WRITE && bell->peer != NULL) {
        return 0; /* nearly all of them: not even the ring is looked at */
    }
    if (null_ring_is_full(sends, bell->sends)) {
        return ENOMEM;
    }
    status = execute(bell, wr);
    if (silent && status == IBV_WC_SUCCESS) {
        return 0;
    }
    bell->failed = bell->failed || status != IBV_WC_SUCCESS;
    *null_ring_slot(sends, bell->sends++) = (struct null_slot){
        .wr_id = wr->wr_id,
        .status = status,
        .opcode = wr->opcode == IBV_WR_SEND ? IBV_WC_SEND : IBV_WC_RDMA_WRITE,
    };
    return 0;
}

int null_post_send(struct ibv_qp *ibqp, struct ibv_send_wr *wr, struct ibv_send_wr **bad_wr)
{
    struct null_qp *qp = of(ibqp);
    struct doorbell bell = {.qp = qp};
    uint32_t sends_shown = atomic_load_explicit(&qp->sends.done, memory_order_relaxed);
    int error = 0;

    bell.sends = sends_shown;
    atomic_store(&qp->posting, true);
    bell.peer = atomic_load(&qp->peer);
    if (bell.peer != NULL) {
        bell.receives = atomic_load_explicit(&bell.peer->receives.done, memory_order_relaxed);
        bell.receives_shown = bell.receives;
    }
    for (; wr != NULL && (error = run(&bell, wr)) == 0; wr = wr->next) {
    }
    show_receives(&bell);
    if (bell.sends != sends_shown) {
        null_cq_complete(qp->qp.send_cq, &qp->sends, bell.sends, bell.failed);
    }
    atomic_store_explicit(&qp->posting, false, memory_order_release);
    *bad_wr = wr;
    return error;
}

int null_post_recv(struct ibv_qp *ibqp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_wr)
{
    struct null_ring *ring = &of(ibqp)->receives;
    uint32_t posted = atomic_load_explicit(&ring->posted, memory_order_relaxed);

    for (; wr != NULL && !null_ring_is_full(ring, posted); wr = wr->next) {
        bool empty = wr->num_sge == 0;

        *null_ring_slot(ring, posted++) = (struct null_slot){
            .wr_id = wr->wr_id,
            .buffer = empty ? NULL : (void *)(uintptr_t)wr->sg_list->addr,
            .length = empty ? 0 : wr->sg_list->length,
            .opcode = IBV_WC_RECV,
        };
    }
    atomic_store_explicit(&ring->posted, posted, memory_order_release);
    *bad_wr = wr;
    return wr == NULL ? 0 : ENOMEM;
}
