/* SPDX-License-Identifier: MIT */
/* parallel - doing the same to several things at once. */
#ifndef MULTIFD_BASE_PARALLEL_H
#define MULTIFD_BASE_PARALLEL_H

#include "core/base/worker.h"

#include <stdint.h>

/*
 * Calls work(items[i]) for each of `num` items, each in a thread of its own as far as threads can
 * be had, and returns when all calls have. The threads are workers of the group.
 */
void parallel_for_each(struct worker_group *group, void *const *items, uint32_t num,
                       void (*work)(void *item));

#endif
