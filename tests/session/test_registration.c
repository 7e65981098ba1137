/* SPDX-License-Identifier: MIT */
/* When memory is registered, how much of it, and that nobody waits for what he does not need. */
#include "check.h"
#include "core/message.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB UINT64_C(0x100000)

enum { PAGE = 4096, AT_TYPE = 11, MOST_MS = 10000 };

static struct session_pair *run(const struct pair_plan *plan)
{
    struct session_pair *pair = pair_new(plan);

    pair_run(pair);
    return pair;
}

static void reset(uint64_t memlock, bool odp)
{
    struct fabric_options options;

    fabric_options_init(&options);
    options.memlock = memlock;
    options.odp = odp;
    fabric_reset(&options);
}

static void check_registered(struct session_pair *pair, uint64_t bytes)
{
    CHECK(pair, pair->source_side.statistics.registered_bytes == bytes);
    CHECK(pair, pair->destination_side.statistics.registered_bytes == bytes);
}

/* ---- A guest that is all zero, and one that is nearly so ---- */

/* What the queues and packets of both sides lock may be so much, and no guest memory beside it. */
enum { OWN_MEMORY = 4 << 20 };

static const struct pair_setting on_demand[] = {{"registration", "on-demand"}, {NULL, NULL}};
static const struct pair_setting fresh[] = {{"fresh-memory", "on"}, {NULL, NULL}};

/* A thread sanitizer keeps a record of each word that is read. */
static uint64_t sparse_bytes(void)
{
    return slow_build() ? 64 * MIB : UINT64_C(8) << 30;
}

static void eight_gigabytes_of_nothing(void **state)
{
    const struct pair_plan plan = {.name = "all zero",
                                   .source_settings = on_demand,
                                   .destination_settings = fresh,
                                   .blank = true,
                                   .blocks = {{"ram", sparse_bytes()}}};
    struct session_pair *pair;
    struct rusage usage;

    (void)state;
    reset(OWN_MEMORY, false);
    pair = run(&plan);
    check_finished(pair);
    check_registered(pair, 0);
    CHECK(pair, pair->source_side.statistics.zero_pages == sparse_bytes() / PAGE);
    CHECK(pair, pair->source_side.statistics.memory_stalls == 0);
    getrusage(RUSAGE_SELF, &usage);
    CHECK(pair, slow_build() || usage.ru_maxrss < 128 << 10); /* KiB; with both sides */
    pair_delete(&pair);
}

/* Three pages in two pieces, and one on the edge of a third. */
static int queue_few(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    static const uint64_t places[] = {5 * PAGE, 6 * PAGE, 24 * MIB, 32 * MIB - PAGE};

    if (round == 0) {
        pair_writable(pair);
        for (size_t i = 0; i < COUNT_OF(places); i++) {
            memset(pair->blocks[0].from + places[i], (int)i + 1, PAGE);
        }
        pair_read_only(pair);
    }
    return pair_queue_all(pair, err);
}

static void a_few_pages_pin_their_pieces(void **state)
{
    const struct pair_plan plan = {.name = "nearly zero",
                                   .source_settings = on_demand,
                                   .blank = true,
                                   .queue = queue_few,
                                   .rounds = 2,
                                   .blocks = {{"ram", 64 * MIB}}};
    struct session_pair *pair;

    (void)state;
    reset(OWN_MEMORY + 2 * 12 * MIB, false); /* of 4 MiB */
    pair = run(&plan);
    check_finished(pair);
    check_registered(pair, 12 * MIB);
    CHECK(pair, pair->source_side.statistics.normal_pages == 2 * 4);
    CHECK(pair, pair_equal(pair));
    pair_delete(&pair);
}

/* Without a look for zero pages nobody can know which memory is needed. */
static void all_is_needed_where_nobody_looks(void **state)
{
    static const struct pair_setting settings[] = {
        {"registration", "on-demand"}, {"zero-page-detection", "none"}, {NULL, NULL}};
    const struct pair_plan plan = {.name = "nobody looks",
                                   .source_settings = settings,
                                   .blank = true,
                                   .blocks = {{"ram", 10 * MIB}}};
    struct session_pair *pair;

    (void)state;
    reset(0, false);
    pair = run(&plan);
    check_finished(pair);
    check_registered(pair, 10 * MIB);
    pair_delete(&pair);
}

/* ---- Pages that were never received ---- */

/* Each page is normal in one round and zero in the next; neighbours change at other times. */
static int queue_changing(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    pair_writable(pair);
    for (uint64_t at = 0; at < pair->blocks[0].length; at += PAGE) {
        uint64_t page = at / PAGE;

        memset(pair->blocks[0].from + at, (page * 7 + round) % 3 == 0 ? (int)round + 1 : 0, PAGE);
    }
    pair_read_only(pair);
    return pair_queue_all(pair, err);
}

static void check_equal(struct session_pair *pair, uint32_t round)
{
    (void)round;
    CHECK(pair, pair_equal(pair));
}

