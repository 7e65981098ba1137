/* SPDX-License-Identifier: MIT */
#include "core/base/clock.h"
#include "core/statistics.h"
#include "test.h"

static void packets_are_counted(void **state)
{
    struct channel_counters counters = {0};
    struct multifd_channel_statistics out;

    (void)state;
    channel_counters_add(&counters, 100, 28, 4096, 409600 + 1344);
    channel_counters_add(&counters, 0, 1, 4096, 328);
    counter_add(&counters.credit_stalls, 7);
    counter_add(&counters.queue_stalls, 9);
    counter_add(&counters.memory_stalls, 11);
    channel_counters_read(&counters, &out);
    assert_int_equal(out.credit_stalls, 7);
    assert_int_equal(out.queue_stalls, 9);
    assert_int_equal(out.memory_stalls, 11);
    assert_int_equal(out.normal_pages, 100);
    assert_int_equal(out.zero_pages, 29);
    assert_int_equal(out.packets, 2);
    assert_int_equal(out.guest_bytes, 129 * 4096);
    assert_int_equal(out.wire_bytes, 409600 + 1344 + 328);
}

static void counts_go_beyond_32_bits(void **state)
{
    struct channel_counters counters = {0};
    struct multifd_channel_statistics out;

    (void)state;
    for (int i = 0; i < 5; i++) {
        channel_counters_add(&counters, 1, 1, 1u << 30, UINT64_C(1) << 33);
    }
    channel_counters_add(&counters, 2, UINT32_MAX, 1, 0); /* nor does the number of pages wrap */
    channel_counters_read(&counters, &out);
    assert_int_equal(out.guest_bytes, (UINT64_C(10) << 30) + UINT32_MAX + 2);
    assert_int_equal(out.wire_bytes, UINT64_C(5) << 33);
}

static void channels_add_up(void **state)
{
    struct channel_counters counters[2] = {{0}};
    struct multifd_statistics out = {.channels = 0};

    (void)state;
    channel_counters_add(&counters[0], 10, 1, 4096, 50000);
    channel_counters_add(&counters[1], 20, 2, 4096, 90000);
    counter_add(&counters[0].credit_stalls, 1);
    counter_add(&counters[1].credit_stalls, 2);
    counter_add(&counters[1].queue_stalls, 5);
    counter_add(&counters[0].memory_stalls, 6);
    counter_add(&counters[1].memory_stalls, 8);
    statistics_add_channel(&out, &counters[0]);
    statistics_add_channel(&out, &counters[1]);
    assert_int_equal(out.credit_stalls, 3);
    assert_int_equal(out.queue_stalls, 5);
    assert_int_equal(out.memory_stalls, 14);
    assert_int_equal(out.channels, 2);
    assert_int_equal(out.packets, 2);
    assert_int_equal(out.normal_pages, 30);
    assert_int_equal(out.zero_pages, 3);
    assert_int_equal(out.guest_bytes, 33 * 4096);
    assert_int_equal(out.wire_bytes, 140000);
}

static void times_lie_between_marks(void **state)
{
    struct session_times times = {.setup_start = 1000,
                                  .setup_end = 1500,
                                  .first_page = 1700,
                                  .last_sync = 2500,
                                  .finish_end = 3000,
                                  .sync_ns = 77,
                                  .syncs = 4,
                                  .verify_ns = 88,
                                  .registered_bytes = 99,
                                  .register_ns = 111};
    struct multifd_statistics out = {.channels = 0};

    (void)state;
    statistics_times(&out, &times);
    assert_int_equal(out.total_ns, 2000);
    assert_int_equal(out.setup_ns, 500);
    assert_int_equal(out.transfer_ns, 800);
    assert_int_equal(out.sync_ns, 77);
    assert_int_equal(out.syncs, 4);
    assert_int_equal(out.verify_ns, 88);
    assert_int_equal(out.registered_bytes, 99);
    assert_int_equal(out.register_ns, 111);
}

static void times_that_run_go_up_to_now(void **state)
{
    uint64_t start = clock_now_ns() - UINT64_C(5000000000);
    struct session_times times = {.setup_start = start};
    struct multifd_statistics out = {.channels = 0};

    (void)state;
    statistics_times(&out, &times);
    assert_in_range(out.total_ns, UINT64_C(5000000000), UINT64_C(60000000000));
    assert_in_range(out.setup_ns, UINT64_C(5000000000), UINT64_C(60000000000));
    assert_int_equal(out.transfer_ns, 0); /* not started */
}

static void times_before_the_start_are_zero(void **state)
{
    struct session_times times = {.first_page = 2000, .last_sync = 1000};
    struct multifd_statistics out = {.total_ns = 9, .setup_ns = 9, .transfer_ns = 9};

    (void)state;
    statistics_times(&out, &times);
    assert_int_equal(out.total_ns, 0);
    assert_int_equal(out.setup_ns, 0);
    assert_int_equal(out.transfer_ns, 0);
}

/* What differs between the sides is not compared. */
static void totals_are_what_both_sides_count(void **state)
{
    const struct multifd_statistics statistics = {.packets = 1,
                                                  .normal_pages = 2,
                                                  .zero_pages = 3,
                                                  .guest_bytes = 4,
                                                  .syncs = 5,
                                                  .wire_bytes = 6,
                                                  .credit_stalls = 7,
                                                  .cpu_ns = 8};
    struct message_totals totals;

    (void)state;
    memset(&totals, 0xa5, sizeof(totals));
    statistics_totals(&statistics, &totals);
    assert_int_equal(totals.packets, 1);
    assert_int_equal(totals.normal_pages, 2);
    assert_int_equal(totals.zero_pages, 3);
    assert_int_equal(totals.guest_bytes, 4);
    assert_int_equal(totals.syncs, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_are_counted),
        cmocka_unit_test(counts_go_beyond_32_bits),
        cmocka_unit_test(channels_add_up),
        cmocka_unit_test(times_lie_between_marks),
        cmocka_unit_test(times_that_run_go_up_to_now),
        cmocka_unit_test(times_before_the_start_are_zero),
        cmocka_unit_test(totals_are_what_both_sides_count),
    };

    return cmocka_run_group_tests_name("core/statistics", tests, NULL, NULL);
}
