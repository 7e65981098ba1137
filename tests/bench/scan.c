/* SPDX-License-Identifier: MIT */
/*
 * scan - zero_page against plain reading: one thread, memory much larger than the CPU's caches.
 *
 *   scan [MIB [PAIRS]]
 *
 * The yardstick is the fastest of several ways to read the whole memory without a test per page.
 * Then each variant of zero_page scans pages of zeros, by turns, and before each scan stands a
 * plain read to compare it with. Prints medians, and the quartiles and extremes of the ratios of
 * the pairs; once over small pages of the kernel and once over huge ones.
 */
#include "core/base/clock.h"
#include "core/zero_page.h"
#include "core/zero_page/variants.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define PAGE   4096u
#define PAIRS  101
#define ROWS   8
#define ROUNDS 7                   /* to find the fastest read */
#define HUGE   ((size_t)2 << 20)   /* the kernel's huge pages */
#define CACHED ((size_t)256 << 10) /* fits any second-level cache */

struct memory {
    uint8_t *bytes;
    size_t length;
};

/* A way to read: whether all of it is zero. */
struct reading {
    const char *name;
    bool (*read)(const void *bytes, size_t length);
    bool (*supported)(void);
};

struct row {
    struct reading scan;
    double theirs[PAIRS]; /* GB/s of the yardstick just before */
    double ours[PAIRS];
    double ratios[PAIRS];
};

/* ---- Plain reads ---- */

static bool read_words(const void *bytes, size_t length)
{
    const uint64_t *at = bytes;
    uint64_t sums[4] = {0};

    for (const uint64_t *end = at + length / sizeof(*at); at != end; at += 8) {
        for (int i = 0; i < 4; i++) {
            sums[i] |= at[i] | at[i + 4];
        }
    }
    return (sums[0] | sums[1] | sums[2] | sums[3]) == 0;
}

static bool read_memchr(const void *bytes, size_t length)
{
    return memchr(bytes, 1, length) == NULL;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static bool read_avx2(const void *bytes, size_t length)
{
    const __m256i *at = bytes;
    __m256i any[4] = {0};

    for (const __m256i *end = at + length / sizeof(*at); at != end; at += 8) {
        for (int i = 0; i < 4; i++) {
            any[i] |= at[i] | at[i + 4];
        }
    }
    any[0] |= any[1] | any[2] | any[3];
    return _mm256_testz_si256(any[0], any[0]) != 0;
}

__attribute__((target("avx2"))) static bool read_avx2_in_order(const void *bytes, size_t length)
{
    const __m256i *at = bytes;
    __m256i any = {0};

    for (const __m256i *end = at + length / sizeof(*at); at != end; at += 2) {
        any |= at[0] | at[1];
    }
    return _mm256_testz_si256(any, any) != 0;
}

__attribute__((target("avx512f"))) static bool read_avx512(const void *bytes, size_t length)
{
    const __m512i *at = bytes;
    __m512i any[4] = {0};

    for (const __m512i *end = at + length / sizeof(*at); at != end; at += 4) {
        for (int i = 0; i < 4; i++) {
            any[i] |= at[i];
        }
    }
    any[0] |= any[1] | any[2] | any[3];
    return _mm512_test_epi64_mask(any[0], any[0]) == 0;
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") != 0;
}
#endif

static const struct reading plain[] = {
    {"words", read_words, zero_page_has_always},
    {"memchr", read_memchr, zero_page_has_always},
#if defined(__x86_64__)
    {"avx2, 256 bytes a step", read_avx2, zero_page_has_avx2},
    {"avx2, 64 bytes a step", read_avx2_in_order, zero_page_has_avx2},
    {"avx512, 256 bytes a step", read_avx512, has_avx512},
#endif
};

#define PLAIN (sizeof(plain) / sizeof(plain[0]))

/* ---- Timing ---- */

static void check(bool zero, const char *name)
{
    if (!zero) {
        fprintf(stderr, "%s: zeros are not zero\n", name);
        exit(1);
    }
}

/* GB/s of one call for all of the memory. */
static double rate_of_read(const struct reading *reading, const struct memory *memory)
{
    uint64_t start = clock_now_ns();

    check(reading->read(memory->bytes, memory->length), reading->name);
    return (double)memory->length / (double)(clock_now_ns() - start);
}

/* GB/s of a call for each page. */
static double rate_of_scan(const struct reading *reading, const struct memory *memory)
{
    uint64_t start = clock_now_ns();

    for (size_t at = 0; at < memory->length; at += PAGE) {
        check(reading->read(memory->bytes + at, PAGE), reading->name);
    }
    return (double)memory->length / (double)(clock_now_ns() - start);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;

    return (a > b) - (a < b);
}

static double median(double *values, size_t num)
{
    qsort(values, num, sizeof(*values), compare);
    return values[num / 2];
}

static const struct reading *fastest_read(const struct memory *memory)
{
    const struct reading *fastest = NULL;
    double rates[PLAIN][ROUNDS] = {0};
    double best = 0;

    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < PLAIN; i++) {
            rates[i][round] = plain[i].supported() ? rate_of_read(&plain[i], memory) : 0;
        }
    }
    for (size_t i = 0; i < PLAIN; i++) {
        double rate = median(rates[i], ROUNDS);

        printf("  read: %-26s %8.2f GB/s   %.2f .. %.2f\n", plain[i].name, rate, rates[i][0],
               rates[i][ROUNDS - 1]);
        if (rate > best) {
            best = rate;
            fastest = &plain[i];
        }
    }
    return fastest;
}

