/* SPDX-License-Identifier: MIT */
#include "scan.h"

#include "fail.h"
#include "plain_read.h"
#include "samples.h"
#include "slices.h"
#include "units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROUNDS 7                 /* to find the fastest plain read */
#define HUGE   ((size_t)2 << 20) /* the kernel's huge pages */

struct scan {
    const struct bench_case *bench;
    void *mapping;
    size_t mapped;
    struct bench_memory memory; /* in the mapping, from the first huge page on */
    struct slices *slices;
    double *read_gbps;
    double *scan_gbps;
    double *ratios;
};

/* Memory of its own for each page: written, so that it is not the kernel's one page of zeros. */
static int map(struct scan *scan, struct multifd_error *err)
{
    const struct bench_case *bench = scan->bench;
    size_t room = bench->memory + HUGE;
    void *mapping = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (mapping == MAP_FAILED) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "mmap of %zu bytes: %s", room, strerror(errno));
    }
    scan->mapping = mapping;
    scan->mapped = room;
    scan->memory = (struct bench_memory){
        .bytes = (uint8_t *)mapping + (HUGE - (uintptr_t)mapping % HUGE),
        .length = bench->memory,
        .page_size = bench->page_size,
    };
    if (madvise(scan->memory.bytes, scan->memory.length,
                bench->thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != 0 &&
        bench->thp) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "option thp: madvise: %s", strerror(errno));
    }
    memset(scan->memory.bytes, 1, scan->memory.length);
    memset(scan->memory.bytes, 0, scan->memory.length);
    return 0;
}

static int allocate(struct scan *scan, struct multifd_error *err)
{
    uint64_t repeat = scan->bench->repeat;

    scan->read_gbps = calloc(repeat, sizeof(double));
    scan->scan_gbps = calloc(repeat, sizeof(double));
    scan->ratios = calloc(repeat, sizeof(double));
    if (scan->read_gbps == NULL || scan->scan_gbps == NULL || scan->ratios == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    if (map(scan, err) != 0) {
        return -1;
    }
    scan->slices = slices_new(&scan->memory, scan->bench->threads, err);
    return scan->slices == NULL ? -1 : 0;
}

static void clear(struct scan *scan)
{
    slices_delete(&scan->slices);
    if (scan->mapping != NULL) {
        (void)munmap(scan->mapping, scan->mapped);
    }
    free(scan->read_gbps);
    free(scan->scan_gbps);
    free(scan->ratios);
}

/* ---- One pass ---- */

static bool read_plainly(const void *opaque, const uint8_t *bytes, uint64_t length)
{
    const struct plain_read *plain = opaque;

    return plain->read(bytes, length);
}

/* As the engine does: a call for each page. */
static bool look_for_zeros(const void *opaque, const uint8_t *bytes, uint64_t length)
{
    const struct bench_memory *memory = opaque;
    bool zero = true;

    for (uint64_t at = 0; at < length; at += memory->page_size) {
        zero = multifd_buffer_is_zero(bytes + at, memory->page_size) && zero;
    }
    return zero;
}

static int pass(struct scan *scan, slice_fn *read, const void *opaque, double *gbps,
                struct multifd_error *err)
{
    uint64_t ns;

    if (!slices_read(scan->slices, read, opaque, &ns)) {
        return tool_fail(err, MULTIFD_ERROR_VERIFY, "memory of zeros was found not to be zero");
    }
    *gbps = units_gigabits(scan->memory.length, ns);
    return 0;
}

/* ---- All ---- */

/* By turns, so that a disturbance meets all ways of reading. */
static const struct plain_read *fastest_read(struct scan *scan, struct multifd_error *err)
{
    enum { WAYS = 8 };
    const struct plain_read *fastest = NULL;
    double rates[WAYS][ROUNDS];
    double best = 0;

    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < WAYS && plain_reads[i].name != NULL; i++) {
            if (plain_reads[i].supported() &&
                pass(scan, read_plainly, &plain_reads[i], &rates[i][round], err) != 0) {
                return NULL;
            }
        }
    }
    for (size_t i = 0; i < WAYS && plain_reads[i].name != NULL; i++) {
        double rate = plain_reads[i].supported() ? median_of(rates[i], ROUNDS) : 0;

        if (fastest == NULL || rate > best) { /* the first is always supported */
            best = rate;
            fastest = &plain_reads[i];
        }
    }
    return fastest;
}

static int measure(struct scan *scan, const struct plain_read *plain, struct multifd_error *err)
{
    for (uint64_t turn = 0; turn < scan->bench->repeat; turn++) {
        if (pass(scan, read_plainly, plain, &scan->read_gbps[turn], err) != 0 ||
            pass(scan, look_for_zeros, &scan->memory, &scan->scan_gbps[turn], err) != 0) {
            return -1;
        }
        scan->ratios[turn] = scan->scan_gbps[turn] / scan->read_gbps[turn];
    }
    return 0;
}

static void add_results(struct scan *scan, const struct plain_read *plain, json_t *row)
{
    uint64_t repeat = scan->bench->repeat;

    (void)json_object_set_new(row, "variant", json_string(multifd_buffer_is_zero_variant()));
    (void)json_object_set_new(row, "read", json_string(plain->name));
    (void)json_object_set_new(row, "read_gbps", spread_json(scan->read_gbps, repeat));
    (void)json_object_set_new(row, "scan_gbps", spread_json(scan->scan_gbps, repeat));
    (void)json_object_set_new(row, "ratio", spread_json(scan->ratios, repeat));
}

static int run(const struct bench_case *bench, struct peer *peer, json_t *row,
               struct multifd_error *err)
{
    struct scan scan = {.bench = bench};
    const struct plain_read *plain;
    int status = -1;

    (void)peer; /* there is no other side */
    if (allocate(&scan, err) == 0 && (plain = fastest_read(&scan, err)) != NULL &&
        measure(&scan, plain, err) == 0) {
        add_results(&scan, plain, row);
        status = 0;
    }
    clear(&scan);
    return status;
}

static const char *const scan_options[] = {"memory", "threads", "repeat", "thp", NULL};
static const char *const scan_library[] = {"page-size", NULL};

static const struct initial_value scan_initials[] = {
    {"memory", "1G"},
    {"repeat", "15"},
    {NULL, NULL},
};

static const struct column scan_columns[] = {
    {"threads", "options.threads", COLUMN_TEXT},
    {"thp", "options.thp", COLUMN_TEXT},
    {"page", "options.page-size", COLUMN_TEXT},
    {"variant", "variant", COLUMN_TEXT},
    {"scan Gb/s", "scan_gbps.median", COLUMN_GBPS},
    {"plain Gb/s", "read_gbps.median", COLUMN_GBPS},
    {"of plain", "ratio.median", COLUMN_RATIO},
    {"from", "ratio.min", COLUMN_RATIO},
    {"to", "ratio.max", COLUMN_RATIO},
    {"plain read", "read", COLUMN_TEXT},
    {.heading = NULL},
};

const struct measurement measurement_scan = {
    .name = "scan",
    .summary = "How fast zero pages are found, against reading the same memory plainly.",
    .text = "All pages are zero, which takes longest. \"plain\" is the fastest of several ways to\n"
            "read all of the memory without a look at each page; both take turns, and \"of plain\" "
            "is\n"
            "the median of the ratios. The memory is to be larger than the processor's caches.\n",
    .options = scan_options,
    .initials = scan_initials,
    .session = true,
    .library = scan_library,
    .columns = scan_columns,
    .run = run,
};
