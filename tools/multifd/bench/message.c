/* SPDX-License-Identifier: MIT */
#include "message.h"

#define STAMP_MAX 8u

/* The bytes before the pattern. */
static uint64_t head_of(uint64_t size)
{
    return size - 1 < STAMP_MAX ? size - 1 : STAMP_MAX;
}

/* Neither what memory holds at first nor of a period that divides a packet. */
static uint8_t pattern_at(uint64_t at)
{
    return (uint8_t)(at % 251 + 1);
}

void message_fill(uint8_t *bytes, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++) {
        bytes[i] = pattern_at(i);
    }
}

void message_stamp(uint8_t *bytes, uint64_t size, uint64_t number)
{
    for (uint64_t i = 0; i < head_of(size); i++) {
        bytes[i] = (uint8_t)(number >> (8 * i));
    }
    bytes[size - 1] = (uint8_t)number;
}

/* The writer of what is polled here is a device: nothing that ThreadSanitizer could know of. */
__attribute__((no_sanitize("thread"))) bool message_has_stamp(const volatile uint8_t *bytes,
                                                              uint64_t size, uint64_t number)
{
    uint64_t head = head_of(size);

    if (bytes[size - 1] != (uint8_t)number) {
        return false;
    }
    for (uint64_t i = 0; i < head; i++) {
        if (bytes[i] != (uint8_t)(number >> (8 * i))) {
            return false;
        }
    }
    return true;
}

bool message_is_filled(const uint8_t *bytes, uint64_t size)
{
    for (uint64_t i = head_of(size); i < size - 1; i++) {
        if (bytes[i] != pattern_at(i)) {
            return false;
        }
    }
    return true;
}
