/* SPDX-License-Identifier: MIT */
/* bridge_report.h - what a bridged migration was, at its end: a table for people or a JSON object.
 */
#ifndef MULTIFD_BRIDGE_REPORT_H
#define MULTIFD_BRIDGE_REPORT_H

#include "bridge/outcome.h"

#include <multifd_bridge.h>
#include <stddef.h>
#include <stdio.h>

struct bridge_report {
    const char *command;
    const char *qemu; /* its address */
    const char *rdma;
    size_t blocks;   /* RAM blocks that are known by their files */
    uint64_t memory; /* their bytes */
    struct multifd_bridge_statistics statistics;
    struct multifd_bridge_channel_statistics *channels; /* statistics.channels of them, owned */
    uint64_t cpu_ns;                                    /* of the process */
    const char *version;                                /* QEMU's, NULL without QMP */
    const struct outcome *outcome;                      /* NULL without QMP */
    const struct multifd_error *error;                  /* NULL when the migration is done */
};

/* Fills the counters. Without memory for them the channels are left out. */
void bridge_report_collect(struct bridge_report *report, const struct multifd_bridge *bridge);

void bridge_report_clear(struct bridge_report *report);

/* The table. */
void bridge_report_table(const struct bridge_report *report, FILE *out);

/* The JSON object as text without a final newline; the caller frees it. NULL without memory. */
char *bridge_report_json(const struct bridge_report *report);

/* Prints it to stdout; complains on stderr when that does not work. */
void bridge_report_print(const struct bridge_report *report, bool json);

#endif
