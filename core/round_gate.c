/* SPDX-License-Identifier: MIT */
#include "core/round_gate.h"

#define COME_MASK     UINT16_MAX
#define CHANNEL_SHIFT 16

static bool is_complete(uint32_t arrived)
{
    return arrived != 0 && arrived >> CHANNEL_SHIFT == (arrived & COME_MASK);
}

bool round_gate_arrive(struct round_gate *gate, uint32_t channels, bool *last)
{
    uint32_t before = atomic_load(&gate->arrived);
    uint32_t after;

    do {
        if (before != 0 && (before >> CHANNEL_SHIFT != channels || is_complete(before))) {
            return false;
        }
        after = (channels << CHANNEL_SHIFT | (before & COME_MASK)) + 1;
    } while (!atomic_compare_exchange_weak(&gate->arrived, &before, after));
    *last = is_complete(after);
    return true;
}

bool round_gate_is_complete(const struct round_gate *gate)
{
    return is_complete(atomic_load(&gate->arrived));
}

void round_gate_await(struct round_gate *gate, uint64_t round)
{
    atomic_store(&gate->awaited, round);
}

bool round_gate_claim(struct round_gate *gate, uint64_t round)
{
    return atomic_compare_exchange_strong(&gate->awaited, &round, 0);
}

void round_gate_reset(struct round_gate *gate)
{
    atomic_store(&gate->arrived, 0);
}
