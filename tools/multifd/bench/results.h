/* SPDX-License-Identifier: MIT */
/*
 * results.h - what a bench has found, as one JSON object:
 *
 *   {"version": 1, "type": "bench", "measurement": NAME, "system": {...}, "rows": [ROW, ...]}
 *
 * and, with a server on its own, "server" with what "system" has, of it. ROW has "options", what
 * the measurement adds, and "destination", what the other side adds.
 */
#ifndef MULTIFD_BENCH_RESULTS_H
#define MULTIFD_BENCH_RESULTS_H

#include "measurement.h"

/* Changes when a member changes its meaning or goes; new members may come without. */
#define RESULTS_VERSION 1

/* Without rows; the caller's. */
json_t *results_new(const struct measurement *what);

/* Prints them as a table. `values` says which options were tried with several values. */
void results_print(const json_t *results, const struct measurement *what, const json_t *values);

/* Prints them as JSON. */
void results_print_json(const json_t *results);

/* Draws them to a file, with gnuplot. `values` as above. */
int results_plot(const json_t *results, const struct measurement *what, const json_t *values,
                 const char *file, struct multifd_error *err);

/*
 * Whether an option was tried with several values, which the message size does not tell. `tried` is
 * what `values` has of it.
 */
bool results_is_swept(const char *name, const json_t *tried);

/* The member of a row at a path of names joined by dots; NULL if there is none. */
const json_t *results_member(const json_t *row, const char *path);

#endif
