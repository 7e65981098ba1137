/* SPDX-License-Identifier: MIT */
/*
 * statistics - counters of the channels and times of the session. A counter has one writer, its
 * channel's thread; readers may come at any time and see a value that was true a moment ago.
 */
#ifndef MULTIFD_STATISTICS_H
#define MULTIFD_STATISTICS_H

#include <multifd.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "core/message.h"

typedef _Atomic uint64_t counter;

/* Counters of one channel, on cache lines of their own. */
struct channel_counters {
    alignas(64) counter guest_bytes;
    counter wire_bytes;
    counter normal_pages;
    counter zero_pages;
    counter packets;
    counter credit_stalls;
    counter queue_stalls;
    counter memory_stalls;
};

/* Times of a session; CLOCK_MONOTONIC in ns, 0 when not reached. */
struct session_times {
    counter setup_start;
    counter setup_end;
    counter first_page;
    counter last_sync;
    counter finish_end;
    counter sync_ns;
    counter syncs;
    counter verify_ns;
    counter registered_bytes;
    counter register_ns;
};

/* Adds to a counter of the calling thread's own. */
static inline void counter_add(counter *value, uint64_t amount)
{
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

static inline uint64_t counter_get(const counter *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static inline void counter_set(counter *value, uint64_t number)
{
    atomic_store_explicit(value, number, memory_order_relaxed);
}

/* Counts one packet. */
void channel_counters_add(struct channel_counters *counters, uint32_t normal, uint32_t zero,
                          uint32_t page_size, uint64_t wire_bytes);

/* Copies a channel's counters; the time of its thread is not among them. */
void channel_counters_read(const struct channel_counters *counters,
                           struct multifd_channel_statistics *out);

/* Adds a channel's counters to a session's. */
void statistics_add_channel(struct multifd_statistics *out,
                            const struct channel_counters *counters);

/* Fills in the times. */
void statistics_times(struct multifd_statistics *out, const struct session_times *times);

/* What both sides must have counted alike when a session finishes. */
void statistics_totals(const struct multifd_statistics *statistics, struct message_totals *totals);

#endif
