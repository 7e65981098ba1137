/* SPDX-License-Identifier: MIT */
#include "core/held_runs.h"

#include "core/base/error.h"
#include "core/zero_runs.h"

#include <multifd_method.h>
#include <stdlib.h>

int held_runs_init(struct held_runs *held, uint32_t page_size, uint32_t page_count,
                   struct multifd_error *err)
{
    *held = (struct held_runs){.page_size = page_size, .page_count = page_count};
    held->batch.offsets = calloc(page_count, sizeof(*held->batch.offsets));
    return held->batch.offsets == NULL ? error_set_nomem(err) : 0;
}

void held_runs_fini(struct held_runs *held)
{
    free(held->batch.offsets);
    held->batch.offsets = NULL;
}

bool held_runs_any(const struct held_runs *held)
{
    return held->batch.num != 0;
}

bool held_runs_due(const struct held_runs *held)
{
    const struct page_batch *batch = &held->batch;

    return batch->flags != 0 || batch->num == held->page_count ||
           batch->runs_pages == zero_runs_pages_max(held->page_size);
}

static bool fits(const struct held_runs *held, const struct page_batch *batch)
{
    const struct page_batch *mine = &held->batch;

    return mine->block == batch->block && mine->num + batch->num <= held->page_count &&
           mine->runs_pages + batch->runs_pages <= zero_runs_pages_max(held->page_size);
}

static void add(struct held_runs *held, const struct page_batch *batch)
{
    struct page_batch *mine = &held->batch;

    for (uint32_t i = 0; i < batch->num; i++) {
        mine->num = zero_runs_add(mine->offsets, mine->num, batch->offsets[i], held->page_size);
    }
    mine->block = batch->block;
    mine->runs_pages += batch->runs_pages;
    mine->zero_num = mine->num;
    mine->ready = true; /* zero pages need no registered memory */
}

bool held_runs_join(struct held_runs *held, const struct page_batch *batch)
{
    bool has_runs = batch->runs_pages != 0;

    if (has_runs ? held_runs_any(held) && !fits(held, batch)
                 : batch->num != 0 || !held_runs_any(held)) {
        return false;
    }
    if (has_runs) {
        add(held, batch);
    }
    held->batch.packet_num = batch->packet_num;
    held->batch.flags = batch->flags;
    held->batch.sync_channels = batch->sync_channels;
    return true;
}

void held_runs_clear(struct held_runs *held)
{
    held->batch.flags = 0;
    held->batch.num = 0;
    held->batch.zero_num = 0;
    held->batch.runs_pages = 0;
}
