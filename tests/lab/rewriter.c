/* SPDX-License-Identifier: MIT */
/*
 * rewriter.c - the first and only process of a guest that is migrated while it runs.
 *
 * Of each of its pages it knows the generation, which says what all of the page must be. It looks
 * at every page again and again, writes the next generation into some of them, and tells of every
 * page that is not as it should be: one that was lost, came too late, or is half of one generation
 * and half of another. What a page is full of depends on its number and its generation.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE_WORDS 512u
#define PAGES      6144u
#define BATCH      256u /* pages, after which the flipping ones have their turn */
#define FLIPPING   640u /* pages, the first ones */
#define SLOW       8u   /* looks at a page of the slow kind until it is written again */
#define PAUSE_US   5000
#define LINES      50u /* of mismatches, at most */
#define ODD_64     0x9e3779b97f4a7c15u

/* Beside each other, so that what is sent of a round lies scattered. */
enum kind {
    COLD,   /* written once: a stale copy is from before the guest's time */
    SLOWLY, /* every now and then */
    HOT,    /* each time */
    FLIP,   /* full of zeros and not, in turns, many times in each round of a migration */
};

static uint64_t (*memory)[PAGE_WORDS];
static uint32_t generations[PAGES];
static unsigned mismatches;

static enum kind kind_of(uint32_t page)
{
    if (page < FLIPPING) {
        return FLIP;
    }
    if (page % 16 < 10) {
        return COLD;
    }
    return page % 16 < 15 ? SLOWLY : HOT;
}

/* Of the word at the page's beginning; 0 for a page that is full of zeros. */
static uint64_t seed_of(uint32_t page)
{
    uint64_t seed = ((uint64_t)generations[page] << 32 | page) * ODD_64;

    if (generations[page] % 2 == 1 && (kind_of(page) == FLIP || page % 32 == 31)) {
        return 0;
    }
    return (seed ^ seed >> 29) | 1;
}

static uint64_t word_of(uint64_t seed, uint32_t word)
{
    return seed == 0 ? 0 : seed + word * ODD_64;
}

static void write_page(uint32_t page)
{
    uint64_t seed = seed_of(page);

    for (uint32_t word = 0; word < PAGE_WORDS; word++) {
        memory[page][word] = word_of(seed, word);
    }
}

static void report(uint32_t page, uint64_t seed)
{
    uint32_t first = 0;
    uint32_t wrong = 0;

    for (uint32_t word = PAGE_WORDS; word-- > 0;) {
        if (memory[page][word] != word_of(seed, word)) {
            first = word;
            wrong++;
        }
    }
    if (mismatches++ < LINES) {
        printf("MISMATCH: page %u, generation %u: %u words, word %u is %016llx, not %016llx\n",
               page, generations[page], wrong, first, (unsigned long long)memory[page][first],
               (unsigned long long)word_of(seed, first));
    }
}

/* A page that is wrong is made right, so that it is told once. */
static void check_page(uint32_t page)
{
    uint64_t seed = seed_of(page);
    uint64_t different = 0;

    for (uint32_t word = 0; word < PAGE_WORDS; word++) {
        different |= memory[page][word] ^ word_of(seed, word);
    }
    if (different != 0) {
        report(page, seed);
        write_page(page);
    }
}

/*
 * QEMU 7.2 in software emulation does not see the writes that go through what its TLB holds since
 * before it looked for dirty pages last. The kernel, with page tables of its own (pti=on), empties
 * that TLB at each system call.
 */
static void empty_tlb(void)
{
    (void)getppid();
}

static void rewrite_page(uint32_t page)
{
    generations[page]++;
    write_page(page);
    if (page % 4 == 3) {
        empty_tlb();
    }
}

static void flip_pages(void)
{
    for (uint32_t page = 0; page < FLIPPING; page++) {
        check_page(page);
        rewrite_page(page);
    }
}

/* One look at every page. */
static void look(uint32_t turn)
{
    const struct timespec pause = {.tv_nsec = PAUSE_US * 1000};

    for (uint32_t page = FLIPPING; page < PAGES; page++) {
        check_page(page);
        if (kind_of(page) == HOT || (kind_of(page) == SLOWLY && (page / 16 + turn) % SLOW == 0)) {
            rewrite_page(page);
        }
        if (page % BATCH == 0) {
            flip_pages();
            (void)nanosleep(&pause, NULL);
        }
    }
}

int main(void)
{
    memory = mmap(NULL, sizeof(*memory) * PAGES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        printf("no memory: %s\n", strerror(errno));
        return 1;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (uint32_t page = 0; page < PAGES; page++) {
        rewrite_page(page);
    }
    for (uint32_t turn = 1;; turn++) {
        look(turn);
        printf("look %u: %u pages, %u mismatches\n", turn, PAGES, mismatches);
    }
}
