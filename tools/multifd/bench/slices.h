/* SPDX-License-Identifier: MIT */
/* slices.h - memory in equal slices, each with a thread, all of which read at the same time. */
#ifndef MULTIFD_BENCH_SLICES_H
#define MULTIFD_BENCH_SLICES_H

#include "bench_memory.h"

#include <stddef.h>

struct slices;

/* Reads a slice, on its thread; whether all of it is zero. */
typedef bool slice_fn(const void *opaque, const uint8_t *bytes, uint64_t length);

/* The memory stays the caller's. NULL on error. */
struct slices *slices_new(const struct bench_memory *memory, uint64_t threads,
                          struct multifd_error *err);

/* Accepts NULL, sets to NULL. */
void slices_delete(struct slices **slices);

/*
 * Calls read(opaque, ...) for every slice at once and waits for all; *ns is the time from the first
 * one's beginning to the last one's end. Whether all were zero.
 */
bool slices_read(struct slices *slices, slice_fn *read, const void *opaque, uint64_t *ns);

#endif
