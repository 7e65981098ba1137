/* SPDX-License-Identifier: MIT */
/* Sessions with the example of a method: mixed pages, and payloads that it must refuse. */
#include "check.h"
#include "tests/install.d/repeat_method.h"

enum { PAGE = 4096 };

static const struct pair_setting settings[] = {{"channels", "3"}, {"timeout", "5s"}, {NULL, NULL}};
static const struct pair_setting of_source[] = {{"method", "repeat"}, {NULL, NULL}};

static void configure(struct session_pair *pair, struct multifd_options *options, bool source)
{
    const struct multifd_methods *ops =
        source && pair->plan.opaque != NULL ? pair->plan.opaque : &repeat_method;
    struct multifd_error err;

    if (multifd_register_ops(options, REPEAT_FLAG, "repeat", ops, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

/* A page is zero, a word over and over, nearly so, or nothing of the kind; by turns. */
static void fill_page(uint8_t *page, uint64_t number, uint32_t size)
{
    uint64_t state = number * UINT64_C(0x9e3779b97f4a7c15) + 1;

    for (uint32_t at = 0; at < size; at += sizeof(state)) {
        memcpy(page + at, &state, sizeof(state));
        state += number % 4 < 2 ? 0 : UINT64_C(0xbf58476d1ce4e5b9);
    }
    if (number % 4 == 0) {
        memset(page, 0, size);
    } else if (number % 4 == 1 && number % 3 == 0) {
        page[size - 1] ^= 1;
    }
}

static int queue_mixed(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    uint32_t size = pair->plan.page_size == 0 ? PAGE : pair->plan.page_size;

    pair_writable(pair);
    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        for (uint64_t at = 0; at < pair->blocks[i].length; at += size) {
            fill_page(pair->blocks[i].from + at, at / size + round + i, size);
        }
    }
    pair_read_only(pair);
    return pair_queue_all(pair, err);
}

static void check_round(struct session_pair *pair, uint32_t round)
{
    (void)round;
    CHECK(pair, pair_equal(pair));
}

static struct session_pair *run(const struct pair_plan *plan)
{
    struct session_pair *pair;

    fabric_reset(NULL);
    pair = pair_new(plan);
    pair_run(pair);
    return pair;
}

static const struct pair_plan plan = {.name = "the example of a method",
                                      .settings = settings,
                                      .source_settings = of_source,
                                      .configure = configure,
                                      .queue = queue_mixed,
                                      .synced = check_round,
                                      .rounds = 4,
                                      .blocks = {{"ram", 4 << 20}, {"rom", 2 << 20}}};

static void mixed_pages(void **state)
{
    static const uint32_t sizes[] = {0, 1024, 65536, 1 << 20};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct pair_plan mixed = plan;
        mixed.page_size = sizes[i];
        struct session_pair *pair = run(&mixed);
        const struct multifd_statistics *statistics = &pair->source_side.statistics;

        check_finished(pair);
        CHECK(pair, statistics->zero_pages != 0);
        CHECK(pair, statistics->wire_bytes < statistics->guest_bytes / 4 * 3);
        pair_delete(&pair);
    }
}

/* The pages that pair_new makes repeat no word: all of them go as they are. */
static void pages_that_do_not_shrink(void **state)
{
    struct pair_plan as_they_are = plan;

    (void)state;
    as_they_are.queue = NULL;
    struct session_pair *pair = run(&as_they_are);
    check_finished(pair);
    CHECK(pair, pair->source_side.statistics.wire_bytes > pair->source_side.statistics.guest_bytes);
    pair_delete(&pair);
}

/* ---- A source that lies ---- */

enum lie { LIE_TAG, LIE_CUT, LIE_MORE, LIE_FLAGS, LIES };

static enum lie lie;

/* What the method has made, spoilt. */
static int send_prepare(struct multifd_send_params *p, struct multifd_error *err)
{
    if (repeat_method.send_prepare(p, err) != 0) {
        return -1;
    }
    if (p->flags != REPEAT_FLAG) {
        return 0;
    }
    switch (lie) {
    case LIE_TAG:
        p->payload[0] = 2;
        break;
    case LIE_CUT:
        p->next_packet_size--;
        break;
    case LIE_MORE:
        p->next_packet_size++;
        break;
    default:
        p->flags = 5u << 1;
        break;
    }
    p->iov[1].iov_len = p->next_packet_size;
    multifd_send_fill_packet(p);
    return 0;
}

static void payloads_that_are_refused(void **state)
{
    static const char *const words[LIES] = {
        [LIE_TAG] = "a page of no known kind",
        [LIE_CUT] = "the payload is cut off",
        [LIE_MORE] = "something follows the last page",
        [LIE_FLAGS] = "the packet is not of this method",
    };
    struct multifd_methods liar = repeat_method;
    struct pair_plan lying = plan;

    (void)state;
    liar.send_prepare = send_prepare;
    lying.opaque = &liar;
    lying.synced = NULL;
    for (lie = LIE_TAG; lie < LIES; lie++) {
        struct session_pair *pair = run(&lying);
        const struct multifd_error *refused = &pair->destination_side.err;

        CHECK(pair, pair->source_side.status != 0 && pair->destination_side.status != 0);
        CHECK(pair, refused->code == MULTIFD_ERROR_PROTOCOL);
        CHECK(pair, strstr(refused->message, words[lie]) != NULL && refused->channel >= 0);
        CHECK(pair, pair->source_side.err.code == MULTIFD_ERROR_PEER);
        CHECK(pair, strstr(pair->source_side.err.message, words[lie]) != NULL);
        CHECK(pair, pair_pages_old_or_new(pair));
        CHECK(pair, fabric_live_objects() == 0);
        pair_delete(&pair);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixed_pages),
        cmocka_unit_test(pages_that_do_not_shrink),
        cmocka_unit_test(payloads_that_are_refused),
    };

    return cmocka_run_group_tests_name("example of a method", tests, NULL, NULL);
}
