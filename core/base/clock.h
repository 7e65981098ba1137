/* SPDX-License-Identifier: MIT */
/* The monotonic clock in nanoseconds, and deadlines on it. */
#ifndef MULTIFD_BASE_CLOCK_H
#define MULTIFD_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)

static inline uint64_t clock_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static inline uint64_t clock_earlier(uint64_t left, uint64_t right)
{
    return left < right ? left : right;
}

/* Milliseconds left for poll(2), rounded up so that a wait never ends just before its deadline. */
static inline int clock_ms_between(uint64_t now_ns, uint64_t deadline_ns)
{
    uint64_t left;

    if (deadline_ns <= now_ns) {
        return 0;
    }
    left = (deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

static inline int clock_ms_until(uint64_t deadline_ns)
{
    return clock_ms_between(clock_now_ns(), deadline_ns);
}

#endif
