/*
 * SPDX-License-Identifier: MIT
 *
 * Execution of one work request: access checks, the copy, the receiver's completion.
 */
#include <stdlib.h>
#include <string.h>

#include "fabric_internal.h"

/* Receiver-not-ready times by code, in units of 10 us, as the InfiniBand specification lists them.
 */
static const uint32_t rnr_times[32] = {
    65536, 1,    2,    3,    4,    6,     8,     12,    16,    24,    32,
    48,    64,   96,   128,  192,  256,   384,   512,   768,   1024,  1536,
    2048,  3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152,
};

static _Atomic unsigned long rnr_naks;
static _Atomic uint64_t bytes_written, bytes_sent;
static fabric_send_hook *send_hook;
static void *send_opaque;
static fabric_write_hook *write_hook;
static void *write_opaque;

static struct fabric_outcome done(enum ibv_wc_status status)
{
    return (struct fabric_outcome){.result = FABRIC_DONE, .status = status};
}

static struct fabric_outcome no_answer(void)
{
    return (struct fabric_outcome){.result = FABRIC_NO_ANSWER};
}

static int state_of(struct fabric_qp *qp)
{
    return atomic_load_explicit(&qp->state, memory_order_relaxed);
}

static bool is_remote(enum ibv_wc_status status)
{
    return status == IBV_WC_REM_INV_REQ_ERR || status == IBV_WC_REM_ACCESS_ERR ||
           status == IBV_WC_REM_OP_ERR;
}

/* The queue pair at the other end if it would answer; the tables are read-locked. */
static struct fabric_qp *answering_peer(struct fabric_qp *qp)
{
    struct fabric_qp *peer =
        fabric_qp_find(atomic_load_explicit(&qp->dest_qp_num, memory_order_relaxed));

    if (!peer || fabric_wire_is_cut() || atomic_load_explicit(&qp->cut, memory_order_relaxed)) {
        return NULL;
    }
    if (state_of(peer) != IBV_QPS_RTR && state_of(peer) != IBV_QPS_RTS) {
        return NULL;
    }
    return atomic_load_explicit(&peer->dest_qp_num, memory_order_relaxed) == qp->qp.qp_num ? peer
                                                                                           : NULL;
}

/* Tables are read-locked. */
static enum ibv_wc_status check_local(struct fabric_qp *qp, const struct fabric_work *work)
{
    if (work->length > fabric_opts()->max_msg_sz) {
        return IBV_WC_LOC_LEN_ERR;
    }
    if (work->flags & IBV_SEND_INLINE) {
        return IBV_WC_SUCCESS;
    }
    for (int i = 0; i < work->num_sge; i++) {
        if (work->sges[i].length > 0 && !fabric_local_memory(qp->qp.pd, &work->sges[i], 0)) {
            return IBV_WC_LOC_PROT_ERR;
        }
    }
    return IBV_WC_SUCCESS;
}

/* The source is read now, not when it was posted. Tables are read-locked, check_local() has passed.
 */
static void gather(struct fabric_qp *qp, const struct fabric_work *work, uint8_t *to)
{
    if (work->flags & IBV_SEND_INLINE) {
        fabric_copy(to, work->inlined, work->length);
        return;
    }
    for (int i = 0; i < work->num_sge; i++) {
        if (work->sges[i].length > 0) {
            fabric_copy(to, fabric_local_memory(qp->qp.pd, &work->sges[i], 0),
                        work->sges[i].length);
            to += work->sges[i].length;
        }
    }
}

/* `bytes`: read before; NULL: read now. */
static struct fabric_outcome write_to(struct fabric_qp *qp, struct fabric_qp *peer,
                                      const struct fabric_work *work, const uint8_t *bytes)
{
    void *to = NULL;

    /* Key and address are checked for zero length too: some devices do. */
    if (atomic_load_explicit(&peer->access, memory_order_relaxed) & IBV_ACCESS_REMOTE_WRITE) {
        to = fabric_remote_memory(peer->qp.pd, work->remote_addr, work->length, work->rkey,
                                  IBV_ACCESS_REMOTE_WRITE);
    }
    if (!to) {
        fabric_qp_error(peer);
        return done(IBV_WC_REM_ACCESS_ERR);
    }
    if (bytes) {
        fabric_copy(to, bytes, work->length);
    } else {
        gather(qp, work, to);
    }
    atomic_fetch_add_explicit(&bytes_written, work->length, memory_order_relaxed);
    return done(IBV_WC_SUCCESS);
}

