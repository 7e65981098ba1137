/* SPDX-License-Identifier: MIT */
/*
 * round_trips.h - the two sides of `send`, `write` and `read`: one message after the other, each
 * timed, by bare verbs.
 *
 * The sink tells the source {"port": N} and takes its connection. Then the source says again and
 * again {"rounds": N}, the sink answers "ready", and both do N rounds; {"rounds": 0} is the end.
 */
#ifndef MULTIFD_BENCH_ROUND_TRIPS_H
#define MULTIFD_BENCH_ROUND_TRIPS_H

#include "measurement.h"

/* A SEND to the sink, answered by one; half of the time of both. */
int send_run(const struct bench_case *bench, struct peer *peer, json_t *row,
             struct multifd_error *err);
int send_serve(const struct bench_case *bench, struct peer *peer, json_t *result,
               struct multifd_error *err);

/* A WRITE to the sink's memory, which polls it and writes back; half of the time of both. */
int write_run(const struct bench_case *bench, struct peer *peer, json_t *row,
              struct multifd_error *err);
int write_serve(const struct bench_case *bench, struct peer *peer, json_t *result,
                struct multifd_error *err);

/* A READ of the sink's memory, of which the sink knows nothing; until it is completed. */
int read_run(const struct bench_case *bench, struct peer *peer, json_t *row,
             struct multifd_error *err);
int read_serve(const struct bench_case *bench, struct peer *peer, json_t *result,
               struct multifd_error *err);

#endif
