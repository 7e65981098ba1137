/* SPDX-License-Identifier: MIT */
/*
 * bench_case.h - one case of a measurement: a value for each option. Both sides make it from the
 * same JSON object, {NAME: VALUE, ...} with values as on the command line.
 */
#ifndef MULTIFD_BENCH_CASE_H
#define MULTIFD_BENCH_CASE_H

#include "bench_address.h"
#include "verbs_settings.h"

#include <jansson.h>
#include <multifd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_case {
    struct bench_address address;
    bool same_host;                  /* a loopback: both sides have one clock */
    bool null_device;                /* memory that is sent does not arrive */
    json_t *choices;                 /* what the case was made of */
    struct multifd_options *session; /* what the library takes of it */

    uint64_t size;   /* bytes of a message: of a run of pages */
    uint64_t memory; /* bytes of guest memory on each side */
    uint64_t iterations;
    uint64_t duration_ns; /* 0, or for how long to measure in place of `iterations` */
    uint64_t repeat;      /* how often a figure is taken; the median counts */
    uint64_t post_list;   /* work requests of one post; 0: all of a packet */
    uint64_t threads;
    uint64_t load;         /* pages queued before each sync */
    uint64_t inline_bytes; /* messages up to this travel inside their work requests */
    uint64_t piece;        /* bytes of one registration at most */
    uint64_t huge_pages;   /* bytes of a huge page; 0: the kernel's usual pages */
    bool events;           /* sleep until a completion comes, instead of polling */
    bool raw;              /* take turns with the bare verbs loop */
    bool thp;              /* transparent huge pages */
    const char *content;   /* a file with pages, empty for none; owned by `choices` */

    /* The library's options that a measurement must know itself. */
    uint64_t channels;
    uint64_t window;
    uint64_t page_size;
    const char *method;          /* owned by `choices` */
    struct verbs_settings verbs; /* its device is owned by `choices` */
};

/* One option of the bench's own that a case has. */
struct case_option {
    const char *name;
    char letter;
    const char *argument; /* NULL for a flag */
    const char *initial;
    const char *help;
    size_t field; /* its offset in struct bench_case */
    enum { CASE_COUNT, CASE_SIZE, CASE_TIME, CASE_FLAG, CASE_TEXT } kind;
    uint64_t least;
    uint64_t most;
};

/* All of them, ended by a NULL name. */
extern const struct case_option case_options[];

/*
 * Makes a case of `choices`, of which it takes a reference. What they leave out has its initial
 * value. Returns 0, or -1 with *err filled; bench_case_clear in either case.
 */
int bench_case_init(struct bench_case *bench, json_t *choices, struct multifd_error *err);

void bench_case_clear(struct bench_case *bench);

#endif
