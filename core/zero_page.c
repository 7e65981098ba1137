/* SPDX-License-Identifier: MIT */
#include "core/zero_page.h"

#include <multifd.h>

#include "core/base/clock.h"
#include "core/zero_page/variants.h"

#include <stdatomic.h>

/* What a variant is tried with: a first-level cache holds it, and it outlasts the clock's steps. */
#define TRY_BYTES 16384
#define TRY_TIMES 16
#define TRIES     5

/* The last one works everywhere. */
static const struct zero_page_variant variants[] = {
#if defined(__x86_64__)
    {"avx2", zero_page_avx2, zero_page_has_avx2},
    {"avx512", zero_page_avx512, zero_page_has_avx512},
    {"sse2", zero_page_sse2, zero_page_has_always},
#elif defined(__aarch64__)
    {"neon", zero_page_neon, zero_page_has_always},
#endif
    {"portable", zero_page_portable, zero_page_has_always},
};

const struct zero_page_variant *zero_page_variants(size_t *num)
{
    *num = sizeof(variants) / sizeof(variants[0]);
    return variants;
}

/* How long a variant takes for some pages in the cache; the best of some tries. */
static uint64_t try_variant(const struct zero_page_variant *variant)
{
    static uint8_t zeros[TRY_BYTES]; /* nobody writes to it */
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < TRIES; i++) {
        uint64_t start = clock_now_ns();
        uint64_t took;

        for (int again = 0; again < TRY_TIMES; again++) {
            if (!variant->scan(zeros, sizeof(zeros))) {
                return UINT64_MAX;
            }
        }
        took = clock_now_ns() - start;
        best = took < best ? took : best;
    }
    return best;
}

/* Memory is slower than the cache, so a variant must be clearly faster there to be preferred. */
static const struct zero_page_variant *choose(void)
{
    const struct zero_page_variant *chosen = NULL;
    uint64_t best = 0;

    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        uint64_t took = variants[i].supported() ? try_variant(&variants[i]) : UINT64_MAX;

        if (variants[i].supported() && (chosen == NULL || took < best - best / 8)) {
            chosen = &variants[i];
            best = took;
        }
    }
    return chosen;
}

/*
 * The first call of all chooses, which takes less than a millisecond. Threads that come here at
 * once may choose differently, and what they publish points to constants only: no order is needed
 * between them.
 */
static const struct zero_page_variant *chosen_variant(void)
{
    static _Atomic(const struct zero_page_variant *) chosen;
    const struct zero_page_variant *variant = atomic_load_explicit(&chosen, memory_order_relaxed);

    if (variant == NULL) {
        variant = choose();
        atomic_store_explicit(&chosen, variant, memory_order_relaxed);
    }
    return variant;
}

bool zero_page(const void *page, size_t length)
{
    return chosen_variant()->scan(page, length);
}

const char *zero_page_variant(void)
{
    return chosen_variant()->name;
}

bool multifd_buffer_is_zero(const void *buffer, size_t length)
{
    return zero_page(buffer, length);
}

const char *multifd_buffer_is_zero_variant(void)
{
    return zero_page_variant();
}
