/* SPDX-License-Identifier: MIT */
/*
 * zero_sample - on one channel, whether it is worth looking for zero pages at all of a batch. In
 * memory where hardly any is zero the look is all cost: a miss of the cache and of the TLB for each
 * page, and a page fault where the program has not touched its memory, which the device does not
 * need. There only one page in ZERO_SAMPLE_STRIDE is looked at, until one of them is zero. Zero
 * pages mostly come in long runs, which no sample misses; those that it misses are sent like others
 * (71 of 196,332 in the memory of a Linux guest that had booted). Used by the channel's thread
 * alone.
 */
#ifndef MULTIFD_ZERO_SAMPLE_H
#define MULTIFD_ZERO_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#define ZERO_SAMPLE_STRIDE 64   /* a run of as many zero pages in a batch is always found */
#define ZERO_SAMPLE_DENSE  1024 /* pages all looked at, hardly any of them zero, before sampling */
#define ZERO_SAMPLE_FEW    32   /* "hardly any": at most one in so many of a batch */

/* All zero at first. */
struct zero_sample {
    uint32_t dense; /* pages in a row that were looked at, of batches with hardly any zero one */
    uint32_t turn;  /* which pages of the next batch are its sample */
};

/*
 * Whether `num` pages, at least one, at these offsets behind `host` may be taken for such that are
 * not zero: none of their sample is, after ZERO_SAMPLE_DENSE pages. Else all must be looked at.
 */
bool zero_sample_suffices(struct zero_sample *sample, const uint8_t *host, const uint64_t *offsets,
                          uint32_t num, uint32_t page_size);

/* Learns that all of a batch's pages were looked at and how many of them are zero. */
void zero_sample_learn(struct zero_sample *sample, uint32_t num, uint32_t zero);

#endif
