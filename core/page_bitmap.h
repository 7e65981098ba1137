/* SPDX-License-Identifier: MIT */
/*
 * page_bitmap - which pages of a RAM block have been received: memory that is fresh, that is all
 * zero and never touched, need not be looked at for a zero page that comes first.
 *
 * Channels mark pages that share a word at the same time, hence the atomic access. A page is one
 * channel's in a round. Another channel that asks for it in a later round sees the mark, since the
 * sync between the rounds orders all that the first did before all that the second does; relaxed
 * access is enough.
 */
#ifndef MULTIFD_PAGE_BITMAP_H
#define MULTIFD_PAGE_BITMAP_H

#include <multifd_error.h>
#include <stdbool.h>
#include <stdint.h>

struct page_bitmap;

/* A bitmap for a block of `length` bytes in pages of 2^page_shift, none marked. NULL on error. */
struct page_bitmap *page_bitmap_new(uint64_t length, uint32_t page_shift,
                                    struct multifd_error *err);

/* Releases it, sets it to NULL; accepts NULL. */
void page_bitmap_delete(struct page_bitmap **bitmap);

/* Marks the pages at these offsets. */
void page_bitmap_mark(struct page_bitmap *bitmap, const uint64_t *offsets, uint32_t num);

/* Whether the page at that offset was marked. */
bool page_bitmap_has(const struct page_bitmap *bitmap, uint64_t offset);

#endif
