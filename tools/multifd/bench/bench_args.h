/* SPDX-License-Identifier: MIT */
/* bench_args.h - the command line of a measurement, and the cases that it asks for. */
#ifndef MULTIFD_BENCH_ARGS_H
#define MULTIFD_BENCH_ARGS_H

#include "cli.h"
#include "measurement.h"

struct bench_args {
    const struct measurement *what;
    const char *address; /* as given; NULL for none */
    bool loopback;
    bool json;
    const char *plot; /* file to draw to; NULL for none */
    uint64_t port;    /* where a server waits; 0 when nobody said */
    json_t *values;   /* name of each option -> array of the values to try */
};

/* Parses argv, whose first word is the measurement; bench_args_clear in any case. */
enum cli_result bench_args_parse(struct bench_args *args, const struct measurement *what, int argc,
                                 char **argv, struct multifd_error *err);

void bench_args_clear(struct bench_args *args);

/*
 * Every combination of the values, once: an array of objects from names to values, the last option
 * changing fastest. Of the levels a case has its method's only. NULL when there is no memory.
 */
json_t *bench_args_cases(const struct bench_args *args);

#endif