/* Zero pages of fresh memory are not looked at, unless something came there before. */
static void fresh_memory_is_cleared_where_it_was_used(void **state)
{
    static const char *const methods[] = {"nocomp", "zstd"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        const struct pair_setting settings[] = {
            {"registration", "on-demand"}, {"piece-size", "1M"}, {"channels", "8"},
            {"method", methods[i]},        {"verify", "on"},     {NULL, NULL}};
        const struct pair_plan plan = {.name = methods[i],
                                       .source_settings = settings,
                                       .destination_settings = fresh,
                                       .blank = true,
                                       .queue = queue_changing,
                                       .synced = check_equal,
                                       .rounds = 6,
                                       .blocks = {{"ram", 12 * MIB + 8 * PAGE}}};
        struct session_pair *pair;

        reset(0, false);
        pair = run(&plan);
        check_finished(pair);
        pair_delete(&pair);
    }
}

/* ---- ODP ---- */

static const struct pair_setting odp[] = {{"registration", "odp"}, {NULL, NULL}};

static void odp_pins_nothing(void **state)
{
    const struct pair_plan plan = {
        .name = "odp", .source_settings = odp, .blocks = {{"a", 9 * MIB}, {"b", 3 * PAGE}}};
    struct session_pair *pair;

    (void)state;
    reset(OWN_MEMORY, true);
    pair = run(&plan);
    check_finished(pair);
    check_registered(pair, 0);
    CHECK(pair, pair_equal(pair));
    pair_delete(&pair);
}

static void odp_without_the_device(void **state)
{
    const struct pair_plan plan = {.name = "no odp", .source_settings = odp};
    struct session_pair *pair;

    (void)state;
    reset(0, false);
    pair = run(&plan);
    assert_error(&pair->source_side.err, MULTIFD_ERROR_LIMIT,
                 "registration odp needs on-demand paging, which the device of the source does");
    assert_error(&pair->destination_side.err, MULTIFD_ERROR_PEER, "on-demand paging");
    CHECK(pair, fabric_live_objects() == 0);
    pair_delete(&pair);
}

/* ---- Overlapping ---- */

/* Messages that are held back until others have been seen. */
struct hold {
    uint32_t type; /* of the message that waits */
    unsigned nth;
    unsigned pages_wanted; /* packets with pages, or requests for pieces, before it goes on */
    unsigned requests_wanted;
    unsigned least_ms; /* for which it waits then */
    atomic_uint seen;
    atomic_uint pages;
    atomic_uint requests;
    atomic_bool in_vain;
    uint64_t stalls; /* of the session */
};

static void hold_back(struct hold *hold)
{
    for (unsigned ms = 0; ms < MOST_MS; ms++) {
        if (atomic_load(&hold->pages) >= hold->pages_wanted &&
            atomic_load(&hold->requests) >= hold->requests_wanted) {
            usleep(hold->least_ms * 1000);
            return;
        }
        usleep(1000);
    }
    atomic_store(&hold->in_vain, true);
}

static void watch(void *opaque, struct fabric_message *message)
{
    static const uint8_t control[] = {'M', 'F', 'D', 'C'};
    static const uint8_t packet[] = {0x11, 0x22, 0x33, 0x44};
    struct hold *hold = opaque;

    if (message->length > 320 && memcmp(message->bytes, packet, sizeof(packet)) == 0) {
        atomic_fetch_add(&hold->pages, 1);
    }
    if (message->length < 12 || memcmp(message->bytes, control, sizeof(control)) != 0) {
        return;
    }
    if (message->bytes[AT_TYPE] == MESSAGE_PIECES_REQUEST) {
        atomic_fetch_add(&hold->requests, 1);
    }
    if (message->bytes[AT_TYPE] == hold->type &&
        atomic_fetch_add(&hold->seen, 1) + 1 == hold->nth) {
        hold_back(hold);
    }
}

/* Packets that waited for memory, which only the source's do. */
static void check_stalls(struct session_pair *pair, struct hold *hold)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < PAIR_CHANNELS_MAX; i++) {
        sum += pair->source_side.channels[i].memory_stalls;
    }
    hold->stalls = pair->source_side.statistics.memory_stalls;
    CHECK(pair, hold->stalls == sum);
    CHECK(pair, hold->stalls <= pair->source_side.statistics.packets);
    CHECK(pair, pair->destination_side.statistics.memory_stalls == 0);
}

static void run_held(const struct pair_plan *plan, struct hold *hold)
{
    struct session_pair *pair;

    reset(0, false);
    fabric_on_send(watch, hold);
    pair = run(plan);
    check_finished(pair);
    CHECK(pair, atomic_load(&hold->seen) >= hold->nth && !atomic_load(&hold->in_vain));
    check_stalls(pair, hold);
    CHECK(pair, pair_equal(pair));
    pair_delete(&pair);
}

/* The first packets have gone before the last piece is registered. */
static void nobody_waits_for_the_last_piece(void **state)
{
    static const struct pair_setting settings[] = {{"piece-size", "16M"},
                                                   {"registration-threads", "1"},
                                                   {"zero-page-detection", "none"},
                                                   {NULL, NULL}};
    const struct pair_plan plan = {
        .name = "all, overlapped", .settings = settings, .blocks = {{"ram", 40 * MIB}}};
    struct hold hold = {.type = MESSAGE_PIECES, .nth = 3, .pages_wanted = 8};

    (void)state;
    run_held(&plan, &hold);
}

