/* SPDX-License-Identifier: MIT */
/*
 * Old data must not come over new: a page goes over another channel in the next round, and queue
 * pairs have no order among each other.
 *
 * The source writes the round's number at the start of each page. The fabric shows each RDMA WRITE
 * after it has read the page and before the bytes arrive, so a WRITE can be made late there, and
 * every one is seen with the round it belongs to.
 */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum {
    PAGE = 4096,
    PACKET_PAGES = 128,
    MOST_PAGES = 1024,
    MOST_ROUNDS = 512,
};

/* What the fabric has shown; under lock, but for what a test sets before it runs. */
struct watch {
    struct session_pair *pair;
    uint32_t pages;
    unsigned most_delay_us;
    bool hold_first_write; /* until the second round's copy of it is in place */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t seen[MOST_ROUNDS];      /* pages read, by round */
    uint32_t delivered[MOST_ROUNDS]; /* pages in place, by round */
    uint32_t page_qp[MOST_PAGES];    /* queue pair that the page came over last */
    uint32_t page_round[MOST_PAGES]; /* round that is in place */
    unsigned long early;             /* pages read before all of the rounds before were in place */
    unsigned long old_over_new;
    unsigned long moved; /* pages that came over another queue pair than before */
    uint64_t random;
    bool holding;
};

static uint64_t round_of(const uint8_t *page)
{
    uint64_t round;

    memcpy(&round, page, sizeof(round));
    return round;
}

/* With the lock held. */
static unsigned random_delay(struct watch *watch)
{
    watch->random = watch->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    if (watch->most_delay_us == 0) {
        return 0;
    }
    /* One in 32 is far later than the others. */
    return (unsigned)(watch->random >> 33) % watch->most_delay_us *
           ((watch->random >> 59) == 0 ? 20 : 1);
}

/* With the lock held. */
static void see_page(struct watch *watch, uint64_t round)
{
    if (round > 0 && watch->delivered[round - 1] != watch->pages) {
        watch->early++;
    }
    watch->seen[round]++;
    pthread_cond_broadcast(&watch->changed);
}

/* With the lock held. */
static void deliver_page(struct watch *watch, uint32_t page, uint64_t round, uint32_t qp_num)
{
    watch->delivered[round]++;
    watch->old_over_new += round < watch->page_round[page];
    watch->moved += watch->page_qp[page] != 0 && watch->page_qp[page] != qp_num;
    watch->page_qp[page] = qp_num;
    watch->page_round[page] = (uint32_t)round;
    pthread_cond_broadcast(&watch->changed);
}

/* With the lock held. */
static void hold(struct watch *watch, uint32_t page)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    watch->holding = true;
    pthread_cond_broadcast(&watch->changed);
    while (watch->page_round[page] == 0 &&
           pthread_cond_timedwait(&watch->changed, &watch->lock, &until) == 0) {
    }
}

static void pause_us(unsigned us)
{
    const struct timespec pause = {.tv_nsec = (long)us * 1000};

    if (us != 0) {
        nanosleep(&pause, NULL);
    }
}

static void watch_write(void *opaque, const struct fabric_write *write)
{
    struct watch *watch = opaque;
    uint64_t start = write->address - (uintptr_t)watch->pair->blocks[0].to;
    unsigned delay_us = 0;

    pthread_mutex_lock(&watch->lock);
    for (uint64_t at = 0; at < write->length; at += PAGE) {
        uint32_t page = (uint32_t)((start + at) / PAGE);
        uint64_t round = round_of(write->bytes + at);

        if (write->delivered) {
            deliver_page(watch, page, round, write->qp_num);
        } else {
            see_page(watch, round);
        }
    }
    if (!write->delivered) {
        delay_us = random_delay(watch);
        if (watch->hold_first_write && start == 0 && round_of(write->bytes) == 0) {
            hold(watch, 0);
        }
    }
    pthread_mutex_unlock(&watch->lock);
    pause_us(delay_us);
}

static void watch_start(struct watch *watch, struct session_pair *pair)
{
    watch->pair = pair;
    watch->pages = (uint32_t)(pair->blocks[0].length / PAGE);
    watch->random = 20251122;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_cond_init(&watch->changed, NULL);
    fabric_on_write(watch_write, watch);
}

static void watch_end(struct watch *watch)
{
    fabric_on_write(NULL, NULL);
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
}

