/*
 * SPDX-License-Identifier: MIT
 *
 * The wire: one thread per queue pair takes its send queue in order, repeats what is not answered,
 * and flushes.
 */
#include <time.h>

#include "fabric_internal.h"

enum { NO_ANSWER_US = 300 };

/* What a completion with an error leaves undefined gets a value that nobody should believe. */
enum { UNDEFINED = 0x55 };

static _Atomic bool wire_cut;

void fabric_cut(bool cut)
{
    atomic_store_explicit(&wire_cut, cut, memory_order_relaxed);
}

bool fabric_wire_is_cut(void)
{
    return atomic_load_explicit(&wire_cut, memory_order_relaxed);
}

void fabric_wire_reset(void)
{
    fabric_cut(false);
    fabric_deliver_reset();
}

static int state_of(struct fabric_qp *qp)
{
    return atomic_load_explicit(&qp->state, memory_order_relaxed);
}

static struct fabric_cqe completion(struct fabric_qp *qp, const struct fabric_work *work,
                                    enum ibv_wc_status status)
{
    struct fabric_cqe cqe = {
        .qp = qp,
        .wc = {.wr_id = work->wr_id, .status = status, .qp_num = qp->qp.qp_num},
    };

    if (status != IBV_WC_SUCCESS) {
        cqe.wc.opcode = (enum ibv_wc_opcode)UNDEFINED;
        cqe.wc.byte_len = UINT32_MAX;
        cqe.wc.vendor_err = (uint32_t)status;
    }
    return cqe;
}

static enum ibv_wc_opcode opcode_of(const struct fabric_work *work)
{
    switch (work->opcode) {
    case IBV_WR_SEND:
        return IBV_WC_SEND;
    case IBV_WR_RDMA_READ:
        return IBV_WC_RDMA_READ;
    default:
        return IBV_WC_RDMA_WRITE;
    }
}

static void complete_send(struct fabric_qp *qp, const struct fabric_work *work,
                          enum ibv_wc_status status)
{
    struct fabric_cqe cqe = completion(qp, work, status);

    qp->sq.done++;
    qp->head_started = false;
    qp->message_ready = false;
    qp->stalled_since_us = 0;
    qp->rnr_tries = 0;
    if (status == IBV_WC_SUCCESS && !(work->flags & IBV_SEND_SIGNALED)) {
        return;
    }
    cqe.released = qp->sq.done;
    if (status == IBV_WC_SUCCESS) {
        cqe.wc.opcode = opcode_of(work);
    } else {
        atomic_store_explicit(&qp->state, IBV_QPS_ERR, memory_order_relaxed);
    }
    fabric_cq_push(qp->qp.send_cq, &cqe);
}

void fabric_complete_receive(struct fabric_qp *qp, enum ibv_wc_status status, uint32_t byte_len,
                             bool solicited)
{
    const struct fabric_work *work = &qp->rq.slots[qp->rq.done % qp->rq.depth];
    struct fabric_cqe cqe = completion(qp, work, status);

    cqe.receive = true;
    cqe.solicited = solicited;
    cqe.released = ++qp->rq.done;
    if (status == IBV_WC_SUCCESS) {
        cqe.wc.opcode = IBV_WC_RECV;
        cqe.wc.byte_len = byte_len;
        cqe.wc.src_qp = qp->attr.dest_qp_num;
    }
    fabric_cq_push(qp->qp.recv_cq, &cqe);
}

static void flush(struct fabric_qp *qp)
{
    while (qp->sq.done < qp->sq.posted) {
        complete_send(qp, &qp->sq.slots[qp->sq.done % qp->sq.depth], IBV_WC_WR_FLUSH_ERR);
    }
    while (qp->rq.done < qp->rq.posted) {
        fabric_complete_receive(qp, IBV_WC_WR_FLUSH_ERR, 0, false);
    }
}

static void random_delay(struct fabric_qp *qp)
{
    unsigned int limit = fabric_opts()->max_delay_us;
    struct timespec pause = {0};

    if (limit == 0) {
        return;
    }
    qp->random ^= qp->random << 13;
    qp->random ^= qp->random >> 7;
    qp->random ^= qp->random << 17;
    pause.tv_nsec = (long)(qp->random % (limit + 1)) * 1000;
    while (pause.tv_nsec >= 1000000000) {
        pause.tv_sec++;
        pause.tv_nsec -= 1000000000;
    }
    nanosleep(&pause, NULL);
}

static void wait_unless_ended(struct fabric_qp *qp, uint64_t us)
{
    uint64_t until = fabric_now_us() + us, now;

    while ((now = fabric_now_us()) < until && !qp->stopping && state_of(qp) == IBV_QPS_RTS) {
        fabric_cond_wait_us(&qp->wake, &qp->lock, until - now);
    }
}

static void not_done(struct fabric_qp *qp, const struct fabric_work *work,
                     const struct fabric_outcome *outcome)
{
    uint64_t now = fabric_now_us();

    if (outcome->result == FABRIC_RNR) {
        qp->stalled_since_us = 0;
        if (qp->attr.rnr_retry < 7 && qp->rnr_tries++ >= qp->attr.rnr_retry) {
            complete_send(qp, work, IBV_WC_RNR_RETRY_EXC_ERR);
            return;
        }
        wait_unless_ended(qp, outcome->rnr_us);
        return;
    }
    if (qp->stalled_since_us == 0) {
        qp->stalled_since_us = now;
    }
    if (now - qp->stalled_since_us >= (uint64_t)fabric_opts()->retry_timeout_ms * 1000) {
        complete_send(qp, work, IBV_WC_RETRY_EXC_ERR);
        return;
    }
    wait_unless_ended(qp, NO_ANSWER_US);
}

/* With the lock held, which is released while the work request is on the wire. */
static void run_head(struct fabric_qp *qp)
{
    struct fabric_work *work = &qp->sq.slots[qp->sq.done % qp->sq.depth];
    struct fabric_outcome outcome;

    qp->executing = true;
    pthread_mutex_unlock(&qp->lock);
    random_delay(qp);
    outcome = fabric_execute(qp, work);
    /* The peer may see the message, and answer it, before this side sees its own completion. */
    random_delay(qp);
    pthread_mutex_lock(&qp->lock);
    qp->executing = false;
    pthread_cond_broadcast(&qp->wake);

    if (state_of(qp) == IBV_QPS_RESET) {
        return;
    }
    if (outcome.result == FABRIC_DONE) {
        complete_send(qp, work, outcome.status);
    } else if (state_of(qp) == IBV_QPS_RTS) {
        not_done(qp, work, &outcome);
    }
}

void *fabric_wire_main(void *argument)
{
    struct fabric_qp *qp = argument;

    pthread_mutex_lock(&qp->lock);
    while (!qp->stopping) {
        int state = state_of(qp);
        if (state == IBV_QPS_RTS && qp->sq.done < qp->sq.posted) {
            run_head(qp);
            continue;
        }
        if (state == IBV_QPS_ERR) {
            flush(qp);
        }
        pthread_cond_wait(&qp->wake, &qp->lock);
    }
    pthread_mutex_unlock(&qp->lock);
    return NULL;
}
