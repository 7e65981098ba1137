/* SPDX-License-Identifier: MIT */
/*
 * held_runs - runs of zero pages that a channel holds back, to name those of several batches in one
 * packet. They go when that is full, with a SYNC, or before other pages: no later than a batch that
 * the session's thread has not filled yet. Whoever has the channel's turn uses it.
 */
#ifndef MULTIFD_HELD_RUNS_H
#define MULTIFD_HELD_RUNS_H

#include "core/batch_ring.h"

struct held_runs {
    struct page_batch batch; /* what to send; it has pages if anything is held */
    uint32_t page_size;
    uint32_t page_count; /* runs of one packet */
};

/* 0, or -1 with *err. */
int held_runs_init(struct held_runs *held, uint32_t page_size, uint32_t page_count,
                   struct multifd_error *err);

/* Frees what that made. Accepts one that was zeroed. */
void held_runs_fini(struct held_runs *held);

/*
 * Takes over a batch that was looked at, if it has runs of zero pages alone, or only a SYNC, that
 * one packet can name together with what is held. True: the batch may be consumed.
 */
bool held_runs_join(struct held_runs *held, const struct page_batch *batch);

/* Whether something is held; and whether it may not be held any longer. */
bool held_runs_any(const struct held_runs *held);
bool held_runs_due(const struct held_runs *held);

/* What was held has been sent. */
void held_runs_clear(struct held_runs *held);

#endif
