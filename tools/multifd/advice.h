/* SPDX-License-Identifier: MIT */
/* advice.h - what is wrong with a host's RDMA, and what to type. */
#ifndef MULTIFD_TOOL_ADVICE_H
#define MULTIFD_TOOL_ADVICE_H

#include "host_facts.h"

#define ADVICE_MAX   8
#define ADVICE_LINE  160
#define ADVICE_LINES 4

struct advice {
    char problem[ADVICE_LINE];
    char remedies[ADVICE_LINES][ADVICE_LINE]; /* unused ones are empty */
};

struct advices {
    struct advice items[ADVICE_MAX];
    size_t count;
    bool usable; /* a session can be made, whatever the items say */
};

void advice_give(const struct host_facts *facts, struct advices *out);

#endif
