/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bench/bench_memory.h"

#include <multifd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, PAGES = 300 };

static int map_memory(void **state)
{
    static struct bench_memory memory;
    struct multifd_error err;

    *state = &memory;
    return bench_memory_map(&memory, (uint64_t)PAGES * PAGE, PAGE, &err);
}

static int unmap_memory(void **state)
{
    bench_memory_unmap(*state);
    bench_memory_unmap(*state);
    return 0;
}

static void no_page_is_zero_or_like_another(void **state)
{
    const struct bench_memory *memory = *state;

    bench_memory_fill(memory, 0);
    for (uint64_t i = 0; i < PAGES; i++) {
        assert_false(multifd_buffer_is_zero(memory->bytes + i * PAGE, PAGE));
        if (i > 0) {
            assert_memory_not_equal(memory->bytes + i * PAGE, memory->bytes, PAGE);
        }
    }
}

/* Whether the order has every page once. */
static void assert_complete(const struct bench_memory *memory, const uint64_t *order)
{
    bool seen[PAGES] = {false};

    for (uint64_t i = 0; i < PAGES; i++) {
        assert_int_equal(order[i] % PAGE, 0);
        assert_in_range(order[i], 0, memory->length - PAGE);
        assert_false(seen[order[i] / PAGE]);
        seen[order[i] / PAGE] = true;
    }
}

static void runs_do_not_adjoin(void **state)
{
    static const uint64_t runs[] = {1, 2, 7, 16, 64, 127};
    const struct bench_memory *memory = *state;
    struct multifd_error err;

    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        uint64_t *order = bench_memory_order(memory, runs[i], &err);
        uint64_t length = 1;

        assert_non_null(order);
        assert_complete(memory, order);
        for (uint64_t page = 1; page < PAGES; page++) {
            length = order[page] == order[page - 1] + PAGE ? length + 1 : 1;
            assert_in_range(length, 1, runs[i]);
        }
        free(order);
    }
}

static void whole_packets_are_in_order(void **state)
{
    static const uint64_t runs[] = {128, 200, 1000};
    const struct bench_memory *memory = *state;
    struct multifd_error err;

    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        uint64_t *order = bench_memory_order(memory, runs[i], &err);

        assert_non_null(order);
        for (uint64_t page = 0; page < PAGES; page++) {
            assert_int_equal(order[page], page * PAGE);
        }
        free(order);
    }
}

static void assert_different(const struct bench_memory *memory, uint64_t offset)
{
    struct multifd_error err;
    char expected[64];

    assert_int_equal(bench_memory_check(memory, 3, 9, &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_VERIFY);
    (void)snprintf(expected, sizeof(expected), "at offset %llu is not what was sent in pass 9",
                   (unsigned long long)(offset / PAGE * PAGE));
    assert_non_null(strstr(err.message, expected));
}

static void one_wrong_byte_is_found(void **state)
{
    static const uint64_t offsets[] = {
        0, 15, 16, PAGE / 2, PAGE - 1, 17L * PAGE + 100, (uint64_t)PAGES * PAGE - 1};
    const struct bench_memory *memory = *state;
    struct multifd_error err;

    bench_memory_fill(memory, 3);
    bench_memory_stamp(memory, 9);
    assert_int_equal(bench_memory_check(memory, 3, 9, &err), 0);
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        memory->bytes[offsets[i]] ^= 1;
        assert_different(memory, offsets[i]);
        memory->bytes[offsets[i]] ^= 1;
    }
    assert_int_equal(bench_memory_check(memory, 3, 9, &err), 0);
}

static void another_pass_or_seed_is_found(void **state)
{
    const struct bench_memory *memory = *state;
    struct multifd_error err;

    bench_memory_fill(memory, 3);
    bench_memory_stamp(memory, 9);
    assert_int_equal(bench_memory_check(memory, 0, 8, &err), -1);
    assert_int_equal(bench_memory_check(memory, 4, 9, &err), -1);
    assert_int_equal(bench_memory_check(memory, 0, 9, &err), 0); /* stamps only */
}

/* What stays of a page, in fresh memory or behind another fill, does not pass for what was sent. */
static void no_word_is_that_of_another_seed(void **state)
{
    static const uint64_t seeds[] = {0, 1, 2, 3, 4, 253};
    const struct bench_memory *memory = *state;
    uint64_t *before = malloc(memory->length);

    assert_non_null(before);
    for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        const uint64_t *words = (const uint64_t *)(const void *)memory->bytes;

        memcpy(before, words, memory->length);
        bench_memory_fill(memory, seeds[i]);
        for (uint64_t j = 0; j < memory->length / sizeof(*words); j++) {
            assert_int_not_equal(words[j], before[j]);
        }
    }
    free(before);
}

static void too_much_memory(void **state)
{
    struct bench_memory memory = {0};
    struct multifd_error err;

    (void)state;
    assert_int_equal(bench_memory_map(&memory, UINT64_C(1) << 62, PAGE, &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_SYSTEM);
    bench_memory_unmap(&memory);
}

#define with_memory(test) cmocka_unit_test_setup_teardown(test, map_memory, unmap_memory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_memory(no_page_is_zero_or_like_another),
        with_memory(runs_do_not_adjoin),
        with_memory(whole_packets_are_in_order),
        with_memory(one_wrong_byte_is_found),
        with_memory(another_pass_or_seed_is_found),
        with_memory(no_word_is_that_of_another_seed),
        cmocka_unit_test(too_much_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
