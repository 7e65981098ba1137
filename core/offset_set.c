/* SPDX-License-Identifier: MIT */
#include "core/offset_set.h"

#include "core/base/error.h"

#include <stdlib.h>

/*
 * A hash table of twice the size with open addressing. An entry counts only if its stamp is that of
 * the current packet, so nothing is cleared between packets.
 */
struct entry {
    uint64_t offset;
    uint64_t stamp;
};

struct offset_set {
    uint64_t stamp;
    uint32_t shift; /* 64 - log2 of the number of entries */
    uint32_t mask;
    struct entry *entries;
};

struct offset_set *offset_set_new(uint32_t most, struct multifd_error *err)
{
    struct offset_set *set = calloc(1, sizeof(*set));
    uint32_t bits = 2;

    if (set == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    while ((1u << bits) < 2 * most) {
        bits++;
    }
    set->shift = 64 - bits;
    set->mask = (1u << bits) - 1;
    set->entries = calloc((size_t)1 << bits, sizeof(*set->entries));
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
    uint32_t at = (uint32_t)(offset * UINT64_C(0x9e3779b97f4a7c15) >> set->shift);

    while (set->entries[at].stamp == set->stamp) {
        if (set->entries[at].offset == offset) {
            return false;
        }
        at = (at + 1) & set->mask;
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
    for (uint32_t i = 0; i < num; i++) {
        if (!add(set, offsets[i])) {
            return true;
        }
    }
    return false;
}
