/* SPDX-License-Identifier: MIT */
/*
 * scan.h - `scan`: the look for pages of zeros against reading the same memory plainly, in turns.
 * Memory much larger than the processor's caches tells how near to its read bandwidth it comes.
 */
#ifndef MULTIFD_BENCH_SCAN_H
#define MULTIFD_BENCH_SCAN_H

#include "measurement.h"

extern const struct measurement measurement_scan;

#endif
