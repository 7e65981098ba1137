/* SPDX-License-Identifier: MIT */
/*
 * bench_memory.h - the guest memory of a measurement. What a page holds follows from the number of
 * the pass and its offset, so the other side can check it without having seen the source.
 */
#ifndef MULTIFD_BENCH_MEMORY_H
#define MULTIFD_BENCH_MEMORY_H

#include <multifd_error.h>
#include <stdbool.h>
#include <stdint.h>

struct bench_memory {
    uint8_t *bytes;
    uint64_t length;
    uint64_t page_size;
};

/*
 * Maps memory and touches all of it, so that no page fault is measured. What it holds then is what
 * no fill makes, with any seed.
 */
int bench_memory_map(struct bench_memory *memory, uint64_t length, uint64_t page_size,
                     struct multifd_error *err);

/* Accepts memory that was never mapped. */
void bench_memory_unmap(struct bench_memory *memory);

/*
 * Fills all pages with what a general compressor makes about half as large, of `seed`: half noise,
 * half one byte again and again. No page is zero, and with another seed, of up to 254, no word of
 * a page is the same.
 */
void bench_memory_fill(const struct bench_memory *memory, uint64_t seed);

/* Writes the pass's number and the page's offset to the beginning of each page. */
void bench_memory_stamp(const struct bench_memory *memory, uint64_t pass);

/*
 * Whether the page at `offset` is as filled of `seed`, but for what a stamp has changed of it.
 * `expected` has room for a page.
 */
bool bench_memory_is_filled(const struct bench_memory *memory, uint64_t offset, uint64_t seed,
                            uint64_t *expected);

/*
 * Whether every page is stamped for `pass`, and otherwise as filled of `seed`; with seed 0 whether
 * it is stamped only.
 */
int bench_memory_check(const struct bench_memory *memory, uint64_t seed, uint64_t pass,
                       struct multifd_error *err);

/*
 * The order in which a pass sends pages, so that `run` adjacent pages travel together and no two
 * runs adjoin: first all even runs, then the odd ones. With runs of a whole packet or more the
 * order is that of the memory. The caller frees it. NULL on error.
 */
uint64_t *bench_memory_order(const struct bench_memory *memory, uint64_t run,
                             struct multifd_error *err);

#endif
