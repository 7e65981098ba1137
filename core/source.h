/* SPDX-License-Identifier: MIT */
/* source - the inside of a source, shared by its set-up and its work. */
#ifndef MULTIFD_SOURCE_H
#define MULTIFD_SOURCE_H

#include "core/batch_ring.h"
#include "core/control.h"
#include "core/session.h"
#include "core/source_channel.h"

enum source_phase {
    SOURCE_NEW,
    SOURCE_READY,    /* multifd_save_setup has succeeded */
    SOURCE_FINISHED, /* multifd_source_finish has succeeded */
    SOURCE_CLEAN,    /* multifd_save_cleanup has run */
};

struct multifd_source {
    struct session session;
    enum source_phase phase;
    struct source_channel_config config; /* what all channels share */
    struct control *control;
    struct registrar *registrar;
    struct source_channel *channels[MULTIFD_CHANNELS_MAX];
    atomic_uint channels_num; /* those that exist */

    struct page_batch *batch; /* being filled; a slot of the current channel's ring */
    uint32_t current;         /* that channel */
    uint32_t next;            /* the channel to ask first for the next batch */
    uint64_t packet_num;
    uint64_t round;
    bool unsynced; /* pages were queued since the last sync */
};

/* Gives the batch in hand, which there must be, to the current channel. */
void source_hand_over(struct multifd_source *source);

/* Stops what set-up has started, in any state. */
void source_release(struct multifd_source *source);

#endif
