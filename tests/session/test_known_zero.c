/* SPDX-License-Identifier: MIT */
/*
 * Pages that the caller knows to be zero. Here it lies: the source's memory has a pattern there, so
 * that whoever looks at it, or sends it, is found out.
 */
#include "check.h"

#include <string.h>

enum { PAGE = 4096, PAGES = 1024, PIECE_PAGES = 256 };

static const struct pair_block_plan block = {"ram", PAGES *PAGE};

/* Runs of 1 to 7 pages, now of one kind, now of the other. */
static bool is_known_zero(uint32_t page)
{
    uint32_t run = 0;

    for (uint32_t at = 0; at <= page; at += 1 + run % 7) {
        run++;
    }
    return run % 2 == 0;
}

static int queue(struct session_pair *pair, uint32_t page, bool zero, struct multifd_error *err)
{
    struct multifd_ram_block *ram = pair->blocks[0].block;
    uint64_t offset = (uint64_t)page * PAGE;

    return zero ? multifd_queue_zero_page(pair->source, ram, offset, err)
                : multifd_queue_page(pair->source, ram, offset, err);
}

/* Every page, and in the round behind it the others are zero. */
static int queue_runs(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    for (uint32_t i = 0; i < PAGES; i++) {
        if (queue(pair, i, is_known_zero(i) == (round % 2 == 0), err) != 0) {
            return -1;
        }
    }
    return 0;
}

static bool is_all_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

static void check_runs(struct session_pair *pair, uint32_t round)
{
    for (uint32_t i = 0; i < PAGES; i++) {
        const uint8_t *from = pair->blocks[0].from + (size_t)i * PAGE;
        const uint8_t *to = pair->blocks[0].to + (size_t)i * PAGE;

        CHECK(pair,
              is_known_zero(i) == (round % 2 == 0) ? is_all_zero(to) : memcmp(from, to, PAGE) == 0);
    }
}

static uint32_t known_zeros(void)
{
    uint32_t num = 0;

    for (uint32_t i = 0; i < PAGES; i++) {
        num += is_known_zero(i) ? 1 : 0;
    }
    return num;
}

static void run_runs(const char *registration, const char *method)
{
    const struct pair_setting settings[] = {
        {"registration", registration}, {"method", method}, {"channels", "3"}, {NULL, NULL}};
    const struct pair_plan plan = {.name = method,
                                   .source_settings = settings,
                                   .rounds = 3,
                                   .queue = queue_runs,
                                   .synced = check_runs,
                                   .blocks = {block}};
    struct session_pair *pair = pair_new(&plan);

    pair_run(pair);
    check_finished(pair);
    CHECK(pair, pair->source_side.statistics.zero_pages == PAGES + known_zeros());
    CHECK(pair, pair->destination_side.statistics.zero_pages == PAGES + known_zeros());
    pair_delete(&pair);
}

static void among_others(void **state)
{
    (void)state;
    assert_in_range(known_zeros(), PAGES / 3, PAGES * 2 / 3);
    run_runs("all", "nocomp");
    run_runs("on-demand", "nocomp");
    run_runs("all", "zlib");
    run_runs("on-demand", "zstd");
}

enum { LONG_PAGES = 10240, LONG_FROM = 5000 };

/* Three channels in turns: one with 4096 pages twice and a SYNC; one with 904, 1143 and a SYNC in a
 * packet; one with the page, and a SYNC. */
enum { LONG_PACKETS = 3 + 1 + 2 };

