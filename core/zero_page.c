/* SPDX-License-Identifier: MIT */
#include "core/zero_page.h"

#include "core/zero_page/variants.h"

#include <stdatomic.h>

/* The fastest first; the last one works everywhere. */
static const struct zero_page_variant variants[] = {
#if defined(__x86_64__)
    {"avx2", zero_page_avx2, zero_page_has_avx2},
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

/*
 * The first call of all chooses. Threads that come here at once all choose the same variant, and
 * what they publish points to constants only: no order is needed between them.
 */
static const struct zero_page_variant *chosen_variant(void)
{
    static _Atomic(const struct zero_page_variant *) chosen;
    const struct zero_page_variant *variant = atomic_load_explicit(&chosen, memory_order_relaxed);

    if (variant == NULL) {
        variant = variants;
        while (!variant->supported()) {
            variant++;
        }
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
