/* SPDX-License-Identifier: MIT */
/*
 * plain_read.h - reading memory without looking at pages: what the look for zeros is compared with.
 * There are several ways, and which is the fastest depends on the processor.
 */
#ifndef MULTIFD_BENCH_PLAIN_READ_H
#define MULTIFD_BENCH_PLAIN_READ_H

#include <stdbool.h>
#include <stddef.h>

struct plain_read {
    const char *name;
    bool (*read)(const void *bytes, size_t length); /* multiples of 256; true for zeros */
    bool (*supported)(void);                        /* by this processor */
};

/* All that were compiled in, ended by a NULL name. The first works everywhere. */
extern const struct plain_read plain_reads[];

#endif
