/* SPDX-License-Identifier: MIT */
#include "core/zero_page/variants.h"

#include <stdint.h>

/* A word anywhere in memory of any type. */
typedef uint64_t __attribute__((may_alias, aligned(1))) word;

ZERO_PAGE_RACES bool zero_page_portable(const void *page, size_t length)
{
    const word *at = page;

    for (const word *end = at + length / sizeof(*at); at != end; at += 16) {
        uint64_t low = at[0] | at[1] | at[2] | at[3] | at[4] | at[5] | at[6] | at[7];
        uint64_t high = at[8] | at[9] | at[10] | at[11] | at[12] | at[13] | at[14] | at[15];

        if ((low | high) != 0) {
            return false;
        }
    }
    return true;
}

bool zero_page_has_always(void)
{
    return true;
}
