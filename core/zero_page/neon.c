/* SPDX-License-Identifier: MIT */
#include "core/zero_page/variants.h"

#if defined(__aarch64__)

#include <arm_neon.h>

/* NEON is in every AArch64 that runs Linux. Byte loads want no alignment. */
ZERO_PAGE_RACES bool zero_page_neon(const void *page, size_t length)
{
    const uint8_t *at = page;

    for (const uint8_t *end = at + length; at != end; at += 128) {
        uint8x16_t any = vld1q_u8(at);

        for (int i = 16; i < 128; i += 16) {
            any = vorrq_u8(any, vld1q_u8(at + i));
        }
        if (vmaxvq_u8(any) != 0) {
            return false;
        }
    }
    return true;
}

#endif
