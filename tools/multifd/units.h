/* SPDX-License-Identifier: MIT */
/* units.h - sizes, times and rates as people write and read them. */
#ifndef MULTIFD_TOOL_UNITS_H
#define MULTIFD_TOOL_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_TEXT 32

/* Reads a decimal number. Returns -1, and leaves *count alone, for anything else. */
int units_parse_count(const char *text, uint64_t *count);

/*
 * Reads "4096", "512M", "4G": a decimal number, then nothing or one of K M G T (powers of 1024,
 * either case). Returns -1, and leaves *size alone, for anything else and for what does not fit 64
 * bits.
 */
int units_parse_size(const char *text, uint64_t *size);

/*
 * Reads "500ms", "2": a decimal number, then us, ms, s or min, or nothing for seconds. Returns -1,
 * and leaves *nanoseconds alone, for anything else and for what does not fit 64 bits.
 */
int units_parse_time(const char *text, uint64_t *nanoseconds);

/* "512 B", "256.0 MiB": at most one decimal. */
void units_format_size(char text[UNITS_TEXT], uint64_t bytes);

/* "0.275 s", "12.3 s", "4 min 05 s". */
void units_format_seconds(char text[UNITS_TEXT], double seconds);

/* Bits per second in units of 10^9; 0 when no time has passed. */
double units_gigabits(uint64_t bytes, uint64_t nanoseconds);

#endif
