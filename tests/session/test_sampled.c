/* SPDX-License-Identifier: MIT */
/*
 * Memory of which hardly any page is zero: over verbs not all of its pages are looked at. One
 * channel, so that it is known which pages are of the same batch.
 */
#include "check.h"

#include <string.h>

enum {
    PAGE = 4096,
    PAGES = 4096,
    BATCH = 128,         /* pages of a packet */
    DENSE = 2048,        /* pages at the start that all have content */
    RUN_FROM = 3 * 1024, /* of zero pages: some whole batches */
    RUN = 3 * BATCH,
};

static const struct pair_block_plan block = {"ram", (uint64_t)PAGES *PAGE};

static void clear_page(struct session_pair *pair, uint32_t page)
{
    memset(pair->blocks[0].from + (size_t)page * PAGE, 0, PAGE);
}

/* One page of each batch, and the run. */
static int queue_dense(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    (void)round;
    pair_writable(pair);
    for (uint32_t page = DENSE; page < PAGES; page += BATCH) {
        clear_page(pair, page + 1 + page / BATCH);
    }
    for (uint32_t page = RUN_FROM; page < RUN_FROM + RUN; page++) {
        clear_page(pair, page);
    }
    pair_read_only(pair);
    return pair_queue_all(pair, err);
}

enum { SINGLES = (PAGES - DENSE - RUN) / BATCH };

/* Returns how many zero pages were found. */
static uint64_t run_dense(const char *method, const char *detection)
{
    const struct pair_setting settings[] = {
        {"channels", "1"}, {"method", method}, {"zero-page-detection", detection}, {NULL, NULL}};
    const struct pair_plan plan = {
        .name = detection, .source_settings = settings, .queue = queue_dense, .blocks = {block}};
    struct session_pair *pair = pair_new(&plan);
    uint64_t found;

    pair_run(pair);
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    found = pair->source_side.statistics.zero_pages;
    CHECK(pair, pair->source_side.statistics.normal_pages == PAGES - found);
    CHECK(pair, pair->destination_side.statistics.zero_pages == found);
    pair_delete(&pair);
    return found;
}

static void runs_are_found_and_single_pages_mostly_sent(void **state)
{
    (void)state;
    assert_in_range(run_dense("nocomp", "sampled"), RUN, RUN + SINGLES - 1);
}

static void all_are_found_when_all_are_looked_at(void **state)
{
    (void)state;
    assert_int_equal(run_dense("nocomp", "multifd"), RUN + SINGLES);
    assert_int_equal(run_dense("nocomp", "none"), 0);
}

static void who_reads_every_page_looks_at_it(void **state)
{
    (void)state;
    assert_int_equal(run_dense("zlib", "sampled"), RUN + SINGLES);
    pair_transport = PAIR_TCP;
    assert_int_equal(run_dense("nocomp", "sampled"), RUN + SINGLES);
    pair_transport = PAIR_RDMA;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(runs_are_found_and_single_pages_mostly_sent, fresh_fabric),
        cmocka_unit_test_setup(all_are_found_when_all_are_looked_at, fresh_fabric),
        cmocka_unit_test_setup(who_reads_every_page_looks_at_it, fresh_fabric),
    };

    return cmocka_run_group_tests_name("sampled", tests, NULL, NULL);
}