/* The guest writes to all its pages. */
static void write_round(struct session_pair *pair, uint64_t round)
{
    struct pair_block *block = &pair->blocks[0];

    pair_writable(pair);
    for (uint64_t at = 0; at < block->length; at += PAGE) {
        memcpy(block->from + at, &round, sizeof(round));
        memset(block->from + at + sizeof(round), (int)(round * 7 + at / PAGE),
               PAGE - sizeof(round));
    }
    pair_read_only(pair);
}

/* Channels take packets in turn, and seven is no multiple of their number: each page moves on. */
static int queue_changed(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    write_round(pair, round);
    return pair_queue_all(pair, err);
}

/* All of this round is in place, and nothing of another. */
static void check_round(struct session_pair *pair, uint32_t round)
{
    struct watch *watch = pair->plan.opaque;

    CHECK(pair, pair_equal(pair));
    pthread_mutex_lock(&watch->lock);
    CHECK(pair, watch->seen[round] == watch->pages);
    CHECK(pair, watch->early == 0 && watch->old_over_new == 0);
    pthread_mutex_unlock(&watch->lock);
}

static void run_rounds(const char *channels, const char *window, uint32_t rounds, bool strict)
{
    const struct pair_setting settings[] = {
        {"channels", channels},
        {"window", window},
        {"zero-page-detection", "none"}, /* each page is to be seen in each round */
        {NULL, NULL}};
    struct watch watch = {.most_delay_us = 100};
    const struct pair_plan plan = {.name = "pages change channels",
                                   .settings = settings,
                                   .rounds = rounds,
                                   .queue = queue_changed,
                                   .synced = check_round,
                                   .opaque = &watch,
                                   .blocks = {{"ram", 7 * PACKET_PAGES * PAGE}}};
    struct fabric_options options;
    struct session_pair *pair;

    fabric_options_init(&options);
    options.max_delay_us = 60;
    options.strict_cm = strict;
    fabric_reset(&options);
    pair = pair_new(&plan);
    watch_start(&watch, pair);
    pair_run(pair);
    check_finished(pair);
    CHECK(pair, pair->source_side.rounds == rounds);
    CHECK(pair, watch.moved * 2 > (unsigned long)rounds * watch.pages);
    watch_end(&watch);
    pair_delete(&pair);
}

static void pages_change_channels(void **state)
{
    uint32_t rounds = slow_build() ? 25 : 150;

    (void)state;
    run_rounds("2", "2", rounds, false);
    run_rounds("3", "16", rounds, true);
    run_rounds("8", "1", rounds, false);
}

/* ---- The same without a sync between the rounds: that these tests can fail ---- */

/* Two rounds in one: the second over the first, of which one packet is still on the wire. */
static int queue_twice(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    struct watch *watch = pair->plan.opaque;

    if (queue_changed(pair, 0, err) != 0) {
        return -1;
    }
    (void)round;
    pthread_mutex_lock(&watch->lock);
    while (!watch->holding || watch->delivered[0] != PACKET_PAGES) {
        pthread_cond_wait(&watch->changed, &watch->lock);
    }
    pthread_mutex_unlock(&watch->lock);
    write_round(pair, 1);
    return pair_queue_all(pair, err);
}

static void without_a_sync_old_data_wins(void **state)
{
    static const struct pair_setting settings[] = {
        {"channels", "3"}, {"zero-page-detection", "none"}, {NULL, NULL}};
    struct watch watch = {.hold_first_write = true};
    const struct pair_plan plan = {.name = "no sync",
                                   .settings = settings,
                                   .queue = queue_twice,
                                   .opaque = &watch,
                                   .blocks = {{"ram", 2 * PACKET_PAGES * PAGE}}};
    struct session_pair *pair;

    (void)state;
    fabric_reset(NULL);
    pair = pair_new(&plan);
    watch_start(&watch, pair);
    pair_run(pair);
    CHECK(pair, pair->source_side.status == 0 && pair->destination_side.status == 0);
    CHECK(pair, watch.early != 0 && watch.old_over_new == PACKET_PAGES);
    CHECK(pair, !pair_equal(pair));
    CHECK(pair, round_of(pair->blocks[0].to) == 0 && round_of(pair->blocks[0].from) == 1);
    watch_end(&watch);
    pair_delete(&pair);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_change_channels),
        cmocka_unit_test(without_a_sync_old_data_wins),
    };

    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
