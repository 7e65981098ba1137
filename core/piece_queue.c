/* SPDX-License-Identifier: MIT */
#include "core/piece_queue.h"

#include "core/base/error.h"

#include <pthread.h>
#include <stdlib.h>

struct piece {
    uint32_t block;
    uint32_t number;
};

struct piece_queue {
    uint32_t run_max;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint64_t pushed;
    uint64_t taken;
    bool stopped;
    struct piece pieces[]; /* room for all that ever come: it need not go around */
};

struct piece_queue *piece_queue_new(uint64_t most, uint32_t run_max, struct multifd_error *err)
{
    struct piece_queue *queue = calloc(1, sizeof(*queue) + most * sizeof(*queue->pieces));

    if (queue == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    queue->run_max = run_max;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->changed, NULL);
    return queue;
}

void piece_queue_delete(struct piece_queue **queue)
{
    if (*queue == NULL) {
        return;
    }
    pthread_cond_destroy(&(*queue)->changed);
    pthread_mutex_destroy(&(*queue)->lock);
    free(*queue);
    *queue = NULL;
}

void piece_queue_push(struct piece_queue *queue, uint32_t block, uint32_t piece)
{
    pthread_mutex_lock(&queue->lock);
    queue->pieces[queue->pushed++] = (struct piece){block, piece};
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

/* Whether the next piece is the one behind the run. With the lock held. */
static bool goes_on(const struct piece_queue *queue, const struct piece_run *run)
{
    const struct piece *next = &queue->pieces[queue->taken];

    return queue->taken < queue->pushed && run->num < queue->run_max && next->block == run->block &&
           next->number == run->first + run->num;
}

/* With the lock held. */
static void take_run(struct piece_queue *queue, struct piece_run *run)
{
    const struct piece *first = &queue->pieces[queue->taken++];

    *run = (struct piece_run){first->block, first->number, 1};
    while (goes_on(queue, run)) {
        queue->taken++;
        run->num++;
    }
}

bool piece_queue_take(struct piece_queue *queue, struct piece_run *run)
{
    bool stopped;

    pthread_mutex_lock(&queue->lock);
    while (queue->taken == queue->pushed && !queue->stopped) {
        pthread_cond_wait(&queue->changed, &queue->lock);
    }
    stopped = queue->stopped;
    if (!stopped) {
        take_run(queue, run);
    }
    pthread_mutex_unlock(&queue->lock);
    return !stopped;
}

void piece_queue_stop(struct piece_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->stopped = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}
