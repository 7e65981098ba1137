/* SPDX-License-Identifier: MIT */
/*
 * samples.h - figures that are taken many times. All are kept, so percentiles are exact; room is
 * made beforehand, so that taking one costs a store, and grows where that is not enough.
 */
#ifndef MULTIFD_BENCH_SAMPLES_H
#define MULTIFD_BENCH_SAMPLES_H

#include <jansson.h>
#include <multifd_error.h>
#include <stdint.h>

struct samples;

/* Room for `room` samples, all of it touched. NULL on error. */
struct samples *samples_new(uint64_t room, struct multifd_error *err);

/* Accepts NULL, sets to NULL. */
void samples_delete(struct samples **samples);

/* Takes one. When there is no memory for it there will be no results: samples_json says so. */
void samples_add(struct samples *samples, uint64_t value);

uint64_t samples_count(const struct samples *samples);

/*
 * {"count", "mean", "min", "p50", "p90", "p99", "p99_9", "max", "histogram": [[UP_TO, COUNT], ...]}
 * with the classes of the histogram 1/8 of a power of two wide; the empty ones are left out. Sorts
 * the samples. NULL when there is none, or there was no memory for one.
 */
json_t *samples_json(struct samples *samples);

/* The median of `num` values, at least one, which it sorts. */
double median_of(double *values, size_t num);

/* {"median", "min", "max"} of `num` values, at least one, which it sorts. */
json_t *spread_json(double *values, size_t num);

#endif