/* One page in the middle has content. */
static int queue_long_runs(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    (void)round;
    for (uint32_t i = 0; i < LONG_PAGES; i++) {
        if (queue(pair, i, i != LONG_FROM, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Over verbs a packet names 4096 of them. */
static void take_few_packets(void **state)
{
    static const struct pair_setting settings[] = {{"channels", "3"}, {NULL, NULL}};
    const struct pair_plan plan = {.name = "long runs",
                                   .settings = settings,
                                   .rounds = 2,
                                   .queue = queue_long_runs,
                                   .blocks = {{"ram", (uint64_t)LONG_PAGES * PAGE}}};
    struct session_pair *pair = pair_new(&plan);

    (void)state;
    pair_run(pair);
    check_finished(pair);
    CHECK(pair, pair->source_side.statistics.packets == (uint64_t)2 * LONG_PACKETS);
    CHECK(pair, pair->destination_side.statistics.zero_pages == (uint64_t)2 * (LONG_PAGES - 1));
    for (uint32_t i = 0; i < LONG_PAGES; i++) {
        size_t at = (size_t)i * PAGE;

        CHECK(pair, i == LONG_FROM
                        ? memcmp(pair->blocks[0].to + at, pair->blocks[0].from + at, PAGE) == 0
                        : is_all_zero(pair->blocks[0].to + at));
    }
    pair_delete(&pair);
}

/* The first piece has one page with content; of the others nothing is sent. */
static int queue_first_only(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    (void)round;
    for (uint32_t i = 0; i < PAGES; i++) {
        if (queue(pair, i, i != 0, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void need_no_registered_memory(void **state)
{
    static const struct pair_setting settings[] = {
        {"registration", "on-demand"}, {"piece-size", "1M"}, {NULL, NULL}};
    const struct pair_plan plan = {.name = "not registered",
                                   .settings = settings,
                                   .queue = queue_first_only,
                                   .blocks = {block}};
    struct session_pair *pair = pair_new(&plan);

    (void)state;
    pair_run(pair);
    check_finished(pair);
    CHECK(pair, pair->source_side.statistics.registered_bytes == PIECE_PAGES * PAGE);
    CHECK(pair, pair->destination_side.statistics.registered_bytes == PIECE_PAGES * PAGE);
    CHECK(pair, memcmp(pair->blocks[0].from, pair->blocks[0].to, PAGE) == 0);
    for (uint32_t i = 1; i < PAGES; i++) {
        CHECK(pair, is_all_zero(pair->blocks[0].to + (size_t)i * PAGE));
    }
    pair_delete(&pair);
}

/* Then they are sent as what they are. */
static void where_nobody_asks_for_zeros(void **state)
{
    static const struct pair_setting settings[] = {{"zero-page-detection", "none"}, {NULL, NULL}};
    const struct pair_plan plan = {.name = "no detection",
                                   .source_settings = settings,
                                   .queue = queue_runs,
                                   .blocks = {block}};
    struct session_pair *pair = pair_new(&plan);

    (void)state;
    pair_run(pair);
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    CHECK(pair, pair->source_side.statistics.zero_pages == 0);
    pair_delete(&pair);
}

static int queue_no_page(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    static const uint64_t wrong[] = {1, PAGE - 1, PAGES * PAGE, UINT64_MAX};

    (void)round;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct multifd_error refused;

        CHECK(pair, multifd_queue_zero_page(pair->source, pair->blocks[0].block, wrong[i],
                                            &refused) == -1);
        assert_error(&refused, MULTIFD_ERROR_INVALID, "is no page of RAM block \"ram\"");
    }
    return pair_queue_all(pair, err);
}

static void must_be_pages(void **state)
{
    const struct pair_plan plan = {.name = "no pages", .queue = queue_no_page, .blocks = {block}};
    struct session_pair *pair = pair_new(&plan);

    (void)state;
    pair_run(pair);
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    pair_delete(&pair);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(among_others, fresh_fabric),
    cmocka_unit_test_setup(take_few_packets, fresh_fabric),
    cmocka_unit_test_setup(need_no_registered_memory, fresh_fabric),
    cmocka_unit_test_setup(where_nobody_asks_for_zeros, fresh_fabric),
    cmocka_unit_test_setup(must_be_pages, fresh_fabric),
};

static const struct CMUnitTest socket_tests[] = {
    cmocka_unit_test(among_others),
    cmocka_unit_test(where_nobody_asks_for_zeros),
    cmocka_unit_test(must_be_pages),
};

int main(void)
{
    int failed = cmocka_run_group_tests_name("known zeros", tests, NULL, NULL);

    pair_transport = PAIR_TCP;
    return failed + cmocka_run_group_tests_name("known zeros, tcp", socket_tests, NULL, NULL);
}
