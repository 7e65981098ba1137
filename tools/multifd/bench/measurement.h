/* SPDX-License-Identifier: MIT */
/*
 * measurement.h - what a measurement is: the leaf that the frame (bench.c) and the measurements
 * share.
 *
 * A measurement with two sides runs `serve` at one end (the destination's) and `run` at the other,
 * joined by a peer; in a loopback both are in one process. `run` fills a row of results; values are
 * in base units: bytes, nanoseconds, Gb/s (10^9 bits).
 */
#ifndef MULTIFD_BENCH_MEASUREMENT_H
#define MULTIFD_BENCH_MEASUREMENT_H

#include "bench_case.h"
#include "cli.h"
#include "peer.h"

#include <jansson.h>

/* How a table shows a value. */
enum column_format {
    COLUMN_TEXT,
    COLUMN_COUNT,
    COLUMN_SIZE,
    COLUMN_GBPS,           /* two decimals */
    COLUMN_RATIO,          /* two decimals */
    COLUMN_MICROSECONDS,   /* of nanoseconds, one decimal */
    COLUMN_MICROSECONDS_2, /* of nanoseconds, two decimals */
    COLUMN_NANOSECONDS,    /* one decimal */
    COLUMN_SECONDS,        /* of nanoseconds, three decimals */
};

struct column {
    const char *heading;
    const char *path; /* members of a row, joined by dots */
    enum column_format format;
};

/* What `--all` means. */
struct sweep {
    const char *sizes; /* of messages, joined by commas */
    const char *help;
};

/* Of runs of pages, from one page to a whole packet. */
extern const struct sweep sweep_of_runs;

/* What `--plot` draws of the rows. */
enum plot_kind {
    PLOT_NONE,
    PLOT_BANDWIDTH,    /* a line for each set of options, over the message size */
    PLOT_DISTRIBUTION, /* percentiles of "latency" */
};

struct measurement {
    const char *name;
    const char *summary;
    const char *text;                     /* further help, broken into lines */
    const char *const *options;           /* names in the bench's own list that it takes */
    const struct initial_value *initials; /* ended by a NULL name; NULL for none */
    const struct sweep *sweep;            /* of message sizes; NULL when it takes none */
    bool session;                         /* takes the library's options, too */
    const char *const *library;           /* names of those that it takes; NULL for all */
    bool null_device; /* measured in multifd-null, as a loopback; guest memory never arrives */
    const struct column *columns; /* of its table, ended by a NULL heading */
    enum plot_kind plot;

    /* The side that measures. `peer` is NULL when there is no other side. */
    int (*run)(const struct bench_case *bench, struct peer *peer, json_t *row,
               struct multifd_error *err);
    /* Adds what follows from both sides' figures to the row; NULL for nothing. */
    void (*finish)(const struct bench_case *bench, json_t *row);
    /* The other side; its result becomes the row's "destination". NULL when there is none. */
    int (*serve)(const struct bench_case *bench, struct peer *peer, json_t *result,
                 struct multifd_error *err);
};

/* The measurement of that name, or NULL. */
const struct measurement *measurement_find(const char *name);

/* All of them, ended by NULL. */
extern const struct measurement *const measurements[];

#endif
