/* SPDX-License-Identifier: MIT */
#include "core/zero_sample.h"
#include "test.h"

#include <string.h>

enum { PAGE = 1024, PAGES = 2 * ZERO_SAMPLE_STRIDE, TURNS = ZERO_SAMPLE_STRIDE };

static uint8_t host[PAGES * PAGE];
static uint64_t offsets[PAGES];
static struct zero_sample sample;

/* No page is zero, and enough have been looked at. */
static int dense(void **state)
{
    (void)state;
    memset(host, 0, sizeof(host));
    for (uint32_t i = 0; i < PAGES; i++) {
        offsets[i] = (uint64_t)(PAGES - 1 - i) * PAGE;
        host[offsets[i] + PAGE - 1] = 1;
    }
    sample = (struct zero_sample){0};
    zero_sample_learn(&sample, ZERO_SAMPLE_DENSE, 0);
    return 0;
}

static bool suffices(uint32_t num)
{
    return zero_sample_suffices(&sample, host, offsets, num, PAGE);
}

static void make_zero(uint32_t at)
{
    host[offsets[at] + PAGE - 1] = 0;
}

static void enough_must_have_been_looked_at(void **state)
{
    (void)state;
    sample = (struct zero_sample){0};
    for (uint32_t pages = 0; pages < ZERO_SAMPLE_DENSE; pages += PAGES) {
        assert_false(suffices(PAGES));
        zero_sample_learn(&sample, PAGES, 0);
    }
    assert_true(suffices(PAGES));
}

static void zero_pages_end_it_unless_they_are_few(void **state)
{
    (void)state;
    zero_sample_learn(&sample, PAGES, PAGES / ZERO_SAMPLE_FEW);
    assert_true(suffices(PAGES));
    zero_sample_learn(&sample, PAGES, PAGES / ZERO_SAMPLE_FEW + 1);
    assert_false(suffices(PAGES));
    zero_sample_learn(&sample, ZERO_SAMPLE_DENSE - 1, 0);
    assert_false(suffices(PAGES));
    zero_sample_learn(&sample, 1, 0);
    assert_true(suffices(PAGES));
}

/* A page of a batch of a few may be the only one, too. */
static void one_zero_page_of_few_is_not_few(void **state)
{
    (void)state;
    zero_sample_learn(&sample, ZERO_SAMPLE_FEW - 1, 1);
    assert_false(suffices(PAGES));
}

static void a_run_of_a_stride_is_always_found(void **state)
{
    (void)state;
    for (uint32_t first = 0; first + ZERO_SAMPLE_STRIDE <= PAGES; first++) {
        assert_int_equal(dense(NULL), 0);
        for (uint32_t i = 0; i < ZERO_SAMPLE_STRIDE; i++) {
            make_zero(first + i);
        }
        for (uint32_t turn = 0; turn < TURNS; turn++) {
            assert_false(suffices(PAGES));
        }
    }
}

static void assert_found_in_turns(uint32_t at, uint32_t num)
{
    uint32_t found = 0;

    assert_int_equal(dense(NULL), 0);
    make_zero(at);
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        found += suffices(num) ? 0 : 1;
    }
    assert_in_range(found, 1, TURNS / (num < TURNS ? num : TURNS) + 1);
}

static void every_page_has_its_turn(void **state)
{
    static const uint32_t nums[] = {
        1, 2, 5, ZERO_SAMPLE_STRIDE - 1, ZERO_SAMPLE_STRIDE, ZERO_SAMPLE_STRIDE + 1, PAGES};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(nums); i++) {
        for (uint32_t at = 0; at < nums[i]; at++) {
            assert_found_in_turns(at, nums[i]);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(enough_must_have_been_looked_at, dense),
        cmocka_unit_test_setup(zero_pages_end_it_unless_they_are_few, dense),
        cmocka_unit_test_setup(one_zero_page_of_few_is_not_few, dense),
        cmocka_unit_test_setup(a_run_of_a_stride_is_always_found, dense),
        cmocka_unit_test_setup(every_page_has_its_turn, dense),
    };

    return cmocka_run_group_tests_name("core/zero_sample", tests, NULL, NULL);
}
