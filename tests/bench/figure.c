/* SPDX-License-Identifier: MIT */
/*
 * figure - the engine against the bare verbs loop: the same pages of the same memory over the same
 * device, in turns, in one process.
 *
 *   figure ADDRESS [MIB [PAIRS]]
 *
 * Prints a line for each case: medians, their ratio, and the spread of the ratios of the pairs.
 */
#include "engine_loop.h"
#include "raw_loop.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE  4096u
#define PAIRS 64

static uint8_t *map_touched(uint64_t length, int fill)
{
    uint8_t *memory =
        mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    memset(memory, fill, length);
    return memory;
}

/* Whole packets: pages in order. Scattered: first the even pages, then the odd, so that no two
 * adjoin. */
static void order_pages(uint64_t *offsets, uint32_t pages, bool scattered)
{
    uint32_t half = (pages + 1) / 2;

    for (uint32_t i = 0; i < pages; i++) {
        uint32_t page = !scattered ? i : i < half ? 2 * i : 2 * (i - half) + 1;

        offsets[i] = (uint64_t)page * PAGE;
    }
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;

    return (a > b) - (a < b);
}

static double median(double *values, int num)
{
    qsort(values, (size_t)num, sizeof(*values), compare);
    return values[num / 2];
}

static void fill_pattern(const struct transfer_plan *plan, int round)
{
    memset(plan->source, 1 + round % 250, plan->length);
}

static void check_equal(const struct transfer_plan *plan)
{
    if (memcmp(plan->source, plan->destination, plan->length) != 0) {
        fprintf(stderr, "source and destination differ\n");
        exit(1);
    }
}

static void measure(const struct transfer_plan *plan, const char *name, const char *address,
                    int pairs)
{
    struct engine_loop *engine = engine_loop_new(plan, address);
    struct raw_loop *raw = raw_loop_new(plan);
    double gbps = (double)plan->pages * plan->page_size * 8;
    double ours[PAIRS];
    double theirs[PAIRS];
    double ratios[PAIRS];

    raw_loop_run(raw); /* warm-up of both */
    engine_loop_run(engine);
    for (int i = 0; i < pairs; i++) {
        fill_pattern(plan, 2 * i);
        theirs[i] = gbps / (double)raw_loop_run(raw);
        check_equal(plan);
        fill_pattern(plan, 2 * i + 1);
        ours[i] = gbps / (double)engine_loop_run(engine);
        check_equal(plan);
        ratios[i] = ours[i] / theirs[i];
    }
    raw_loop_delete(raw);
    engine_loop_delete(engine);
    printf("%-16s %8u %10.2f %10.2f %8.2f", name, plan->channels, median(theirs, pairs),
           median(ours, pairs), median(ratios, pairs));
    printf("   %.2f .. %.2f\n", ratios[0], ratios[pairs - 1]);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    uint64_t length = (argc > 2 ? strtoull(argv[2], NULL, 10) : 256) << 20;
    int pairs = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 7;
    struct transfer_plan plan = {
        .length = length, .pages = (uint32_t)(length / PAGE), .page_size = PAGE, .window = 32};
    uint64_t *offsets;

    if (argc < 2 || length == 0 || pairs < 1 || pairs > PAIRS) {
        fprintf(stderr,
                "usage: figure ADDRESS [MIB [PAIRS]]   address such as rdma:10.0.0.1:4444\n");
        return 2;
    }
    offsets = calloc(plan.pages, sizeof(*offsets));
    if (offsets == NULL) {
        perror("calloc");
        return 1;
    }
    plan.source = map_touched(length, 1);
    plan.destination = map_touched(length, 0);
    plan.offsets = offsets;
    printf("%-16s %8s %10s %10s %8s   spread\n", "pages", "channels", "raw Gb/s", "ours Gb/s",
           "ratio");
    for (int scattered = 0; scattered < 2; scattered++) {
        order_pages(offsets, plan.pages, scattered != 0);
        for (plan.channels = 1; plan.channels <= 4; plan.channels *= 4) {
            measure(&plan, scattered ? "scattered" : "whole packets", argv[1], pairs);
        }
    }
    free(offsets);
    return 0;
}
