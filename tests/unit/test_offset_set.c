/* SPDX-License-Identifier: MIT */
#include "core/offset_set.h"
#include "mock.h"

#include <errno.h>

#define MOST 128u

static struct offset_set *set_of(uint32_t most)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct offset_set *set = offset_set_new(most, &err);

    assert_non_null(set);
    assert_untouched(&err);
    return set;
}

static int make(void **state)
{
    mock_setup(state);
    *state = set_of(MOST);
    return 0;
}

static int release(void **state)
{
    struct offset_set *set = *state;

    offset_set_delete(&set);
    assert_null(set);
    return mock_teardown(state);
}

static void few_offsets(void **state)
{
    const uint64_t ascending[] = {0, 4096, 12288};
    const uint64_t mixed[] = {8192, 0, 4096};
    const uint64_t neighbours[] = {4096, 4096};
    const uint64_t apart[] = {8192, 0, 4096, 8192};

    assert_false(offset_set_has_duplicate(*state, NULL, 0));
    assert_false(offset_set_has_duplicate(*state, mixed, 1));
    assert_false(offset_set_has_duplicate(*state, ascending, 3));
    assert_false(offset_set_has_duplicate(*state, mixed, 3));
    assert_true(offset_set_has_duplicate(*state, neighbours, 2));
    assert_true(offset_set_has_duplicate(*state, apart, 4));
}

static void offset_zero_counts(void **state)
{
    const uint64_t twice[] = {4096, 0, 0};
    const uint64_t once[] = {4096, 0};

    assert_false(offset_set_has_duplicate(*state, once, 2));
    assert_true(offset_set_has_duplicate(*state, twice, 3));
}

static void each_packet_starts_empty(void **state)
{
    const uint64_t offsets[] = {8192, 4096, 0};
    const uint64_t doubled[] = {8192, 4096, 8192};

    for (int i = 0; i < 1000; i++) {
        assert_false(offset_set_has_duplicate(*state, offsets, 3));
        assert_true(offset_set_has_duplicate(*state, doubled, 3));
    }
}

/* Descending, so that the hash table is used, and full. */
static void fill(uint64_t *offsets, uint32_t num, uint64_t stride)
{
    for (uint32_t i = 0; i < num; i++) {
        offsets[i] = (num - i) * stride;
    }
}

static void full_packets_with_every_pair(void **state)
{
    uint64_t offsets[MOST];

    for (unsigned shift = 9; shift < 56; shift++) {
        fill(offsets, MOST, UINT64_C(1) << shift);
        assert_false(offset_set_has_duplicate(*state, offsets, MOST));
    }
    for (uint32_t i = 0; i < MOST; i++) {
        for (uint32_t j = 0; j < i; j++) {
            fill(offsets, MOST, 4096);
            offsets[i] = offsets[j];
            assert_true(offset_set_has_duplicate(*state, offsets, MOST));
        }
    }
}

/* Each uses its own part of the table, in which others have left their entries. */
static void packets_of_all_sizes_by_turns(void **state)
{
    uint64_t offsets[MOST];

    for (uint32_t i = 0; i < 40 * MOST; i++) {
        uint32_t num = 2 + i * 37 % (MOST - 1);

        fill(offsets, num, 4096);
        assert_false(offset_set_has_duplicate(*state, offsets, num));
        offsets[i % num] = offsets[(i + 1 + i % (num - 1)) % num];
        assert_true(offset_set_has_duplicate(*state, offsets, num));
    }
}

static void sets_of_every_size(void **state)
{
    uint64_t offsets[40];

    (void)state;
    for (uint32_t most = 1; most <= 40; most++) {
        struct offset_set *set = set_of(most);

        fill(offsets, most, 4096);
        assert_false(offset_set_has_duplicate(set, offsets, most));
        if (most > 1) {
            offsets[most - 1] = offsets[0];
            assert_true(offset_set_has_duplicate(set, offsets, most));
        }
        offset_set_delete(&set);
    }
}

static void delete_accepts_null(void **state)
{
    struct offset_set *set = NULL;

    (void)state;
    offset_set_delete(&set);
    assert_null(set);
}

static void no_memory(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        struct multifd_error err = ERROR_UNTOUCHED;

        mock_fail_nth("malloc", nth, ENOMEM);
        assert_null(offset_set_new(MOST, &err));
        assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
        mock_succeed("malloc");
    }
}

#define with_set(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_set(few_offsets),
        with_set(offset_zero_counts),
        with_set(each_packet_starts_empty),
        with_set(full_packets_with_every_pair),
        with_set(packets_of_all_sizes_by_turns),
        mocked_test(sets_of_every_size),
        mocked_test(delete_accepts_null),
        mocked_test(no_memory),
    };

    return cmocka_run_group_tests_name("core/offset_set", tests, NULL, NULL);
}
