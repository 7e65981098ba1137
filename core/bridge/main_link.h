/* SPDX-License-Identifier: MIT */
/* main_link - the link of QEMU's main connection, what both sides have of it. */
#ifndef MULTIFD_BRIDGE_MAIN_LINK_H
#define MULTIFD_BRIDGE_MAIN_LINK_H

#include "core/bridge/answers.h"
#include "core/bridge/bridge.h"
#include "core/bridge/tail.h"
#include "core/qemu/stream.h"

struct bridge_main {
    struct bridge_link link;
    struct qemu_stream *stream; /* what passes from the source to the destination, up to the end
                                   of the RAM; behind it tail.h knows better than the parser */
    bool ram_done;
    struct bridge_answers answers;

    /* Source: read from QEMU, and not sent on yet. */
    uint8_t in[BRIDGE_BYTES_MAX];
    uint32_t in_length;
    bool ended; /* either side: QEMU has closed the connection */
    bool told;  /* either side: the main thread knows of what `answers` or `tail` found */

    /* Source: in hand from the channel, on its way to QEMU. */
    struct transport_message message;
    const uint8_t *out;
    uint32_t out_left;

    /* Destination: on its way to QEMU. */
    struct bridge_tail tail;
    uint64_t quiet_since_ns; /* when the last of it came */
};

extern const struct bridge_link_ops bridge_main_source_ops;
extern const struct bridge_link_ops bridge_main_destination_ops;

void bridge_main_release(struct bridge_link *link);

/*
 * Destination, when the thread has ended after the end was handed over or while it was: hands over
 * the rest, and waits for QEMU's answer. The verdict.
 */
enum bridge_verdict bridge_main_wait_answer(struct bridge_link *link, uint64_t deadline_ns);

#endif
