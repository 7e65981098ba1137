/* SPDX-License-Identifier: MIT */
/*
 * raw_loop - the yardstick: the work requests of a transfer, posted by one thread over bare verbs
 * within one process. No engine, no handing over between threads, no headers to decode.
 */
#ifndef RAW_LOOP_H
#define RAW_LOOP_H

#include <stdint.h>

struct raw_loop;

/* What to move: `pages` offsets of page_size bytes, in that order, the same at both ends. */
struct transfer_plan {
    uint8_t *source;
    uint8_t *destination;
    uint64_t length;
    const uint64_t *offsets;
    uint32_t pages;
    uint32_t page_size;
    uint32_t channels;
    uint32_t window;
};

/* Queue pairs on the first active port, connected to each other; prints and exits on any error. */
struct raw_loop *raw_loop_new(const struct transfer_plan *plan);

void raw_loop_delete(struct raw_loop *loop);

/* Moves all pages once; the time it took in nanoseconds. */
uint64_t raw_loop_run(struct raw_loop *loop);

#endif
