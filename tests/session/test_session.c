/* SPDX-License-Identifier: MIT */
/* Sessions in which nothing goes wrong. */
#include "check.h"

#include <stdio.h>

static uint64_t plan_bytes(const struct session_pair *pair)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        bytes += pair->blocks[i].length;
    }
    return bytes;
}

/* Runs a plan in which every page is sent at least once. */
static void run_equal(const struct pair_plan *plan)
{
    struct session_pair *pair = pair_new(plan);
    uint64_t registered;

    pair_run(pair);
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    if (plan->queue == NULL) {
        CHECK(pair,
              pair->source_side.statistics.guest_bytes == plan_bytes(pair) * pair->plan.rounds);
    }
    /* Every page is sent as it is, so every piece was needed. */
    registered = pair_transport == PAIR_RDMA ? plan_bytes(pair) : 0;
    CHECK(pair, pair->source_side.statistics.registered_bytes == registered);
    CHECK(pair, pair->destination_side.statistics.registered_bytes == registered);
    pair_delete(&pair);
}

static int reset(void **state)
{
    (void)state;
    fabric_reset(NULL);
    return 0;
}

static int reset_strict(void **state)
{
    struct fabric_options options;

    (void)state;
    fabric_options_init(&options);
    options.strict_cm = true;
    options.max_delay_us = 50;
    fabric_reset(&options);
    return 0;
}

static void one_channel(void **state)
{
    static const struct pair_setting settings[] = {{"channels", "1"}, {NULL, NULL}};
    const struct pair_plan plan = {.name = "one channel", .settings = settings};

    (void)state;
    run_equal(&plan);
}

static void channels_and_windows(void **state)
{
    static const char *const channels[] = {"1", "2", "3", "8", "16"};
    static const char *const windows[] = {"1", "2", "3", "16"};

    (void)state;
    for (size_t c = 0; c < COUNT_OF(channels); c++) {
        for (size_t w = 0; w < COUNT_OF(windows); w++) {
            const struct pair_setting settings[] = {
                {"channels", channels[c]}, {"window", windows[w]}, {NULL, NULL}};
            char name[64];
            const struct pair_plan plan = {
                .name = name, .settings = settings, .blocks = {{"ram", 12 << 20}}};

            snprintf(name, sizeof(name), "%s channels, window %s", channels[c], windows[w]);
            run_equal(&plan);
        }
    }
}

/* The destination's window is its own; the source's bounds what it has in flight. */
static void different_windows(void **state)
{
    static const char *const windows[][2] = {{"1", "16"}, {"16", "1"}, {"5", "3"}, {"64", "7"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        const struct pair_setting source[] = {{"window", windows[i][0]}, {NULL, NULL}};
        const struct pair_setting destination[] = {{"window", windows[i][1]}, {NULL, NULL}};
        const struct pair_plan plan = {.name = "different windows",
                                       .source_settings = source,
                                       .destination_settings = destination,
                                       .blocks = {{"ram", 8 << 20}}};

        run_equal(&plan);
    }
}

/* With a window of one each packet but the first must wait for the one before. */
static void waiting_is_counted(void **state)
{
    static const struct pair_setting settings[] = {
        {"window", "1"}, {"channels", "1"}, {NULL, NULL}};
    const struct pair_plan plan = {
        .name = "a window of one", .settings = settings, .blocks = {{"ram", 8 << 20}}};
    const struct multifd_statistics *source;
    const struct multifd_statistics *destination;
    struct session_pair *pair = pair_new(&plan);

    (void)state;
    pair_run(pair);
    check_finished(pair);
    source = &pair->source_side.statistics;
    destination = &pair->destination_side.statistics;
    CHECK(pair, source->credit_stalls + source->queue_stalls > 0);
    CHECK(pair,
          source->credit_stalls + source->queue_stalls + source->memory_stalls <= source->packets);
    CHECK(pair, destination->credit_stalls + destination->queue_stalls == 0);
    pair_delete(&pair);
}

/* Never faster than that; how much slower is the machine's affair. */
static void a_limit_on_the_bandwidth(void **state)
{
    static const struct pair_setting settings[] = {
        {"max-bandwidth", "32M"}, {"channels", "3"}, {NULL, NULL}};
    const struct pair_plan plan = {.name = "a limit on the bandwidth",
                                   .settings = settings,
                                   .rounds = 2,
                                   .blocks = {{"ram", 8 << 20}}};
    const struct multifd_statistics *statistics;
    struct session_pair *pair = pair_new(&plan);
    uint64_t early = UINT64_C(3) * 512 * 1024; /* a packet of each channel */

    (void)state;
    pair_run(pair);
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    statistics = &pair->source_side.statistics;
    CHECK(pair, statistics->transfer_ns / 1000000 >
                    (statistics->wire_bytes - early) * 1000 / (UINT64_C(32) << 20) * 95 / 100);
    pair_delete(&pair);
}

static void page_sizes(void **state)
{
    static const uint32_t sizes[] = {1024, 4096, 65536, 524288, 2 << 20};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        const struct pair_plan plan = {.name = "page sizes",
                                       .page_size = sizes[i],
                                       .blocks = {{"one", 6 << 20}, {"two", 2 << 20}}};

        run_equal(&plan);
    }
}

