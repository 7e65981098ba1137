/* SPDX-License-Identifier: MIT */
/* Sessions that compress and that name zero pages, over rounds in which pages change their kind. */
#include "check.h"
#include "tamper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 4096, KINDS = 5 };

static uint64_t mix(uint64_t word)
{
    word = (word ^ word >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    return (word ^ word >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

static void fill_text(uint8_t *page, uint64_t seed)
{
    for (uint32_t at = 0; at < PAGE; at += 64) {
        (void)snprintf((char *)page + at, 64, "page %llu, line %u, and so on: the guest writes.",
                       (unsigned long long)seed, at / 64);
    }
}

static void fill_random(uint8_t *page, uint64_t seed)
{
    for (uint32_t at = 0; at < PAGE; at += sizeof(uint64_t)) {
        uint64_t word = mix(seed + at);

        memcpy(page + at, &word, sizeof(word));
    }
}

/* A page of one of the kinds that guests have, another one in most rounds. */
static void fill_page(uint8_t *page, uint64_t seed)
{
    switch (mix(seed) % KINDS) {
    case 0:
        memset(page, 0, PAGE);
        break;
    case 1:
        fill_text(page, seed);
        break;
    case 2:
        fill_random(page, seed);
        break;
    case 3:
        memset(page, (int)(1 + seed % 255), PAGE);
        break;
    default:
        memset(page, 0, PAGE);
        page[mix(seed + 1) % PAGE] = 1; /* all but zero */
        break;
    }
}

static int queue_mixed(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    pair_writable(pair);
    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        for (uint64_t at = 0; at < pair->blocks[i].length; at += PAGE) {
            fill_page(pair->blocks[i].from + at, ((uint64_t)round << 40) + at / PAGE + i);
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

static void check_counts(struct session_pair *pair, bool compresses, bool detects)
{
    const struct multifd_statistics *statistics = &pair->source_side.statistics;

    check_finished(pair);
    CHECK(pair, (statistics->zero_pages != 0) == detects);
    CHECK(pair, (statistics->wire_bytes < statistics->guest_bytes / 2) == compresses);
}

static void run_mixed(const struct pair_setting *settings, uint32_t page_size, bool compresses,
                      bool detects)
{
    const struct pair_plan plan = {.name = settings[0].value,
                                   .settings = settings,
                                   .page_size = page_size,
                                   .rounds = 4,
                                   .queue = queue_mixed,
                                   .synced = check_round,
                                   .blocks = {{"ram", 6 << 20}, {"rom", 2 << 20}}};
    struct session_pair *pair;

    fabric_reset(NULL);
    pair = pair_new(&plan);
    pair_run(pair);
    if (page_size == PAGE) {
        check_counts(pair, compresses, detects);
    } else {
        check_finished(pair);
    }
    pair_delete(&pair);
}

static void methods_and_detection(void **state)
{
    static const char *const methods[] = {"nocomp", "zlib", "zstd"};
    static const char *const detections[] = {"none", "multifd", "sampled"};

    (void)state;
    for (size_t m = 0; m < COUNT_OF(methods); m++) {
        for (size_t d = 0; d < COUNT_OF(detections); d++) {
            const struct pair_setting settings[] = {
                {"method", methods[m]}, {"zero-page-detection", detections[d]}, {NULL, NULL}};

            run_mixed(settings, PAGE, m != 0, d != 0);
        }
    }
}

static void channels_windows_and_levels(void **state)
{
    static const char *const cases[][4] = {{"zstd", "1", "1", "1"},    {"zstd", "3", "2", "-7"},
                                           {"zstd", "8", "32", "5"},   {"zlib", "1", "3", "1"},
                                           {"zlib", "4", "16", "0"},   {"zlib", "2", "1024", "9"},
                                           {"zstd", "2", "1024", "20"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *level = cases[i][0][1] == 's' ? "zstd-level" : "zlib-level";
        const struct pair_setting settings[] = {{"method", cases[i][0]},
                                                {"channels", cases[i][1]},
                                                {"window", cases[i][2]},
                                                {level, cases[i][3]},
                                                {NULL, NULL}};
        bool compresses = strcmp(cases[i][3], "0") != 0;

        run_mixed(settings, PAGE, compresses, true);
    }
}

static void page_sizes(void **state)
{
    static const uint32_t sizes[] = {1024, 65536, 524288, 2 << 20};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        static const struct pair_setting zstd[] = {{"method", "zstd"}, {NULL, NULL}};
        static const struct pair_setting zlib[] = {{"method", "zlib"}, {NULL, NULL}};

        run_mixed(zstd, sizes[i], true, true);
        run_mixed(zlib, sizes[i], true, true);
    }
}

/* The two windows are each side's own, and so are the slots of the staging. */
static void different_windows(void **state)
{
    static const char *const windows[][2] = {{"1", "16"}, {"16", "1"}, {"5", "3"}, {"64", "7"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        const struct pair_setting source[] = {
            {"method", "zstd"}, {"window", windows[i][0]}, {NULL, NULL}};
        const struct pair_setting destination[] = {{"window", windows[i][1]}, {NULL, NULL}};
        const struct pair_plan plan = {.name = "different windows",
                                       .source_settings = source,
                                       .destination_settings = destination,
                                       .rounds = 3,
                                       .queue = queue_mixed,
                                       .synced = check_round,
                                       .blocks = {{"ram", 8 << 20}}};
        struct session_pair *pair;

        fabric_reset(NULL);
        pair = pair_new(&plan);
        pair_run(pair);
        check_finished(pair);
        pair_delete(&pair);
    }
}

/* ---- A guest that writes while its pages are compressed ---- */

struct writer {
    struct session_pair *pair;
    pthread_t thread;
    atomic_bool stop;
};

/*
 * The race with whoever reads the pages is what this test is about: the library copies them first,
 * and makes nothing of what it finds there but a payload.
 */
__attribute__((no_sanitize("thread"))) static void *write_pages(void *arg)
{
    struct writer *writer = arg;
    volatile uint8_t *memory = writer->pair->blocks[0].from;
    uint64_t length = writer->pair->blocks[0].length;
    uint64_t seed = 1;

    while (!atomic_load(&writer->stop)) {
        seed = mix(seed + 1);
        memory[seed % length] = (uint8_t)(seed >> 40);
        memory[(seed >> 8) % length / PAGE * PAGE] = 0;
    }
    return NULL;
}

/* All rounds but the last have a writer; before the last it stops, as a guest does. */
static int queue_written(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    struct writer *writer = pair->plan.opaque;

    if (round == 0) {
        pair_writable(pair);
        writer->pair = pair;
        if (pthread_create(&writer->thread, NULL, write_pages, writer) != 0) {
            abort();
        }
    }
    if (round + 1 == pair->plan.rounds) {
        atomic_store(&writer->stop, true);
        (void)pthread_join(writer->thread, NULL);
        pair_read_only(pair);
    }
    return pair_queue_all(pair, err);
}

static void pages_change_while_they_are_compressed(void **state)
{
    static const char *const methods[] = {"nocomp", "zlib", "zstd"};

    (void)state;
    for (size_t m = 0; m < COUNT_OF(methods); m++) {
        const struct pair_setting settings[] = {
            {"method", methods[m]}, {"channels", "3"}, {NULL, NULL}};
        struct writer writer = {.stop = false};
        const struct pair_plan plan = {.name = "a guest that writes",
                                       .settings = settings,
                                       .rounds = 8,
                                       .queue = queue_written,
                                       .opaque = &writer,
                                       .blocks = {{"ram", 4 << 20}}};
        struct session_pair *pair;

        fabric_reset(NULL);
        pair = pair_new(&plan);
        pair_run(pair);
        check_finished(pair);
        CHECK(pair, pair_equal(pair));
        pair_delete(&pair);
    }
}

/* ---- What cannot be ---- */

static void pages_too_large_for_a_method(void **state)
{
    static const struct pair_setting settings[] = {{"method", "zstd"}, {NULL, NULL}};
    const struct pair_plan plan = {.name = "pages of 32 MiB",
                                   .settings = settings,
                                   .page_size = 32 << 20,
                                   .blocks = {{"ram", 32 << 20}}};
    struct session_pair *pair;

    (void)state;
    fabric_reset(NULL);
    pair = pair_new(&plan);
    pair_run(pair);
    CHECK(pair, pair->source_side.err.code == MULTIFD_ERROR_INVALID);
    CHECK(pair, strstr(pair->source_side.err.message, "method zstd takes pages of up to") != NULL);
    pair_delete(&pair);
}

#define STAGING_FIELD(offset, size, to)                                                            \
    .what = MESSAGE_STAGING, .way = TAMPER_FIELD, .at = 12 + (offset), .bytes = (size),            \
    .value = (to)
/* While channels are still being made, so that one that breaks may be the destination's cause. */
#define BY_SOURCE(words)                                                                           \
    .end = TAMPER_BREAKS_SOURCE, .code = MULTIFD_ERROR_PROTOCOL, .text = (words)
#define HEADER_FIELD(offset, to)                                                                   \
    .what = TAMPER_PAGES, .way = TAMPER_FIELD, .at = (offset), .bytes = 4, .value = (to)
#define BY_DESTINATION(words)                                                                      \
    .end = TAMPER_REFUSED_BY_DESTINATION, .code = MULTIFD_ERROR_PROTOCOL, .text = (words)

enum { AT_FLAGS = 8, AT_NEXT_SIZE = 20 };

static const struct tamper tampers[] = {
    {"no slots", STAGING_FIELD(4, 4, 0), BY_SOURCE("malformed STAGING")},
    {"channel of none", STAGING_FIELD(0, 4, 2), BY_SOURCE("speaks of channel 2, there are 2")},
    {"a channel again", .nth = 2, .what = MESSAGE_STAGING, .way = TAMPER_ADD, .at = 12, .value = 1,
     BY_SOURCE("the destination speaks of channel")}, /* 1 twice, or 2: as they came in */
    {"huge channel", STAGING_FIELD(0, 4, 0xffffffff), BY_SOURCE("malformed STAGING")},
    {"no payload", HEADER_FIELD(AT_NEXT_SIZE, 0), BY_DESTINATION("a payload of 0 bytes for 8")},
    {"longer payload", HEADER_FIELD(AT_NEXT_SIZE, 8 * PAGE + 1),
     BY_DESTINATION("a payload of 32769 bytes for 8")},
    {"huge payload", HEADER_FIELD(AT_NEXT_SIZE, 0xffffffff), BY_DESTINATION("4294967295 bytes")},
    {"payload in place", HEADER_FIELD(AT_NEXT_SIZE, 8 * PAGE), BY_DESTINATION("packet refused")},
    {"cut payload", HEADER_FIELD(AT_NEXT_SIZE, 9),
     BY_DESTINATION("packet refused: the payload is cut off")},
    {"other method", HEADER_FIELD(AT_FLAGS, MULTIFD_FLAG_ZLIB), BY_DESTINATION("packet refused")},
    {"as nocomp", HEADER_FIELD(AT_FLAGS, MULTIFD_FLAG_NOCOMP), BY_DESTINATION("a payload of")},
};

static int queue_text(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    pair_writable(pair);
    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        for (uint64_t at = 0; at < pair->blocks[i].length; at += PAGE) {
            fill_text(pair->blocks[i].from + at, at + round + i);
        }
    }
    pair_read_only(pair);
    return pair_queue_all(pair, err);
}

static void hostile_staging_and_payloads(void **state)
{
    static const struct pair_setting more[] = {{"method", "zstd"}, {NULL, NULL}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(tampers); i++) {
        tamper_run_with(&tampers[i], more, queue_text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_and_detection),
        cmocka_unit_test(channels_windows_and_levels),
        cmocka_unit_test(page_sizes),
        cmocka_unit_test(different_windows),
        cmocka_unit_test(pages_change_while_they_are_compressed),
        cmocka_unit_test(pages_too_large_for_a_method),
        cmocka_unit_test(hostile_staging_and_payloads),
    };

    static const struct CMUnitTest socket_tests[] = {
        cmocka_unit_test(methods_and_detection),
        cmocka_unit_test(channels_windows_and_levels),
        cmocka_unit_test(page_sizes),
        cmocka_unit_test(different_windows),
        cmocka_unit_test(pages_change_while_they_are_compressed),
    };
    int failed = cmocka_run_group_tests_name("compress", tests, NULL, NULL);

    pair_transport = PAIR_TCP;
    failed += cmocka_run_group_tests_name("compress, tcp", socket_tests, NULL, NULL);
    pair_transport = PAIR_UNIX;
    return failed + cmocka_run_group_tests_name("compress, unix", socket_tests, NULL, NULL);
}
