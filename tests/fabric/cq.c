/*
 * SPDX-License-Identifier: MIT
 *
 * Completion channels and completion queues.
 */
#include <stdlib.h>

#include "fabric_internal.h"

enum { ACK_TIMEOUT_US = 5000000 };

struct fabric_comp_channel {
    struct ibv_comp_channel channel;
    struct fabric_object object;
    struct fabric_queue queue;
};

struct fabric_cq {
    struct ibv_cq cq;
    struct fabric_object object;
    pthread_mutex_t lock;
    pthread_cond_t acknowledged;
    enum { DISARMED, ARMED_SOLICITED, ARMED } armed;
    unsigned int unacked;
    struct fabric_cqe *ring;
    unsigned int first;
    unsigned int count;
};

/* Of all queues since the reset; an acknowledgement after a reset must not make it negative for
 * good. */
static _Atomic long unacked_events;

static struct fabric_comp_channel *channel_of(struct ibv_comp_channel *channel)
{
    return container_of(channel, struct fabric_comp_channel, channel);
}

static struct fabric_cq *cq_of(struct ibv_cq *cq)
{
    return container_of(cq, struct fabric_cq, cq);
}

struct fabric_object *fabric_cq_object(struct ibv_cq *cq)
{
    return &cq_of(cq)->object;
}

unsigned long fabric_unacked_cq_events(void)
{
    long count = atomic_load_explicit(&unacked_events, memory_order_relaxed);

    return count > 0 ? (unsigned long)count : 0;
}

void fabric_cq_events_reset(void)
{
    atomic_store_explicit(&unacked_events, 0, memory_order_relaxed);
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_create_comp_channel");
    struct fabric_comp_channel *channel;

    if (error) {
        errno = error;
        return NULL;
    }
    channel = fabric_calloc(1, sizeof(*channel));
    if (fabric_queue_init(&channel->queue) < 0) {
        free(channel);
        return NULL;
    }
    channel->channel.context = context;
    channel->channel.fd = channel->queue.fd;
    fabric_object_use(fabric_context_object(context));
    fabric_object_add(&channel->object, FABRIC_COMP_CHANNEL);
    return &channel->channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
    int injected = fabric_fault(FABRIC_CLEANUP, "ibv_destroy_comp_channel");
    struct fabric_comp_channel *own = channel_of(channel);
    int error = fabric_object_remove(&own->object);

    if (error) {
        return error;
    }
    fabric_object_unuse(fabric_context_object(channel->context));
    fabric_queue_fini(&own->queue);
    free(own);
    return injected;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int cqe, void *cq_context,
                             struct ibv_comp_channel *channel, int comp_vector)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_create_cq");
    struct fabric_cq *cq;

    if (!error && (cqe < 1 || cqe > fabric_opts()->max_cqe || comp_vector < 0 ||
                   comp_vector >= context->num_comp_vectors)) {
        error = EINVAL;
    }
    if (error) {
        errno = error;
        return NULL;
    }
    cq = fabric_calloc(1, sizeof(*cq));
    cq->cq.context = context;
    cq->cq.channel = channel;
    cq->cq.cq_context = cq_context;
    cq->cq.cqe = cqe;
    cq->ring = fabric_calloc((size_t)cqe, sizeof(*cq->ring));
    pthread_mutex_init(&cq->lock, NULL);
    fabric_cond_init(&cq->acknowledged);
    fabric_object_use(fabric_context_object(context));
    if (channel) {
        fabric_object_use(&channel_of(channel)->object);
    }
    fabric_object_add(&cq->object, FABRIC_CQ);
    return &cq->cq;
}

static void wait_for_acknowledgements(struct fabric_cq *cq)
{
    uint64_t give_up = fabric_now_us() + ACK_TIMEOUT_US;

    pthread_mutex_lock(&cq->lock);
    while (cq->unacked > 0) {
        if (fabric_now_us() > give_up) {
            fabric_misuse("ibv_destroy_cq with %u events not acknowledged would hang", cq->unacked);
        }
        fabric_cond_wait_us(&cq->acknowledged, &cq->lock, ACK_TIMEOUT_US);
    }
    pthread_mutex_unlock(&cq->lock);
}

