/* SPDX-License-Identifier: MIT */
/*
 * tail - what the destination's bridge has of QEMU's main stream and has not handed over, and the
 * end of it, which it keeps back until the source's bridge agrees (bridge.h).
 *
 * The end is a footer (7e and an id), 00, and a description that QEMU reads but does not need: when
 * its destination has read the 00 it starts the guest, whatever follows. The states of devices have
 * no lengths, so bytes that look so may be a device's. Kept back is therefore everything from the
 * first place that may be the end and that nothing behind it has disproved.
 */
#ifndef MULTIFD_BRIDGE_TAIL_H
#define MULTIFD_BRIDGE_TAIL_H

#include <multifd_error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A description that is longer than this is none. */
#define BRIDGE_TAIL_MAX (16u << 20)

struct bridge_tail {
    uint8_t *bytes;
    size_t size;
    size_t first; /* not yet handed over */
    size_t end;
    size_t scan;  /* before this nothing is the end */
    bool watched; /* bridge_tail_watch */
    bool open;    /* bridge_tail_open */
};

void bridge_tail_fini(struct bridge_tail *tail);

/* Adds bytes that have come. 0, or -1 with *err when there is no memory. */
int bridge_tail_add(struct bridge_tail *tail, const uint8_t *bytes, size_t length,
                    struct multifd_error *err);

/* From here on the end may come: the RAM is over. */
void bridge_tail_watch(struct bridge_tail *tail);

/* What may be handed over; *bytes is where it is. */
size_t bridge_tail_ready(struct bridge_tail *tail, const uint8_t **bytes);

/* So much of it has been. */
void bridge_tail_take(struct bridge_tail *tail, size_t length);

/* Whether what is kept back is the end, all of it. */
bool bridge_tail_is_complete(const struct bridge_tail *tail);

/* Whether it is if nothing more comes: QEMU's "suppress-vmdesc=on" leaves the description out. */
bool bridge_tail_may_be_complete(const struct bridge_tail *tail);

/* Nothing is kept back any more. */
void bridge_tail_open(struct bridge_tail *tail);

#endif
