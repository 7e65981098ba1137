/* SPDX-License-Identifier: MIT */
#include "core/zero_page.h"

#include "core/zero_page/variants.h"
#include "test.h"

#include <multifd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#define SMALLEST (size_t)512
#define LARGEST  ((size_t)2 << 20)

/* Zeros between two guard pages: whoever reads outside of them is killed. */
struct guarded {
    uint8_t *mapping;
    uint8_t *bytes;
    size_t length;
    size_t guard;
};

static struct guarded guarded_of(size_t length)
{
    struct guarded memory = {.length = length, .guard = (size_t)sysconf(_SC_PAGESIZE)};

    memory.mapping =
        mmap(NULL, length + 2 * memory.guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory.mapping, MAP_FAILED);
    memory.bytes = memory.mapping + memory.guard;
    assert_int_equal(mprotect(memory.bytes, length, PROT_READ | PROT_WRITE), 0);
    return memory;
}

static void release(struct guarded *memory)
{
    assert_int_equal(munmap(memory->mapping, memory->length + 2 * memory->guard), 0);
}

/* Calls check with each variant that this CPU can run, zero_page itself, by its public name, being
 * the first. */
static void for_each_variant(void (*check)(const struct zero_page_variant *variant))
{
    const struct zero_page_variant chosen = {"chosen", multifd_buffer_is_zero,
                                             zero_page_has_always};
    size_t num;
    const struct zero_page_variant *variants = zero_page_variants(&num);

    check(&chosen);
    for (size_t i = 0; i < num; i++) {
        if (variants[i].supported()) {
            check(&variants[i]);
        } else {
            print_message("%s: not on this CPU\n", variants[i].name);
        }
    }
}

static void expect(const struct zero_page_variant *variant, const uint8_t *page, size_t length,
                   bool zero)
{
    if (variant->scan(page, length) != zero) {
        fail_msg("%s: a page of %zu bytes at %p is%s zero", variant->name, length,
                 (const void *)page, zero ? "" : " not");
    }
}

static void check_zeros(const struct zero_page_variant *variant)
{
    for (size_t length = SMALLEST; length <= LARGEST; length *= 2) {
        struct guarded memory = guarded_of(length < 4096 ? 4096 : length);

        expect(variant, memory.bytes, length, true);
        expect(variant, memory.bytes + memory.length - length, length, true);
        release(&memory);
    }
}

/* One bit of the byte at `position`, another one at each position, is found. */
static void expect_bit_found(const struct zero_page_variant *variant, uint8_t *page, size_t length,
                             size_t position)
{
    page[position] = (uint8_t)(1u << (position + position / 8) % 8);
    expect(variant, page, length, false);
    page[position] = 0;
}

static void check_every_byte(const struct zero_page_variant *variant)
{
    struct guarded memory = guarded_of(4096);

    for (size_t position = 0; position < memory.length; position++) {
        expect_bit_found(variant, memory.bytes, memory.length, position);
    }
    expect(variant, memory.bytes, memory.length, true);
    release(&memory);
}

static void check_every_bit(const struct zero_page_variant *variant)
{
    struct guarded memory = guarded_of(4096);

    for (size_t bit = 0; bit < 8 * SMALLEST; bit++) {
        memory.bytes[bit / 8] = (uint8_t)(1u << bit % 8);
        expect(variant, memory.bytes, SMALLEST, false);
        memory.bytes[bit / 8] = 0;
    }
    release(&memory);
}

static void check_large_pages(const struct zero_page_variant *variant)
{
    for (size_t length = 8192; length <= LARGEST; length *= 2) {
        struct guarded memory = guarded_of(length);

        for (size_t position = 0; position < length; position += length / 61) {
            expect_bit_found(variant, memory.bytes, length, position);
        }
        expect_bit_found(variant, memory.bytes, length, length - 1);
        release(&memory);
    }
}

/* What lies around a page does not count. */
static void check_neighbours(const struct zero_page_variant *variant)
{
    struct guarded memory = guarded_of(3 * 4096);

    memset(memory.bytes, 0xff, memory.length);
    memset(memory.bytes + 4096, 0, 4096);
    for (size_t length = SMALLEST; length <= 4096; length *= 2) {
        for (size_t at = 4096; at < 8192; at += length) {
            expect(variant, memory.bytes + at, length, true);
        }
    }
    release(&memory);
}

