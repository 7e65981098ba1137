/* SPDX-License-Identifier: MIT */
/* plan - what one run of rounds does, from its words on the command line. */
#ifndef LAB_PLAN_H
#define LAB_PLAN_H

#include <multifd.h>

enum plan_mode {
    PLAN_STRICT, /* the destination's memory is compared while the source waits between rounds */
    PLAN_FREE,   /* the source goes on at once; the destination looks for what is too old */
    PLAN_GUEST,  /* threads write to the source's memory meanwhile */
};

struct plan {
    const char *address;
    enum plan_mode mode;
    bool source; /* which sides this process has */
    bool destination;
    uint32_t rounds;
    uint32_t batches; /* packets of a round */
    uint32_t channels;
    uint32_t page_size;
    uint32_t pages; /* follows from batches */
    uint32_t batch_pages;
    uint64_t seed;
    struct multifd_options *options;
};

/* Reads words NAME=VALUE; ends the program with status 2 when one is wrong. */
void plan_read(struct plan *plan, int argc, char **argv);

#endif
