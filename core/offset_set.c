/* SPDX-License-Identifier: MIT */
#include "core/offset_set.h"

#include "core/base/error.h"

#include <stdlib.h>

/*
 * A hash table with open addressing, of which a packet uses as much as is twice its size: most
 * packets are far smaller than the largest, and stay in the cache. An entry counts only if its
 * stamp is that of the current packet, so nothing is cleared between packets.
 */
struct entry {
    uint64_t offset;
    uint64_t stamp;
};

struct offset_set {
    uint64_t stamp;
    uint32_t bits; /* log2 of the entries in use */
    struct entry *entries;
};

/* Of the entries for so many offsets. */
static uint32_t bits_for(uint32_t num)
{
    uint32_t bits = 2;

    while ((UINT64_C(1) << bits) < UINT64_C(2) * num) {
        bits++;
    }
    return bits;
}

struct offset_set *offset_set_new(uint32_t most, struct multifd_error *err)
{
    struct offset_set *set = calloc(1, sizeof(*set));

    if (set == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    set->entries = calloc((size_t)1 << bits_for(most), sizeof(*set->entries));
    if (set->entries == NULL) {
        free(set);
        error_set_nomem(err);
        return NULL;
    }
    return set;
}

void offset_set_delete(struct offset_set **set)
{
    if (*set == NULL) {
        return;
    }
    free((*set)->entries);
    free(*set);
    *set = NULL;
}

static bool ascending(const uint64_t *offsets, uint32_t num)
{
    for (uint32_t i = 1; i < num; i++) {
        if (offsets[i] <= offsets[i - 1]) {
            return false;
        }
    }
    return true;
}

/* Adds an offset; false when it is there already. */
static bool add(struct offset_set *set, uint64_t offset)
{
    /* Fibonacci hashing (Knuth, The Art of Computer Programming vol. 3, 6.4). */
    uint32_t at = (uint32_t)(offset * UINT64_C(0x9e3779b97f4a7c15) >> (64 - set->bits));
    uint32_t mask = (UINT32_C(1) << set->bits) - 1;

    while (set->entries[at].stamp == set->stamp) {
        if (set->entries[at].offset == offset) {
            return false;
        }
        at = (at + 1) & mask;
    }
    set->entries[at] = (struct entry){offset, set->stamp};
    return true;
}

bool offset_set_has_duplicate(struct offset_set *set, const uint64_t *offsets, uint32_t num)
{
    if (ascending(offsets, num)) {
        return false;
    }
    set->stamp++;
    set->bits = bits_for(num);
    for (uint32_t i = 0; i < num; i++) {
        if (!add(set, offsets[i])) {
            return true;
        }
    }
    return false;
}
