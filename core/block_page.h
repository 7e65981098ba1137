/* SPDX-License-Identifier: MIT */
/* block_page - a page of a RAM block at the destination that is to be zero. */
#ifndef MULTIFD_BLOCK_PAGE_H
#define MULTIFD_BLOCK_PAGE_H

#include "core/ram_block.h"

/*
 * Makes a page zero. One that is already is not written to: it may never have been, and needs no
 * memory then. One of fresh memory that was never received is not even read, since reading a hole
 * of a file in memory fills it.
 */
void block_page_clear(const struct multifd_ram_block *block, uint64_t offset, uint32_t page_size);

#endif
