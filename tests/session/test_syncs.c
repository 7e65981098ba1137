/* SPDX-License-Identifier: MIT */
/*
 * Which channels a round's SYNC goes to: over queue pairs those with something to flush, and one if
 * there are none; over sockets all, as in QEMU.
 */
#include "check.h"

enum { CHANNELS = 4, PAGE = 4096, BATCH = 128 * PAGE, BLOCK_BYTES = 8 * BATCH, IDLE_ROUNDS = 10 };

static const struct pair_setting settings[] = {{"channels", "4"}, {"verify", "on"}, {NULL, NULL}};

static bool over_sockets(void)
{
    return pair_transport != PAIR_RDMA;
}

static int queue_nothing(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    (void)pair;
    (void)round;
    (void)err;
    return 0;
}

static int queue_pages(struct session_pair *pair, uint32_t from, uint32_t num,
                       struct multifd_error *err)
{
    for (uint32_t i = from; i < from + num; i++) {
        if (multifd_queue_page(pair->source, pair->blocks[0].block, (uint64_t)i * PAGE, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* All of it at first, so that the sides are equal, then a page in each round. */
static int queue_one(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    return round == 0 ? pair_queue_all(pair, err) : queue_pages(pair, round, 1, err);
}

/* A full batch, which is under way when the sync begins, and then one that is in hand. */
static int queue_two_batches(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    return round == 0 ? pair_queue_all(pair, err) : queue_pages(pair, round, 129, err);
}

/* The packets of both sides, which must agree. */
static uint64_t run(const char *name, uint32_t rounds,
                    int (*queue)(struct session_pair *pair, uint32_t round,
                                 struct multifd_error *err))
{
    const struct pair_plan plan = {.name = name,
                                   .settings = settings,
                                   .blocks = {{"ram", BLOCK_BYTES}},
                                   .rounds = rounds,
                                   .blank = queue == queue_nothing,
                                   .queue = queue};
    struct session_pair *pair = pair_new(&plan);
    uint64_t packets;

    pair_run(pair);
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    CHECK(pair, pair->source_side.statistics.syncs == rounds);
    CHECK(pair, pair->destination_side.statistics.syncs == rounds);
    packets = pair->source_side.statistics.packets;
    CHECK(pair, pair->destination_side.statistics.packets == packets);
    for (unsigned i = 0; i < CHANNELS; i++) {
        CHECK(pair,
              pair->source_side.channels[i].packets == pair->destination_side.channels[i].packets);
    }
    pair_delete(&pair);
    return packets;
}

static void idle_channels(void **state)
{
    uint64_t packets = run("idle channels", IDLE_ROUNDS, queue_nothing);

    (void)state;
    assert_int_equal(packets, IDLE_ROUNDS * (over_sockets() ? CHANNELS : 1));
}

static void a_page_takes_its_sync_along(void **state)
{
    uint64_t first = run("all pages", 1, queue_one);
    uint64_t packets = run("a page in a round", 1 + IDLE_ROUNDS, queue_one);

    (void)state;
    /* How many channels the first round has used is not for sure: each got a batch, or more. */
    assert_in_range(first, BLOCK_BYTES / BATCH, BLOCK_BYTES / BATCH + CHANNELS);
    assert_in_range(packets - IDLE_ROUNDS * (over_sockets() ? 1u + CHANNELS : 1u),
                    BLOCK_BYTES / BATCH, BLOCK_BYTES / BATCH + CHANNELS);
}

static void what_is_under_way_gets_its_own(void **state)
{
    enum { ROUNDS = 5 };
    uint64_t packets = run("two batches in a round", 1 + ROUNDS, queue_two_batches);
    uint64_t least = ROUNDS * (over_sockets() ? 2u + CHANNELS : 2u); /* over one channel, both */

    (void)state;
    assert_in_range(packets - least, BLOCK_BYTES / BATCH,
                    BLOCK_BYTES / BATCH + CHANNELS + (over_sockets() ? 0 : ROUNDS));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(idle_channels, fresh_fabric),
    cmocka_unit_test_setup(a_page_takes_its_sync_along, fresh_fabric),
    cmocka_unit_test_setup(what_is_under_way_gets_its_own, fresh_fabric),
};

int main(void)
{
    int failed = cmocka_run_group_tests_name("syncs", tests, NULL, NULL);

    pair_transport = PAIR_TCP;
    return failed + cmocka_run_group_tests_name("syncs, tcp", tests, NULL, NULL);
}
