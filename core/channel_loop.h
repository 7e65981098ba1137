/* SPDX-License-Identifier: MIT */
/* channel_loop - how a channel's thread spends its life: working, polling for a while, sleeping. */
#ifndef MULTIFD_CHANNEL_LOOP_H
#define MULTIFD_CHANNEL_LOOP_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/session.h"

struct channel_loop {
    struct session *session;
    struct transport_channel *channel;
    struct waker *waker;     /* wakes this thread for work of another thread's */
    pthread_mutex_t *turn;   /* held by whoever works on the channel, so not while this thread
                                sleeps; NULL when nobody else does */
    const atomic_bool *stop; /* ends the loop; the waker is woken after it is set */

    /*
     * Does what there is to do; *busy tells whether that was anything. -1 with *err ends the loop.
     */
    int (*step)(void *owner, bool *busy, struct multifd_error *err);

    /* Whether the thread waits for what it sent to reach the peer. */
    bool (*wants_completions)(void *owner);

    /*
     * When there will be something to do though nobody wakes the thread (CLOCK_MONOTONIC, ns); 0
     * for never. NULL is allowed.
     */
    uint64_t (*not_before)(void *owner);

    /*
     * One more descriptor to sleep on, as poll(2) takes it (fd -1: none now). The step looks at it
     * by itself, without being told what poll has found. NULL is allowed.
     */
    void (*also_poll)(void *owner, struct pollfd *fd);
    void *owner;
};

/*
 * Runs until `stop` or the session's failure (0), or until a step or the channel fails (-1, *err).
 */
int channel_loop_run(const struct channel_loop *loop, struct multifd_error *err);

#endif
