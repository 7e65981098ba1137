/* SPDX-License-Identifier: MIT */
/*
 * source_channel_state - what the two parts of source_channel share: its life, and the work on it
 * (source_channel_work.c).
 */
#ifndef MULTIFD_SOURCE_CHANNEL_STATE_H
#define MULTIFD_SOURCE_CHANNEL_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/held_runs.h"
#include "core/source_channel.h"

struct source_channel {
    struct channel_counters counters;
    struct source_channel_config *config;
    struct batch_ring *ring;
    struct waker waker;
    struct worker worker;
    atomic_bool stop;
    atomic_bool up;
    _Atomic uint64_t drained; /* SYNCs after which all its work has completed */

    /* The session's thread's own. */
    uint64_t syncs;  /* handed over */
    bool needs_sync; /* pages were handed over since the last one */

    /*
     * What follows belongs to whoever has this lock: the thread, but while it sleeps; then the
     * session's, which would have to wake it for what it can send itself.
     */
    pthread_mutex_t turn;
    struct transport_channel *channel; /* freed by source_channel_disconnect */
    struct packet_writer writer;
    struct held_runs held; /* what is in no ring any more, and not sent yet */
    uint64_t not_before;   /* when the limit lets the next batch go; 0: it does not hold one back */
    bool stalled;          /* the packet that comes next has been counted as waiting */
    bool sync_sent;        /* a SYNC is posted and not known to be drained */
    bool more_follows;     /* the session's thread sends, and is about to have more */
    bool ready;            /* between the method's set-up and its cleanup */
};

/* The functions of channel_loop.h, for whoever has the channel's turn; the owner is the channel. */
int source_channel_step(void *owner, bool *busy, struct multifd_error *err);
bool source_channel_wants_completions(void *owner);
uint64_t source_channel_not_before(void *owner);

#endif