static struct fabric_outcome write_unless_cut(struct fabric_qp *qp, const struct fabric_work *work,
                                              const uint8_t *bytes)
{
    struct fabric_outcome outcome;
    struct fabric_qp *peer;

    pthread_rwlock_rdlock(&fabric_tables);
    outcome = done(check_local(qp, work));
    if (outcome.status == IBV_WC_SUCCESS) {
        peer = answering_peer(qp);
        outcome = peer ? write_to(qp, peer, work, bytes) : no_answer();
    }
    pthread_rwlock_unlock(&fabric_tables);
    return outcome;
}

/* Reads first, lets the hook see it, and delivers then. */
static struct fabric_outcome execute_watched_write(struct fabric_qp *qp,
                                                   const struct fabric_work *work)
{
    uint8_t *bytes = fabric_calloc(work->length, 1);
    struct fabric_write write = {.qp_num = qp->qp.qp_num,
                                 .address = work->remote_addr,
                                 .bytes = bytes,
                                 .length = work->length};
    struct fabric_outcome outcome;

    pthread_rwlock_rdlock(&fabric_tables);
    outcome = done(check_local(qp, work));
    if (outcome.status == IBV_WC_SUCCESS) {
        gather(qp, work, bytes);
    }
    pthread_rwlock_unlock(&fabric_tables);
    if (outcome.status == IBV_WC_SUCCESS) {
        write_hook(write_opaque, &write);
        outcome = write_unless_cut(qp, work, bytes);
    }
    if (outcome.result == FABRIC_DONE && outcome.status == IBV_WC_SUCCESS) {
        write.delivered = true;
        write_hook(write_opaque, &write);
    }
    free(bytes);
    return outcome;
}

static struct fabric_outcome execute_write(struct fabric_qp *qp, const struct fabric_work *work)
{
    return write_hook && work->length > 0 ? execute_watched_write(qp, work)
                                          : write_unless_cut(qp, work, NULL);
}

/* Tables are read-locked. */
static struct fabric_outcome read_from(struct fabric_qp *qp, struct fabric_qp *peer,
                                       const struct fabric_work *work)
{
    const uint8_t *from = NULL;

    if (atomic_load_explicit(&peer->access, memory_order_relaxed) & IBV_ACCESS_REMOTE_READ) {
        from = fabric_remote_memory(peer->qp.pd, work->remote_addr, work->length, work->rkey,
                                    IBV_ACCESS_REMOTE_READ);
    }
    if (!from) {
        fabric_qp_error(peer);
        return done(IBV_WC_REM_ACCESS_ERR);
    }
    for (int i = 0; i < work->num_sge; i++) {
        uint32_t length = work->sges[i].length;
        void *to = fabric_local_memory(qp->qp.pd, &work->sges[i], IBV_ACCESS_LOCAL_WRITE);
        if (length > 0 && !to) {
            return done(IBV_WC_LOC_PROT_ERR);
        }
        if (length > 0) {
            fabric_copy(to, from, length);
        }
        from += length;
    }
    return done(IBV_WC_SUCCESS);
}

static struct fabric_outcome execute_read(struct fabric_qp *qp, const struct fabric_work *work)
{
    struct fabric_outcome outcome;
    struct fabric_qp *peer;

    pthread_rwlock_rdlock(&fabric_tables);
    outcome = done(check_local(qp, work));
    if (outcome.status == IBV_WC_SUCCESS) {
        peer = answering_peer(qp);
        outcome = peer ? read_from(qp, peer, work) : no_answer();
    }
    pthread_rwlock_unlock(&fabric_tables);
    return outcome;
}

static enum ibv_wc_status make_message(struct fabric_qp *qp, const struct fabric_work *work)
{
    struct fabric_message *message = &qp->message;
    enum ibv_wc_status status;

    pthread_rwlock_rdlock(&fabric_tables);
    status = check_local(qp, work);
    if (status == IBV_WC_SUCCESS) {
        free(message->bytes);
        message->capacity = work->length + 8192;
        message->bytes = fabric_calloc(message->capacity, 1);
        message->length = work->length;
        message->qp_num = qp->qp.qp_num;
        message->dest_qp_num = atomic_load_explicit(&qp->dest_qp_num, memory_order_relaxed);
        message->drop = false;
        gather(qp, work, message->bytes);
    }
    pthread_rwlock_unlock(&fabric_tables);
    return status;
}

/* Both sides of a message that fits neither the receive nor its memory; the receiver's lock is
 * held. */
static enum ibv_wc_status scatter(struct fabric_qp *peer, const struct fabric_work *receive,
                                  const struct fabric_message *message,
                                  enum ibv_wc_status *sender_status)
{
    size_t copied = 0;

