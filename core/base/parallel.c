/* SPDX-License-Identifier: MIT */
#include "core/base/parallel.h"

#include <stdbool.h>
#include <stdlib.h>

struct job {
    struct worker worker;
    bool started;
};

void parallel_for_each(struct worker_group *group, void *const *items, uint32_t num,
                       void (*work)(void *item))
{
    struct job *jobs = calloc(num, sizeof(*jobs)); /* without memory all run in this thread */

    for (uint32_t i = 0; i < num; i++) {
        struct multifd_error unused;

        if (jobs != NULL) {
            jobs[i].started = worker_start(&jobs[i].worker, group, work, items[i], &unused) == 0;
        }
        if (jobs == NULL || !jobs[i].started) {
            work(items[i]);
        }
    }
    for (uint32_t i = 0; jobs != NULL && i < num; i++) {
        if (jobs[i].started) {
            worker_join(&jobs[i].worker);
        }
    }
    free(jobs);
}