static void several_blocks(void **state)
{
    static char longest[MULTIFD_BLOCK_NAME_MAX + 1];
    static char other[MULTIFD_BLOCK_NAME_MAX + 1];
    struct pair_plan plan = {.name = "several blocks",
                             .rounds = 2,
                             .blocks = {{longest, 1 << 20},
                                        {other, 12 * 4096},
                                        {"pc.ram", 513 * 4096},
                                        {"/objects/mem:0", 4096},
                                        {"b", 200 * 4096}}};

    (void)state;
    memset(longest, 'n', MULTIFD_BLOCK_NAME_MAX);
    memset(other, 'n', MULTIFD_BLOCK_NAME_MAX);
    other[MULTIFD_BLOCK_NAME_MAX - 1] = 'm';
    run_equal(&plan);
    plan.ask_for_blocks = true;
    run_equal(&plan);
}

/* The two sides may name their blocks in different order. */
static void blocks_in_another_order(void **state)
{
    static const struct pair_setting settings[] = {{"verify", "on"}, {NULL, NULL}};
    const struct pair_plan plan = {
        .name = "another order",
        .source_settings = settings,
        .blocks_backwards = true,
        .blocks = {{"a", 64 * 4096}, {"b", 64 * 4096}, {"c", 2 << 20}, {"d", 4096}}};

    (void)state;
    run_equal(&plan);
}

/* More blocks than one message of the list holds. */
static void many_blocks(void **state)
{
    static char names[PAIR_BLOCKS_MAX][16];
    struct pair_plan plan = {.name = "many blocks"};

    (void)state;
    for (uint32_t i = 0; i + 1 < PAIR_BLOCKS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "block%u", i);
        plan.blocks[i] = (struct pair_block_plan){names[i], (i + 1) * UINT64_C(4096)};
    }
    run_equal(&plan);
}

static void pieces_smaller_than_blocks(void **state)
{
    static const char *const threads[] = {"1", "5", "64"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        const struct pair_setting settings[] = {
            {"piece-size", "1M"}, {"registration-threads", threads[i]}, {NULL, NULL}};
        const struct pair_plan plan = {
            .name = "pieces",
            .settings = settings,
            .blocks = {{"a", (3 << 20) + 4096}, {"b", 4 << 20}, {"c", 4096}}};

        run_equal(&plan);
    }
}

/* Runs are split where the device's longest message ends. */
static void short_messages(void **state)
{
    const struct pair_plan plan = {.name = "short messages", .blocks = {{"ram", 2 << 20}}};
    struct fabric_options options;

    (void)state;
    fabric_options_init(&options);
    options.max_msg_sz = 3 * 4096 + 100;
    fabric_reset(&options);
    run_equal(&plan);
}

/* A device that takes nothing inline, has short queues, and no more than it needs of entries. */
static void small_device(void **state)
{
    const struct pair_plan plan = {.name = "small device", .blocks = {{"ram", 4 << 20}}};
    struct fabric_options options;

    (void)state;
    fabric_options_init(&options);
    options.max_inline = 0;
    options.max_qp_wr = 140;
    options.max_cqe = 300;
    fabric_reset(&options);
    run_equal(&plan);
}

/* ---- What is queued, and when ---- */

