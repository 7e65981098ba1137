/* SPDX-License-Identifier: MIT */
#include "core/limiter.h"

#define NS_PER_S UINT64_C(1000000000)

/*
 * How far a channel that slept too long may catch up: sleeps end late by a millisecond or two, and
 * a pause of the guest's is not to be followed by a burst.
 */
#define CATCH_UP_NS (UINT64_C(10) * 1000000)

void limiter_init(struct limiter *limiter, uint64_t bytes_per_s)
{
    limiter->bytes_per_s = bytes_per_s;
    atomic_init(&limiter->due, 0);
}

uint64_t limiter_not_before(const struct limiter *limiter, uint64_t now_ns)
{
    uint64_t due;

    if (limiter->bytes_per_s == 0) {
        return 0;
    }
    due = atomic_load_explicit(&limiter->due, memory_order_relaxed);
    return due <= now_ns ? 0 : due;
}

void limiter_sent(struct limiter *limiter, uint64_t bytes, uint64_t now_ns)
{
    uint64_t earliest = now_ns > CATCH_UP_NS ? now_ns - CATCH_UP_NS : 0;
    uint64_t due = atomic_load_explicit(&limiter->due, memory_order_relaxed);
    uint64_t cost;
    uint64_t next;

    if (limiter->bytes_per_s == 0) {
        return;
    }
    /* In two steps: a packet of 1 GiB in nanoseconds of a slow rate still fits into 64 bits. */
    cost = bytes / limiter->bytes_per_s * NS_PER_S +
           bytes % limiter->bytes_per_s * NS_PER_S / limiter->bytes_per_s;
    do {
        /* The first packet of all starts the clock, without anything to catch up. */
        next = due == 0 ? now_ns : due < earliest ? earliest : due;
        next += cost;
    } while (!atomic_compare_exchange_weak_explicit(&limiter->due, &due, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}
