/* SPDX-License-Identifier: MIT */
#include "core/zero_runs.h"
#include "test.h"

#define PAGE UINT64_C(4096)

/* Adds pages, named by their numbers, to `runs`. */
static uint32_t add(uint64_t *runs, const uint32_t *pages, uint32_t num)
{
    uint32_t runs_num = 0;

    for (uint32_t i = 0; i < num; i++) {
        runs_num = zero_runs_add(runs, runs_num, pages[i] * PAGE, PAGE);
    }
    return runs_num;
}

static void only_neighbours_that_ascend_make_a_run(void **state)
{
    static const uint32_t pages[] = {4, 5, 6, 8, 7, 3, 9, 10, 9, 0};
    uint64_t runs[COUNT_OF(pages)];

    (void)state;
    assert_int_equal(add(runs, pages, COUNT_OF(pages)), 7);
    assert_int_equal(runs[0], 4 * PAGE + 2);
    assert_int_equal(runs[1], 8 * PAGE);
    assert_int_equal(runs[2], 7 * PAGE);
    assert_int_equal(runs[3], 3 * PAGE);
    assert_int_equal(runs[4], 9 * PAGE + 1);
    assert_int_equal(runs[5], 9 * PAGE);
    assert_int_equal(runs[6], 0);
    assert_int_equal(zero_runs_count(runs, 7, PAGE), COUNT_OF(pages));
}

/* A run's length has as many bits as a page's offset has below the page size. */
static void a_run_ends_where_its_length_does(void **state)
{
    uint64_t runs[3];
    uint32_t num = 0;

    (void)state;
    for (uint32_t i = 0; i < 2 * PAGE + 1; i++) {
        num = zero_runs_add(runs, num, (i + 7) * PAGE, PAGE);
        assert_int_equal(num, i / PAGE + 1);
    }
    assert_int_equal(runs[0], 7 * PAGE + PAGE - 1);
    assert_int_equal(runs[1], (7 + PAGE) * PAGE + PAGE - 1);
    assert_int_equal(runs[2], (7 + 2 * PAGE) * PAGE);
    assert_int_equal(zero_runs_count(runs, num, PAGE), 2 * PAGE + 1);
}

static void runs_are_added_as_pages_are(void **state)
{
    uint64_t runs[4] = {2 * PAGE + 1};

    (void)state;
    assert_int_equal(zero_runs_add(runs, 1, 4 * PAGE + 5, PAGE), 1);
    assert_int_equal(runs[0], 2 * PAGE + 7);
    assert_int_equal(zero_runs_add(runs, 1, 10 * PAGE + PAGE - 8, PAGE), 2); /* one too many */
    assert_int_equal(zero_runs_add(runs, 1, 10 * PAGE + PAGE - 9, PAGE), 1);
    assert_int_equal(runs[0], 2 * PAGE + PAGE - 1);
    assert_int_equal(zero_runs_add(runs, 1, (2 + PAGE) * PAGE, PAGE), 2); /* a run is full */
}

/* Each choice of neighbours, there and back in place. */
static void what_is_made_can_be_undone(void **state)
{
    enum { PAGES = 10 };

    (void)state;
    for (uint32_t mask = 0; mask < 1u << PAGES; mask++) {
        uint64_t offsets[PAGES + 1] = {[PAGES] = 77};
        uint64_t runs[PAGES + 1];
        uint64_t at = 5;
        uint32_t num;

        for (uint32_t i = 0; i < PAGES; i++) {
            at += (mask >> i & 1) != 0 ? 1 : 3;
            offsets[i] = at * PAGE;
        }
        memcpy(runs, offsets, sizeof(runs));
        num = zero_runs_make(runs, PAGES, PAGE);
        assert_int_equal(num, PAGES - (uint32_t)__builtin_popcount(mask >> 1));
        zero_runs_expand(runs, num, PAGE);
        assert_memory_equal(runs, offsets, sizeof(runs));
    }
}

static void nothing(void **state)
{
    uint64_t runs[] = {77};

    (void)state;
    assert_int_equal(zero_runs_make(runs, 0, PAGE), 0);
    assert_int_equal(zero_runs_count(runs, 0, PAGE), 0);
    zero_runs_expand(runs, 0, PAGE);
    assert_int_equal(runs[0], 77);
}

static void how_many_a_packet_names(void **state)
{
    (void)state;
    assert_int_equal(zero_runs_pages_max(4096), 4096);
    assert_int_equal(zero_runs_pages_max(512), 32768);
    assert_int_equal(zero_runs_pages_max(2u << 20), 8);
    assert_int_equal(zero_runs_pages_max(16u << 20), 1);
    assert_int_equal(zero_runs_pages_max(1u << 30), 1);
}

static void pages_of_a_gibibyte(void **state)
{
    const uint64_t gib = UINT64_C(1) << 30;
    uint64_t runs[2];

    (void)state;
    assert_int_equal(zero_runs_add(runs, 0, 5 * gib, 1u << 30), 1);
    assert_int_equal(zero_runs_add(runs, 1, 6 * gib, 1u << 30), 1);
    assert_int_equal(runs[0], 5 * gib + 1);
    zero_runs_expand(runs, 1, 1u << 30);
    assert_int_equal(runs[0], 5 * gib);
    assert_int_equal(runs[1], 6 * gib);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_neighbours_that_ascend_make_a_run),
        cmocka_unit_test(a_run_ends_where_its_length_does),
        cmocka_unit_test(runs_are_added_as_pages_are),
        cmocka_unit_test(what_is_made_can_be_undone),
        cmocka_unit_test(nothing),
        cmocka_unit_test(how_many_a_packet_names),
        cmocka_unit_test(pages_of_a_gibibyte),
    };

    return cmocka_run_group_tests_name("core/zero_runs", tests, NULL, NULL);
}
