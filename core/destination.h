/* SPDX-License-Identifier: MIT */
/* destination - the inside of a destination, shared by its set-up and its work. */
#ifndef MULTIFD_DESTINATION_H
#define MULTIFD_DESTINATION_H

#include "core/control.h"
#include "core/destination_channel.h"
#include "core/registrar.h"
#include "core/session.h"

enum destination_phase {
    DESTINATION_NEW,
    DESTINATION_LISTENING, /* multifd_load_setup has succeeded */
    DESTINATION_FINISHED,  /* multifd_recv_sync_main has returned 0 */
    DESTINATION_CLEAN,     /* multifd_load_cleanup has run */
};

struct multifd_destination {
    struct session session;
    enum destination_phase phase;
    multifd_block_fn *on_block;
    void *on_block_opaque;
    struct destination_channel_config config; /* what all channels share */
    uint8_t uuid[GREETING_UUID_BYTES];        /* the session's, chosen by the source */
    uint32_t verify;
    uint32_t channels_wanted; /* as the source said */
    struct round_gate gate;   /* who ends a round */
    struct control *control;
    struct registrar *registrar;
    struct destination_channel *channels[MULTIFD_CHANNELS_MAX];
    atomic_uint channels_num; /* connected */
    atomic_bool complete;     /* the control connection and all channels are up */
    _Atomic uint64_t round;   /* rounds that have ended */

    /* A source that is QEMU's; NULL and 0 for another. */
    struct qemu_main *qemu;
    uint64_t deadline_ns;    /* by when all of its connections must have come */
    counter qemu_zero_pages; /* that came over its main channel */
    uint64_t qemu_bytes;     /* that had come over all of its connections when last looked at */
    uint64_t qemu_heard_ns;  /* when that was more than before */
};

#endif