/* Guests' pages are seldom aligned to their size, and a block may begin anywhere. */
static void check_unaligned(const struct zero_page_variant *variant)
{
    struct guarded memory = guarded_of((size_t)64 << 10);
    size_t length = memory.length / 4;

    for (size_t at = 4096; at + length <= memory.length; at += 4096) {
        expect(variant, memory.bytes + at, length, true);
        expect_bit_found(variant, memory.bytes + at, length, length - 1);
    }
    for (size_t at = 0; at < 64; at++) {
        memory.bytes[at + 4096] = 1;
        expect(variant, memory.bytes + at, 4096, true);
        expect_bit_found(variant, memory.bytes + at, 4096, 4095);
        memory.bytes[at + 4096] = 0;
    }
    release(&memory);
}

/* Mostly zero, so that what is not comes late or never. */
static bool fill_sparsely(struct guarded *memory, uint64_t *state)
{
    bool zero = true;

    memset(memory->bytes, 0, memory->length);
    for (int i = 0; i < 3; i++) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        memory->bytes[*state >> 32 & (memory->length - 1)] = (uint8_t)(*state >> 56 & 1);
    }
    for (size_t i = 0; i < memory->length; i++) {
        zero = zero && memory->bytes[i] == 0;
    }
    return zero;
}

static void check_random(const struct zero_page_variant *variant)
{
    struct guarded memory = guarded_of(4096);
    uint64_t state = 1; /* the same pages for each variant */
    unsigned zero_pages = 0;

    for (int i = 0; i < 2000; i++) {
        bool zero = fill_sparsely(&memory, &state);

        zero_pages += zero;
        expect(variant, memory.bytes, memory.length, zero);
    }
    assert_in_range(zero_pages, 100, 1900);
    release(&memory);
}

struct writer {
    pthread_t thread;
    atomic_bool stop;
    struct guarded memory;
};

/* A guest that does not know that it is watched: its last byte is never zero, all others change. */
static void *write_on(void *arg)
{
    struct writer *writer = arg;
    uint8_t value = 0;

    while (!atomic_load(&writer->stop)) {
        memset(writer->memory.bytes, value++, writer->memory.length - 1);
    }
    return NULL;
}

/* Under TSan this shows that the scan's races are known to it. */
static void check_written_meanwhile(const struct zero_page_variant *variant)
{
    struct writer writer = {.memory = guarded_of(4096)};

    writer.memory.bytes[writer.memory.length - 1] = 1;
    assert_int_equal(pthread_create(&writer.thread, NULL, write_on, &writer), 0);
    for (int i = 0; i < 20000; i++) {
        expect(variant, writer.memory.bytes, writer.memory.length, false);
    }
    atomic_store(&writer.stop, true);
    assert_int_equal(pthread_join(writer.thread, NULL), 0);
    release(&writer.memory);
}

#define VARIANT_TEST(name)                                                                         \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        for_each_variant(check_##name);                                                            \
    }

VARIANT_TEST(zeros)
VARIANT_TEST(every_byte)
VARIANT_TEST(every_bit)
VARIANT_TEST(large_pages)
VARIANT_TEST(neighbours)
VARIANT_TEST(unaligned)
VARIANT_TEST(random)
VARIANT_TEST(written_meanwhile)

/* Which one depends on the CPU, and on what a sanitizer makes of each. */
static void one_that_is_supported_is_chosen(void **state)
{
    size_t num;
    const struct zero_page_variant *variants = zero_page_variants(&num);
    size_t chosen = 0;

    (void)state;
    while (chosen < num && strcmp(variants[chosen].name, zero_page_variant()) != 0) {
        chosen++;
    }
    assert_in_range(chosen, 0, num - 1);
    assert_true(variants[chosen].supported());
    assert_string_equal(multifd_buffer_is_zero_variant(), variants[chosen].name);
    assert_string_equal(variants[num - 1].name, "portable");
    assert_true(variants[num - 1].supported());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeros),
        cmocka_unit_test(every_byte),
        cmocka_unit_test(every_bit),
        cmocka_unit_test(large_pages),
        cmocka_unit_test(neighbours),
        cmocka_unit_test(unaligned),
        cmocka_unit_test(random),
        cmocka_unit_test(written_meanwhile),
        cmocka_unit_test(one_that_is_supported_is_chosen),
    };

    return cmocka_run_group_tests_name("core/zero_page", tests, NULL, NULL);
}