static int queue_pages(struct session_pair *pair, uint32_t block, uint32_t first, uint32_t step,
                       struct multifd_error *err)
{
    const struct pair_block *queued = &pair->blocks[block];
    uint64_t page_size = pair->plan.page_size;

    for (uint64_t at = first * page_size; at < queued->length; at += step * page_size) {
        if (multifd_queue_page(pair->source, queued->block, at, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int queue_scattered(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    return queue_pages(pair, 0, round, 3, err);
}

static void scattered_pages(void **state)
{
    const struct pair_plan plan = {.name = "scattered pages",
                                   .rounds = 3,
                                   .queue = queue_scattered,
                                   .blocks = {{"ram", 4 << 20}}};

    (void)state;
    run_equal(&plan);
}

static int queue_backwards(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    const struct pair_block *queued = &pair->blocks[0];

    (void)round;
    for (uint64_t at = queued->length; at > 0; at -= pair->plan.page_size) {
        if (multifd_queue_page(pair->source, queued->block, at - pair->plan.page_size, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void pages_backwards(void **state)
{
    const struct pair_plan plan = {.name = "backwards", .queue = queue_backwards};

    (void)state;
    run_equal(&plan);
}

/* A page of one block, a page of the other: each packet holds one page. */
static int queue_alternating(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    (void)round;
    for (uint64_t at = 0; at < pair->blocks[0].length; at += pair->plan.page_size) {
        if (multifd_queue_page(pair->source, pair->blocks[0].block, at, err) != 0 ||
            multifd_queue_page(pair->source, pair->blocks[1].block, at, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void blocks_in_turn(void **state)
{
    const struct pair_plan plan = {.name = "blocks in turn",
                                   .queue = queue_alternating,
                                   .blocks = {{"a", 1 << 20}, {"b", 1 << 20}}};

    (void)state;
    run_equal(&plan);
}

/* One page in the first round, none in every second, the rest at last: partly filled batches. */
static int queue_sometimes(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    uint64_t at = round * (uint64_t)pair->plan.page_size;

    if (round + 1 == pair->plan.rounds) {
        return pair_queue_all(pair, err);
    }
    return round % 2 != 0 ? 0 : multifd_queue_page(pair->source, pair->blocks[0].block, at, err);
}

static void many_rounds(void **state)
{
    const struct pair_plan plan = {.name = "many rounds",
                                   .rounds = slow_build() ? 60 : 300,
                                   .queue = queue_sometimes,
                                   .blocks = {{"ram", 2 << 20}}};

    (void)state;
    run_equal(&plan);
}

static int queue_nothing(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    (void)pair;
    (void)round;
    (void)err;
    return 0;
}

static void no_page_at_all(void **state)
{
    const struct pair_plan plan = {.name = "no page", .rounds = 2, .queue = queue_nothing};
    struct session_pair *pair = pair_new(&plan);

    (void)state;
    pair_run(pair);
    check_finished(pair);
    CHECK(pair, pair->source_side.statistics.guest_bytes == 0);
    CHECK(pair, pair_pages_old_or_new(pair) && pair->blocks[0].to[0] == PAIR_OLD_BYTE);
    CHECK(pair, pair->source_side.statistics.syncs == 2);
    pair_delete(&pair);
}

static void verified(void **state)
{
    static const struct pair_setting settings[] = {{"verify", "on"}, {NULL, NULL}};
    static char names[20][16];
    struct pair_plan plan = {.name = "verify", .source_settings = settings};

    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(names[i], sizeof(names[i]), "block%u", i);
        plan.blocks[i] = (struct pair_block_plan){names[i], 64 * 4096};
    }
    run_equal(&plan);
}

static void verify_sees_a_page_left_out(void **state)
{
    static const struct pair_setting settings[] = {{"verify", "on"}, {NULL, NULL}};
    const struct pair_plan plan = {
        .name = "page left out", .source_settings = settings, .queue = queue_nothing};
    struct session_pair *pair = pair_new(&plan);

    (void)state;
    pair_run(pair);
    CHECK(pair, pair->source_side.status != 0 && pair->destination_side.status != 0);
    assert_error(&pair->destination_side.err, MULTIFD_ERROR_VERIFY, "\"ram\" differs");
    assert_error(&pair->source_side.err, MULTIFD_ERROR_PEER, "\"ram\" differs");
    CHECK(pair, fabric_live_objects() == 0);
    pair_delete(&pair);
}

/* Two sessions at once: the second's source runs between the calls of the first's. */
static int queue_and_run_other(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    (void)round;
    if (pair_queue_block(pair, 0, err) != 0) {
        return -1;
    }
    pair_run(pair->plan.opaque);
    return 0;
}

static void two_sessions(void **state)
{
    const struct pair_plan inner_plan = {.name = "inner session", .rounds = 2};
    struct session_pair *inner = pair_new(&inner_plan);
    const struct pair_plan plan = {
        .name = "outer session", .queue = queue_and_run_other, .opaque = inner};
    struct session_pair *outer = pair_new(&plan);

    (void)state;
    pair_run(outer);
    check_finished(outer);
    check_finished(inner);
    CHECK(outer, pair_equal(outer));
    CHECK(inner, pair_equal(inner));
    pair_delete(&outer);
    pair_delete(&inner);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(one_channel, reset),
    cmocka_unit_test_setup(channels_and_windows, reset),
    cmocka_unit_test_setup(different_windows, reset),
    cmocka_unit_test_setup(a_limit_on_the_bandwidth, reset),
    cmocka_unit_test_setup(waiting_is_counted, reset),
    cmocka_unit_test_setup(page_sizes, reset),
    cmocka_unit_test_setup(several_blocks, reset),
    cmocka_unit_test_setup(blocks_in_another_order, reset),
    cmocka_unit_test_setup(many_blocks, reset),
    cmocka_unit_test_setup(pieces_smaller_than_blocks, reset),
    cmocka_unit_test(short_messages),
    cmocka_unit_test(small_device),
    cmocka_unit_test_setup(scattered_pages, reset),
    cmocka_unit_test_setup(pages_backwards, reset),
    cmocka_unit_test_setup(blocks_in_turn, reset),
    cmocka_unit_test_setup(many_rounds, reset),
    cmocka_unit_test_setup(no_page_at_all, reset),
    cmocka_unit_test_setup(verified, reset),
    cmocka_unit_test_setup(verify_sees_a_page_left_out, reset),
    cmocka_unit_test_setup(two_sessions, reset),
};

static const struct CMUnitTest strict_tests[] = {
    cmocka_unit_test_setup(one_channel, reset_strict),
    cmocka_unit_test_setup(channels_and_windows, reset_strict),
    cmocka_unit_test_setup(several_blocks, reset_strict),
    cmocka_unit_test_setup(scattered_pages, reset_strict),
    cmocka_unit_test_setup(verified, reset_strict),
    cmocka_unit_test_setup(verify_sees_a_page_left_out, reset_strict),
    cmocka_unit_test_setup(two_sessions, reset_strict),
};

static const struct CMUnitTest socket_tests[] = {
    cmocka_unit_test(one_channel),
    cmocka_unit_test(channels_and_windows),
    cmocka_unit_test(a_limit_on_the_bandwidth),
    cmocka_unit_test(page_sizes),
    cmocka_unit_test(several_blocks),
    cmocka_unit_test(blocks_in_another_order),
    cmocka_unit_test(many_blocks),
    cmocka_unit_test(scattered_pages),
    cmocka_unit_test(pages_backwards),
    cmocka_unit_test(blocks_in_turn),
    cmocka_unit_test(many_rounds),
    cmocka_unit_test(no_page_at_all),
    cmocka_unit_test(verified),
    cmocka_unit_test(verify_sees_a_page_left_out),
    cmocka_unit_test(two_sessions),
};

int main(void)
{
    int failed = cmocka_run_group_tests_name("sessions", tests, NULL, NULL);

    failed += cmocka_run_group_tests_name("sessions, strict cm", strict_tests, NULL, NULL);
    pair_transport = PAIR_TCP;
    failed += cmocka_run_group_tests_name("sessions, tcp", socket_tests, NULL, NULL);
    pair_transport = PAIR_TCP6;
    failed += cmocka_run_group_tests_name("sessions, tcp over IPv6", socket_tests, NULL, NULL);
    pair_transport = PAIR_UNIX;
    return failed + cmocka_run_group_tests_name("sessions, unix", socket_tests, NULL, NULL);
}