/* GB/s within the cache: what the scan itself can do. */
static double rate_cached(const struct reading *scan, const struct memory *memory)
{
    struct memory hot = {memory->bytes, CACHED < memory->length ? CACHED : memory->length};
    double rates[PAIRS];

    for (int i = 0; i < PAIRS; i++) {
        rates[i] = rate_of_scan(scan, &hot);
    }
    return median(rates, PAIRS);
}

static struct row row_of(const char *name, bool (*scan)(const void *bytes, size_t length))
{
    return (struct row){.scan = {name, scan, zero_page_has_always}};
}

/* zero_page itself and each variant that this CPU can run; their number. */
static size_t fill_rows(struct row *rows)
{
    size_t num;
    const struct zero_page_variant *variants = zero_page_variants(&num);
    size_t used = 0;

    rows[used++] = row_of("zero_page", zero_page);
    for (size_t i = 0; i < num && used < ROWS; i++) {
        if (variants[i].supported()) {
            rows[used++] = row_of(variants[i].name, variants[i].scan);
        }
    }
    return used;
}

/* By turns, so that a disturbance meets all of them. */
static void measure(struct row *rows, size_t num, const struct reading *yardstick,
                    const struct memory *memory, size_t pairs)
{
    for (size_t i = 0; i < pairs; i++) {
        for (struct row *row = rows; row != rows + num; row++) {
            row->theirs[i] = rate_of_read(yardstick, memory);
            row->ours[i] = rate_of_scan(&row->scan, memory);
            row->ratios[i] = row->ours[i] / row->theirs[i];
        }
    }
}

static void print_row(struct row *row, const struct memory *memory, size_t pairs)
{
    const double *ratios = row->ratios;

    printf("  %-10s %8.2f %8.2f %8.2f", row->scan.name, median(row->theirs, pairs),
           median(row->ours, pairs), median(row->ratios, pairs));
    printf("   %.2f .. %.2f   %.2f .. %.2f %10.1f\n", ratios[pairs / 4],
           ratios[pairs - 1 - pairs / 4], ratios[0], ratios[pairs - 1],
           rate_cached(&row->scan, memory));
}

static void measure_all(const struct memory *memory, size_t pairs)
{
    static struct row rows[ROWS];
    size_t num = fill_rows(rows);
    const struct reading *yardstick = fastest_read(memory);

    measure(rows, num, yardstick, memory, pairs);
    printf("  %-10s %8s %8s %8s   %-12s   %-12s %10s\n", "GB/s", "read", "scan", "ratio",
           "quartiles", "extremes", "in cache");
    for (size_t i = 0; i < num; i++) {
        print_row(&rows[i], memory, pairs);
    }
}

/* Memory of its own for each page: written, so that it is not the kernel's one page of zeros. */
static struct memory touched(size_t length, int advice)
{
    size_t room = length + HUGE;
    uint8_t *mapping = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t gap;

    if (mapping == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    gap = HUGE - (uintptr_t)mapping % HUGE; /* stays unused */
    if (madvise(mapping + gap, length, advice) != 0) {
        perror("madvise");
    }
    memset(mapping + gap, 1, length);
    memset(mapping + gap, 0, length);
    return (struct memory){mapping + gap, length};
}

int main(int argc, char **argv)
{
    size_t length = (argc > 1 ? strtoull(argv[1], NULL, 10) : 1024) << 20;
    size_t pairs = argc > 2 ? strtoull(argv[2], NULL, 10) : 15;
    struct memory memory;

    if (argc > 3 || length == 0 || pairs < 1 || pairs > PAIRS) {
        fprintf(stderr, "usage: scan [MIB [PAIRS]]\n");
        return 2;
    }
    printf("%zu MiB, pages of %u bytes, %zu pairs, zero_page uses %s\n", length >> 20, PAGE, pairs,
           zero_page_variant());
    printf("small pages of the kernel:\n");
    memory = touched(length, MADV_NOHUGEPAGE);
    measure_all(&memory, pairs);
    (void)madvise(memory.bytes, memory.length, MADV_DONTNEED);
    printf("huge pages of the kernel:\n");
    memory = touched(length, MADV_HUGEPAGE);
    measure_all(&memory, pairs);
    return 0;
}
