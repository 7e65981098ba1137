/* SPDX-License-Identifier: MIT */
/*
 * guest - memory in which every word says which page it is of, which word of the page, and in which
 * round it was written, so that old data and misplaced data show.
 */
#ifndef LAB_GUEST_H
#define LAB_GUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest {
    _Atomic uint64_t *words;
    atomic_bool *dirty; /* of each page: written since guest_take_dirty */
    uint32_t pages;
    uint32_t page_size;
};

/* Rounds and words must fit their bits in a word. */
#define GUEST_ROUNDS_MAX    0xffffffu
#define GUEST_PAGES_MAX     0xffffffu
#define GUEST_PAGE_SIZE_MAX (512u * 1024u)

/* Zeroed memory; ends the program when there is none. */
struct guest *guest_new(uint32_t pages, uint32_t page_size);
void guest_delete(struct guest **guest);

size_t guest_length(const struct guest *guest);

/* Writes every page, as of that round. */
void guest_write_all(struct guest *guest, uint32_t round);

/* Writes `count` words of a page from word `first` on, then marks the page. */
void guest_write(struct guest *guest, uint32_t page, uint32_t first, uint32_t count,
                 uint32_t round);

/* Whether the page was written since the last call. */
bool guest_take_dirty(struct guest *guest, uint32_t page);

/* What is wrong with a word that is not as it must be. */
struct guest_fault {
    uint32_t page;
    uint32_t word;
    uint64_t value;
};

/* Whether a page's words are all in place, and all of one round from `least` to `most`. */
bool guest_page_is_whole(const _Atomic uint64_t *words, uint32_t page, uint32_t page_size,
                         uint32_t least, uint32_t most);

/* Finds the first word that is not in place or of no round from `least` to `most`. */
bool guest_find_fault(const struct guest *guest, uint32_t least, uint32_t most,
                      struct guest_fault *fault);

/* The round in a word. */
uint32_t guest_round_of(uint64_t word);

#endif
