/* SPDX-License-Identifier: MIT */
/* stats.h - what --stats-interval prints: at regular times a line of JSON on stdout. */
#ifndef MULTIFD_TOOL_STATS_H
#define MULTIFD_TOOL_STATS_H

#include "report.h"

struct stats;

/*
 * Starts to print. `subject` is a report that says what does not change (command, blocks, memory);
 * it is copied. `view` and its session must live until stats_stop.
 */
struct stats *stats_start(const struct report *subject, const struct session_view *view,
                          uint64_t interval_ns, struct multifd_error *err);

/* No line comes any more but the last: before that one's counters are collected. Accepts NULL. */
void stats_hold(struct stats *stats);

/* Holds, prints the rest, up to `last`, and ends. Accepts NULL, sets to NULL. */
void stats_stop(struct stats **stats, const struct report *last);

#endif
