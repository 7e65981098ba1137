/* SPDX-License-Identifier: MIT */
#include "samples.h"

#include "fail.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct samples {
    uint64_t room;
    uint64_t count;
    bool incomplete; /* one could not be kept */
    uint64_t *values;
};

static int grow(struct samples *samples, uint64_t room)
{
    uint64_t *values = realloc(samples->values, room * sizeof(*values));

    if (values == NULL) {
        return -1;
    }
    samples->values = values;
    samples->room = room;
    return 0;
}

struct samples *samples_new(uint64_t room, struct multifd_error *err)
{
    struct samples *samples = calloc(1, sizeof(*samples));

    if (samples == NULL || grow(samples, room == 0 ? 1 : room) != 0) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory for %llu samples",
                        (unsigned long long)room);
        samples_delete(&samples);
        return NULL;
    }
    memset(samples->values, 0xff, samples->room * sizeof(uint64_t)); /* no page fault later */
    return samples;
}

void samples_delete(struct samples **samples)
{
    if (*samples != NULL) {
        free((*samples)->values);
    }
    free(*samples);
    *samples = NULL;
}

void samples_add(struct samples *samples, uint64_t value)
{
    if (samples->count == samples->room && grow(samples, 2 * samples->room) != 0) {
        samples->incomplete = true;
        return;
    }
    samples->values[samples->count++] = value;
}

uint64_t samples_count(const struct samples *samples)
{
    return samples->count;
}

static int compare_values(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

/* The smallest sample that `per_mille` of a thousand do not exceed. */
static json_t *percentile(const struct samples *samples, unsigned per_mille)
{
    uint64_t rank = (samples->count * per_mille + 999) / 1000;

    return json_integer((json_int_t)samples->values[rank == 0 ? 0 : rank - 1]);
}

/* The end of the class that `value` is in: eight classes for each power of two. */
static uint64_t class_end(uint64_t value)
{
    unsigned bits = 0;

    while (value >> bits >= 16) {
        bits++;
    }
    return ((value >> bits) + 1) << bits;
}

static json_t *histogram(const struct samples *samples)
{
    json_t *classes = json_array();
    uint64_t at = 0;

    while (at < samples->count) {
        uint64_t end = class_end(samples->values[at]);
        uint64_t first = at;

        while (at < samples->count && samples->values[at] < end) {
            at++;
        }
        (void)json_array_append_new(classes,
                                    json_pack("[I, I]", (json_int_t)end, (json_int_t)(at - first)));
    }
    return classes;
}

static double mean(const struct samples *samples)
{
    double sum = 0;

    for (uint64_t i = 0; i < samples->count; i++) {
        sum += (double)samples->values[i];
    }
    return sum / (double)samples->count;
}

json_t *samples_json(struct samples *samples)
{
    if (samples->count == 0 || samples->incomplete) {
        return NULL;
    }
    qsort(samples->values, samples->count, sizeof(samples->values[0]), compare_values);
    return json_pack("{s:I, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "count",
                     (json_int_t)samples->count, "mean", mean(samples), "min",
                     percentile(samples, 0), "p50", percentile(samples, 500), "p90",
                     percentile(samples, 900), "p99", percentile(samples, 990), "p99_9",
                     percentile(samples, 999), "max", percentile(samples, 1000), "histogram",
                     histogram(samples));
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;

    return (a > b) - (a < b);
}

double median_of(double *values, size_t num)
{
    qsort(values, num, sizeof(*values), compare_doubles);
    return num % 2 != 0 ? values[num / 2] : (values[num / 2 - 1] + values[num / 2]) / 2;
}

json_t *spread_json(double *values, size_t num)
{
    double median = median_of(values, num);

    return json_pack("{s:f, s:f, s:f}", "median", median, "min", values[0], "max", values[num - 1]);
}
