/* SPDX-License-Identifier: MIT */
#include "method.h"

#include "clocks.h"
#include "content.h"
#include "fail.h"
#include "method_packets.h"
#include "samples.h"
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct method_bench {
    const struct bench_case *bench;
    struct bench_memory from;
    struct bench_memory to;
    uint64_t *offsets; /* of the pages that are not zero */
    size_t pages;
    struct method_packets *packets;
    double *compress_gbps;
    double *decompress_gbps;
};

/* As the library's option says, which multifd_options_set has taken for a level; 0 without one. */
static int32_t level_of(const struct bench_case *bench)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "%s-level", bench->method);
    const char *text = json_string_value(json_object_get(bench->choices, name));
    for (const struct multifd_option_info *info = multifd_options_list();
         text == NULL && info->name != NULL; info++) {
        text = strcmp(info->name, name) == 0 ? info->initial : NULL;
    }
    return text != NULL ? (int32_t)strtol(text, NULL, 10) : 0;
}

static int load(struct method_bench *method, struct multifd_error *err)
{
    const struct bench_case *bench = method->bench;

    if (content_load(&method->from, bench->content, bench->memory, bench->page_size, err) != 0) {
        return -1;
    }
    method->offsets = content_pages(&method->from, &method->pages, err);
    return method->offsets == NULL
               ? -1
               : bench_memory_map(&method->to, method->from.length, bench->page_size, err);
}

static int allocate(struct method_bench *method, struct multifd_error *err)
{
    const struct bench_case *bench = method->bench;
    struct method_input input = {
        .ops = multifd_options_method(bench->session, bench->method),
        .level = level_of(bench),
        .page_size = (uint32_t)bench->page_size,
    };

    if (input.ops == NULL) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "unknown method \"%s\"", bench->method);
    }
    method->compress_gbps = calloc(bench->repeat, sizeof(double));
    method->decompress_gbps = calloc(bench->repeat, sizeof(double));
    if (method->compress_gbps == NULL || method->decompress_gbps == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    if (load(method, err) != 0) {
        return -1;
    }
    input.host = method->from.bytes;
    input.offsets = method->offsets;
    input.pages = method->pages;
    method->packets = method_packets_new(&input, err);
    return method->packets == NULL ? -1 : 0;
}

static void clear(struct method_bench *method)
{
    method_packets_delete(&method->packets);
    free(method->offsets);
    bench_memory_unmap(&method->to);
    bench_memory_unmap(&method->from);
    free(method->compress_gbps);
    free(method->decompress_gbps);
}

/* No page that was sent is zero, and before each pass all are. */
static int compare(const struct method_bench *method, struct multifd_error *err)
{
    for (size_t i = 0; i < method->pages; i++) {
        uint64_t at = method->offsets[i];

        if (method_packets_shrank(method->packets, i) &&
            memcmp(method->from.bytes + at, method->to.bytes + at, method->from.page_size) != 0) {
            return tool_fail(err, MULTIFD_ERROR_VERIFY,
                             "the page at offset %llu was decompressed to something else",
                             (unsigned long long)at);
        }
    }
    return 0;
}

/* By the clock: in virtual machines a thread's processor time may be counted in whole ticks. */
static int turn(struct method_bench *method, double *compress_gbps, double *decompress_gbps,
                struct multifd_error *err)
{
    struct method_totals totals;

    memset(method->to.bytes, 0, method->to.length);
    uint64_t start = now_ns();
    if (method_packets_compress(method->packets, err) != 0) {
        return -1;
    }
    uint64_t middle = now_ns();
    if (method_packets_decompress(method->packets, method->to.bytes, err) != 0) {
        return -1;
    }
    uint64_t end = now_ns();
    method_packets_totals(method->packets, &totals);
    *compress_gbps = units_gigabits(method->pages * method->from.page_size, middle - start);
    *decompress_gbps = units_gigabits(totals.shrunk_bytes, end - middle);
    return compare(method, err);
}

