/* SPDX-License-Identifier: MIT */
#include "core/zero_page/variants.h"

#if defined(__x86_64__)

#include <immintrin.h>

/* SSE2 is in every x86-64. */
ZERO_PAGE_RACES bool zero_page_sse2(const void *page, size_t length)
{
    const __m128i_u *at = page;

    for (const __m128i_u *end = at + length / sizeof(*at); at != end; at += 8) {
        __m128i any = at[0] | at[1] | at[2] | at[3] | at[4] | at[5] | at[6] | at[7];

        if (_mm_movemask_epi8(_mm_cmpeq_epi8(any, _mm_setzero_si128())) != 0xffff) {
            return false;
        }
    }
    return true;
}

__attribute__((target("avx2"))) ZERO_PAGE_RACES bool zero_page_avx2(const void *page, size_t length)
{
    const __m256i_u *at = page;

    for (const __m256i_u *end = at + length / sizeof(*at); at != end; at += 4) {
        __m256i any = at[0] | at[1] | at[2] | at[3];

        if (!_mm256_testz_si256(any, any)) {
            return false;
        }
    }
    return true;
}

bool zero_page_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

__attribute__((target("avx512f"))) ZERO_PAGE_RACES bool zero_page_avx512(const void *page,
                                                                         size_t length)
{
    const __m512i_u *at = page;

    for (const __m512i_u *end = at + length / sizeof(*at); at != end; at += 2) {
        __m512i any = at[0] | at[1];

        if (_mm512_test_epi64_mask(any, any) != 0) {
            return false;
        }
    }
    return true;
}

bool zero_page_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") != 0;
}

#endif
