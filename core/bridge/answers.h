/* SPDX-License-Identifier: MIT */
/* answers - what QEMU's destination says on its return path: u16 kind, u16 length, value. */
#ifndef MULTIFD_BRIDGE_ANSWERS_H
#define MULTIFD_BRIDGE_ANSWERS_H

#include <multifd_error.h>
#include <stdbool.h>
#include <stdint.h>

struct bridge_answers {
    uint8_t start[8]; /* of the answer that is coming: the header and a u32 */
    uint32_t have;    /* bytes of it that have come */
    bool shut;        /* the last one has */
    uint32_t value;   /* of it: 0 when the destination has the guest */
};

/* Looks at bytes that pass. 0, or -1 with *err for what is no answer of QEMU's. */
int bridge_answers_look(struct bridge_answers *answers, const uint8_t *bytes, uint32_t length,
                        struct multifd_error *err);

#endif