int ibv_destroy_cq(struct ibv_cq *cq)
{
    int injected = fabric_fault(FABRIC_CLEANUP, "ibv_destroy_cq");
    struct fabric_cq *own = cq_of(cq);
    struct fabric_event *events = NULL;
    int error = fabric_object_remove(&own->object);

    if (error) {
        return error;
    }
    if (cq->channel) {
        events = fabric_queue_take(&channel_of(cq->channel)->queue, own);
        wait_for_acknowledgements(own);
        fabric_object_unuse(&channel_of(cq->channel)->object);
    }
    while (events) {
        struct fabric_event *event = events;
        events = event->next;
        free(event);
    }
    fabric_object_unuse(fabric_context_object(cq->context));
    pthread_cond_destroy(&own->acknowledged);
    pthread_mutex_destroy(&own->lock);
    free(own->ring);
    free(own);
    return injected;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **cq_context)
{
    struct fabric_queue *queue = &channel_of(channel)->queue;
    struct fabric_event *event = NULL;
    struct fabric_cq *own;
    int error;

    while (!event) {
        if (fabric_queue_wait(queue) < 0) {
            return -1;
        }
        error = fabric_fault(FABRIC_CALL, "ibv_get_cq_event");
        if (error) {
            errno = error;
            return -1;
        }
        event = fabric_queue_pop(queue);
    }
    own = event->owner;
    free(event);
    pthread_mutex_lock(&own->lock);
    own->unacked++;
    pthread_mutex_unlock(&own->lock);
    atomic_fetch_add_explicit(&unacked_events, 1, memory_order_relaxed);
    *cq = &own->cq;
    *cq_context = own->cq.cq_context;
    return 0;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int nevents)
{
    struct fabric_cq *own = cq_of(cq);

    atomic_fetch_sub_explicit(&unacked_events, (long)nevents, memory_order_relaxed);
    pthread_mutex_lock(&own->lock);
    if (nevents > own->unacked) {
        fabric_misuse("ibv_ack_cq_events of %u events, %u were taken", nevents, own->unacked);
    }
    own->unacked -= nevents;
    pthread_cond_broadcast(&own->acknowledged);
    pthread_mutex_unlock(&own->lock);
}

int fabric_req_notify_cq(struct ibv_cq *cq, int solicited_only)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_req_notify_cq");
    struct fabric_cq *own = cq_of(cq);

    if (error) {
        return error;
    }
    /* Entries that are there already raise nothing: who arms must poll once more, as on a real
     * queue. */
    pthread_mutex_lock(&own->lock);
    if (!solicited_only) {
        own->armed = ARMED;
    } else if (own->armed == DISARMED) {
        own->armed = ARMED_SOLICITED;
    }
    pthread_mutex_unlock(&own->lock);
    return 0;
}

void fabric_cq_push(struct ibv_cq *cq, const struct fabric_cqe *cqe)
{
    struct fabric_cq *own = cq_of(cq);
    bool urgent = cqe->wc.status != IBV_WC_SUCCESS || (cqe->receive && cqe->solicited);

    pthread_mutex_lock(&own->lock);
    if (own->count == (unsigned int)cq->cqe) {
        fabric_misuse("completion queue overflow: %d entries, qp %u", cq->cqe, cqe->wc.qp_num);
    }
    own->ring[(own->first + own->count++) % (unsigned int)cq->cqe] = *cqe;
    if (cq->channel && (own->armed == ARMED || (own->armed == ARMED_SOLICITED && urgent))) {
        struct fabric_event *event = fabric_calloc(1, sizeof(*event));
        event->owner = own;
        own->armed = DISARMED;
        fabric_queue_push(&channel_of(cq->channel)->queue, event);
    }
    pthread_mutex_unlock(&own->lock);
}

void fabric_cq_purge(struct ibv_cq *cq, const struct fabric_qp *qp)
{
    struct fabric_cq *own = cq_of(cq);
    unsigned int size = (unsigned int)cq->cqe, kept = 0;

    pthread_mutex_lock(&own->lock);
    for (unsigned int i = 0; i < own->count; i++) {
        const struct fabric_cqe *entry = &own->ring[(own->first + i) % size];
        if (entry->qp != qp) {
            own->ring[(own->first + kept++) % size] = *entry;
        }
    }
    own->count = kept;
    pthread_mutex_unlock(&own->lock);
}

int fabric_poll_cq(struct ibv_cq *cq, int count, struct ibv_wc *wc)
{
    struct fabric_cq *own = cq_of(cq);
    int polled = 0;

    pthread_mutex_lock(&own->lock);
    if (own->count > 0 && fabric_fault(FABRIC_CALL, "ibv_poll_cq")) {
        polled = -1;
    }
    while (polled >= 0 && polled < count && own->count > 0) {
        const struct fabric_cqe *entry = &own->ring[own->first];
        struct fabric_ring *ring = entry->receive ? &entry->qp->rq : &entry->qp->sq;
        atomic_store_explicit(&ring->released, entry->released, memory_order_relaxed);
        wc[polled++] = entry->wc;
        own->first = (own->first + 1) % (unsigned int)cq->cqe;
        own->count--;
    }
    pthread_mutex_unlock(&own->lock);
    return polled;
}
