/* SPDX-License-Identifier: MIT */
#include "core/page_bitmap.h"

#include "core/base/error.h"

#include <stdatomic.h>
#include <stdlib.h>

#define WORD_SHIFT 6 /* 64 pages */

struct page_bitmap {
    uint32_t page_shift;
    _Atomic uint64_t words[];
};

struct page_bitmap *page_bitmap_new(uint64_t length, uint32_t page_shift, struct multifd_error *err)
{
    uint64_t words = ((length - 1) >> (page_shift + WORD_SHIFT)) + 1;
    struct page_bitmap *bitmap = calloc(1, sizeof(*bitmap) + words * sizeof(*bitmap->words));

    if (bitmap == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    bitmap->page_shift = page_shift;
    return bitmap;
}

void page_bitmap_delete(struct page_bitmap **bitmap)
{
    free(*bitmap);
    *bitmap = NULL;
}

/* Most pages were marked in a round before, and then nothing is written. */
static void mark_word(_Atomic uint64_t *word, uint64_t mask)
{
    if ((atomic_load_explicit(word, memory_order_relaxed) & mask) != mask) {
        atomic_fetch_or_explicit(word, mask, memory_order_relaxed);
    }
}

/* Neighbours, the usual case, are marked together. */
void page_bitmap_mark(struct page_bitmap *bitmap, const uint64_t *offsets, uint32_t num)
{
    uint32_t i = 0;

    while (i < num) {
        uint64_t word = offsets[i] >> (bitmap->page_shift + WORD_SHIFT);
        uint64_t mask = 0;

        for (; i < num && offsets[i] >> (bitmap->page_shift + WORD_SHIFT) == word; i++) {
            mask |= UINT64_C(1) << (offsets[i] >> bitmap->page_shift & 63);
        }
        mark_word(&bitmap->words[word], mask);
    }
}

bool page_bitmap_has(const struct page_bitmap *bitmap, uint64_t offset)
{
    uint64_t page = offset >> bitmap->page_shift;
    uint64_t word = atomic_load_explicit(&bitmap->words[page >> WORD_SHIFT], memory_order_relaxed);

    return (word >> (page & 63) & 1) != 0;
}
