/* SPDX-License-Identifier: MIT */
#include "core/block_page.h"

#include "core/zero_page.h"

#include <string.h>

void block_page_clear(const struct multifd_ram_block *block, uint64_t offset, uint32_t page_size)
{
    uint8_t *page = block->host + offset;

    if (block->received != NULL && !page_bitmap_has(block->received, offset)) {
        return;
    }
    if (!zero_page(page, page_size)) {
        memset(page, 0, page_size);
    }
}
