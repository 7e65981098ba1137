/* SPDX-License-Identifier: MIT */
#include "core/bridge/round.h"

#include "core/base/error.h"

int bridge_round_pass(struct multifd_bridge *bridge, struct multifd_error *err)
{
    uint64_t passed = atomic_fetch_add(&bridge->passed, 1) + 1;
    unsigned channels = atomic_load(&bridge->channels_num);
    struct message message = {.type = MESSAGE_SYNC_DONE, .round = passed / channels};

    return passed % channels != 0 ? 0 : control_send(bridge->control, &message, err);
}

int bridge_round_release(struct multifd_bridge *bridge, uint64_t rounds, struct multifd_error *err)
{
    if (rounds != atomic_load(&bridge->released) + 1) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the destination's bridge ended round %llu where %llu is due",
                         (unsigned long long)rounds,
                         (unsigned long long)atomic_load(&bridge->released) + 1);
    }
    atomic_store(&bridge->released, rounds);
    for (uint32_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        struct bridge_link *link = atomic_load(&bridge->channels[i]);

        if (link != NULL) {
            waker_wake(&link->waker);
        }
    }
    return 0;
}
