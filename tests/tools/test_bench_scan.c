/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bench/plain_read.h"
#include "bench/scan.h"
#include "bench/slices.h"

#include <string.h>

enum { PAGE = 4096, PAGES = 20 };

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
    return 0;
}

/* ---- Plain reads ---- */

static void each_read_looks_everywhere(void **state)
{
    const struct bench_memory *memory = *state;

    memset(memory->bytes, 0, memory->length);
    assert_true(plain_reads[0].supported());
    for (const struct plain_read *plain = plain_reads; plain->name != NULL; plain++) {
        if (!plain->supported()) {
            continue;
        }
        assert_true(plain->read(memory->bytes, memory->length));
        for (size_t at = 0; at < PAGE; at++) {
            memory->bytes[at] = 1;
            if (plain->read(memory->bytes, PAGE)) {
                fail_msg("%s does not see byte %zu", plain->name, at);
            }
            memory->bytes[at] = 0;
        }
        memory->bytes[PAGE] = 1; /* not its business */
        assert_true(plain->read(memory->bytes, PAGE));
        memory->bytes[PAGE] = 0;
    }
}

/* ---- Slices ---- */

/* Marks each byte that it is given. */
static bool mark(const void *opaque, const uint8_t *bytes, uint64_t length)
{
    const struct bench_memory *memory = opaque;

    for (uint64_t i = 0; i < length; i++) {
        memory->bytes[(size_t)(bytes - memory->bytes) + i]++;
    }
    return length % PAGE == 0;
}

static void slices_are_all_of_it_once(void **state)
{
    static const uint64_t threads[] = {1, 2, 3, 7, PAGES};
    struct bench_memory *memory = *state;

    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
        struct multifd_error err;
        struct slices *slices = slices_new(memory, threads[i], &err);
        uint64_t ns = 0;

        assert_non_null(slices);
        memset(memory->bytes, 0, memory->length);
        for (uint8_t round = 1; round <= 3; round++) {
            assert_true(slices_read(slices, mark, memory, &ns));
            for (uint64_t at = 0; at < memory->length; at++) {
                assert_int_equal(memory->bytes[at], round);
            }
        }
        slices_delete(&slices);
        assert_null(slices);
        slices_delete(&slices);
    }
}

static bool is_not_last(const void *opaque, const uint8_t *bytes, uint64_t length)
{
    const struct bench_memory *memory = opaque;

    return bytes + length != memory->bytes + memory->length;
}

static void one_slice_that_is_not_zero(void **state)
{
    struct bench_memory *memory = *state;
    struct multifd_error err;
    struct slices *slices = slices_new(memory, 4, &err);
    uint64_t ns = 0;

    assert_non_null(slices);
    assert_false(slices_read(slices, is_not_last, memory, &ns));
    slices_delete(&slices);
}

static void more_threads_than_pages(void **state)
{
    struct multifd_error err;

    assert_null(slices_new(*state, PAGES + 1, &err));
    assert_string_equal(err.message, "option threads: more than there are pages");
}

/* ---- All of it ---- */

static void measures(void **state)
{
    json_t *choices = json_loads("{\"memory\":\"1M\",\"threads\":\"2\",\"repeat\":\"3\"}", 0, NULL);
    json_t *row = json_object();
    struct multifd_error err = {0};
    struct bench_case bench;

    (void)state;
    assert_int_equal(bench_case_init(&bench, choices, &err), 0);
    assert_int_equal(measurement_scan.run(&bench, NULL, row, &err), 0);
    assert_string_equal(json_string_value(json_object_get(row, "variant")),
                        multifd_buffer_is_zero_variant());
    assert_true(json_real_value(json_object_get(json_object_get(row, "ratio"), "min")) > 0);
    assert_true(json_real_value(json_object_get(json_object_get(row, "scan_gbps"), "median")) > 0);
    assert_true(json_real_value(json_object_get(json_object_get(row, "read_gbps"), "max")) > 0);
    bench_case_clear(&bench);
    json_decref(row);
    json_decref(choices);
}

#define with_memory(test) cmocka_unit_test_setup_teardown(test, map_memory, unmap_memory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_memory(each_read_looks_everywhere),
        with_memory(slices_are_all_of_it_once),
        with_memory(one_slice_that_is_not_zero),
        with_memory(more_threads_than_pages),
        cmocka_unit_test(measures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
