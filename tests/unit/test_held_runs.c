/* SPDX-License-Identifier: MIT */
#include "core/held_runs.h"

#include "core/zero_runs.h"
#include "mock.h"

#include <errno.h>

#define PAGE UINT64_C(4096)

enum { RUNS = 4, SYNC = 1, MOST = 4096 };

static struct held_runs held;
static struct multifd_ram_block *const ram = (void *)&held; /* nobody looks into it */
static struct multifd_ram_block *const vga = (void *)&ram;

static int make(void **state)
{
    struct multifd_error err;

    mock_setup(state);
    return held_runs_init(&held, PAGE, RUNS, &err);
}

static int release(void **state)
{
    held_runs_fini(&held);
    assert_null(held.batch.offsets);
    return mock_teardown(state);
}

#define with_held(function) cmocka_unit_test_setup_teardown(function, make, release)

/* One run of pages from that one on; whether it was joined. */
static bool join(struct multifd_ram_block *block, uint64_t first, uint32_t pages, uint32_t flags)
{
    static uint64_t last;
    uint64_t packet_num = last + 1;
    uint64_t run = first * PAGE + pages - 1;
    const struct page_batch batch = {.block = block,
                                     .packet_num = packet_num,
                                     .flags = flags,
                                     .sync_channels = flags != 0 ? 3 : 0,
                                     .num = 1,
                                     .runs_pages = pages,
                                     .offsets = &run,
                                     .zero_num = 1};
    bool joined = held_runs_join(&held, &batch);

    last = packet_num;
    assert_true(!joined || held.batch.packet_num == packet_num);
    return joined;
}

static void assert_holds(uint32_t runs, uint32_t pages, bool due)
{
    assert_int_equal(held_runs_any(&held), runs != 0);
    assert_int_equal(held_runs_due(&held), due);
    assert_int_equal(held.batch.num, runs);
    assert_int_equal(held.batch.zero_num, runs);
    assert_int_equal(held.batch.runs_pages, pages);
    assert_int_equal(zero_runs_count(held.batch.offsets, runs, PAGE), pages);
    assert_true(runs == 0 || held.batch.ready);
}

static void runs_gather_until_there_is_no_room(void **state)
{
    (void)state;
    assert_holds(0, 0, false);
    assert_true(join(ram, 100, 5, 0));
    assert_holds(1, 5, false);
    assert_true(join(ram, 105, 7, 0)); /* makes the last run longer */
    assert_holds(1, 12, false);
    assert_true(join(ram, 0, 1, 0));
    assert_true(join(ram, 50, 2, 0));
    assert_holds(3, 15, false);
    assert_true(join(ram, 70, 2, 0));
    assert_holds(4, 17, true);
    assert_int_equal(held.batch.offsets[0], 100 * PAGE + 11);
    assert_int_equal(held.batch.offsets[3], 70 * PAGE + 1);
    assert_ptr_equal(held.batch.block, ram);
    assert_false(join(ram, 90, 1, 0));
    assert_holds(4, 17, true);
    held_runs_clear(&held);
    assert_holds(0, 0, false);
    assert_true(join(vga, 90, 1, 0));
    assert_ptr_equal(held.batch.block, vga);
}

static void as_many_pages_as_one_packet_names(void **state)
{
    (void)state;
    assert_true(join(ram, 0, MOST, 0));
    assert_holds(1, MOST, true);
    held_runs_clear(&held);
    assert_true(join(ram, 0, MOST - 2, 0));
    assert_false(join(ram, 5000, 3, 0));
    assert_holds(1, MOST - 2, false);
    assert_true(join(ram, 5000, 2, 0));
    assert_holds(2, MOST, true);
}

static void other_blocks_wait(void **state)
{
    (void)state;
    assert_true(join(ram, 0, 1, 0));
    assert_false(join(vga, 1, 1, 0));
    assert_holds(1, 1, false);
}

static void a_sync_makes_it_due(void **state)
{
    const struct page_batch sync = {.flags = SYNC, .sync_channels = 2, .packet_num = UINT32_MAX};

    (void)state;
    assert_false(held_runs_join(&held, &sync)); /* there is nothing to go with */
    assert_true(join(ram, 0, 9, 0));
    assert_true(held_runs_join(&held, &sync));
    assert_holds(1, 9, true);
    assert_int_equal(held.batch.flags, SYNC);
    assert_int_equal(held.batch.sync_channels, 2);
    assert_int_equal(held.batch.packet_num, UINT32_MAX);
    assert_ptr_equal(held.batch.block, ram);
    held_runs_clear(&held);
    assert_holds(0, 0, false);
    assert_true(join(ram, 3, 2, SYNC));
    assert_holds(1, 2, true);
    assert_int_equal(held.batch.sync_channels, 3);
    held_runs_clear(&held);
    assert_true(join(ram, 3, 2, 0));
    assert_int_equal(held.batch.flags, 0);
    assert_int_equal(held.batch.sync_channels, 0);
}

/* Over a byte stream zero pages have their offsets, and no runs. */
static void pages_are_none_of_its_business(void **state)
{
    uint64_t offsets[] = {0, PAGE, 3 * PAGE};
    struct page_batch batch = {.block = ram, .num = 3, .offsets = offsets};

    (void)state;
    for (uint32_t zero = 0; zero <= 3; zero++) {
        batch.zero_num = zero;
        assert_false(held_runs_join(&held, &batch));
        assert_holds(0, 0, false);
    }
    assert_true(join(ram, 9, 1, 0));
    batch.flags = SYNC;
    assert_false(held_runs_join(&held, &batch));
    assert_holds(1, 1, false);
}

static void no_memory(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct held_runs other;

    (void)state;
    mock_fail_nth("malloc", 1, ENOMEM);
    assert_int_equal(held_runs_init(&other, PAGE, RUNS, &err), -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
    held_runs_fini(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_held(runs_gather_until_there_is_no_room),
        with_held(as_many_pages_as_one_packet_names),
        with_held(other_blocks_wait),
        with_held(a_sync_makes_it_due),
        with_held(pages_are_none_of_its_business),
        mocked_test(no_memory),
    };

    return cmocka_run_group_tests_name("core/held_runs", tests, NULL, NULL);
}
