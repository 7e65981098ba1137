/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ROUND_SHIFT 40
#define PAGE_SHIFT  16

static uint64_t place_of(uint32_t page, uint32_t word)
{
    return (uint64_t)page << PAGE_SHIFT | word;
}

uint32_t guest_round_of(uint64_t word)
{
    return (uint32_t)(word >> ROUND_SHIFT);
}

static uint32_t words_of_page(const struct guest *guest)
{
    return guest->page_size / (uint32_t)sizeof(uint64_t);
}

size_t guest_length(const struct guest *guest)
{
    return (size_t)guest->pages * guest->page_size;
}

struct guest *guest_new(uint32_t pages, uint32_t page_size)
{
    struct guest *guest = calloc(1, sizeof(*guest));
    void *memory = mmap(NULL, (size_t)pages * page_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    atomic_bool *dirty = calloc(pages, sizeof(*dirty));

    if (guest == NULL || memory == MAP_FAILED || dirty == NULL) {
        perror("guest");
        exit(1);
    }
    guest->words = memory;
    guest->dirty = dirty;
    guest->pages = pages;
    guest->page_size = page_size;
    return guest;
}

void guest_delete(struct guest **guest)
{
    if (*guest == NULL) {
        return;
    }
    (void)munmap((void *)(*guest)->words, guest_length(*guest));
    free((*guest)->dirty);
    free(*guest);
    *guest = NULL;
}

static void write_words(struct guest *guest, uint32_t page, uint32_t first, uint32_t count,
                        uint32_t round)
{
    _Atomic uint64_t *words = guest->words + (size_t)page * words_of_page(guest);

    for (uint32_t i = first; i < first + count; i++) {
        atomic_store_explicit(&words[i], (uint64_t)round << ROUND_SHIFT | place_of(page, i),
                              memory_order_relaxed);
    }
}

void guest_write_all(struct guest *guest, uint32_t round)
{
    for (uint32_t page = 0; page < guest->pages; page++) {
        write_words(guest, page, 0, words_of_page(guest), round);
    }
}

/* Marked after the write: a mark taken too early would leave the write unsent. */
void guest_write(struct guest *guest, uint32_t page, uint32_t first, uint32_t count, uint32_t round)
{
    write_words(guest, page, first, count, round);
    atomic_store(&guest->dirty[page], true);
}

bool guest_take_dirty(struct guest *guest, uint32_t page)
{
    return atomic_exchange(&guest->dirty[page], false);
}

static bool is_right(uint64_t value, uint32_t page, uint32_t word, uint32_t least, uint32_t most)
{
    uint32_t round = guest_round_of(value);

    return (value & ((UINT64_C(1) << ROUND_SHIFT) - 1)) == place_of(page, word) && round >= least &&
           round <= most;
}

bool guest_page_is_whole(const _Atomic uint64_t *words, uint32_t page, uint32_t page_size,
                         uint32_t least, uint32_t most)
{
    uint32_t round = guest_round_of(atomic_load_explicit(&words[0], memory_order_relaxed));

    if (round < least || round > most) {
        return false;
    }
    for (uint32_t i = 0; i < page_size / sizeof(uint64_t); i++) {
        if (!is_right(atomic_load_explicit(&words[i], memory_order_relaxed), page, i, round,
                      round)) {
            return false;
        }
    }
    return true;
}

bool guest_find_fault(const struct guest *guest, uint32_t least, uint32_t most,
                      struct guest_fault *fault)
{
    const _Atomic uint64_t *words = guest->words;

    for (uint32_t page = 0; page < guest->pages; page++) {
        for (uint32_t i = 0; i < words_of_page(guest); i++) {
            uint64_t value = atomic_load_explicit(words++, memory_order_relaxed);
            if (!is_right(value, page, i, least, most)) {
                *fault = (struct guest_fault){page, i, value};
                return true;
            }
        }
    }
    return false;
}
