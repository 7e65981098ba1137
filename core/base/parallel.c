/* SPDX-License-Identifier: MIT */
#include "core/base/parallel.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct job {
    pthread_t thread;
    bool started;
    void (*work)(void *item);
    void *item;
};

static void *run(void *arg)
{
    const struct job *job = arg;

    job->work(job->item);
    return NULL;
}

void parallel_for_each(void *const *items, uint32_t num, void (*work)(void *item))
{
    struct job *jobs = calloc(num, sizeof(*jobs)); /* without memory all run in this thread */

    for (uint32_t i = 0; i < num; i++) {
        if (jobs == NULL) {
            work(items[i]);
            continue;
        }
        jobs[i] = (struct job){.work = work, .item = items[i]};
        jobs[i].started = pthread_create(&jobs[i].thread, NULL, run, &jobs[i]) == 0;
        if (!jobs[i].started) {
            work(items[i]);
        }
    }
    for (uint32_t i = 0; jobs != NULL && i < num; i++) {
        if (jobs[i].started) {
            pthread_join(jobs[i].thread, NULL);
        }
    }
    free(jobs);
}
