/* SPDX-License-Identifier: MIT */
#include "null/completion_queue.h"

#include "null/null_device.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { DISARMED, ARMED_SOLICITED, ARMED };

struct null_cq {
    struct ibv_cq cq;
    struct null_ring *rings; /* a circle: the one that is polled first the next time */
    struct null_cq *next;    /* of the same channel */
    alignas(NULL_CACHE_LINE) _Atomic int armed;
    _Atomic uint32_t events; /* sent and not taken */
};

/* The descriptor counts the events of all its queues. */
struct null_comp_channel {
    struct ibv_comp_channel channel;
    struct null_cq *cqs;
};

/* Guards the list of each channel's queues. */
static pthread_mutex_t lists = PTHREAD_MUTEX_INITIALIZER;

static struct null_cq *of(struct ibv_cq *cq)
{
    return (struct null_cq *)(void *)cq;
}

static struct null_comp_channel *channel_of(struct ibv_comp_channel *channel)
{
    return (struct null_comp_channel *)(void *)channel;
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
    struct null_comp_channel *channel = calloc(1, sizeof(*channel));

    if (channel == NULL) {
        return NULL;
    }
    channel->channel.context = context;
    channel->channel.fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    if (channel->channel.fd < 0) {
        free(channel);
        return NULL;
    }
    return &channel->channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
    struct null_comp_channel *gone = channel_of(channel);

    if (gone->cqs != NULL) {
        return EBUSY;
    }
    close(channel->fd);
    free(gone);
    return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int cqe, void *cq_context,
                             struct ibv_comp_channel *channel, int comp_vector)
{
    struct null_cq *cq;

    if (cqe < 1 || cqe > NULL_DEVICE_MAX_CQE || comp_vector != 0) {
        errno = EINVAL;
        return NULL;
    }
    cq = aligned_alloc(NULL_CACHE_LINE, sizeof(*cq));
    if (cq == NULL) {
        return NULL;
    }
    *cq = (struct null_cq){
        .cq = {.context = context, .channel = channel, .cq_context = cq_context, .cqe = cqe}};
    if (channel != NULL) {
        pthread_mutex_lock(&lists);
        cq->next = channel_of(channel)->cqs;
        channel_of(channel)->cqs = cq;
        pthread_mutex_unlock(&lists);
    }
    return &cq->cq;
}

/* Its events that nobody took stay in the channel's count: ibv_get_cq_event passes over them. */
static void leave_channel(struct null_cq *cq)
{
    struct null_cq **link = &channel_of(cq->cq.channel)->cqs;

    pthread_mutex_lock(&lists);
    while (*link != cq) {
        link = &(*link)->next;
    }
    *link = cq->next;
    pthread_mutex_unlock(&lists);
}

int ibv_destroy_cq(struct ibv_cq *cq)
{
    struct null_cq *gone = of(cq);

    if (gone->rings != NULL) {
        return EBUSY;
    }
    if (cq->channel != NULL) {
        leave_channel(gone);
    }
    free(gone);
    return 0;
}

void null_cq_attach(struct ibv_cq *cq, struct null_ring *ring)
{
    struct null_ring *first = of(cq)->rings;

    if (first == NULL) {
        ring->next = ring;
        of(cq)->rings = ring;
    } else {
        ring->next = first->next;
        first->next = ring;
    }
}

void null_cq_detach(struct ibv_cq *cq, struct null_ring *ring)
{
    struct null_ring *before = ring;

    while (before->next != ring) {
        before = before->next;
    }
    before->next = ring->next;
    of(cq)->rings = before == ring ? NULL : before;
}

/* Each time another ring comes first, so that none starves where little is taken at a time. */
int null_poll_cq(struct ibv_cq *cq, int most, struct ibv_wc *wc)
{
    struct null_ring *first = of(cq)->rings;
    struct null_ring *ring = first;
    int got = 0;

    if (first == NULL) {
        return 0;
    }
    do {
        got += null_ring_poll(ring, most - got, wc + got);
        ring = ring->next;
    } while (ring != first && got < most);
    of(cq)->rings = first->next;
    return got;
}

int null_req_notify_cq(struct ibv_cq *cq, int solicited_only)
{
    int disarmed = DISARMED;

    if (!solicited_only) {
        atomic_store(&of(cq)->armed, ARMED);
    } else { /* who has asked for every completion still does */
        atomic_compare_exchange_strong(&of(cq)->armed, &disarmed, ARMED_SOLICITED);
    }
    return 0;
}

/* The count of the queue goes first: who has taken one off the descriptor finds whose it is. */
static void send_event(struct null_cq *cq)
{
    const uint64_t one = 1;

    atomic_fetch_add(&cq->events, 1);
    (void)!write(cq->cq.channel->fd, &one, sizeof(one)); /* could only fail for a closed one */
}

void null_cq_complete(struct ibv_cq *cq, struct null_ring *ring, uint32_t done, bool urgent)
{
    struct null_cq *own = of(cq);
    int armed;

    atomic_store(&ring->done, done);
    armed = atomic_load(&own->armed);
    if (armed == DISARMED || (armed == ARMED_SOLICITED && !urgent) || cq->channel == NULL) {
        return;
    }
    if (atomic_exchange(&own->armed, DISARMED) != DISARMED) {
        send_event(own);
    }
}

/* Takes an event of one of the channel's queues; NULL when the queue that sent it is gone. */
static struct null_cq *take_event(struct null_comp_channel *channel)
{
    struct null_cq *cq;

    pthread_mutex_lock(&lists);
    for (cq = channel->cqs; cq != NULL && atomic_load(&cq->events) == 0; cq = cq->next) {
    }
    if (cq != NULL) {
        atomic_fetch_sub(&cq->events, 1);
    }
    pthread_mutex_unlock(&lists);
    return cq;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **cq_context)
{
    struct null_cq *taken = NULL;
    uint64_t one;

    while (taken == NULL) {
        if (read(channel->fd, &one, sizeof(one)) < 0) {
            return -1;
        }
        taken = take_event(channel_of(channel));
    }
    *cq = &taken->cq;
    *cq_context = taken->cq.cq_context;
    return 0;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int nevents)
{
    (void)cq; /* nothing waits for it */
    (void)nevents;
}
