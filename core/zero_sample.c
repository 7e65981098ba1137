/* SPDX-License-Identifier: MIT */
#include "core/zero_sample.h"

#include "core/zero_page.h"

bool zero_sample_suffices(struct zero_sample *sample, const uint8_t *host, const uint64_t *offsets,
                          uint32_t num, uint32_t page_size)
{
    uint32_t first;

    if (sample->dense < ZERO_SAMPLE_DENSE) {
        return false;
    }
    /* Other ones each time, so that no page is missed in every round. */
    first = sample->turn++ % ZERO_SAMPLE_STRIDE % num;
    for (uint32_t i = first; i < num; i += ZERO_SAMPLE_STRIDE) {
        if (zero_page(host + offsets[i], page_size)) {
            return false;
        }
    }
    return true;
}

void zero_sample_learn(struct zero_sample *sample, uint32_t num, uint32_t zero)
{
    if (zero > num / ZERO_SAMPLE_FEW) {
        sample->dense = 0;
    } else if (sample->dense < ZERO_SAMPLE_DENSE) {
        sample->dense += num;
    }
}
