/* SPDX-License-Identifier: MIT */
/* content.h - guest memory that is worth compressing: made, or from a file. */
#ifndef MULTIFD_BENCH_CONTENT_H
#define MULTIFD_BENCH_CONTENT_H

#include "bench_memory.h"

#include <stddef.h>

/*
 * Maps memory of up to `length` bytes and reads the whole pages of `file` into it; an empty name
 * stands for what bench_memory_fill makes. bench_memory_unmap once it returned 0.
 */
int content_load(struct bench_memory *memory, const char *file, uint64_t length, uint64_t page_size,
                 struct multifd_error *err);

/* The offsets of the `*num` pages that are not zero, of which there is one; the caller frees. */
uint64_t *content_pages(const struct bench_memory *memory, size_t *num, struct multifd_error *err);

#endif
