/* SPDX-License-Identifier: MIT */
/*
 * variants - zero_page for one instruction set each. For zero_page.c and the tests.
 *
 * All go through the page once, from its beginning, and test 128 bytes at a time. Memory is the
 * limit, and what disturbs the CPU's prefetcher costs more than it saves. Measured on Zen 4, pages
 * of 4 KiB, against AVX2 as it is here:
 *
 *   a look at the page's middle and end first    -12 % (a page that is not zero mostly shows in
 *                                                its first 128 bytes anyway)
 *   both halves of the page at once              -60 %
 *   prefetching by instruction                   -3 to -12 %
 *   256 bytes a test                             the same
 *   AVX-512                                      -2 to -18 %; within the cache the same
 *
 * On another CPU that may be otherwise, so the one at hand is tried.
 */
#ifndef MULTIFD_ZERO_PAGE_VARIANTS_H
#define MULTIFD_ZERO_PAGE_VARIANTS_H

#include <stdbool.h>
#include <stddef.h>

struct zero_page_variant {
    const char *name;
    bool (*scan)(const void *page, size_t length); /* as zero_page */
    bool (*supported)(void);                       /* by this CPU and its operating system */
};

/* All that were compiled in, `*num` of them, in order of preference where none is much faster. */
const struct zero_page_variant *zero_page_variants(size_t *num);

/*
 * What a scan looks at may be written by another thread meanwhile. That is a race, and meant: what
 * was read decides about nothing but the answer, and no address, length or step depends on it, so
 * it does not matter whether a load is torn or repeated. TSan is told not to report it.
 */
#define ZERO_PAGE_RACES __attribute__((no_sanitize("thread")))

bool zero_page_portable(const void *page, size_t length);
bool zero_page_has_always(void);

#if defined(__x86_64__)
bool zero_page_sse2(const void *page, size_t length);
bool zero_page_avx2(const void *page, size_t length);
bool zero_page_has_avx2(void);
bool zero_page_avx512(const void *page, size_t length);
bool zero_page_has_avx512(void);
#elif defined(__aarch64__)
bool zero_page_neon(const void *page, size_t length);
#endif

#endif
