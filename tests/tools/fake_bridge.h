/* SPDX-License-Identifier: MIT */
/* fake_bridge.h - an engine that moves nothing, in the place of the library's: what it was told. */
#ifndef MULTIFD_TESTS_FAKE_BRIDGE_H
#define MULTIFD_TESTS_FAKE_BRIDGE_H

#include <multifd_bridge.h>

/* What the next run does. */
enum fake_bridge_end {
    FAKE_BRIDGE_COMPLETES, /* at once */
    FAKE_BRIDGE_FAILS,     /* at once */
    FAKE_BRIDGE_WAITS,     /* until it is cancelled */
};

struct fake_bridge_told {
    bool source;
    char blocks[256]; /* "NAME LENGTH;" of each */
    char *first;      /* the first block's memory */
    unsigned channels;
    bool observed;
    bool listened;
    char reason[256]; /* of the first cancel */
};

/* Forgets everything. */
void fake_bridge_reset(enum fake_bridge_end end);

const struct fake_bridge_told *fake_bridge_told(void);

/* Whether a run is under way. Any thread. */
bool fake_bridge_runs(void);

#endif
