/* SPDX-License-Identifier: MIT */
/* option_parse - from an option's text to its value. */
#ifndef MULTIFD_OPTION_PARSE_H
#define MULTIFD_OPTION_PARSE_H

#include <stdbool.h>
#include <stdint.h>

/* A decimal number, with nothing around it. */
bool parse_count(const char *text, uint64_t *value);

/* Bytes: a number and K, M, G or T (powers of 1024), or nothing. */
bool parse_size(const char *text, uint64_t *value);

/* A time in nanoseconds: a number and us, ms, s or min, or nothing for seconds. */
bool parse_time(const char *text, uint64_t *value);

#endif
