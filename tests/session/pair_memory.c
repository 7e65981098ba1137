/* SPDX-License-Identifier: MIT */
#include "pair_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Of the guards: at least the host's page size. */
#define GUARD 65536u

static uint64_t round_up(uint64_t length)
{
    return (length + GUARD - 1) / GUARD * GUARD;
}

/* The memory's end lies at the upper guard when its length is a multiple of the host's page size.
 */
static uint8_t *make(uint64_t length)
{
    uint8_t *all = mmap(NULL, round_up(length) + 2 * (size_t)GUARD, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (all == MAP_FAILED || mprotect(all + GUARD, length, PROT_READ | PROT_WRITE) != 0) {
        abort();
    }
    return all + GUARD;
}

static void destroy(uint8_t *memory, uint64_t length)
{
    munmap(memory - GUARD, round_up(length) + 2 * (size_t)GUARD);
}

uint8_t pair_pattern(uint32_t block, uint64_t offset)
{
    uint64_t word = (offset / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15) + block;

    return (uint8_t)(word >> (offset % 8 * 8));
}

static void fill(uint32_t number, struct pair_block *block)
{
    for (uint64_t i = 0; i < block->length; i++) {
        block->from[i] = pair_pattern(number, i);
    }
    memset(block->to, PAIR_OLD_BYTE, block->length);
}

static void protect(struct session_pair *pair, int protection)
{
    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        if (mprotect(pair->blocks[i].from, pair->blocks[i].length, protection) != 0) {
            abort();
        }
    }
}

void pair_memory_make(struct session_pair *pair)
{
    const struct pair_block_plan *plans = pair->plan.blocks;

    for (uint32_t i = 0; i < PAIR_BLOCKS_MAX && plans[i].name != NULL; i++) {
        struct pair_block *block = &pair->blocks[i];

        snprintf(block->name, sizeof(block->name), "%s", plans[i].name);
        block->length = plans[i].length;
        block->from = make(block->length);
        block->to = make(block->length);
        if (!pair->plan.blank) {
            fill(i, block);
        }
        pair->blocks_num++;
    }
    pair_read_only(pair);
}

void pair_memory_free(struct session_pair *pair)
{
    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        destroy(pair->blocks[i].from, pair->blocks[i].length);
        destroy(pair->blocks[i].to, pair->blocks[i].length);
    }
}

void pair_writable(struct session_pair *pair)
{
    protect(pair, PROT_READ | PROT_WRITE);
}

void pair_read_only(struct session_pair *pair)
{
    protect(pair, PROT_READ);
}

bool pair_equal(const struct session_pair *pair)
{
    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        const struct pair_block *block = &pair->blocks[i];

        if (memcmp(block->from, block->to, block->length) != 0) {
            return false;
        }
    }
    return true;
}

static bool is_old(const uint8_t *page, uint32_t page_size)
{
    for (uint32_t i = 0; i < page_size; i++) {
        if (page[i] != PAIR_OLD_BYTE) {
            return false;
        }
    }
    return true;
}

bool pair_pages_old_or_new(const struct session_pair *pair)
{
    uint32_t page_size = pair->plan.page_size;

    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        const struct pair_block *block = &pair->blocks[i];

        for (uint64_t at = 0; at < block->length; at += page_size) {
            if (memcmp(block->from + at, block->to + at, page_size) != 0 &&
                !is_old(block->to + at, page_size)) {
                return false;
            }
        }
    }
    return true;
}

bool pair_source_untouched(const struct session_pair *pair)
{
    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        const struct pair_block *block = &pair->blocks[i];

        for (uint64_t at = 0; at < block->length; at++) {
            if (block->from[at] != pair_pattern(i, at)) {
                return false;
            }
        }
    }
    return true;
}
