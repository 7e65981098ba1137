/* SPDX-License-Identifier: MIT */
/* report.h - what a session was, at its end: a table for people or one JSON object. */
#ifndef MULTIFD_TOOL_REPORT_H
#define MULTIFD_TOOL_REPORT_H

#include "session_view.h"

#include <stdio.h>

/* Raised when a member of the JSON object is removed or gets another meaning. */
#define REPORT_VERSION 1

struct report {
    const char *command; /* "send" or "recv" */
    const char *address;
    size_t blocks;   /* RAM blocks */
    uint64_t memory; /* their bytes */
    struct multifd_statistics statistics;
    struct multifd_channel_statistics *channels; /* statistics.channels of them, owned */
    uint64_t cpu_ns;                             /* this process's processor time */
    const struct multifd_error *error;           /* NULL when the session is done */
};

/* Fills the counters from the session. Without memory for them the channels are left out. */
void report_collect(struct report *report, const struct session_view *view);

void report_clear(struct report *report);

/* Guest bytes for each byte on the wire; 0 when nothing has moved. */
double report_ratio(const struct multifd_statistics *statistics);

/* The JSON object as text without a final newline; the caller frees it. NULL without memory. */
char *report_json(const struct report *report);

/* The table. */
void report_table(const struct report *report, FILE *out);

/* Prints one of the two to stdout; complains on stderr when that does not work. */
void report_print(const struct report *report, bool json);

#endif
