/* SPDX-License-Identifier: MIT */
/*
 * report.h - what a session was, at its end: a table for people or a JSON object; and what it is
 * while it runs, as lines of JSON.
 */
#ifndef MULTIFD_TOOL_REPORT_H
#define MULTIFD_TOOL_REPORT_H

#include "session_view.h"

#include <stdio.h>

/* Raised when a member of a JSON object is removed or gets another meaning. */
#define REPORT_VERSION 1

struct report {
    const char *command; /* "send" or "recv" */
    const char *address;
    size_t blocks;   /* RAM blocks */
    uint64_t memory; /* their bytes */
    struct multifd_statistics statistics;
    struct multifd_channel_statistics *channels; /* statistics.channels of them, owned */
    uint64_t cpu_ns;                             /* this process's processor time, all of it */
    uint64_t taken_ns;                           /* when these were counted, CLOCK_MONOTONIC */
    const struct multifd_error *error;           /* NULL when the session is done */
};

/* This process's processor time so far. */
uint64_t report_processor_ns(void);

/* A line of a table: "  total         12.3 s". */
void report_print_time(FILE *out, const char *name, uint64_t nanoseconds);

/* Sets taken_ns to now. */
void report_stamp(struct report *report);

/* Fills the counters from the session. Without memory for them the channels are left out. */
void report_collect(struct report *report, const struct session_view *view);

void report_clear(struct report *report);

/* Guest bytes for each byte on the wire; 0 when nothing has moved. */
double report_ratio(const struct multifd_statistics *statistics);

/*
 * JSON objects as text without a final newline; the caller frees it. NULL without memory. The
 * report itself, on many lines or one:
 */
char *report_json(const struct report *report, bool one_line);
/* The counters as they are `now`, and what they have grown by since `before`, on one line. */
char *report_json_statistics(const struct report *now, const struct report *before);

/* One of the device's counters. */
struct report_counter {
    const char *name; /* in JSON */
    const char *text; /* for people */
    uint64_t value;
};

#define REPORT_COUNTERS 6

/* Fills in the device's counters that are known; returns their number. */
size_t report_device(const struct multifd_device_counters *device,
                     struct report_counter counters[REPORT_COUNTERS]);

/* The table. */
void report_table(const struct report *report, FILE *out);

enum report_form {
    REPORT_TABLE,
    REPORT_JSON,
    REPORT_JSON_LINE,
};

/* Prints it to stdout; complains on stderr when that does not work. */
void report_print(const struct report *report, enum report_form form);

#endif
