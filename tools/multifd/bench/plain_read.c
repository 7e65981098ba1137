/* SPDX-License-Identifier: MIT */
#include "plain_read.h"

#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static bool always(void)
{
    return true;
}

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

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") != 0;
}
#endif

const struct plain_read plain_reads[] = {
    {"words", read_words, always},
    {"memchr", read_memchr, always},
#if defined(__x86_64__)
    {"avx2, 256 bytes a step", read_avx2, has_avx2},
    {"avx2, 64 bytes a step", read_avx2_in_order, has_avx2},
    {"avx512, 256 bytes a step", read_avx512, has_avx512},
#endif
    {.name = NULL},
};
