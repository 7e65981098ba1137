/* SPDX-License-Identifier: MIT */
/* offset_set - finds a page that a packet names twice. */
#ifndef MULTIFD_OFFSET_SET_H
#define MULTIFD_OFFSET_SET_H

#include <multifd_error.h>
#include <stdbool.h>
#include <stdint.h>

struct offset_set;

/* A set for up to `most` offsets at a time. NULL on error. */
struct offset_set *offset_set_new(uint32_t most, struct multifd_error *err);

/* Releases it, sets it to NULL; accepts NULL. */
void offset_set_delete(struct offset_set **set);

/*
 * Whether two of the offsets are equal. Ascending offsets, the usual case, cost one comparison
 * each.
 */
bool offset_set_has_duplicate(struct offset_set *set, const uint64_t *offsets, uint32_t num);

#endif
