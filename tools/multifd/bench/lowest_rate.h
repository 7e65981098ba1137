/* SPDX-License-Identifier: MIT */
/*
 * lowest_rate.h - the lowest rate of something that is looked at now and then: over any stretch
 * between two looks that `window` bytes have passed in, or the fewest more that looks allow.
 */
#ifndef MULTIFD_BENCH_LOWEST_RATE_H
#define MULTIFD_BENCH_LOWEST_RATE_H

#include <multifd_error.h>
#include <stdint.h>

struct lowest_rate;

/* `bytes` is what there is before anything has come. NULL on error. */
struct lowest_rate *lowest_rate_new(uint64_t window, uint64_t bytes, struct multifd_error *err);

/* Accepts NULL, sets to NULL. */
void lowest_rate_delete(struct lowest_rate **rate);

/*
 * A look: `bytes` have passed until now_ns, which both grow. The first stretch begins with
 * the last look before they grow, or the first of all.
 */
void lowest_rate_look(struct lowest_rate *rate, uint64_t now_ns, uint64_t bytes);

/* In Gb/s; 0 when there was no such stretch. */
double lowest_rate_gbps(const struct lowest_rate *rate);

#endif
