/* SPDX-License-Identifier: MIT */
/*
 * raw_loop.h - the yardstick: what the device gives to a single thread that posts, over the same
 * memory, the work requests that a session would post without compression: for each packet the
 * WRITEs of its runs, chained, and a signalled SEND of a header's length. There are no messages, no
 * batches and no other threads, and the receiver only posts receives again.
 */
#ifndef MULTIFD_BENCH_RAW_LOOP_H
#define MULTIFD_BENCH_RAW_LOOP_H

#include "bench_case.h"
#include "bench_memory.h"

struct raw_source;
struct raw_sink;

/* Connects bench->channels queue pairs to the sink at this port of the server. NULL on error. */
struct raw_source *raw_source_new(const struct bench_case *bench, const struct bench_memory *memory,
                                  uint16_t port, struct multifd_error *err);

/* What the first of its links runs on, as of verbs_link_qp_json. */
json_t *raw_source_link_json(const struct raw_source *source);

/* Sends the pages in this order; returns when all are acknowledged. */
int raw_source_pass(struct raw_source *source, const uint64_t *order, struct multifd_error *err);

/* Accepts NULL, sets to NULL. */
void raw_source_delete(struct raw_source **source);

/* Listens at *port. NULL on error. */
struct raw_sink *raw_sink_new(const struct bench_case *bench, const struct bench_memory *memory,
                              uint16_t *port, struct multifd_error *err);

/* Takes the source's queue pairs in. */
int raw_sink_accept(struct raw_sink *sink, struct multifd_error *err);

/* Posts again the receives that were used; to be called every few milliseconds. */
int raw_sink_replenish(struct raw_sink *sink, struct multifd_error *err);

/* Accepts NULL, sets to NULL. */
void raw_sink_delete(struct raw_sink **sink);

#endif
