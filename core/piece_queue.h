/* SPDX-License-Identifier: MIT */
/* piece_queue - pieces of memory on their way to the threads that register them. */
#ifndef MULTIFD_PIECE_QUEUE_H
#define MULTIFD_PIECE_QUEUE_H

#include <multifd_error.h>
#include <stdbool.h>
#include <stdint.h>

/* Adjacent pieces of a block. */
struct piece_run {
    uint32_t block;
    uint32_t first;
    uint32_t num;
};

struct piece_queue;

/*
 * A queue that takes `most` pieces in all its life, and gives up to run_max adjacent ones at a
 * time. NULL on error.
 */
struct piece_queue *piece_queue_new(uint64_t most, uint32_t run_max, struct multifd_error *err);

/* Releases it when nobody waits any more, sets it to NULL; accepts NULL. */
void piece_queue_delete(struct piece_queue **queue);

/* Any thread; never waits for long. */
void piece_queue_push(struct piece_queue *queue, uint32_t block, uint32_t piece);

/*
 * Takes the oldest piece and those pushed behind it that are adjacent; waits for one. False when
 * the queue was stopped, whatever is in it.
 */
bool piece_queue_take(struct piece_queue *queue, struct piece_run *run);

void piece_queue_stop(struct piece_queue *queue);

#endif