/* While the first packet waits for its memory, that of the next ones is asked for. */
static void memory_is_asked_for_ahead(void **state)
{
    static const struct pair_setting settings[] = {
        {"registration", "on-demand"}, {"channels", "1"}, {NULL, NULL}};
    const struct pair_plan plan = {
        .name = "asked for ahead",
        .source_settings = settings,
        .blocks = {{"a", MIB}, {"b", PAGE}, {"c", PAGE}, {"d", MIB}, {"e", 5 * PAGE}}};
    struct hold hold = {.type = MESSAGE_PIECES, .nth = 1, .requests_wanted = 5};

    (void)state;
    run_held(&plan, &hold);
    assert_true(hold.stalls >= 1); /* the first, at least */
}

/* However often the channel comes back to look, as one that polls does. */
static void a_packet_that_waits_for_memory_counts_once(void **state)
{
    static const struct pair_setting settings[] = {
        {"registration", "on-demand"}, {"channels", "1"}, {"poll", "10ms"}, {NULL, NULL}};
    const struct pair_plan plan = {.name = "counted once",
                                   .source_settings = settings,
                                   .rounds = 2,
                                   .blocks = {{"ram", 3 * PAGE}}};
    struct hold hold = {.type = MESSAGE_PIECES, .nth = 1, .least_ms = 30};

    (void)state;
    run_held(&plan, &hold);
    assert_int_equal(hold.stalls, 1); /* in the second round it is there */
}

/* ---- The end ---- */

/* A page that is zero, which needs no memory. */
static int queue_one(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    (void)round;
    return multifd_queue_page(pair->source, pair->blocks[0].block, 0, err);
}

/* Pieces that are registered, and told of, while both sides are about to part. */
static void the_end_does_not_wait_for_memory(void **state)
{
    static const struct pair_setting settings[] = {
        {"piece-size", "1M"}, {"registration-threads", "3"}, {"channels", "1"}, {NULL, NULL}};
    const struct pair_plan plan = {.name = "early end",
                                   .settings = settings,
                                   .blank = true,
                                   .queue = queue_one,
                                   .blocks = {{"ram", 2048 * MIB}}};

    (void)state;
    for (unsigned i = 0; i < (slow_build() ? 5 : 40); i++) {
        struct fabric_options options;
        struct session_pair *pair;

        fabric_options_init(&options);
        options.strict_cm = i % 2 != 0;
        options.max_delay_us = i % 3 * 100;
        fabric_reset(&options);
        pair = run(&plan);
        check_finished(pair);
        CHECK(pair, pair->destination_side.statistics.registered_bytes <= 2048 * MIB);
        pair_delete(&pair);
    }
}

/* ---- Many ---- */

static int queue_pattern(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    pair_writable(pair);
    for (uint64_t page = round; page < pair->blocks[1].length / PAGE; page += 3) {
        memset(pair->blocks[1].from + page * PAGE, page % 5 == 0 ? 0 : (int)(page + round), PAGE);
    }
    pair_read_only(pair);
    return pair_queue_all(pair, err);
}

static void every_mode_with_every_method(void **state)
{
    static const char *const modes[] = {"all", "on-demand", "odp"};
    static const char *const methods[] = {"nocomp", "zlib", "zstd"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(modes) * COUNT_OF(methods); i++) {
        const char *method = methods[i / COUNT_OF(modes)];
        const struct pair_setting settings[] = {{"registration", modes[i % COUNT_OF(modes)]},
                                                {"method", method},
                                                {"piece-size", "1M"},
                                                {"channels", "4"},
                                                {NULL, NULL}};
        const struct pair_plan plan = {.name = settings[0].value,
                                       .source_settings = settings,
                                       .queue = queue_pattern,
                                       .synced = check_equal,
                                       .rounds = 3,
                                       .blocks = {{"a", 2 * MIB + PAGE}, {"b", 5 * MIB}}};
        struct session_pair *pair;

        reset(0, true);
        pair = run(&plan);
        check_finished(pair);
        pair_delete(&pair);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_gigabytes_of_nothing), /* first: it looks at the process's most */
        cmocka_unit_test(a_few_pages_pin_their_pieces),
        cmocka_unit_test(all_is_needed_where_nobody_looks),
        cmocka_unit_test(fresh_memory_is_cleared_where_it_was_used),
        cmocka_unit_test(odp_pins_nothing),
        cmocka_unit_test(odp_without_the_device),
        cmocka_unit_test(nobody_waits_for_the_last_piece),
        cmocka_unit_test(memory_is_asked_for_ahead),
        cmocka_unit_test(a_packet_that_waits_for_memory_counts_once),
        cmocka_unit_test(the_end_does_not_wait_for_memory),
        cmocka_unit_test(every_mode_with_every_method),
    };

    return cmocka_run_group_tests_name("registration", tests, NULL, NULL);
}
