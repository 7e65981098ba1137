/* SPDX-License-Identifier: MIT */
/*
 * message.h - the content of a message that goes to and fro: its number stands in the first eight
 * bytes, as far as there are, and in the last, where a side that polls memory waits for it; a
 * pattern lies between.
 */
#ifndef MULTIFD_BENCH_MESSAGE_H
#define MULTIFD_BENCH_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

/* Writes the pattern to all of it. */
void message_fill(uint8_t *bytes, uint64_t size);

void message_stamp(uint8_t *bytes, uint64_t size, uint64_t number);

/* Whether it has that number; while it is being written, too. */
bool message_has_stamp(const volatile uint8_t *bytes, uint64_t size, uint64_t number);

/* Whether the pattern is there where no number is. */
bool message_is_filled(const uint8_t *bytes, uint64_t size);

#endif
