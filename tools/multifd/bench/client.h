/* SPDX-License-Identifier: MIT */
/* client.h - the side of a measurement that measures. */
#ifndef MULTIFD_BENCH_CLIENT_H
#define MULTIFD_BENCH_CLIENT_H

#include "bench_args.h"

/*
 * Measures the cases, against a server if the measurement has two sides, and appends a row for each
 * to the results' "rows"; a server on its own becomes their "server".
 */
int client_measure(const struct bench_args *args, const json_t *cases, json_t *results,
                   struct multifd_error *err);

#endif
