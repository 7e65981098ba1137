/* SPDX-License-Identifier: MIT */
#include "core/base/worker.h"

#include "core/base/error.h"

#include <stdlib.h>

struct worker_group {
    pthread_mutex_t lock;
    struct worker *first; /* under lock; those that run */
    uint64_t ended_ns;    /* under lock; of those that do not any more */
};

struct worker_group *worker_group_new(struct multifd_error *err)
{
    struct worker_group *group = calloc(1, sizeof(*group));

    if (group == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    pthread_mutex_init(&group->lock, NULL);
    return group;
}

void worker_group_delete(struct worker_group **group)
{
    struct worker_group *gone = *group;

    if (gone == NULL) {
        return;
    }
    pthread_mutex_destroy(&gone->lock);
    free(gone);
    *group = NULL;
}

/* With the lock held. */
static uint64_t time_of(const struct worker *worker)
{
    struct timespec used = {0, 0};

    if (!worker->running) {
        return worker->cpu_ns;
    }
    clock_gettime(worker->clock, &used); /* the clock of a thread that exists: it tells */
    return (uint64_t)used.tv_sec * UINT64_C(1000000000) + (uint64_t)used.tv_nsec;
}

uint64_t worker_group_cpu_ns(struct worker_group *group)
{
    uint64_t sum;

    pthread_mutex_lock(&group->lock);
    sum = group->ended_ns;
    for (const struct worker *worker = group->first; worker != NULL; worker = worker->next) {
        sum += time_of(worker);
    }
    pthread_mutex_unlock(&group->lock);
    return sum;
}

uint64_t worker_cpu_ns(const struct worker *worker)
{
    uint64_t used;

    pthread_mutex_lock(&worker->group->lock);
    used = time_of(worker);
    pthread_mutex_unlock(&worker->group->lock);
    return used;
}

static void enter(struct worker *worker)
{
    struct worker_group *group = worker->group;

    pthread_mutex_lock(&group->lock);
    pthread_getcpuclockid(pthread_self(), &worker->clock);
    worker->running = true;
    worker->next = group->first;
    group->first = worker;
    pthread_mutex_unlock(&group->lock);
}

static void leave(struct worker *worker)
{
    struct worker_group *group = worker->group;
    struct worker **at = &group->first;

    pthread_mutex_lock(&group->lock);
    while (*at != worker) {
        at = &(*at)->next;
    }
    *at = worker->next;
    worker->cpu_ns = time_of(worker);
    worker->running = false;
    group->ended_ns += worker->cpu_ns;
    pthread_mutex_unlock(&group->lock);
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;

    enter(worker);
    worker->work(worker->arg);
    leave(worker);
    return NULL;
}

int worker_start(struct worker *worker, struct worker_group *group, void (*work)(void *arg),
                 void *arg, struct multifd_error *err)
{
    int errnum;

    *worker = (struct worker){.group = group, .work = work, .arg = arg};
    errnum = pthread_create(&worker->thread, NULL, worker_main, worker);
    return errnum == 0 ? 0 : error_set_errno(err, MULTIFD_ERROR_SYSTEM, errnum, "pthread_create");
}

void worker_join(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
}
