/* SPDX-License-Identifier: MIT */
/*
 * zero_runs - zero pages as a message names them: each entry is a run of adjacent pages, the offset
 * of the first one plus, in the bits below the page size, how many follow it. Guest memory that was
 * never used lies in long runs: a packet names 16 MiB of it with one entry.
 */
#ifndef MULTIFD_ZERO_RUNS_H
#define MULTIFD_ZERO_RUNS_H

#include <stdint.h>

/*
 * Most zero pages that one packet names as runs: 16 MiB, or one page. A channel at the destination
 * is busy with a packet no longer than it takes to look through that.
 */
uint32_t zero_runs_pages_max(uint32_t page_size);

/*
 * Adds a run, or the offset of a single page: to the last of `num` runs if it follows there, or as
 * a new one, for which there must be room. Returns how many runs there are then.
 */
uint32_t zero_runs_add(uint64_t *runs, uint32_t num, uint64_t run, uint32_t page_size);

/* Makes runs of `num` offsets, in place and in their order. Returns how many runs there are. */
uint32_t zero_runs_make(uint64_t *offsets, uint32_t num, uint32_t page_size);

/* How many pages the runs have. */
uint64_t zero_runs_count(const uint64_t *runs, uint32_t num, uint32_t page_size);

/* Makes the offsets of those pages of `num` runs, in place, where there is room for all. */
void zero_runs_expand(uint64_t *runs, uint32_t num, uint32_t page_size);

#endif
