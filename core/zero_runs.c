/* SPDX-License-Identifier: MIT */
#include "core/zero_runs.h"

#define RUNS_BYTES_MAX (16u * 1024u * 1024u)

uint32_t zero_runs_pages_max(uint32_t page_size)
{
    return page_size >= RUNS_BYTES_MAX ? 1 : RUNS_BYTES_MAX / page_size;
}

static uint64_t first_of(uint64_t run, uint32_t page_size)
{
    return run & ~(uint64_t)(page_size - 1);
}

/* At most as many as a page has bytes. */
static uint32_t pages_of(uint64_t run, uint32_t page_size)
{
    return (uint32_t)(run & (page_size - 1)) + 1;
}

uint32_t zero_runs_add(uint64_t *runs, uint32_t num, uint64_t run, uint32_t page_size)
{
    if (num != 0) {
        uint64_t last = runs[num - 1];
        uint32_t before = pages_of(last, page_size);
        uint32_t pages = pages_of(run, page_size);

        if (pages <= page_size - before &&
            first_of(run, page_size) == first_of(last, page_size) + (uint64_t)before * page_size) {
            runs[num - 1] += pages;
            return num;
        }
    }
    runs[num] = run;
    return num + 1;
}

uint32_t zero_runs_make(uint64_t *offsets, uint32_t num, uint32_t page_size)
{
    uint32_t runs = 0;

    for (uint32_t i = 0; i < num; i++) {
        runs = zero_runs_add(offsets, runs, offsets[i], page_size);
    }
    return runs;
}

uint64_t zero_runs_count(const uint64_t *runs, uint32_t num, uint32_t page_size)
{
    uint64_t pages = 0;

    for (uint32_t i = 0; i < num; i++) {
        pages += pages_of(runs[i], page_size);
    }
    return pages;
}

/* From the end: a run has at least one page, so none is overwritten before it is read. */
void zero_runs_expand(uint64_t *runs, uint32_t num, uint32_t page_size)
{
    uint64_t end = zero_runs_count(runs, num, page_size);

    while (num-- != 0) {
        uint64_t run = runs[num];
        uint32_t pages = pages_of(run, page_size);

        end -= pages;
        for (uint32_t i = 0; i < pages; i++) {
            runs[end + i] = first_of(run, page_size) + (uint64_t)i * page_size;
        }
    }
}
