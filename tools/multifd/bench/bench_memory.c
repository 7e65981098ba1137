/* SPDX-License-Identifier: MIT */
#include "bench_memory.h"

#include "fail.h"

#include <errno.h>
#include <multifd_method.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STAMP_WORDS 2u

#define FRESH    0xff
#define REPEATED (FRESH - 1)

int bench_memory_map(struct bench_memory *memory, uint64_t length, uint64_t page_size,
                     struct multifd_error *err)
{
    uint8_t *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (bytes == MAP_FAILED) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "mmap of %llu bytes: %s",
                         (unsigned long long)length, strerror(errno));
    }
    memset(bytes, FRESH, length);
    *memory = (struct bench_memory){.bytes = bytes, .length = length, .page_size = page_size};
    return 0;
}

void bench_memory_unmap(struct bench_memory *memory)
{
    if (memory->bytes != NULL) {
        (void)munmap(memory->bytes, memory->length);
    }
    *memory = (struct bench_memory){0};
}

/* xorshift64*: noise that no compressor shrinks, at the speed of memory. */
static uint64_t next_word(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static void fill_page(uint64_t *words, uint64_t page_size, uint64_t offset, uint64_t seed)
{
    uint64_t page = offset / page_size;
    uint64_t state =
        (page + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (seed + 1) * UINT64_C(0xbf58476d1ce4e5b9);
    uint64_t num = page_size / sizeof(*words);

    for (uint64_t i = 0; i < num / 2; i++) {
        words[i] = next_word(&state);
    }
    /* Neither 0 nor what fresh memory has, and another one for every seed up to REPEATED. */
    memset(words + num / 2, (int)(1 + (page + seed) % REPEATED), page_size / 2);
}

static uint64_t *page_at(const struct bench_memory *memory, uint64_t offset)
{
    return (uint64_t *)(void *)(memory->bytes + offset);
}

void bench_memory_fill(const struct bench_memory *memory, uint64_t seed)
{
    for (uint64_t offset = 0; offset < memory->length; offset += memory->page_size) {
        fill_page(page_at(memory, offset), memory->page_size, offset, seed);
    }
}

void bench_memory_stamp(const struct bench_memory *memory, uint64_t pass)
{
    for (uint64_t offset = 0; offset < memory->length; offset += memory->page_size) {
        page_at(memory, offset)[0] = pass;
        page_at(memory, offset)[1] = ~offset;
    }
}

bool bench_memory_is_filled(const struct bench_memory *memory, uint64_t offset, uint64_t seed,
                            uint64_t *expected)
{
    size_t stamp = STAMP_WORDS * sizeof(*expected);

    fill_page(expected, memory->page_size, offset, seed);
    return memcmp(memory->bytes + offset + stamp, (uint8_t *)expected + stamp,
                  memory->page_size - stamp) == 0;
}

int bench_memory_check(const struct bench_memory *memory, uint64_t seed, uint64_t pass,
                       struct multifd_error *err)
{
    uint64_t *expected = malloc(memory->page_size);
    int status = 0;

    if (expected == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    for (uint64_t offset = 0; status == 0 && offset < memory->length; offset += memory->page_size) {
        const uint64_t *page = page_at(memory, offset);

        if (page[0] != pass || page[1] != ~offset ||
            (seed != 0 && !bench_memory_is_filled(memory, offset, seed, expected))) {
            status = tool_fail(err, MULTIFD_ERROR_VERIFY,
                               "the page at offset %llu is not what was sent in pass %llu",
                               (unsigned long long)offset, (unsigned long long)pass);
        }
    }
    free(expected);
    return status;
}

uint64_t *bench_memory_order(const struct bench_memory *memory, uint64_t run,
                             struct multifd_error *err)
{
    uint64_t pages = memory->length / memory->page_size;
    uint64_t *order = calloc(pages, sizeof(*order));
    uint64_t used = 0;
    uint32_t packet = MULTIFD_PACKET_SIZE;
    uint64_t parts = run * memory->page_size < packet ? 2 : 1;

    if (order == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    for (uint64_t part = 0; part < parts; part++) {
        for (uint64_t first = part * run; first < pages; first += parts * run) {
            for (uint64_t page = first; page < pages && page < first + run; page++) {
                order[used++] = page * memory->page_size;
            }
        }
    }
    return order;
}
