/* SPDX-License-Identifier: MIT */
/*
 * rounds.h - the two sides of `latency` and `sync`: rounds of few pages or none, each timed.
 *
 * The source tells the sink {"bytes": OF A ROUND}; the sink answers {"port": N}. In a loopback the
 * pages say when they were queued, so that the sink can tell how long they took. They say, too, of
 * which round they are: at the end the sink looks whether each place has all pages of the last
 * round that was sent there, and compares their bytes. To do so after every round would delay the
 * next.
 */
#ifndef MULTIFD_BENCH_ROUNDS_H
#define MULTIFD_BENCH_ROUNDS_H

#include "measurement.h"

/* Pages of one message are queued and synced; from the first page queued until all is confirmed. */
int latency_run(const struct bench_case *bench, struct peer *peer, json_t *row,
                struct multifd_error *err);

/* bench->load pages are queued, then the sync alone is timed. */
int sync_run(const struct bench_case *bench, struct peer *peer, json_t *row,
             struct multifd_error *err);

int rounds_serve(const struct bench_case *bench, struct peer *peer, json_t *result,
                 struct multifd_error *err);

#endif
