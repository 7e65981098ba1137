/* SPDX-License-Identifier: MIT */
/*
 * device_state - the end of QEMU's main migration stream, behind the RAM.
 *
 * What the devices send has no lengths that others than they could know, so it is skipped. But the
 * end is recognised: a footer (7e and an id), 00, 06, the length of a description of what was
 * skipped, and that description, JSON, with which the stream ends. That such bytes stand in a
 * device's state by chance, with a length that ends just where no more has come, is as good as
 * impossible; the last place that looks so counts.
 */
#ifndef MULTIFD_QEMU_DEVICE_STATE_H
#define MULTIFD_QEMU_DEVICE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More is no device state any more. */
#define QEMU_DEVICE_STATE_MAX (UINT64_C(1) << 30)

#define QEMU_MARK_BYTES 12u /* footer, 00, 06, length, the first letter of the description */

struct qemu_device_state {
    uint64_t bytes;                /* skipped so far */
    uint64_t end;                  /* where the description ends; 0: not yet known */
    uint8_t last[QEMU_MARK_BYTES]; /* the last ones, oldest first */
};

/* Skips bytes up to the end of the description, if it is among them; returns their number. */
size_t qemu_device_state_skip(struct qemu_device_state *state, const uint8_t *bytes, size_t length);

/* Whether the description is complete, and nothing behind it. */
bool qemu_device_state_is_complete(const struct qemu_device_state *state);

/* Whether it may end here without a description, as QEMU sends it with "suppress-vmdesc=on". */
bool qemu_device_state_may_end(const struct qemu_device_state *state);

#endif
