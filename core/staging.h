/* SPDX-License-Identifier: MIT */
/*
 * staging - registered memory for payloads that are not guest memory, on both sides of a channel:
 * one slot for each packet that may be in flight.
 *
 * Message n of a channel has its payload in slot n % slots of either side, so no offset travels. A
 * slot is free again when the message that used it has completed (source) and has been released
 * (destination), which is what the transport's send slots and credits count anyway: there must be
 * no more of them than slots here.
 */
#ifndef MULTIFD_STAGING_H
#define MULTIFD_STAGING_H

#include <multifd_error.h>
#include <stdint.h>

#include "transport/transport.h"

struct staging {
    uint8_t *memory;
    size_t bytes;
    struct transport_memory registered;
    uint32_t slots;
    uint32_t slot_bytes;
};

/*
 * How many slots of that size a channel with that window has: fewer than the window where they
 * would pin too much memory, but two at least if the window has two.
 */
uint32_t staging_slots(uint32_t window, uint64_t slot_bytes);

/*
 * Maps and registers the memory of a staging that was zeroed; `access` as for
 * register_memory. 0, or -1 with *err.
 */
int staging_init(struct staging *staging, struct transport_endpoint *endpoint, uint32_t slots,
                 uint32_t slot_bytes, uint32_t access, struct multifd_error *err);

/*
 * Releases it, after the channel that used it is freed. Accepts one that was zeroed, or that
 * staging_init has failed for. 0, or -1 with *err when the memory could not be deregistered.
 */
int staging_fini(struct staging *staging, struct transport_endpoint *endpoint,
                 struct multifd_error *err);

/* The slot of a message, which is counted from 0 on each channel. */
uint8_t *staging_slot(const struct staging *staging, uint64_t message);

#endif
