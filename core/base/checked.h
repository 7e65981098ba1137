/* SPDX-License-Identifier: MIT */
/* Range arithmetic that cannot overflow, and powers of two. */
#ifndef MULTIFD_BASE_CHECKED_H
#define MULTIFD_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

/* Whether [offset, offset + length) lies within [0, size). */
static inline bool range_within(uint64_t offset, uint64_t length, uint64_t size)
{
    return length <= size && offset <= size - length;
}

static inline bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static inline unsigned log2_of(uint64_t power_of_two)
{
    return (unsigned)__builtin_ctzll(power_of_two);
}

#endif
