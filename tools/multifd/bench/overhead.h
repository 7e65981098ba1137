/* SPDX-License-Identifier: MIT */
/*
 * overhead.h - what the library itself takes for a page and for a packet: passes as `bandwidth`
 * makes them, over the null device, where all that remains is our own time.
 */
#ifndef MULTIFD_BENCH_OVERHEAD_H
#define MULTIFD_BENCH_OVERHEAD_H

#include "measurement.h"

extern const struct measurement overhead;

#endif