static void add_results(struct method_bench *method, json_t *row)
{
    uint64_t repeat = method->bench->repeat;
    uint64_t all = method->from.length / method->from.page_size;
    double bytes = (double)(method->pages * method->from.page_size);
    struct method_totals totals;

    method_packets_totals(method->packets, &totals);
    (void)json_object_set_new(row, "level", json_integer(level_of(method->bench)));
    (void)json_object_set_new(row, "pages", json_integer((json_int_t)all));
    (void)json_object_set_new(row, "zero_share",
                              json_real((double)(all - method->pages) / (double)all));
    (void)json_object_set_new(row, "compression_ratio",
                              json_real(bytes / (double)totals.payload_bytes));
    (void)json_object_set_new(row, "uncompressed_share",
                              json_real((double)totals.uncompressed / (double)totals.packets));
    (void)json_object_set_new(row, "compress_gbps", spread_json(method->compress_gbps, repeat));
    if (totals.shrunk_bytes != 0) {
        (void)json_object_set_new(row, "decompress_gbps",
                                  spread_json(method->decompress_gbps, repeat));
    }
}

/* The turn before the first is for warming up. */
static int measure(struct method_bench *method, struct multifd_error *err)
{
    if (turn(method, method->compress_gbps, method->decompress_gbps, err) != 0) {
        return -1;
    }
    for (uint64_t i = 0; i < method->bench->repeat; i++) {
        if (turn(method, &method->compress_gbps[i], &method->decompress_gbps[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int run(const struct bench_case *bench, struct peer *peer, json_t *row,
               struct multifd_error *err)
{
    struct method_bench method = {.bench = bench};
    int status = -1;

    (void)peer; /* there is no other side */
    if (allocate(&method, err) == 0 && measure(&method, err) == 0) {
        add_results(&method, row);
        status = 0;
    }
    clear(&method);
    return status;
}

static const char *const method_options[] = {"memory", "repeat", "content", NULL};
static const char *const method_library[] = {"method", "zlib-level", "zstd-level", "page-size",
                                             NULL};

static const struct initial_value method_initials[] = {
    {"memory", "64M"}, {"method", "zlib,zstd"}, {"zlib-level", "1"}, {"zstd-level", "1"},
    {NULL, NULL},
};

static const struct column method_columns[] = {
    {"method", "options.method", COLUMN_TEXT},
    {"zlib-level", "options.zlib-level", COLUMN_TEXT},
    {"zstd-level", "options.zstd-level", COLUMN_TEXT},
    {"page", "options.page-size", COLUMN_TEXT},
    {"ratio", "compression_ratio", COLUMN_RATIO},
    {"compress Gb/s", "compress_gbps.median", COLUMN_GBPS},
    {"from", "compress_gbps.min", COLUMN_GBPS},
    {"to", "compress_gbps.max", COLUMN_GBPS},
    {"decompress Gb/s", "decompress_gbps.median", COLUMN_GBPS},
    {"from", "decompress_gbps.min", COLUMN_GBPS},
    {"to", "decompress_gbps.max", COLUMN_GBPS},
    {"zero share", "zero_share", COLUMN_RATIO},
    {"sent as is", "uncompressed_share", COLUMN_RATIO},
    {.heading = NULL},
};

const struct measurement measurement_method = {
    .name = "method",
    .summary = "How fast one processor compresses and decompresses guest pages.",
    .text =
        "Rates are of the guest's bytes, in one thread. Pages are made, half noise, or are those\n"
        "of --content up to --memory; zero pages are left out, as a session does. \"ratio\" is\n"
        "bytes of pages for each byte of payload; \"sent as is\" the share of packets that did "
        "not\n"
        "shrink. What is decompressed is compared.\n",
    .options = method_options,
    .initials = method_initials,
    .session = true,
    .library = method_library,
    .columns = method_columns,
    .run = run,
};