    if (message->length > receive->length) {
        *sender_status = IBV_WC_REM_INV_REQ_ERR;
        return IBV_WC_LOC_LEN_ERR;
    }
    for (int i = 0; i < receive->num_sge && copied < message->length; i++) {
        size_t left = message->length - copied;
        size_t part = left < receive->sges[i].length ? left : receive->sges[i].length;
        void *to = fabric_local_memory(peer->qp.pd, &receive->sges[i], IBV_ACCESS_LOCAL_WRITE);
        if (part > 0 && !to) {
            *sender_status = IBV_WC_REM_OP_ERR;
            return IBV_WC_LOC_PROT_ERR;
        }
        if (part > 0) {
            fabric_copy(to, message->bytes + copied, part);
        }
        copied += part;
    }
    *sender_status = IBV_WC_SUCCESS;
    return IBV_WC_SUCCESS;
}

/* Tables are read-locked. */
static struct fabric_outcome send_to(struct fabric_qp *peer, const struct fabric_message *message,
                                     bool solicited)
{
    struct fabric_outcome outcome = no_answer();
    enum ibv_wc_status status;

    pthread_mutex_lock(&peer->lock);
    if (state_of(peer) != IBV_QPS_RTR && state_of(peer) != IBV_QPS_RTS) {
        pthread_mutex_unlock(&peer->lock);
        return outcome;
    }
    if (peer->rq.done == peer->rq.posted) {
        outcome.result = FABRIC_RNR;
        outcome.rnr_us = (uint64_t)rnr_times[peer->attr.min_rnr_timer] * 10;
        pthread_mutex_unlock(&peer->lock);
        atomic_fetch_add_explicit(&rnr_naks, 1, memory_order_relaxed);
        return outcome;
    }
    outcome.result = FABRIC_DONE;
    status =
        scatter(peer, &peer->rq.slots[peer->rq.done % peer->rq.depth], message, &outcome.status);
    fabric_complete_receive(peer, status, (uint32_t)message->length, solicited);
    pthread_mutex_unlock(&peer->lock);
    if (status != IBV_WC_SUCCESS) {
        fabric_qp_error(peer);
    } else {
        atomic_fetch_add_explicit(&bytes_sent, message->length, memory_order_relaxed);
    }
    return outcome;
}

static struct fabric_outcome execute_send(struct fabric_qp *qp, const struct fabric_work *work)
{
    struct fabric_outcome outcome;
    enum ibv_wc_status status;
    struct fabric_qp *peer;

    if (!qp->message_ready) {
        status = make_message(qp, work);
        if (status != IBV_WC_SUCCESS) {
            return done(status);
        }
        qp->message_ready = true;
        if (send_hook) {
            send_hook(send_opaque, &qp->message);
        }
    }
    if (qp->message.drop) {
        return done(IBV_WC_SUCCESS);
    }
    pthread_rwlock_rdlock(&fabric_tables);
    peer = answering_peer(qp);
    outcome = peer ? send_to(peer, &qp->message, work->flags & IBV_SEND_SOLICITED) : no_answer();
    pthread_rwlock_unlock(&fabric_tables);
    return outcome;
}

struct fabric_outcome fabric_execute(struct fabric_qp *qp, struct fabric_work *work)
{
    enum ibv_wc_status status;

    if (!qp->head_started) {
        qp->head_started = true;
        if (fabric_completion_fault(&status)) {
            if (is_remote(status)) {
                fabric_qp_error_by_number(
                    atomic_load_explicit(&qp->dest_qp_num, memory_order_relaxed));
            }
            return done(status);
        }
    }
    if (work->opcode == IBV_WR_RDMA_READ) {
        return execute_read(qp, work);
    }
    return work->opcode == IBV_WR_SEND ? execute_send(qp, work) : execute_write(qp, work);
}

void fabric_on_send(fabric_send_hook *hook, void *opaque)
{
    send_hook = hook;
    send_opaque = opaque;
}

void fabric_on_write(fabric_write_hook *hook, void *opaque)
{
    write_hook = hook;
    write_opaque = opaque;
}

void fabric_deliver_reset(void)
{
    fabric_on_send(NULL, NULL);
    fabric_on_write(NULL, NULL);
    atomic_store(&rnr_naks, 0);
    atomic_store(&bytes_written, 0);
    atomic_store(&bytes_sent, 0);
}

unsigned long fabric_rnr_naks(void)
{
    return atomic_load_explicit(&rnr_naks, memory_order_relaxed);
}

uint64_t fabric_bytes_written(void)
{
    return atomic_load_explicit(&bytes_written, memory_order_relaxed);
}

uint64_t fabric_bytes_sent(void)
{
    return atomic_load_explicit(&bytes_sent, memory_order_relaxed);
}
