/*
 * SPDX-License-Identifier: MIT
 *
 * Connection messages that are never answered: UNREACHABLE after a while. The thread lives while
 * something is due.
 */
#include <stdlib.h>

#include "fabric_internal.h"

struct timer {
    struct timer *next;
    struct fabric_id *id;
    uint64_t due_us;
};

static struct timer *timers; /* all have the same delay, so the first is due first */
static pthread_cond_t changed;
static bool running;

__attribute__((constructor)) static void start(void)
{
    fabric_cond_init(&changed);
}

static void expire(struct timer *timer)
{
    struct fabric_id *id = timer->id;

    timers = timer->next;
    if (id->peer) {
        id->peer->peer = NULL;
        id->peer = NULL;
    }
    id->state = FABRIC_ENDED;
    fabric_cm_notify(id, RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT, NULL, 0);
    free(timer);
}

static void *timer_main(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&fabric_cm_lock);
    while (timers) {
        uint64_t now = fabric_now_us();
        if (timers->due_us <= now) {
            expire(timers);
        } else {
            fabric_cond_wait_us(&changed, &fabric_cm_lock, timers->due_us - now);
        }
    }
    running = false;
    pthread_mutex_unlock(&fabric_cm_lock);
    return NULL;
}

void fabric_cm_timer_start(struct fabric_id *id)
{
    struct timer *timer = fabric_calloc(1, sizeof(*timer)), **link;
    pthread_t thread;

    fabric_cm_timer_cancel(id);
    timer->id = id;
    timer->due_us = fabric_now_us() + (uint64_t)fabric_opts()->retry_timeout_ms * 1000;
    for (link = &timers; *link; link = &(*link)->next) {
    }
    *link = timer;
    if (!running) {
        if (pthread_create(&thread, NULL, timer_main, NULL)) {
            fabric_misuse("no thread for connection timers");
        }
        pthread_detach(thread);
        running = true;
    }
}

void fabric_cm_timer_cancel(const struct fabric_id *id)
{
    struct timer **link = &timers;

    while (*link) {
        struct timer *timer = *link;
        if (timer->id == id) {
            *link = timer->next;
            free(timer);
        } else {
            link = &timer->next;
        }
    }
    pthread_cond_broadcast(&changed);
}
